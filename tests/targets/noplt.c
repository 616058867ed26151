// cc: -g -O2 -fno-plt -Wl,-z,now
#include <stdlib.h>
__attribute__((noinline)) int asked(const char *name) { return getenv(name) != NULL; }
/* The last thing that it does: a jump instead of a call. */
__attribute__((noinline)) char *tail(const char *name) { return getenv(name); }
int main(void) { return asked("NOSUCHVAR") + (tail("NOSUCHTAIL") != NULL); }
