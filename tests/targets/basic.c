// cc: -g -O0
int total = 10;
static int hidden = 20;
unsigned char table[4] = {1, 2, 3, 250};
const char *motto = "keep calm";

int add(int a, int b)
{
  int c = a + b;
  total += c;
  return c;
}

static int fact(int n)
{
  if (n < 2)
    return 1;
  return n * fact(n - 1);
}

long scale(long v, int by)
{
  v = v * by;
  by = 0;
  hidden++;
  return v + by;
}

void nothing(void)
{
  hidden = 21;
}

int main(int argc, char **argv)
{
  int r = add(3, 4);
  r += fact(4);
  r += scale(-5, 3);
  nothing();
  for (int i = 0; i < 3; i++) {
    int sq = i * i;
    r += sq;
  }
  return r == 0;
}
