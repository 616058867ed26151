// cc: -g -O0
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile int stage, firsts, seconds, works;
static sigjmp_buf back;

void begin_stage(int number) { stage = number; }
void in_handler(void) { }
void in_second(void) { }
void on_second(int number) { seconds++; in_second(); }
void on_first(int number)
{
  firsts++;
  if (stage > 1) in_handler();
  if (stage == 4) siglongjmp(back, 1);
}
void work(void) { works++; }

static void five_times(int number)
{
  begin_stage(number);
  for (volatile int i = 0; i < 5; i++)
    if (!sigsetjmp(back, 1)) work();
}

int main(void)
{
  struct sigaction first = { .sa_handler = on_first }, second = { .sa_handler = on_second };
  sigaction(SIGUSR1, &first, 0);
  sigaction(SIGUSR2, &second, 0);
  for (int i = 1; i <= 4; i++) five_times(i);
  stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
  sigaltstack(&stack, 0);
  first.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &first, 0);
  five_times(5);
  signal(SIGUSR1, SIG_IGN);
  five_times(6);
  fprintf(stderr, "firsts %d, seconds %d, works %d\n", firsts, seconds, works);
  return 0;
}
