// cc: -g -O0
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
struct box { int v; struct box *next; char name[8]; };
int look(struct box *b, const char *s, int *arr, int idx) { return idx; }
int main(void)
{
  struct box one = {1, NULL, "one"};
  int arr[3] = {10, 20, 30};
  char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page + 4096, 4096, PROT_NONE);
  memset(page, 'u', 4096);
  look(NULL, NULL, NULL, 0);
  look((struct box *)0x10, (char *)0x10, (int *)0x10, 1);
  look(&one, "fine", arr, 2);
  look(&one, page + 4090, arr, 3);
  return 0;
}
