// cc: -O1 -g
// Waits in a loop until its handler has run.
#include <signal.h>

static volatile sig_atomic_t seen;
__attribute__((noinline)) void handler(int number) { seen = number; }
__attribute__((noinline)) void wait_for_it(void) { __asm__ volatile(""); }

int main(void) {
    signal(SIGUSR1, handler);
    wait_for_it();
    while (!seen)
        ;
    return 0;
}
