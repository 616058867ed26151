// cc: -g -O0
#include <unistd.h>
int before(int v) { return v; }
int main(void) { before(1); execl("./basic", "basic", (char *)0); return 9; }
