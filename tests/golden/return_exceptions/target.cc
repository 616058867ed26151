// cc: -g -O0
#include <cstdio>
#include <stdexcept>

struct Guard { int *count; ~Guard() { ++*count; } };

static int guards;

int throws(int n)
{
  Guard guard{&guards};
  if (n % 3 == 0) throw std::runtime_error("three");
  return n;
}

int plain(int n) { return n + 1; }

int passes(int n)
{
  Guard guard{&guards};
  return throws(n) + plain(n);
}

int catches(int n)
{
  try {
    return passes(n);
  } catch (const std::exception &) {
    return plain(n);
  }
}

int main()
{
  int sum = 0;
  for (int i = 0; i < 30; i++) sum += catches(i);
  std::fprintf(stderr, "sum %d, guards %d\n", sum, guards);
}
