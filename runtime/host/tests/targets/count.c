/* Threads that call probed functions a known number of times and compute a result that must be right.
 * Usage: count THREADS CALLS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) unsigned long work(unsigned long x) {
    return x * 6364136223846793005UL + 1442695040888963407UL;
}

__attribute__((noinline)) unsigned long twice(unsigned long x) {
    unsigned long y = work(x);
    return work(y) ^ y;
}

static unsigned long calls;

static void *thread(void *arg) {
    unsigned long x = (unsigned long)arg;
    for (unsigned long i = 0; i < calls; i++) x = twice(x);
    return (void *)x;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    calls = argc > 2 ? strtoul(argv[2], 0, 10) : 1;
    pthread_t ids[64];
    unsigned long sum = 0;
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], 0, thread, (void *)(long)(i + 1));
    for (int i = 0; i < threads; i++) {
        void *x;
        pthread_join(ids[i], &x);
        sum += (unsigned long)x;
    }
    printf("%lx\n", sum);
    return 0;
}
