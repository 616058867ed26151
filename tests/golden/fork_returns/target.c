// cc: -O1 -g -pthread
// A function that forks inside, and returns in parent and child; the child goes on with threads of its own.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) void tick(void) { __asm__ volatile(""); }
__attribute__((noinline)) int forking(int raw)
{
  int pid = raw ? (int)syscall(SYS_fork) : fork();
  __asm__ volatile("");
  return pid == 0 ? 0 : pid;
}
static void *work(void *unused)
{
  for (int i = 0; i < 10000; i++) tick();
  return unused;
}
static void threads(void)
{
  pthread_t thread[3];
  for (int i = 0; i < 3; i++) pthread_create(&thread[i], 0, work, 0);
  for (int i = 0; i < 3; i++) pthread_join(thread[i], 0);
}
int main(void)
{
  int status, bad = 0;
  tick();
  for (int round = 0; round < 4; round++) {
    int pid = forking(round == 3);
    if (pid == 0) {
      if (round < 3) threads();
      else work(0);
      _exit(0);
    }
    work(0);
    bad |= waitpid(pid, &status, 0) != pid || status != 0;
  }
  fprintf(stderr, "%d\n", bad);
  return bad;
}
