// cc: -g -O2
volatile int sink;
__attribute__((noinline)) void here(int n) { sink = n; }
static inline __attribute__((always_inline)) void inner(int n)
{
  here(n);
  sink = n;
}
static inline __attribute__((always_inline)) void middle(int n)
{
  inner(n + 1);
  sink = n;
}
__attribute__((noinline)) void outer(int n)
{
  middle(n + 1);
  sink = n;
}
int main(void) { outer(1); return 0; }
