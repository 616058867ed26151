// cc: -O1 -g
// Passes the address of eight bytes, each 0xf0 and its number.
__attribute__((noinline)) void take(const unsigned char *bytes) { __asm__ volatile("" : : "r"(bytes) : "memory"); }

int main(void) {
    unsigned char bytes[8] = {0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8};
    take(bytes);
    return 0;
}
