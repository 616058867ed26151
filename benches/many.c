// 5,000 functions that are called never, but for one. many COUNT: so many rounds of a computation, and what one of them
// took of the processor's time; many: rounds until it is killed.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#define F(n) __attribute__((noinline, used)) long function_##n(long x) { return x * (1##n) + (x >> 3); }
#define F10(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define F100(n) F10(n##0) F10(n##1) F10(n##2) F10(n##3) F10(n##4) F10(n##5) F10(n##6) F10(n##7) F10(n##8) F10(n##9)
#define F1000(n) F100(n##0) F100(n##1) F100(n##2) F100(n##3) F100(n##4) F100(n##5) F100(n##6) F100(n##7) F100(n##8) F100(n##9)
F1000(1) F1000(2) F1000(3) F1000(4) F1000(5)
__attribute__((noinline)) long compute(long x) { return x * 6364136223846793005 + 1442695040888963407; }
int main(int argc, char **argv)
{
  volatile long sum = 1;
  long count = argc > 1 ? atol(argv[1]) : 0;
  if (count == 0)
    for (;;) {
      for (int i = 0; i < 1000; i++) sum = compute(sum);
      usleep(100);
    }
  clock_t begin = clock();
  for (long i = 0; i < count; i++) sum = compute(sum);
  fprintf(stderr, "per hit %.3f\n", (clock() - begin) * 1e9 / CLOCKS_PER_SEC / count);
  return 0;
}
