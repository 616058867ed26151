// cc: -O1 -g
// A function whose implementation a resolver chooses when the program is loaded; another one is not chosen.
__attribute__((noipa)) static int by_shift(int n) {
    return n << 1;
}

__attribute__((noipa)) static int by_sum(int n) {
    return n + n;
}

static int (*choose(void))(int) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse2") ? by_sum : by_shift;
}

int twice(int n) __attribute__((ifunc("choose")));

int main(void) {
    return twice(21) - twice(20) - 2;
}
