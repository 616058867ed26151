// cc: -g -O2
volatile int sink;
struct point { int x, y; };
static inline __attribute__((always_inline)) int over(const struct point *p, int limit)
{
  int is = p->x > limit;
  sink = is;
  return is + p->y;
}
__attribute__((noipa)) int check(int a, int b)
{
  struct point here = {a, b * 2};
  int r = over(&here, 3);
  sink = r;
  return r;
}
int main(void) { return check(5, 6) != 13; }
