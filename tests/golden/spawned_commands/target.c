// cc: -g -O0
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int after(int status) { return status; }
int main(void)
{
  int status;
  pid_t pid;
  char *args[] = {"true", 0};
  after(WEXITSTATUS(system("exit 3")));
  if (posix_spawnp(&pid, "true", 0, 0, args, environ)) return 1;
  waitpid(pid, &status, 0);
  after(WEXITSTATUS(status));
  pid = vfork();
  if (pid == 0) _exit(5);
  waitpid(pid, &status, 0);
  after(WEXITSTATUS(status));
  return 0;
}
