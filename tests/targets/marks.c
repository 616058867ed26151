// cc: -g -O0
#include "mark.h"

struct pt { int x, y; };
int level = 40;
double weight = 2.5;
float half = 0.5f;
long table[3] = {10, 20, 30};

int job(int i, const char *s)
{
  struct pt p = {i, -i};
  signed char sc = -4; unsigned char uc = 200; short sh = -500; unsigned long big = 1UL << 40;
  MARK(shop, plain, "0", "");
  MARK(shop, one, "0", "-4@%0", "nor"(i));
  MARK(shop, sizes, "0", "-1@%0 1@%1 -2@%2 8@%3", "nor"(sc), "nor"(uc), "nor"(sh), "nor"(big));
  MARK(shop, mixed, "0", "8@%0 8@%1 -4@%2", "nor"(s), "nor"(&p), "nor"(-1));
  MARK(store, one, "0", "-4@%0 -4@%1", "nor"(i * 2), "nor"(77));
  MARK(shop, dash__name, "0", "-4@%0", "nor"(i + 1));
  MARK(store, forms, "0", "-4@level(%%rip) 8@8+table(%%rip) 8@(%0,%1,8) 1@%h2 4@%k3 -2@%w3 8f@weight(%%rip) 4f@%4 8@$level 8@other(%%rip)",
       "r"(table), "r"(2L), "Q"(0x1234L), "r"(-1L), "m"(half));
  return p.x;
}

int main(void) { job(3, "arg"); job(-3, "neg"); return 0; }
