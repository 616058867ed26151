// cc: -g -O0
#include <signal.h>
#include <stdio.h>
static volatile int seen;
void on_signal(int number) { seen += number == SIGUSR1; }
void work(void) { raise(SIGUSR1); }
int main(void)
{
  signal(SIGUSR1, on_signal);
  for (int i = 0; i < 100; i++) work();
  printf("seen %d\n", seen);
  return 0;
}
