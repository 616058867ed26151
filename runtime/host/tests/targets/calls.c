/* Calls a function for each byte of its input, and says how often. */
#include <stdio.h>
#include <unistd.h>

static int calls;

__attribute__((noinline)) void called(void) {
    calls++;
}

int main(void) {
    char byte;
    while (read(0, &byte, 1) == 1) called();
    printf("%d calls\n", calls);
    return 0;
}
