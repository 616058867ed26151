// cc: -O1 -g -pthread
// Two threads in turn enter, then leave, with a number each.
#include <pthread.h>

static pthread_barrier_t barrier;
__attribute__((noinline)) void enter(int n) { __asm__ volatile("" : : "r"(n)); }
__attribute__((noinline)) void leave(int n) { __asm__ volatile("" : : "r"(n)); }

static void *other(void *unused) {
    enter(2);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    leave(2);
    return unused;
}
int main(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, 0, 2);
    enter(1);
    pthread_create(&thread, 0, other, 0);
    pthread_barrier_wait(&barrier);
    leave(1);
    pthread_barrier_wait(&barrier);
    return pthread_join(thread, 0);
}
