/* Busy threads until a line is read from standard input; then each checks its own result against one computed
 * again. Prints "ready" when all run, "right" or "wrong" at the end. Usage: busy THREADS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) unsigned long step(unsigned long x) {
    return x * 6364136223846793005UL + 1442695040888963407UL;
}

__attribute__((noinline)) unsigned long both(unsigned long x) { return step(step(x)); }

static unsigned long plain(unsigned long x) { return x * 6364136223846793005UL + 1442695040888963407UL; }

static volatile int stop;
static struct run { unsigned long count, result; } runs[64];

static void *thread(void *arg) {
    struct run *run = arg;
    unsigned long x = run - runs, n = 0;
    while (!stop) {
        x = both(x);
        n++;
    }
    run->count = n;
    run->result = x;
    return 0;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t ids[64];
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], 0, thread, &runs[i]);
    puts("ready");
    fflush(stdout);
    getchar();
    stop = 1;
    int right = 1;
    for (int i = 0; i < threads; i++) pthread_join(ids[i], 0);
    for (int i = 0; i < threads; i++) {
        unsigned long x = i;
        for (unsigned long n = 0; n < runs[i].count; n++) x = plain(plain(x));
        right &= x == runs[i].result;
    }
    puts(right ? "right" : "wrong");
    return !right;
}
