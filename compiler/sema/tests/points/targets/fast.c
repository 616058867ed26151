// cc -g -O2 fast.c -o fast
volatile int sink;

static inline __attribute__((always_inline)) int tiny(int v)
{
  sink = v;
  return v + 1;
}

static __attribute__((noinline)) int work(int a, long b)
{
  int first = tiny(a);
  sink = first;
  return first + tiny((int)b);
}

int main(int argc, char **argv)
{
  return work(argc, argc + 1L) == 99;
}
