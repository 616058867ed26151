// cc: -g -O2
volatile int out;
__attribute__((noinline)) int leaf(int q) { out = q; return q + 1; }
__attribute__((noinline)) int mid(int m)
{
  int t = leaf(m);
  t += leaf(t);
  out = t;
  return t;
}
__attribute__((noinline)) int lone(int z) { int r = leaf(z); out = r; return r * 2; }
int main(void) { int s = mid(1); s += lone(s); return s == 0; }
