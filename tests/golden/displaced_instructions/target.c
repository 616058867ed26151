// cc: -O0
// Each function begins with the instruction in question; main checks the results with two rounds of arguments.
#include <stdio.h>
#include <string.h>
#define ASM(name, code) \
  __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" code "\n.size " #name ", . - " #name "\n")
long value = 41;
ASM(i_endbr, "endbr64; lea 1(%rdi), %rax; ret");
ASM(i_push, "push %rbx; mov %rdi, %rbx; lea 2(%rbx), %rax; pop %rbx; ret");
ASM(i_load_relative, "mov value(%rip), %rax; add %rdi, %rax; ret");
ASM(i_lea_relative, "lea value(%rip), %rax; mov (%rax), %rax; sub %rdi, %rax; ret");
ASM(i_compare_relative, "cmpq $41, value(%rip); sete %al; movzbl %al, %eax; add %rdi, %rax; ret");
ASM(i_jump, "jmp 1f; ud2; 1: lea 3(%rdi), %rax; ret");
ASM(i_jump_indirect, "jmp *target_of_jump(%rip); ud2");
ASM(i_branch, "jrcxz 1f; lea 1(%rcx), %rax; ret; 1: mov $-1, %rax; ret");
ASM(i_call, "call 1f; add $4, %rax; ret; 1: mov %rdi, %rax; ret");
ASM(i_call_register, "call *%rdi; inc %rax; ret");
ASM(i_return, "ret");
ASM(i_loop, "loop 1f; mov $7, %eax; ret; 1: lea (%rcx,%rdi), %rax; ret");
ASM(i_repeat, "rep movsb; mov %rdi, %rax; ret");
ASM(i_system_call, "syscall; ret");
ASM(i_flags, "pushf; pop %rax; and $1, %eax; ret");
ASM(i_vector, "movaps %xmm0, %xmm1; addsd %xmm1, %xmm0; ret");
ASM(i_one_byte, "nop; lea 5(%rdi), %rax; ret");
ASM(i_conditional, "jz 1f; mov $1, %eax; ret; 1: mov $2, %eax; ret");
ASM(landing, "lea 9(%rdi), %rax; ret");
void *target_of_jump;
void landing(void);
long i_endbr(long), i_push(long), i_load_relative(long), i_lea_relative(long), i_compare_relative(long), i_jump(long),
    i_jump_indirect(long), i_call(long), i_one_byte(long);
long i_call_register(long (*)(void));
long i_branch(long, long, long, long), i_loop(long, long, long, long), i_system_call(void), i_flags(void);
char *i_repeat(char *to, const char *from, long unused, long count);
void i_return(void), i_conditional(void);
double i_vector(double);
static long eleven(void) { return 11; }
static int bad;
static void check(const char *what, long got, long wanted)
{
  if (got != wanted) { printf("%s: %ld instead of %ld\n", what, got, wanted); bad = 1; }
}
int main(void)
{
  target_of_jump = (void *)landing;
  for (long x = 5; x <= 6; x++) {
    char to[8] = "", from[8] = "abcdefg";
    long result;
    check("endbr", i_endbr(x), x + 1);
    check("push", i_push(x), x + 2);
    check("load relative", i_load_relative(x), 41 + x);
    check("lea relative", i_lea_relative(x), 41 - x);
    check("compare relative", i_compare_relative(x), 1 + x);
    check("jump", i_jump(x), x + 3);
    check("jump indirect", i_jump_indirect(x), x + 9);
    check("branch taken", i_branch(0, 0, 0, 0), -1);
    check("branch not taken", i_branch(0, 0, 0, x), x + 1);
    check("call", i_call(x), x + 4);
    check("call register", i_call_register(eleven), 12);
    i_return();
    check("loop ends", i_loop(x, 0, 0, 1), 7);
    check("loop goes on", i_loop(x, 0, 0, 3), x + 2);
    check("repeat", i_repeat(to, from, 0, x) - to, x);
    check("repeat copies", memcmp(to, from, x) == 0 && to[x] == 0, 1);
    __asm__ volatile("call i_system_call" : "=a"(result) : "0"(39L) : "rcx", "r11", "memory");
    check("system call", result > 1, 1);
    __asm__ volatile("stc; call i_flags" : "=a"(result) : : "cc");
    check("flags kept", result, 1);
    check("vector", (long)i_vector(x), 2 * x);
    check("one byte", i_one_byte(x), x + 5);
    __asm__ volatile("xor %%eax, %%eax; call i_conditional" : "=a"(result) : : "cc");
    check("condition true", result, 2);
    __asm__ volatile("or $1, %%eax; call i_conditional" : "=a"(result) : : "cc");
    check("condition false", result, 1);
  }
  puts(bad ? "wrong" : "right");
  return bad;
}
