// cc: -O1 -g
// Computes until the kernel has counted 60 ms.
#include <time.h>

__attribute__((noinline)) void done(void) { __asm__ volatile(""); }

int main(void) {
    while (clock() < CLOCKS_PER_SEC / 1000 * 60)
        ;
    done();
    return 0;
}
