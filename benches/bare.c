// The least that any ptrace tracer does for a breakpoint: wait, read the registers, continue. Runs its arguments as
// the target. Where both run is the caller's choice (taskset).
#define _GNU_SOURCE
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
  if (argc < 2) return 2;
  pid_t target = fork();
  if (target == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(argv[1], argv + 1);
    _exit(127);
  }
  int status;
  struct user_regs_struct regs;
  while (waitpid(target, &status, 0) == target && WIFSTOPPED(status)) {
    ptrace(PTRACE_GETREGS, target, 0, &regs);
    int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_CONT, target, 0, signal);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
