// cc: -O1 -g
// Sets limits, calls a function.
#include <sys/resource.h>

__attribute__((noinline)) void take(void) { __asm__ volatile(""); }

int main(void) {
    setrlimit(RLIMIT_CPU, &(struct rlimit){1000, RLIM_INFINITY});
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 30, RLIM_INFINITY});
    setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 22, RLIM_INFINITY});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, RLIM_INFINITY});
    take();
    return 0;
}
