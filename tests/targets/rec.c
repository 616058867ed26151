// cc: -g -O0
int depth;
int fib(int n)
{
  depth++;
  int r = n < 2 ? n : fib(n - 1) + fib(n - 2);
  n = 100 + n;
  depth--;
  return r;
}
int outer(int k)
{
  k++;
  return fib(k) * 2;
}
int main(void) { return outer(2) == 4 ? 0 : 1; }
