/* One snippet for each class of x86-64 instruction, the probed one at label at_NAME. Each runs on a stack of its own
 * with fixed registers; afterwards all registers, flags and memory are printed. Not position-independent, so that
 * addresses are the same in each run. */
#include <stdio.h>
#include <string.h>

unsigned long data[64];
unsigned char stack[65536] __attribute__((aligned(64)));
unsigned long in[16], out[18];
unsigned long old_rsp;
extern void run(void (*)(void));
extern struct { void (*run)(void); const char *name; } __start_snips[], __stop_snips[];

/* rax rbx rcx rdx rsi rdi rbp r8...r15 from in; to out, with flags and rsp */
asm("  .text\n  .globl run\nrun:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, old_rsp(%rip)\n  lea stack+60000(%rip), %rsp\n  push %rdi\n"
    "  mov in+0, %rax; mov in+8, %rbx; mov in+16, %rcx; mov in+24, %rdx; mov in+32, %rsi; mov in+40, %rdi\n"
    "  mov in+48, %rbp; mov in+56, %r8; mov in+64, %r9; mov in+72, %r10; mov in+80, %r11; mov in+88, %r12\n"
    "  mov in+96, %r13; mov in+104, %r14; mov in+112, %r15\n"
    "  call *(%rsp)\n"
    "  mov %rax, out+0; mov %rbx, out+8; mov %rcx, out+16; mov %rdx, out+24; mov %rsi, out+32; mov %rdi, out+40\n"
    "  mov %rbp, out+48; mov %r8, out+56; mov %r9, out+64; mov %r10, out+72; mov %r11, out+80; mov %r12, out+88\n"
    "  mov %r13, out+96; mov %r14, out+104; mov %r15, out+112; mov %rsp, out+120\n"
    "  pushf; pop %rax; mov %rax, out+128\n  cld\n"
    "  mov old_rsp(%rip), %rsp\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n  ret\n"
    "leaf:\n  mov (%rsp), %r9\n  add $1, %rax\n  ret\n"
    "  .data\nleaf_ptr:\n  .quad leaf\n  .text\n");

