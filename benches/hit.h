// The function that benches call, and a clock in nanoseconds. With -DTRAP the function is a breakpoint instruction, for the
// bare ptrace loop.
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
