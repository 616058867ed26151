// cc: -O1
#include <stdlib.h>
__attribute__((noinline)) int plain(int a, long b, char *s) { return a + (int)b + s[0]; }
int main(int argc, char **argv) { return plain(-2, 1L << 33, "bare") == 0 && getenv("A"); }
