// build: cc -g -O0 -shared -fPIC -Wl,-soname,libobs.so.1 obslib.c -o libobs.so.1 && cc -g -O0 uselib.c ./libobs.so.1 -Wl,-rpath,'$ORIGIN' -o uselib
#include <stdlib.h>
#include <string.h>
int lib_chain(int); int lib_twice(int); int uses = 3;
int main(int argc, char **argv) { char *h = getenv("NOSUCHVAR"); return lib_chain(4) + lib_twice(1) + (h != 0) + (int)strlen(argv[0]) == 0; }
