// cc: -g -O0
/* Calls work() a known number of times while a switch is on, and off. */
#include <stdio.h>

__attribute__((noinline)) void set(int value) { __asm__ volatile("" : : "r"(value)); }
__attribute__((noinline)) int work(int n) { __asm__ volatile("" : : "r"(n)); return n + 1; }
__attribute__((noinline)) void other(void) { __asm__ volatile(""); }

static void many(int count) {
    for (int i = 0; i < count; i++) {
        work(i);
        other();
    }
}

int main(void) {
    many(100);  /* off from the start */
    set(1);
    many(7);
    set(0);
    many(50);
    for (int i = 0; i < 20; i++) {  /* often */
        set(i & 1);
        many(1);
    }
    set(0);
    many(40);
    set(2);
    many(5);
    return 0;
}
