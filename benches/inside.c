/* What a hit inside the target costs: inside THREADS CALLS. Each thread calls probed() and plain(), and jumped(), whose
 * first instructions are what is the least that any patch does: a jump to code that saves the registers a C function may
 * change, and the flags, adds to a counter of the thread's and restores them. Prints ns of CPU time per call beyond
 * plain(), the fewest of many batches, so that other load matters little; of several threads the slowest. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCHES = 100, MOST = 64 };

static long calls;
static volatile long sink;

__attribute__((noinline)) void probed(long x, long y) { sink = x + y; }
__attribute__((noinline)) void plain(long x, long y) { sink = x + y; }

__attribute__((aligned(64))) __thread long count;

void jumped(long x, long y);
__asm__(".globl jumped\n"
	"jumped: jmp 1f\n"
	"2: add %rsi, %rdi\n"
	"mov %rdi, sink(%rip)\n"
	"ret\n"
	".balign 64\n"
	"1: lea -128(%rsp), %rsp\n"
	"push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n"
	"push %r8\n push %r9\n push %r10\n push %r11\n"
	"lahf\n seto %al\n push %rax\n"
	"call counted\n"
	"pop %rax\n add $127, %al\n sahf\n"
	"pop %r11\n pop %r10\n pop %r9\n pop %r8\n"
	"pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
	"lea 128(%rsp), %rsp\n"
	"jmp 2b\n");

__attribute__((used, noinline)) void counted(void) { count++; }

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static double batch(void (*function)(long, long))
{
	double start = now();
	for (long i = 0; i < calls; i++)
		function(i, calls);
	return (now() - start) / calls;
}

struct least { double plain, probed, jumped; };

static void take(double *least, double value)
{
	if (*least == 0 || value < *least)
		*least = value;
}

static void *thread(void *argument)
{
	struct least *least = argument;
	for (int i = 0; i < BATCHES; i++) {
		take(&least->plain, batch(plain));
		take(&least->probed, batch(probed));
		take(&least->jumped, batch(jumped));
	}
	return 0;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	calls = argc > 2 ? atol(argv[2]) : 20000;
	pthread_t ids[MOST];
	static struct least least[MOST];
	double hit = 0, bare = 0;
	if (threads < 1 || threads > MOST || calls < 1)
		return 2;
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], 0, thread, &least[i]);
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], 0);
		if (least[i].probed - least[i].plain > hit)
			hit = least[i].probed - least[i].plain;
		if (least[i].jumped - least[i].plain > bare)
			bare = least[i].jumped - least[i].plain;
	}
	fprintf(stderr, "per hit %.1f %.1f\n", hit, bare);
	return 0;
}
