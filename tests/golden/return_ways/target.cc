// cc: -g -O2 -pthread -fno-inline
// Ways to leave a function: returns of all kinds, exceptions, longjmp, calls at the end, parts put aside, threads.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

static jmp_buf back;
static volatile int zero = 0;

extern "C" {
int tiny(int n) { return n + 1; }
int many(int n)
{
  if (n == 1) return tiny(7) + zero;
  if (n == 2) return n * 2;
  if (n > 5 && zero == 0) { std::fputs("", stderr); return n - 3; }
  return 9;
}
long deep(long n) { return n == 0 ? zero : deep(n - 1) + 1 + zero; }
int at_end(int n) { return n == 0 ? zero : many(n + zero); }
void out(int n) { if (n == 0) longjmp(back, 5); out(n - 1); zero = 0; }
void thrower(int n) { if (n == 0) throw std::runtime_error("bottom"); thrower(n - 1); zero = 0; }
int catcher(int n)
{
  try { thrower(n); } catch (const std::exception &error) { return (int)error.what()[0] + zero; }
  return -1;
}
int passes(int n) { std::vector<int> held(n); thrower(n); return held[0]; }
void selected(int n)
{
  switch (n) {
    case 0: zero = 0; break;
    case 1: std::fputs("", stderr); break;
    case 2: zero = tiny(-1); break;
    case 3: std::fputs("", stdout); zero = 0; break;
    case 4: zero = many(2) - 4; break;
    default: std::abort();
  }
}
}

int main()
{
  int sum = 0;
  for (int i = 0; i < 8; i++) sum += many(i) + at_end(i) + tiny(i);
  sum += deep(1000);
  for (int i = 0; i < 300; i++) if (setjmp(back) == 0) out(3);
  for (int i = 0; i < 300; i++) sum += catcher(3);
  try { sum += passes(2); } catch (const std::exception &) { sum++; }
  for (int i = 0; i < 5; i++) selected(i);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) threads.emplace_back([] { for (int k = 0; k < 250; k++) deep(3); });
  for (auto &thread : threads) thread.join();
  std::fprintf(stderr, "%d\n", sum);
}
