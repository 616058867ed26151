// cc: -g -O0
#include <poll.h>
#include <stdio.h>
#include "mark.h"

__attribute__((section(".probes"))) volatile unsigned short tick_semaphore, tock_semaphore;

/* Ends with its input, and says how many watch its markers then. */
int main(void)
{
  struct pollfd input = {0, POLLIN, 0};
  int watched = 0;
  puts("ready");
  fflush(stdout);
  while (poll(&input, 1, 5) == 0) {
    if (tick_semaphore) {
      watched = 1;
      MARK(clock, tick, "tick_semaphore", "2@%0 2@%1", "r"(tick_semaphore), "r"(tock_semaphore));
    }
    if (tock_semaphore)
      MARK(clock, tock, "tock_semaphore", "");
  }
  printf("watched %d, now %d and %d\n", watched, tick_semaphore, tock_semaphore);
  return 0;
}