#define SNIP(name, before, insn, after)                                                                               \
    asm("  .text\nsnip_" #name ":\n  " before "\n  .globl at_" #name "\nat_" #name ":\n  " insn "\n  " after          \
        "\n  ret\n  .pushsection snips,\"a\"\n  .quad snip_" #name "\n  .quad 9f\n  .popsection\n"                    \
        "  .section .rodata\n9: .asciz \"" #name "\"\n  .text\n");
#define JCC(cc)                                                                                                       \
    SNIP(cc##_less, "cmp $7, %rcx", "j" #cc " 1f", "add $2, %rax\n1: add $4, %rax")                                   \
    SNIP(cc##_equal, "cmp $5, %rcx", "j" #cc " 1f", "add $2, %rax\n1: add $4, %rax")                                  \
    SNIP(cc##_more, "cmp $-3, %rcx", "j" #cc " 1f", "add $2, %rax\n1: add $4, %rax")                                  \
    SNIP(cc##_over, "mov $0x7fffffff, %edx; add $1, %edx", "j" #cc " 1f", "add $2, %rax\n1: add $4, %rax")

JCC(o) JCC(no) JCC(b) JCC(ae) JCC(e) JCC(ne) JCC(be) JCC(a) JCC(s) JCC(ns) JCC(p) JCC(np) JCC(l) JCC(ge) JCC(le) JCC(g)
SNIP(jcc_far, "cmp $5, %rcx", ".byte 0x0f, 0x84; .long 1f - . - 4", "add $2, %rax\n1: add $4, %rax")
SNIP(push_rbp, "", "push %rbp", "pop %rdx")
SNIP(push_rsp, "", "push %rsp", "pop %rdx")
SNIP(push_mem, "", "pushq (%rdi)", "pop %rdx")
SNIP(push_rsp_mem, "push %rax", "pushq (%rsp)", "pop %rdx; pop %r8")
SNIP(push_imm, "", "pushq $-5", "pop %rdx")
SNIP(pop_mem, "push %rax", "popq 8(%rdi)", "")
SNIP(pop_rsp_mem, "push %rax; push %rbx", "popq (%rsp)", "pop %rdx")
SNIP(leave, "push %rbp; mov %rsp, %rbp; push %rax", "leave", "")
SNIP(enter, "", "enter $16, $0", "leave")
SNIP(mov_reg, "", "mov %rsp, %rdx", "")
SNIP(load_rip, "", "mov data(%rip), %rdx", "")
SNIP(store_rip, "", "mov %rax, data+16(%rip)", "")
SNIP(lea_rip, "", "lea data+8(%rip), %rdx", "")
SNIP(cmp_rip_imm, "", "cmpl $5, data(%rip)", "")
SNIP(mov_rip_imm, "", "movq $-7, data+24(%rip)", "")
SNIP(sse_rip, "", "movdqu data+32(%rip), %xmm1", "movq %xmm1, %rdx")
SNIP(addr32_rip, "", "mov data(%eip), %rdx", "")
SNIP(movabs, "", "movabs data, %al", "")
SNIP(segment, "mov %fs:0, %rdx", "sub %fs:0, %rdx", "")
SNIP(call_rel, "", "call leaf", "")
SNIP(call_next, "", "call 1f", "1: pop %rdx")
SNIP(call_rip, "", "call *leaf_ptr(%rip)", "")
SNIP(call_reg, "lea leaf(%rip), %rdx", "call *%rdx", "")
SNIP(call_mem, "lea leaf_ptr(%rip), %rdx", "call *(%rdx)", "")
SNIP(call_index, "lea leaf_ptr(%rip), %rdx; xor %ebx, %ebx", "call *(%rdx,%rbx,8)", "")
SNIP(call_rsp, "lea leaf(%rip), %rdx; push %rdx", "call *(%rsp)", "pop %rdx")
SNIP(call_rsp_disp, "lea leaf(%rip), %rdx; push %rdx; sub $120, %rsp", "call *120(%rsp)", "add $128, %rsp")
SNIP(call_rsp_reg, "lea leaf(%rip), %rdx; push $0; mov $0xc3, %ebx; mov leaf(%rip), %r8; nop", "call *%rdx", "pop %rdx")
SNIP(jmp_short, "", "jmp 1f", "ud2\n1:")
SNIP(jmp_near, "", ".byte 0xe9; .long 1f - . - 4", "ud2\n1:")
SNIP(jmp_bnd, "", "bnd jmp 1f", "ud2\n1:")
SNIP(jmp_reg, "lea 1f(%rip), %rdx", "jmp *%rdx", "ud2\n1:")
SNIP(jmp_notrack, "lea 1f(%rip), %rdx", "notrack jmp *%rdx", "ud2\n1:")
SNIP(jmp_rip, "push leaf_ptr(%rip); pop %rdx", "jmp *leaf_ptr(%rip)", "ud2")
SNIP(jmp_rsp, "lea 1f(%rip), %rdx; push %rdx", "jmp *(%rsp)", "ud2\n1: pop %rdx")
SNIP(jrcxz_no, "", "jrcxz 1f", "add $2, %rax\n1:")
SNIP(jrcxz_yes, "xor %ecx, %ecx", "jrcxz 1f", "add $2, %rax\n1:")
SNIP(jecxz_yes, "mov $0x100000000, %rcx", "jecxz 1f", "add $2, %rax\n1:")
SNIP(jecxz_no, "", "jecxz 1f", "add $2, %rax\n1:")
SNIP(loop_yes, "", "loop 1f", "add $2, %rax\n1:")
SNIP(loop_no, "mov $1, %ecx", "loop 1f", "add $2, %rax\n1:")
SNIP(loop_wide, "mov $0x100000001, %rcx", "loop 1f", "add $2, %rax\n1:")
SNIP(loop_narrow, "mov $0x100000001, %rcx", "addr32 loop 1f", "add $2, %rax\n1:")
SNIP(loope_yes, "cmp %rax, %rax", "loope 1f", "add $2, %rax\n1:")
SNIP(loope_no, "cmp $0, %rcx", "loope 1f", "add $2, %rax\n1:")
SNIP(loopne_yes, "cmp $0, %rcx", "loopne 1f", "add $2, %rax\n1:")
SNIP(loopne_no, "cmp %rax, %rax", "loopne 1f", "add $2, %rax\n1:")
SNIP(ret, "", "ret", "ud2")
SNIP(ret_rep, "", "rep ret", "ud2")
SNIP(ret_imm, "push %rax; lea 1f(%rip), %rdx; push %rdx", "ret $8", "ud2\n1:")
SNIP(endbr, "", "endbr64", "")
SNIP(nop, "", "nop", "")
SNIP(nop_long, "", "nopw 0x200(%rax,%rax,1)", "")
SNIP(pause, "", "pause", "")
SNIP(syscall, "mov $24, %eax", "syscall", "")
SNIP(int80, "mov $158, %eax", "int $0x80", "")
SNIP(rep_movs, "mov $40, %ecx", "rep movsb", "")
SNIP(rep_stos, "mov $9, %ecx", "rep stosq", "")
SNIP(rep_none, "xor %ecx, %ecx", "rep stosq", "")
SNIP(scas, "mov $20, %ecx; xor %eax, %eax", "repne scasb", "")
SNIP(std_movs, "mov $4, %ecx; std; add $64, %rsi; add $64, %rdi", "rep movsq", "cld")
SNIP(pushf, "cmp $9, %rcx", "pushf", "pop %rdx; and $~0x100, %edx")
SNIP(popf, "pushq $0x247", "popf", "")
SNIP(xadd, "", "lock xadd %rax, (%rdi)", "")
SNIP(cmpxchg, "mov (%rdi), %rax", "lock cmpxchg %rbx, (%rdi)", "")
SNIP(xchg, "", "xchg %rax, (%rdi)", "")
SNIP(imul, "", "imul %rcx, %rax", "")
SNIP(div, "xor %edx, %edx", "div %rcx", "")
SNIP(shift, "", "shl %cl, %rax", "")
SNIP(cmov, "cmp $5, %rcx", "cmove %rbx, %rax", "")
SNIP(setcc, "cmp $5, %rcx", "setge %al", "")
SNIP(xlat, "lea data(%rip), %rbx; mov $3, %eax", "xlat", "")
SNIP(x87, "fld1", "fldpi", "faddp; fistpll (%rdi); fnclex")
SNIP(cmpxchg16, "lea data(%rip), %r8; mov (%r8), %rax; mov 8(%r8), %rdx", "lock cmpxchg16b (%r8)", "")
SNIP(bt, "", "btsq $3, data(%rip)", "")
SNIP(movsx, "", "movslq data+4(%rip), %rdx", "")
SNIP(page_crossing, ".balign 4096; .skip 4093, 0x90", "movabs $0x1122334455667788, %rdx", "")
SNIP(page_first, ".balign 4096; .skip 4096, 0x90", "movabs $0x1122334455667788, %rdx", "")
SNIP(page_last, ".balign 4096; .skip 4086, 0x90", "movabs $0x1122334455667788, %rdx", "")
SNIP(page_last_byte, ".balign 4096; .skip 4095, 0x90", "push %rax", "pop %rdx")
SNIP(page_call, ".balign 4096; .skip 4091, 0x90", "call leaf", "")
SNIP(data16, "", "mov $0x1234, %ax", "")
SNIP(addr32, "", "mov (%edi), %rdx", "")
SNIP(lock_rip, "", "lock incq data+8(%rip)", "")
SNIP(imm_rip, "", "pshufd $0x1b, data+16(%rip), %xmm1", "movq %xmm1, %rdx")
SNIP(hinted_jcc, "cmp $5, %rcx", ".byte 0x2e; je 1f", "add $2, %rax\n1: add $4, %rax")
SNIP(lahf, "cmp $9, %rcx", "lahf", "")
SNIP(sahf, "mov $0xd500, %eax", "sahf", "")
SNIP(cmc, "stc", "cmc", "")
SNIP(lods, "", "lodsb", "")
SNIP(cmps, "mov $6, %ecx", "repe cmpsb", "")
SNIP(cpuid, "xor %eax, %eax; xor %ecx, %ecx", "cpuid", "mov %rax, %r8; xor %eax, %eax")
SNIP(bswap, "", "bswap %rax", "")
SNIP(ljmp, "", "ljmp *far_jump", "ud2")
SNIP(lcall, "", "lcall *far_leaf", "")
SNIP(lret, "mov %cs, %edx; push %rdx; lea 1f(%rip), %rdx; push %rdx", "lretq", "ud2\n1:")
SNIP(iret, "mov %rsp, %r8; mov %ss, %edx; push %rdx; push %r8; pushq $0x247; mov %cs, %edx; push %rdx; lea 1f(%rip), %rdx; "
           "push %rdx", "iretq", "ud2\n1:")
asm(".pushsection .data\nfar_jump: .long far_target; .short 0x33\nfar_leaf: .long far_callee; .short 0x33\n.popsection\n"
    "far_target: add $8, %rax\n  ret\nfar_callee: mov (%rsp), %r9d\n  lretl\n");

int main(void) {
    for (int i = 0; i < __stop_snips - __start_snips; i++) {
        for (int k = 0; k < 64; k++) data[k] = k * 0x9e3779b97f4a7c15UL;
        memset(stack, 0, sizeof stack);
        for (int k = 0; k < 15; k++) in[k] = 0x1111111111111111UL * (k + 1);
        in[2] = 5;
        in[4] = (unsigned long)data;
        in[5] = (unsigned long)(data + 20);
        run(__start_snips[i].run);
        unsigned long hash = 5381;
        for (int k = 0; k < 64; k++) hash = hash * 33 + data[k];
        for (unsigned k = 0; k < sizeof stack; k++) hash = hash * 33 + stack[k];
        printf("%s", __start_snips[i].name);
        for (int k = 0; k < 17; k++) printf(" %lx", k == 16 ? out[k] & 0xcd5 : out[k]);
        printf(" %lx\n", hash);
    }
    return 0;
}
