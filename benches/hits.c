// A loop of calls of one function; prints the nanoseconds that a call took. With a second argument it begins at the end
// of its input.
#include "hit.h"
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
