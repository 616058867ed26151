// build: clang -g -O2 target.c -o target
struct pair { int x, y; };
volatile int sink;
__attribute__((noinline)) void see(struct pair *p) { sink += p->y; }
__attribute__((noinline)) int spills(int a, struct pair p, int *c)
{
  see(&p);
  return a + p.x + *c;
}
int main(void)
{
  int c = 3;
  return spills(1, (struct pair){2, 5}, &c) != 6;
}
