// build: cc -O1 -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-asynchronous-unwind-tables -fno-unwind-tables -c target.c && cc target.o -o target
// Without any call frame information of its own functions: they have frame pointers.
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
