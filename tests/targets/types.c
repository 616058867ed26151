// cc: -g -O0
#include <stdbool.h>
#include <stddef.h>
enum color { RED, GREEN = 5, BLUE = -3 };
typedef unsigned int u32;
typedef int (*binop)(int, int);
struct point { int x; int y; };
struct rect { struct point lo, hi; char tag; };
union num { int i; float f; unsigned char b[4]; };
struct bits { unsigned a : 3; int b : 5; unsigned c : 12; _Bool d : 1; };
struct node { int val; struct node *next; const char *name; };
struct flex { int n; int data[]; };
struct deep { struct rect r; struct { int inner; union { int u1; short u2; }; } anon; struct point *pp; enum color col; double d; binop fn; };
struct many { int a, b, c, d, e, f, g, h, i, j, k, l; };
struct text { char buf[16]; char *ptr; unsigned char raw[4]; signed char one; };

void p_ints(signed char sc, unsigned char uc, short s, unsigned short us, int i, u32 ui, long l, unsigned long ul, long long ll, unsigned long long ull) { }
void p_small(char c, _Bool t, bool f, enum color e, enum color neg, char nl, char nul) { }
void p_ptrs(int *pi, void *pv, int *nullp, const char *s, char *empty, char *nulls, binop fn, int **ppi) { }
void p_floats(float f, double d, long double ld) { }
void p_structs(struct point p, struct rect r, struct rect *pr, union num u, struct bits b) { }
void p_nodes(struct node *head, struct node last, struct node *none) { }
void p_flex(struct flex *fx) { }
void p_deep(struct deep *d, struct many *m) { }
void p_text(struct text t, struct text *pt) { }

int opadd(int a, int b) { return a + b; }

int arrays(void)
{
  int small[3] = {7, -8, 9};
  char word[8] = "abc";
  char exact[3] = {'x', 'y', 'z'};
  int grid[2][3] = {{1, 2, 3}, {4, 5, 6}};
  struct point pts[2] = {{1, 2}, {3, 4}};
  const char *names[3] = {"one", "two", NULL};
  int big[40];
  unsigned char bytes[4] = {0, 1, 128, 255};
  short zero[1] = {0};
  for (int i = 0; i < 40; i++)
    big[i] = i * 1000;
  return small[0] + word[0] + exact[0] + grid[1][2] + pts[1].y + names[0][0] + big[3] + bytes[1] + zero[0]; /* arrays full */
}

struct flex *mkflex(void) { static int store[4] = {3, 11, 12, 13}; return (struct flex *)store; }

int main(void)
{
  int x = 42; int *px = &x;
  struct point p = {1, -2};
  struct rect r = {{1, 2}, {3, 4}, 'R'};
  union num u; u.i = 0x3f800000;
  struct bits b = {5, -3, 4000, 1};
  struct node n2 = {2, NULL, "tail"}, n1 = {1, &n2, "head"};
  struct deep d = {r, {8, {9}}, &p, BLUE, 2.5, opadd};
  struct many m = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  struct text t = {"hello", "pointed\tto\n", {1, 2, 3, 4}, -1};
  p_ints(-1, 200, -300, 60000, -70000, 4000000000u, -5000000000L, 18000000000000000000UL, -1LL, 1ULL);
  p_small('A', 1, 0, GREEN, BLUE, '\n', 0);
  p_ptrs(&x, (void *)0x10, NULL, "a \"quoted\" str\n", "", NULL, opadd, &px);
  p_floats(1.5f, -2.25, 3.0L);
  p_structs(p, r, &r, u, b);
  p_nodes(&n1, n2, NULL);
  p_flex(mkflex());
  p_deep(&d, &m);
  p_text(t, &t);
  arrays();
  return 0;
}
