/* A library with an indirect function and a constructor. */
static int plain(void) { return 7; }
__attribute__((noinline)) static int (*choose(void))(void) { return plain; }
__attribute__((noinline)) static int (*chooses(void))(void) { return choose(); }
int NAME(indirect)(void) __attribute__((ifunc("chooses")));
__attribute__((constructor)) static void starts(void) { __asm__ volatile(""); }
__attribute__((destructor)) static void ends(void) { __asm__ volatile(""); }
int NAME(calls)(void) { return NAME(indirect)(); }
