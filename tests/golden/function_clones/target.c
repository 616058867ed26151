// cc: -O2 -g
// gcc makes a clone of `sum` without the parameter that is not needed, and moves the seldom part of `check` away.
#include <stdio.h>
#include <stdlib.h>

struct pair {
    int x, y;
};

__attribute__((noinline)) static int sum(struct pair *pair, int unused) {
    return pair->x + pair->y;
}

__attribute__((cold, noinline)) static void complain(int value) {
    fprintf(stderr, "%d is too much\n", value);
}

__attribute__((noinline)) static int check(int value) {
    if (__builtin_expect(value > 100, 0)) {
        complain(value);
        fputs("limited\n", stderr);
        value = 100;
    }
    return value * 3;
}

int main(int argc, char **argv) {
    struct pair pair = {argc, 2};
    return sum(&pair, 4) + check(argc) + check(argc + 200) - 3 - 3 - 300;
}
