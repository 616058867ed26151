// cc: -g -pthread
/* Three threads that are there when somebody attaches, and one that comes and goes later. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_barrier_t ready;

static void *waits(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&ready);
	pause();
	return 0;
}

static void *late(void *unused)
{
	return unused;
}

int main(void)
{
	pthread_t thread;
	pthread_barrier_init(&ready, 0, 4);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, 0, waits, 0);
	pthread_barrier_wait(&ready);
	puts("ready");
	fflush(stdout);
	for (char c; read(0, &c, 1) > 0;)
		;
	pthread_create(&thread, 0, late, 0);
	pthread_join(thread, 0);
	return 0;
}
