// cc: -g -O0 -pthread
/* 25 times 40 threads; those of a time are all in work() before the first one ends. */
#include <pthread.h>

static pthread_barrier_t all;

static volatile long last;

static void work(long number)
{
	last = number;
}

static void *thread(void *number)
{
	work((long)number);
	pthread_barrier_wait(&all);
	return 0;
}

int main(void)
{
	pthread_t threads[40];
	pthread_barrier_init(&all, 0, 40);
	for (long time = 0; time < 25; time++) {
		for (long i = 0; i < 40; i++)
			pthread_create(&threads[i], 0, thread, (void *)(time * 40 + i));
		for (long i = 0; i < 40; i++)
			pthread_join(threads[i], 0);
	}
	return 0;
}
