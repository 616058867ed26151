// cc: -g -O0
#include <stdio.h>
struct acc { int sum; short sh; char name[8]; unsigned b : 3; };
int knob = 1;
int use(struct acc *a, int n, int v[2], double d)
{
  int local = n;
  a->sum += local;
  v[1]++;
  fprintf(stderr, "n=%d local=%d sum=%d sh=%d b=%u name=%s v=%d,%d knob=%d\n", n, local, a->sum, a->sh, a->b, a->name, v[0], v[1], knob);
  return local;
}
int main(void) { struct acc a = {1, 2, "nm", 5}; int v[2] = {3, 4}; int r = use(&a, 10, v, 1.0); fprintf(stderr, "r=%d\n", r); return 0; }
