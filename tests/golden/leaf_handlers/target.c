// cc: -O1 -g -fcf-protection=none -pthread
// Calls functions with a pattern in every register and flag, and looks for it afterwards. Meanwhile signals come: one as
// soon as there was a call since the last.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 400, FLAGS = 0xcd5 };

long before[15], after[15], flags_before, flags_after;
double vectors_before[16][2], vectors_after[16][2];
void (*function)(long);

#define ALL(each) \
	each(rax, 0) each(rbx, 1) each(rcx, 2) each(rdx, 3) each(rsi, 4) each(rdi, 5) each(rbp, 6) each(r8, 7) \
	each(r9, 8) each(r10, 9) each(r11, 10) each(r12, 11) each(r13, 12) each(r14, 13) each(r15, 14)
#define VECTORS(each) \
	each(0) each(1) each(2) each(3) each(4) each(5) each(6) each(7) \
	each(8) each(9) each(10) each(11) each(12) each(13) each(14) each(15)
#define LOAD(r, i) "mov before+8*" #i "(%rip), %" #r "\n"
#define STORE(r, i) "mov %" #r ", after+8*" #i "(%rip)\n"
#define LOAD_VECTOR(i) "movups vectors_before+16*" #i "(%rip), %xmm" #i "\n"
#define STORE_VECTOR(i) "movups %xmm" #i ", vectors_after+16*" #i "(%rip)\n"

__attribute__((naked, noinline)) void counted(long x) { __asm__("nop\nnop\nnop\nnop\nnop\nnop\nret"); }
__attribute__((naked, noinline)) void summed(long x) { __asm__("nop\nnop\nnop\nnop\nnop\nnop\nret"); }
__attribute__((naked, noinline)) void shown(long x) { __asm__("nop\nnop\nnop\nnop\nnop\nnop\nret"); }

/* Everything in memory that is named relative to rip, so that no register is needed. */
__attribute__((naked, noinline)) void call_with_all(void)
{
	__asm__("push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
		VECTORS(LOAD_VECTOR)
		"push flags_before(%rip)\n popfq\n"
		ALL(LOAD)
		"call *function(%rip)\n"
		ALL(STORE)
		"pushfq\n pop flags_after(%rip)\n cld\n"
		VECTORS(STORE_VECTOR)
		"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");
}

static int wrong;

static void try_with(void (*probed)(long), unsigned long seed)
{
	function = probed;
	for (int i = 0; i < 15; i++)
		before[i] = seed * 0x9e3779b97f4a7c15ul + i;
	before[5] = seed;
	for (int i = 0; i < 16; i++)
		vectors_before[i][0] = seed + i, vectors_before[i][1] = -i;
	/* Every combination of the arithmetic flags, and of the direction. */
	flags_before = 2 | (seed & 1) | (seed & 2) << 1 | (seed & 4) << 2 | (seed & 24) << 3 | (seed & 96) << 5;
	call_with_all();
	wrong += memcmp(before, after, sizeof before) != 0;
	wrong += memcmp(vectors_before, vectors_after, sizeof vectors_before) != 0;
	wrong += (flags_before & FLAGS) != (flags_after & FLAGS);
}

static volatile int signals, calls, done;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
}

static void *interrupt(void *main_thread)
{
	while (!done) {
		int before = calls;
		pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
		while (calls == before && !done)
			sched_yield();
	}
	return 0;
}

int main(void)
{
	pthread_t self = pthread_self(), other;
	signal(SIGUSR1, on_signal);
	pthread_create(&other, 0, interrupt, &self);
	for (int i = 0; i < ROUNDS; i++) {
		try_with(counted, i);
		try_with(summed, i);
		try_with(shown, i);
		int before = signals;
		calls++;
		/* Now and then one is waited for, lest all is over before the first. */
		while (i % 40 == 0 && signals == before)
			sched_yield();
	}
	done = 1;
	pthread_join(other, 0);
	fprintf(stderr, "wrong: %d, signals: %d\n", wrong, signals >= 10);
	return 0;
}
