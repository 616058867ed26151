// cc: -O2 -g -pthread
// Threads that call a function and count it themselves. Says "ready", begins with a byte on standard input, and says
// how many calls there were. Usage: crowd THREADS CALLS
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long calls, done;

__attribute__((noinline)) void called(void)
{
	__atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
}

static void *thread(void *unused)
{
	for (unsigned long i = 0; i < calls; i++)
		called();
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t ids[64];
	char byte;
	calls = argc > 2 ? strtoul(argv[2], 0, 10) : 1;
	puts("ready");
	fflush(stdout);
	if (read(0, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], 0, thread, 0);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], 0);
	printf("%lu\n", done);
	return 0;
}
