// cc: -g -O1 -fomit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables
// Compiled without .eh_frame and frame pointers: how to unwind is in .debug_frame only.
volatile int sink;
__attribute__((noipa)) int leaf(int a) { return sink += a; }
__attribute__((noipa)) int middle(int a)
{
  volatile char room[200];
  room[a] = a;
  return leaf(a) + room[a];
}
__attribute__((noipa)) int outer(int a) { return middle(a) + a; }
int main(void) { return outer(3) != 9; }
