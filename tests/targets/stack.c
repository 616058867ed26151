// cc: -g -O2 -fomit-frame-pointer
// Stacks without frame pointers: recursion, a callback of the C library, a signal handler, a function that is not
// exported, a call that does not return.
#include <signal.h>
#include <stdlib.h>

volatile int sink;

// Two bytes of code that no compiler chooses.
void sized(void);
__asm__(".text\n.globl sized\n.type sized, @function\nsized:\n.cfi_startproc\nnop\nret\n.cfi_endproc\n.size sized, 2\n");

__attribute__((noinline)) static void leaf(int kind) {
  sink += kind;
}

__attribute__((noinline)) static int down(int n) {
  volatile int big[100];
  big[n] = n;
  if (n == 0)
    leaf(1);
  else
    big[n] += down(n - 1);
  return big[n];
}

__attribute__((noinline)) static int compare(const void *a, const void *b) {
  leaf(2);
  return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) static void sort(void) {
  int numbers[2] = {2, 1};
  qsort(numbers, 2, sizeof *numbers, compare);
  sink += numbers[0];
}

__attribute__((noinline)) static void on_signal(int number) {
  leaf(3);
  sink += number;
}

__attribute__((noinline)) static void interrupted(void) {
  raise(SIGUSR1);
  sink++;
}

__attribute__((noinline, noreturn)) static void finish(void) {
  leaf(4);
  exit(0);
}

__attribute__((noinline)) static void last(void) {
  finish();
}

int main(void) {
  static char other_stack[65536];
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sized();
  sink += down(3);
  sort();
  sigaction(SIGUSR1, &action, 0);
  interrupted();
  sigaltstack(&stack, 0);
  interrupted();
  last();
}
