#include <stdlib.h>

volatile int sink;

static inline __attribute__((always_inline)) int square(int v)
{
    int result = v * v;
    sink = result;
    return result;
}

__attribute__((noinline)) int user(int k)
{
    int first = square(k);
    return first + square(k + 1);
}

int main(int argc, char **argv)
{
    return user(atoi(argv[argc - 1])) + square(argc);
}
