// cc: -O1 -g
// Calls a function in the process and in a child.
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) void take(void) { __asm__ volatile(""); }

int main(void) {
    take();
    if (fork() == 0) {
        take();
        _exit(0);
    }
    return wait(0) < 0;
}
