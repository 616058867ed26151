// cc: -g -O0
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static sigjmp_buf back;
static volatile int jumps, sum;

int in_handler(int n) { return n + 1; }
void never(void) { siglongjmp(back, 1); }
void on_signal(int number)
{
  sum += in_handler(number);
  if (jumps) never();
}
int inner(int n) { raise(SIGUSR1); return n; }
int outer(int n) { return inner(n) + 1; }

int main(void)
{
  stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
  sigaltstack(&stack, 0);
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
  sigaction(SIGUSR1, &action, 0);
  for (volatile int i = 0; i < 40; i++) {
    jumps = i % 2;
    if (!sigsetjmp(back, 1)) sum += outer(i);
  }
  fprintf(stderr, "sum %d\n", sum);
  return 0;
}
