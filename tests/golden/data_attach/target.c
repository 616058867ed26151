// cc: -g -O0 -lpthread
// Counts in two threads until its input ends, and checks the sum.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

atomic_long rounds;
static atomic_int is_done;

static void *count(void *own)
{
    while (!is_done) {
        rounds++;
        ++*(long *)own;
        usleep(1000);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread;
    long own[2] = {0, 0};
    char byte;

    pthread_create(&thread, NULL, count, &own[0]);
    puts("ready");
    fflush(stdout);
    while (rounds < 20)
        usleep(1000);
    for (int i = 0; i < 300; i++) {
        rounds++;
        own[1]++;
        usleep(1000);
    }
    while (read(0, &byte, 1) > 0)
        ;
    is_done = 1;
    pthread_join(thread, NULL);
    puts(rounds == own[0] + own[1] ? "all counted" : "wrong");
    return 0;
}
