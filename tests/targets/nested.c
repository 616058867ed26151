// cc: -g -O1
// A program to attach to whose main thread calls work, which calls middle, which calls inner, until its standard input
// ends. Checks what they return. With "confined" it is killed for the system calls that memory is shared and read with.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define KILLED_FOR(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
static volatile long depth;
__attribute__((noinline)) long inner(long x)
{
  depth++;
  long sum = x * 3 + depth;
  depth--;
  return sum;
}
__attribute__((noinline)) long middle(long x)
{
  long below = inner(x + 1);
  return below * 2 + depth;
}
__attribute__((noinline)) long work(long x)
{
  long below = middle(x - 1);
  return below - x + depth;
}
static int confine(void)
{
  struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    KILLED_FOR(memfd_create), KILLED_FOR(socketpair), KILLED_FOR(recvmsg), KILLED_FOR(process_vm_readv),
    KILLED_FOR(sigaltstack), KILLED_FOR(gettid), KILLED_FOR(getpid), KILLED_FOR(kill),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
int main(int argc, char **argv)
{
  if (argc > 1 && !strcmp(argv[1], "confined") && confine()) return 2;
  puts("ready");
  fflush(stdout);
  struct pollfd input = {0, POLLIN, 0};
  for (long i = 0; poll(&input, 1, 0) == 0; i++)
    if (work(i) != (i * 3 + 1) * 2 - i) return 3;
  puts("unharmed");
  return 0;
}
