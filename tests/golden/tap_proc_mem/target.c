// cc: -O1 -g
// Maps memory and uses half of it.
#include <sys/mman.h>

static char *memory;
__attribute__((noinline)) void before(void) { __asm__ volatile(""); }
__attribute__((noinline)) void after(void) { __asm__ volatile(""); }

int main(void) {
    before();
    memory = mmap(0, 4096 * 1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, 4096 * 1000, MADV_NOHUGEPAGE);
    for (int page = 0; page < 500; page++)
        memory[page * 4096] = 1;
    after();
    return memory[0] != 1;
}
