// cc: -g -O2
#include <stdlib.h>
volatile int sink;
static inline __attribute__((always_inline)) int tiny(int v)
{
  int twice = v * 2;
  sink = twice;
  return twice + 1;
}
static __attribute__((noinline)) int work(int a, int unused, long b)
{
  int gone = a * 7;
  int first = tiny(a);
  sink = first;
  int second = tiny((int)b);
  return first + second;
}
__attribute__((noinline)) int twoface(int v)
{
  sink = v;
  sink = v + 1;
  sink = v + 2;
  return v;
}
int main(int argc, char **argv)
{
  int n = atoi(argc > 1 ? argv[1] : "5");
  int r = work(n, 99, n + 1);
  r += tiny(r);
  r += twoface(n);
  sink = r;
  return 0;
}
