/* A program that checks itself all the time, in every way that breakpoints could disturb: computing threads, children,
 * libraries that come and go, signals of its own. For each line on standard input it waits until each of its threads
 * has done something more, and says so. At end of file it verifies everything.
 * Usage: survivor THREADS [fork] [trap] [masking] [masked] [handled] [bequeathing] [masked_family] [LIBRARY] */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX 64

__attribute__((noinline)) unsigned long step(unsigned long x) {
    return x * 6364136223846793005UL + 1442695040888963407UL;
}

__attribute__((noinline)) unsigned long both(unsigned long x) { return step(step(x)); }

__attribute__((noinline)) long deep(long n) { return n == 0 ? 0 : 1 + deep(n - 1); }

static unsigned long plain(unsigned long x) { return x * 6364136223846793005UL + 1442695040888963407UL; }

static volatile int stop;
static int count;
static struct worker {
    volatile unsigned long done;
    void (*work)(struct worker *);
    pthread_t id;
    unsigned long x, y;
    char pad[64];
} workers[MAX];

static const char *library;
static volatile unsigned long traps;

static void fail(const char *what, long value) {
    printf("wrong %s %ld\n", what, value);
    fflush(stdout);
    abort();
}

static void compute(struct worker *w) {
    w->x = both(w->x);
    w->y = plain(plain(w->y));
    if (w->x != w->y) fail("sum", w - workers);
    if (deep(3) != 3) fail("depth", w - workers);
}

/* A child computes as well; it may outlive whoever traced its parent. */
static void family(struct worker *w) {
    pid_t pid = fork();
    if (pid == 0) {
        unsigned long x = 1, y = 1;
        for (int i = 0; i < 20; i++) x = both(x), y = plain(plain(y));
        _exit(x == y ? 42 : 1);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) fail("fork", 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 42) fail("child", status);
}

static void loading(struct worker *w) {
    void *handle = dlopen(library, RTLD_NOW);
    if (!handle) fail("dlopen", 0);
    int (*call)(int) = (int (*)(int))dlsym(handle, "library_call");
    if (call(5) != call(5)) fail("library", 0);
    dlclose(handle);
}

static void on_trap(int signal) { traps++; }

static void trapping(struct worker *w) {
    raise(SIGTRAP);
    asm volatile("int3");
    w->x += 2;
    if (traps != w->x) fail("traps", traps);
}

static void check(struct worker *w) {
    unsigned long x = w->x;
    w->x = step(x);
    if (w->x != plain(x)) fail("sum", w - workers);
}

/* rt_sigprocmask and rt_sigaction as a program without a C library has them. */
#define RAW(number)                                                                                          \
    static long raw##number(long first, const void *second) {                                                \
        long result;                                                                                         \
        register long size asm("r10") = 8;                                                                   \
        asm volatile("mov $" #number ", %%eax; syscall"                                                       \
                     : "=a"(result)                                                                          \
                     : "D"(first), "S"(second), "d"(0), "r"(size)                                            \
                     : "rcx", "r11", "memory");                                                              \
        return result;                                                                                       \
    }
RAW(13)
RAW(14)

/* Blocks all signals, SIGTRAP among them, whenever it computes. */
static void masking(struct worker *w) {
    sigset_t all, old, now;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(w);
    pthread_sigmask(SIG_SETMASK, &old, &now);
    if (!sigismember(&now, SIGUSR1) || sigismember(&old, SIGUSR1)) fail("mask", 0);
    if (raw14(SIG_SETMASK, (void *)8) != -EFAULT || raw14(77, &all) != -EINVAL) fail("nonsense", 0);
}

/* The same for good. */
static void masked(struct worker *w) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, 0);
    check(w);
}

static struct worker *handling;
static void on_user(int signal) { check(handling); }

/* In handlers that block all signals: one that is there all the time, and one that is set each time. */
static void handled(struct worker *w) {
    struct sigaction action = {.sa_handler = on_user}, now;
    sigfillset(&action.sa_mask);
    handling = w;
    if (!w->y++) sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR2, &action, 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    sigaction(SIGUSR2, 0, &now);
    if (now.sa_handler != on_user || !sigismember(&now.sa_mask, SIGHUP)) fail("action", 0);
    if (raw13(SIGUSR2, (void *)8) != -EFAULT || raw13(77, &action) != -EINVAL) fail("nonsense", 0);
}

static void *heir(void *arg) {
    check(arg);
    return 0;
}

/* In a thread that begins with all signals blocked. */
static void bequeathing(struct worker *w) {
    sigset_t all, old;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, 0, heir, w)) fail("thread", 0);
    pthread_join(thread, 0);
    pthread_sigmask(SIG_SETMASK, &old, 0);
}

/* In a child that begins so. */
static void masked_family(struct worker *w) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    family(w);
    pthread_sigmask(SIG_SETMASK, &old, 0);
}

static void *run(void *arg) {
    struct worker *w = arg;
    while (!stop) {
        w->work(w);
        w->done++;
    }
    return 0;
}

static void add(void (*work)(struct worker *)) {
    struct worker *w = &workers[count++];
    w->work = work;
    if (work == compute) w->x = w->y = count;
}

int main(int argc, char **argv) {
    /* What watches it must get to run as well. */
    nice(10);
    for (int i = 0; i < atoi(argv[1]); i++) add(compute);
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "fork")) add(family);
        else if (!strcmp(argv[i], "masking")) add(masking);
        else if (!strcmp(argv[i], "masked")) add(masked);
        else if (!strcmp(argv[i], "handled")) add(handled);
        else if (!strcmp(argv[i], "bequeathing")) add(bequeathing);
        else if (!strcmp(argv[i], "masked_family")) add(masked_family);
        else if (!strcmp(argv[i], "trap")) signal(SIGTRAP, on_trap), add(trapping);
        else library = argv[i], add(loading);
    }
    for (int i = 0; i < count; i++) pthread_create(&workers[i].id, 0, run, &workers[i]);
    char line[16];
    unsigned long before[MAX];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < count; i++) before[i] = workers[i].done;
        for (int i = 0; i < count; i++)
            while (workers[i].done < before[i] + 2) usleep(100);
        puts("alive");
        fflush(stdout);
    }
    stop = 1;
    for (int i = 0; i < count; i++) pthread_join(workers[i].id, 0);
    puts("right");
    return 0;
}
