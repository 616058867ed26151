// cc: -O1 -g
// Passes strings of one, two and four bytes a character.
#include <uchar.h>

__attribute__((noinline)) void take(const char *a, const char16_t *b, const char32_t *c) {
    __asm__ volatile("" : : "r"(a), "r"(b), "r"(c) : "memory");
}

int main(void) {
    take("one\ttwo", u"z\u00e9\u20ac\U0001f600", U"\U0001f600z\u00e9\u20ac");
    return 0;
}
