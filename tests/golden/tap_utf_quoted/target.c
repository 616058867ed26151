// cc: -O1 -g
// Passes strings of wide characters.
#include <uchar.h>

__attribute__((noinline)) void take(const char16_t *a, const char32_t *b, const char *c) {
    __asm__ volatile("" : : "r"(a), "r"(b), "r"(c) : "memory");
}

int main(void) {
    take(u"one\n\"two\"", U"three\t", "four\n and more");
    return 0;
}
