// cc: -g -O2 -fno-ipa-cp -fno-ipa-sra
volatile long sink;
__attribute__((noipa)) long use(long v) { sink = v; return v + 1; }
/* `seed` is gone after the first call: only its callers know it. */
__attribute__((noinline)) long forgetful(long seed, long other)
{
  long a = use(other);
  long b = use(a);
  return b + 1;
}
__attribute__((noinline)) long caller(long n)
{
  long r = forgetful(17, n);
  r += forgetful(n + 1, r);
  return r + n;
}
long (*volatile indirect)(long, long) = forgetful;
int main(void)
{
  long r = caller(4);
  r += indirect(5, 6);
  sink = r;
  return 0;
}
