// cc: -O1 -g -Wl,--build-id
// Calls a function.
__attribute__((noinline)) void take(void) { __asm__ volatile(""); }

int main(void) {
    take();
    return 0;
}
