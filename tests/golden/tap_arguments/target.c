// cc: -O1 -g
// Passes seven arguments.
__attribute__((noinline)) void take(long a, long b, long c, long d, long e, long f, long g) {
    __asm__ volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f), "r"(g));
}

int main(void) {
    take(-1, 2, 3, 0x1ffffffff, 5, 6, 0x80000000);
    return 0;
}
