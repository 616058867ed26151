#include <stddef.h>
int started;
__attribute__((noinline)) void library_start(void) { started++; }
__attribute__((constructor)) static void start(void) { library_start(); }
__attribute__((noinline)) int library_call(int x) { return x + started; }
