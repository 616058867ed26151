// cc: -O0
// Functions written by hand that share code, as the C library's memcpy and mempcpy do: `after` goes into the middle of
// the first instructions of `whole` by a short jump, `below` runs on into it.
#include <stdio.h>
__asm__(".text\n"
        ".globl after, below, whole\n"
        ".type after, @function\n after: .cfi_startproc\n lea 1(%rdi), %rax; jmp 1f\n .cfi_endproc\n .size after, . - after\n"
        ".type below, @function\n below: .cfi_startproc\n add $100, %rdi\n .cfi_endproc\n .size below, . - below\n"
        ".type whole, @function\n whole: .cfi_startproc\n mov %rdi, %rax\n 1: add %rax, %rax; inc %rax; ret\n .cfi_endproc\n"
        ".size whole, . - whole\n");
long after(long), below(long), whole(long);
int main(void)
{
  long sum = 0;
  for (int i = 0; i < 100; i++)
    sum += after(i) + below(i) + whole(i);
  fprintf(stderr, "%ld\n", sum);
  return 0;
}
