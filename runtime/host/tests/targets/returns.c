/* Functions that return in all ways, or never. */
#include <setjmp.h>
#include <stdio.h>

static jmp_buf place;
__attribute__((noinline)) long factorial(long n) {
    if (n <= 1) return 1;
    long rest = factorial(n - 1);
    asm volatile("" : "+r"(rest));
    return n * rest;
}
__attribute__((noinline)) long leave(long x) {
    asm volatile("" : "+r"(x));
    if (x > 0) longjmp(place, 1);
    return 5;
}
__attribute__((noinline)) long tail_b(long x) { return x + 100; }
__attribute__((noinline, naked)) long tail_a(long x) { asm("add $1, %rdi\n  jmp tail_b"); }
__attribute__((noinline)) long deep(long n) {
    char room[64];
    asm volatile("" ::"r"(room) : "memory");
    return n == 0 ? leave(1) : deep(n - 1) + 1;
}

int main(void) {
    volatile long sum = factorial(5);
    for (volatile int i = 0; i < 10; i++)
        if (!setjmp(place)) sum += deep(i);
    sum += leave(0);
    sum += tail_a(1);
    printf("%ld\n", sum);
    return 0;
}
