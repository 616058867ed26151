// cc: -g -O0
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int in_child(int v) { return v; }
int in_parent(int v) { return v; }
int main(int argc, char **argv)
{
  int st;
  pid_t p = fork();
  if (p == 0) { in_child(1); _exit(4); }
  waitpid(p, &st, 0);
  in_parent(2);
  return 0;
}
