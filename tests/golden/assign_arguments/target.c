// cc: -O1 -g
// Passes more arguments than there are registers for, and says what came of them.
__attribute__((noinline)) long sum(int a, unsigned b, long c, unsigned long d, void *e, long f, long g, long h) {
    return a + b + c + d + (long)e + f + g + h;
}
__attribute__((noinline)) long three(void) {
    __asm__ volatile("");
    return 3;
}
__attribute__((noinline)) long more(long a, int b, unsigned c) { return a * 10000000000 + b * 1000000000l + c; }
__attribute__((noinline)) void result(long value) { __asm__ volatile("" : : "r"(value)); }
__attribute__((noinline)) void text(char *bytes) { __asm__ volatile("" : : "r"(bytes) : "memory"); }

int main(void) {
    char bytes[8] = "old";
    result(sum(1, 2, 3, 4, (void *)5, 6, 7, 8));
    result(three());
    result(more(1, 2, 3));
    text(bytes);
    return 0;
}
