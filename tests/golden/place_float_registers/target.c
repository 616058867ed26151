// cc: -g -O2
volatile double sink;
struct pair { double a, b; };
struct mixed { long n; float f; };
__attribute__((noipa)) double half(double d, float f) { return d / f; }
__attribute__((noipa)) float single(struct pair p) { return (float)(p.a + p.b); }
__attribute__((noipa)) struct pair swap(struct pair p) { return (struct pair){p.b, p.a}; }
__attribute__((noipa)) struct mixed mix(long n) { return (struct mixed){n, (float)n / 2}; }
__attribute__((noipa)) long double precise(int n) { return n * 1.5L; }
int main(void)
{
  sink = half(2.5, 0.5f);
  sink = single((struct pair){1.25, 2.5});
  sink = swap((struct pair){1.25, 2.5}).b;
  sink = mix(7).f;
  sink = (double)precise(3);
  return 0;
}
