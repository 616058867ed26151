// cc: -g -O1 -pthread
#include <pthread.h>

// Five calls; the status says whether they computed what they should.
__attribute__((noipa)) long called(long n) { return n * 3 + 1; }

static void *work(void *unused) {
    long sum = 0;
    for (long i = 0; i < 5; i++) sum += called(i);
    return (void *)(sum != 35);
}

int main(void) {
    // The smallest stack that there is.
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    pthread_t thread;
    void *wrong = 0;
    if (pthread_create(&thread, &small, work, 0)) return 2;
    pthread_join(thread, &wrong);
    return wrong != 0;
}
