/* Signals at any moment: a handler must never see an instruction pointer outside the program, and what the program
 * computes must be right. Prints counts that do not depend on time. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

extern char __executable_start, etext;
static volatile int alarms, outside, traps, ills, wrong, in_own_code;
static char buffer[1 << 16];

static int is_ours(unsigned long rip) {
    return rip >= (unsigned long)&__executable_start && rip < (unsigned long)&etext;
}

static void on_alarm(int signal, siginfo_t *info, void *context) {
    unsigned long rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    alarms++;
    if (in_own_code && !is_ours(rip)) outside++;
}

static void on_trap(int signal, siginfo_t *info, void *context) { traps++; }

static void on_ill(int signal, siginfo_t *info, void *context) {
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    ills++;
    if (!is_ours(*rip) || (unsigned long)info->si_addr != (unsigned long)*rip) wrong++;
    *rip += 2;
}

__attribute__((noinline, noclone)) unsigned long work(unsigned long x) {
    asm volatile("" ::: "rbx");
    return x * 6364136223846793005UL + 1442695040888963407UL;
}

__attribute__((noinline, noclone)) void fill(void) {
    void *to = buffer;
    unsigned long n = sizeof buffer;
    asm volatile(".globl at_stos\nat_stos: rep stosb" : "+D"(to), "+c"(n) : "a"(1) : "memory");
}

__attribute__((noinline, noclone)) long raw(long number, long a, long b) {
    long result;
    asm volatile(".globl at_syscall\nat_syscall: syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}

__attribute__((noinline, noclone)) unsigned long call(unsigned long x) {
    unsigned long (*volatile f)(unsigned long) = work;
    return f(x) + work(x);
}

__attribute__((noinline, noclone)) void faults(void) {
    asm volatile(".globl at_int3\nat_int3: int3");
    asm volatile(".globl at_ud2\nat_ud2: ud2");
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGALRM, &action, 0);
    action.sa_sigaction = on_trap;
    sigaction(SIGTRAP, &action, 0);
    action.sa_sigaction = on_ill;
    sigaction(SIGILL, &action, 0);
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    unsigned long x = 1;
    for (int i = 0; i < 1500; i++) {
        in_own_code = 1;
        x = call(x);
        fill();
        in_own_code = 0;
        if (raw(SYS_getpid, 0, 0) != getpid()) wrong++;
        for (unsigned k = 0; k < sizeof buffer; k++) wrong += buffer[k] != 1;
        memset(buffer, 0, sizeof buffer);
    }
    for (int i = 0; i < 20; i++) {
        struct timespec time = {0, 2000000};
        long result = raw(SYS_nanosleep, (long)&time, 0);
        if (result != 0 && result != -4) wrong++;
    }
    for (int i = 0; i < 20; i++) {
        faults();
        raise(SIGTRAP);
    }
    setitimer(ITIMER_REAL, &never, 0);
    /* Longer than the tracer trusts what it knows about the action for SIGTRAP: it asks again at the next breakpoint. */
    usleep(150000);
    faults();
    printf("%lx %d %d %d %d %d\n", x, outside, wrong, ills, traps, alarms > 10);
    return 0;
}
