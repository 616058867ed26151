// cc: -g -O2
volatile int sink;
static inline __attribute__((always_inline)) int square(int v)
{
  sink = v;
  int res = v * v;
  sink = res;
  return res;
}
static inline __attribute__((always_inline)) int nest(int w)
{
  sink = w + 1;
  return square(w + 1) + 1;
}
__attribute__((noinline)) int user(int k)
{
  int a = square(k);
  int b = nest(a);
  sink = b;
  return b;
}
int main(int argc, char **argv) { user(argc + 1); user(argc + 2); return 0; }
