// cc: -g -O1
// Waits until its function is probed and nobody traces it; then its child calls the function, and it itself ends the
// session.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile long sum;
__attribute__((noinline)) void work(long who) { sum += who; }
static int tracer(void)
{
  char line[256];
  int pid = -1;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "TracerPid: %d", &pid) == 1) break;
  if (status) fclose(status);
  return pid;
}
int main(void)
{
  unsigned char before = *(volatile unsigned char *)work;
  puts("ready");
  fflush(stdout);
  while (*(volatile unsigned char *)work == before || tracer() != 0) usleep(1000);
  work(0);
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 100; i++) work(1);
    _exit(7);
  }
  int status;
  waitpid(child, &status, 0);
  printf("untraced, child: %d\n", WEXITSTATUS(status));
  work(2);
  char rest;
  while (read(0, &rest, 1) > 0) { }
  puts(*(volatile unsigned char *)work == before ? "restored" : "changed");
  return 0;
}
