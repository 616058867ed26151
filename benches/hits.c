// A loop of calls of one function; prints the nanoseconds that a call took. With a second argument it begins at the end
// of its input. With -DTRAP the function is a breakpoint
// instruction, for the bare ptrace loop.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static volatile long sum;
#ifdef TRAP
__attribute__((noinline)) void hit(long i) { __asm__ volatile("int3"); sum += i; }
#else
__attribute__((noinline)) void hit(long i) { sum += i; }
#endif
static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}
int main(int argc, char **argv)
{
  long count = argc > 1 ? atol(argv[1]) : 100000;
  while (argc > 2 && getchar() != EOF) {
  }
  hit(0);
  double start = now();
  for (long i = 0; i < count; i++) hit(i);
  printf("per hit %.0f\n", (now() - start) / count);
  return 0;
}
