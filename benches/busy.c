// A loop of calls of one function, beside as many threads that compute as there are cpus. Prints the nanoseconds that a
// call took, and how much the threads computed in a second.
#include <pthread.h>
#include <unistd.h>
#include "hit.h"
static volatile int stop;
static void *compute(void *arg)
{
  unsigned long x = 1, n = 0;
  for (; !stop; n++)
    for (int i = 0; i < 1000; i++) x = x * 6364136223846793005UL + 1442695040888963407UL;
  sum += x & 1;
  return (void *)n;
}
int main(int argc, char **argv)
{
  long count = argc > 1 ? atol(argv[1]) : 10000, cpus = sysconf(_SC_NPROCESSORS_ONLN), all = 0;
  pthread_t threads[cpus];
  for (long i = 0; i < cpus; i++) pthread_create(&threads[i], 0, compute, 0);
  hit(0);
  double start = now();
  for (long i = 0; i < count; i++) hit(i);
  double time = now() - start;
  stop = 1;
  for (long i = 0; i < cpus; i++) {
    void *n;
    pthread_join(threads[i], &n);
    all += (long)n;
  }
  printf("per hit %.0f\ncomputed %.0f\n", time / count, all / (time / 1e9));
  return 0;
}
