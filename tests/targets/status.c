// cc: -g -O0
#include <signal.h>
#include <stdlib.h>
int act(int how) { return how; }
int main(int argc, char **argv)
{
  int how = argc > 1 ? atoi(argv[1]) : 0;
  act(how);
  if (how == 1) exit(5);
  if (how == 2) raise(SIGTERM);
  if (how == 3) abort();
  if (how == 4) { volatile int *p = 0; *p = 1; }
  return 0;
}
