// cc: -g -O0 -lpthread
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

int counter;
struct {
    int first;
    int second;
} pair;
static char hidden;

static void *work(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        __atomic_fetch_add(&counter, 10, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(void)
{
    pthread_t thread;

    counter = 1;
    pair.first = counter + 1;
    pair.second = 3;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, NULL);
    hidden = (char)(pair.first + pair.second);
    if (fork() == 0) {
        counter = 1000;
        _exit(0);
    }
    wait(NULL);
    return counter != 31;
}
