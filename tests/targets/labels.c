// cc: -g -O0
int steps;
int walk(int n)
{
  int acc = 0;
again:
  acc += n;
  if (--n > 0)
    goto again;
done:
  steps++;
  return acc;
}
int leaf(int q) { return q + 1; }
int mid(int m)
{
  int t = leaf(m);
  t += leaf(t);
  return t;
}
int main(void) { return walk(3) + mid(1) == 0; }
