//! The machine code that is put into a target: its SIGTRAP handler, and the stub by which a stopped thread makes a
//! system call. Position-independent; it refers to nothing but itself and the data page behind it.
//!
//! The handler runs when a breakpoint is met and nobody traces: it sends the thread to the slot of the breakpoint, and
//! hands every SIGTRAP that is not ours to whoever had the signal before. What it is asked to recognise:
//!
//! | SIGTRAP of | instruction pointer | what the handler does |
//! | --- | --- | --- |
//! | the kernel (`int3`) | behind a breakpoint of the table | goes on in the slot; without one, writes the byte back |
//! | the kernel (`int3`) | in a slot | nothing: the tracer had moved the thread on and died |
//! | the kernel (`int3`, step) | a step was under way | nothing: the step ended without its tracer |
//! | the kernel (debug registers) | | nothing: only tracers set them, and this one died |
//! | anything else | | the program's own: as if we were not there |
//!
//! Sources: Linux `arch/x86/include/uapi/asm/{sigcontext,ucontext}.h`, `struct kernel_sigaction`, sigaction(2).

use std::mem::offset_of;

use super::area::{Action, Entry, Header, KIND_SITE, PAGE};

/// Where the instruction pointer is in the ucontext that a signal handler gets.
pub const UC_RIP: usize = 168;
const SI_CODE: usize = 8;
const SI_KERNEL: i32 = 0x80;

core::arch::global_asm!(
    r#"
    .pushsection .rodata.rstap_rescue, "a"
    .balign 64
    // Functions of this module may be compiled apart from this: the names must be visible beyond one object file.
    .globl rstap_rescue_begin
    .hidden rstap_rescue_begin
    .globl rstap_rescue_handler
    .hidden rstap_rescue_handler
    .globl rstap_rescue_mask
    .hidden rstap_rescue_mask
    .globl rstap_rescue_mask_end
    .hidden rstap_rescue_mask_end
    .globl rstap_rescue_action
    .hidden rstap_rescue_action
    .globl rstap_rescue_action_end
    .hidden rstap_rescue_action_end
    .globl rstap_rescue_stub
    .hidden rstap_rescue_stub
    .globl rstap_rescue_stub_data
    .hidden rstap_rescue_stub_data
    .globl rstap_rescue_stub_name
    .hidden rstap_rescue_stub_name
    .globl rstap_rescue_end
    .hidden rstap_rescue_end
rstap_rescue_begin:
    // The restorer, in the very bytes by which unwinders recognise one.
    mov rax, 15
    syscall

    .balign 16
rstap_rescue_handler:
    // rdi: signal, rsi: siginfo, rdx: ucontext; called by the kernel, or as a function by a handler that the program
    // put in our place. Only registers that a function may change are changed.
    lea r8, [rip + rstap_rescue_begin + {PAGE}]
    mov r9, [rdx + {UC_RIP}]
    mov ecx, [rsi + {SI_CODE}]
    mov r10, [r8 + {STEPPING}]
    cmp ecx, {SI_KERNEL}
    je 2f
    cmp ecx, {TRAP_HWBKPT}
    je 9f
    // TRAP_BRKPT or TRAP_TRACE while an instruction is stepped: the tracer died in the middle of it.
    test r10, r10
    jz 20f
    lea eax, [rcx - 1]
    cmp eax, 2
    ja 20f
1:  mov qword ptr [r8 + {STEPPING}], 0
    ret
2:  cmp r9, r10
    je 1b

    // In a slot? They are in all areas but the first, which is this one.
    mov rax, [r8 + {AREA_COUNT}]
    lea r11, [r8 + {AREAS}]
    shl rax, 4
    add rax, r11
    add r11, 16
3:  cmp r11, rax
    jae 5f
    cmp r9, [r11]
    jb 4f
    cmp r9, [r11 + 8]
    jb 9f
4:  add r11, 16
    jmp 3b

    // Behind a breakpoint? Open addressing; a key of 0 ends the search.
5:  mov r10, [r8 + {TABLE}]
    test r10, r10
    jz 20f
    lea rax, [r9 - 1]
    movabs rcx, {HASH}
    imul rcx, rax
    shr rcx, {HASH_SHIFT}
6:  and rcx, [r10]
    mov r11, rcx
    shl r11, 5
    lea r11, [r10 + r11 + {ENTRY_SIZE}]
    cmp qword ptr [r11 + {KEY}], 0
    je 20f
    cmp [r11 + {KEY}], rax
    jne 7f
    cmp byte ptr [r11 + {KIND}], {KIND_SITE}
    je 8f
7:  inc rcx
    jmp 6b
8:  mov rcx, [r11 + {SLOT}]
    test rcx, rcx
    jz 10f
    mov [rdx + {UC_RIP}], rcx
9:  ret

    // No slot: the instruction runs where it is, so its byte is written back.
10: push rdi
    push rsi
    push rdx
    push r11
    push rax
    mov rdi, rax
    and rdi, -{PAGE}
    mov esi, {PAGE}
    mov edx, 7
    mov eax, 10
    syscall
    test rax, rax
    pop rax
    pop r11
    mov r9, r11
    jnz 11f
    mov cl, [r9 + {ORIGINAL}]
    mov [rax], cl
    mov rdi, rax
    and rdi, -{PAGE}
    mov esi, {PAGE}
    movzx edx, byte ptr [r9 + {PROTECTION}]
    mov r10, rax
    mov eax, 10
    syscall
    pop rdx
    mov [rdx + {UC_RIP}], r10
    pop rsi
    pop rdi
    ret
11: pop rdx
    pop rsi
    pop rdi

    // Not ours. Called by the kernel we return to our restorer, and stand for the action that is in force; called by
    // a handler that found us installed, for the one that was there when we came.
20: lea rax, [rip + rstap_rescue_begin]
    lea r10, [r8 + {OLD}]
    cmp [rsp], rax
    je 21f
    lea r10, [r8 + {FIRST}]
21: mov rax, [r10]
    cmp rax, 1
    ja 22f
    jb 23f
    // Ignored, if it is a signal that can be: not a trap, which the kernel forces.
    mov ecx, [rsi + {SI_CODE}]
    test ecx, ecx
    jg 23f
    ret
22: test dword ptr [r10 + 8], 0x80000000
    jz 24f
    mov qword ptr [r10], 0
24: jmp rax

    // The default: the same signal once more, to the default action, when the interrupted code is back.
23: push rsi
    mov eax, 14
    xor edi, edi
    lea rsi, [r8 + {TRAP_MASK}]
    xor edx, edx
    mov r10d, 8
    syscall
    mov eax, 13
    mov edi, 5
    lea rsi, [r8 + {DEFAULT}]
    xor edx, edx
    mov r10d, 8
    syscall
    mov eax, 186
    syscall
    mov esi, eax
    mov eax, 39
    syscall
    mov edi, eax
    mov edx, 5
    pop r10
    mov eax, 297
    syscall
    ret

    // Two pieces that are copied to where they are used: a system call as the program has it, but that SIGTRAP is left out
    // of the signals it tells of. What it points to is copied for that, below the red zone, if it is readable: a call
    // that makes no sense otherwise is refused with another error if it is not. Flags are not kept.
rstap_rescue_mask:
    // eax: 14, edi: how, rsi: signals
    lea rsp, [rsp - 128]
    test rsi, rsi
    jz 3f
    cmp edi, {SIG_UNBLOCK}
    je 3f
    cmp r10, 8
    jne 3f
    push rdi
    push rdx
    mov edi, -1
    xor edx, edx
    syscall
    pop rdx
    pop rdi
    cmp rax, -{EINVAL}
    mov eax, 14
    jne 3f
    mov rax, [rsi]
    and rax, {NOT_TRAP}
    push rsi
    push rax
    mov rsi, rsp
    mov eax, 14
    syscall
    lea rsp, [rsp + 8]
    pop rsi
    jmp 4f
3:  syscall
4:  lea rsp, [rsp + 128]
rstap_rescue_mask_end:

rstap_rescue_action:
    // eax: 13, edi: signal, rsi: action. SIGTRAP's own is left as it is.
    lea rsp, [rsp - 128]
    test rsi, rsi
    jz 3f
    cmp edi, {SIGTRAP}
    je 3f
    cmp r10, 8
    jne 3f
    push rdi
    push rdx
    push rsi
    mov edi, -1
    xor edx, edx
    mov eax, 14
    syscall
    cmp rax, -{EINVAL}
    jne 2f
    lea rsi, [rsi + {ACTION_MASK}]
    mov eax, 14
    syscall
    cmp rax, -{EINVAL}
2:  pop rsi
    pop rdx
    pop rdi
    mov eax, 13
    jne 3f
    push rsi
    mov rax, [rsi + {ACTION_MASK}]
    and rax, {NOT_TRAP}
    push rax
    push qword ptr [rsi + 16]
    push qword ptr [rsi + 8]
    push qword ptr [rsi]
    mov rsi, rsp
    mov eax, 13
    syscall
    lea rsp, [rsp + 32]
    pop rsi
    jmp 4f
3:  syscall
4:  lea rsp, [rsp + 128]
rstap_rescue_action_end:

    .balign 16
rstap_rescue_stub:
    // Makes the system call that the registers hold; then, if no tracer intervenes, restores the signal mask and each
    // register that this changes. Flags survive because nothing here touches them, the stack because it is not used.
    syscall
    mov eax, 14
    mov edi, 2
    lea rsi, [rip + rstap_rescue_stub_data]
    mov edx, 0
    mov r10d, 8
    syscall
    mov rax, [rip + rstap_rescue_stub_data + 8]
    mov rdi, [rip + rstap_rescue_stub_data + 16]
    mov rsi, [rip + rstap_rescue_stub_data + 24]
    mov rdx, [rip + rstap_rescue_stub_data + 32]
    mov r10, [rip + rstap_rescue_stub_data + 40]
    mov r8, [rip + rstap_rescue_stub_data + 48]
    mov r9, [rip + rstap_rescue_stub_data + 56]
    mov rcx, [rip + rstap_rescue_stub_data + 64]
    mov r11, [rip + rstap_rescue_stub_data + 72]
    jmp [rip + rstap_rescue_stub_data + 80]
    .balign 8
rstap_rescue_stub_data:
    .fill {STUB_WORDS}, 8, 0
rstap_rescue_stub_name:
    .asciz "rstap-rescue"
    .balign 8
rstap_rescue_end:
    .popsection
    "#,
    PAGE = const PAGE,
    STUB_WORDS = const STUB_WORDS,
    UC_RIP = const UC_RIP,
    SI_CODE = const SI_CODE,
    SI_KERNEL = const SI_KERNEL,
    TRAP_HWBKPT = const libc::TRAP_HWBKPT,
    SIGTRAP = const libc::SIGTRAP,
    SIG_UNBLOCK = const libc::SIG_UNBLOCK,
    EINVAL = const libc::EINVAL,
    NOT_TRAP = const !(super::TRAP as i64),
    ACTION_MASK = const offset_of!(Action, mask),
    STEPPING = const offset_of!(Header, stepping),
    AREA_COUNT = const offset_of!(Header, area_count),
    AREAS = const offset_of!(Header, areas),
    TABLE = const offset_of!(Header, table),
    OLD = const offset_of!(Header, old),
    FIRST = const offset_of!(Header, first),
    TRAP_MASK = const offset_of!(Header, trap_mask),
    DEFAULT = const offset_of!(Header, default),
    HASH = const super::table::HASH as i64,
    HASH_SHIFT = const super::table::HASH_SHIFT,
    ENTRY_SIZE = const size_of::<Entry>(),
    KEY = const offset_of!(Entry, key),
    SLOT = const offset_of!(Entry, slot),
    ORIGINAL = const offset_of!(Entry, original),
    KIND = const offset_of!(Entry, kind),
    PROTECTION = const offset_of!(Entry, protection),
    KIND_SITE = const KIND_SITE,
);

unsafe extern "C" {
    static rstap_rescue_begin: u8;
    static rstap_rescue_handler: u8;
    static rstap_rescue_mask: u8;
    static rstap_rescue_mask_end: u8;
    static rstap_rescue_action: u8;
    static rstap_rescue_action_end: u8;
    static rstap_rescue_stub: u8;
    static rstap_rescue_stub_data: u8;
    static rstap_rescue_stub_name: u8;
    static rstap_rescue_end: u8;
}

/// Everything, as it is put at the start of a page; the restorer comes first.
pub fn all() -> &'static [u8] {
    let (begin, end) = (&raw const rstap_rescue_begin, &raw const rstap_rescue_end);
    // SAFETY: both are labels in one read-only section above, the second behind the first.
    unsafe { std::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

fn offset(label: *const u8) -> u64 {
    label as u64 - &raw const rstap_rescue_begin as u64
}

/// Where the signal handler is in [`all`].
pub fn handler() -> u64 {
    offset(&raw const rstap_rescue_handler)
}

/// The code that makes a system call, 13 or 14, and leaves SIGTRAP alone.
pub fn without_trap(number: u32) -> &'static [u8] {
    const ACTION: u32 = libc::SYS_rt_sigaction as u32;
    let (from, to) = match number {
        ACTION => (&raw const rstap_rescue_action, &raw const rstap_rescue_action_end),
        _ => (&raw const rstap_rescue_mask, &raw const rstap_rescue_mask_end),
    };
    &all()[offset(from) as usize..offset(to) as usize]
}

/// Where the stub is in [`all`].
pub fn stub() -> u64 {
    offset(&raw const rstap_rescue_stub)
}

/// The stub alone, to be put anywhere.
pub fn stub_alone() -> &'static [u8] {
    &all()[stub() as usize..]
}

/// Where the stub's data begin, counted from the stub: what it restores.
pub fn stub_data() -> u64 {
    offset(&raw const rstap_rescue_stub_data) - stub()
}

/// Where the name for memory files is, counted from the stub.
pub fn stub_name() -> u64 {
    offset(&raw const rstap_rescue_stub_name) - stub()
}

/// How many words the stub restores.
pub const STUB_WORDS: usize = 11;

/// What the stub restores, in its order: the signal mask, the registers that a system call takes or changes, and the
/// place to go on at.
pub fn stub_values(mask: u64, r: &libc::user_regs_struct) -> [u64; STUB_WORDS] {
    [mask, r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9, r.rcx, r.r11, r.rip]
}

/// The mask and the registers of a thread that has gone through a stub with these values. It is in no system call.
pub fn after_stub(
    values: [u64; STUB_WORDS],
    registers: libc::user_regs_struct,
) -> (u64, libc::user_regs_struct) {
    let [mask, rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11, rip] = values;
    let orig_rax = u64::MAX;
    let after =
        libc::user_regs_struct { rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11, rip, orig_rax, ..registers };
    (mask, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_its_page_and_the_stub_changes_neither_flags_nor_stack() {
        assert!(all().len() <= PAGE);
        assert_eq!(&all()[..9], b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05");
        assert!(stub_alone()[stub_name() as usize..].starts_with(b"rstap-rescue\0"));
        let code = &stub_alone()[..stub_data() as usize];
        let mut decoder = iced_x86::Decoder::with_ip(64, code, 0, iced_x86::DecoderOptions::NONE);
        let mut written = Vec::new();
        loop {
            let instruction = decoder.decode();
            if instruction.mnemonic() == iced_x86::Mnemonic::Jmp {
                break;
            }
            assert!(!instruction.is_invalid() && !instruction.is_stack_instruction());
            // The processor keeps the flags across a system call: in r11.
            let is_call = instruction.mnemonic() == iced_x86::Mnemonic::Syscall;
            assert!(is_call || instruction.rflags_modified() == 0, "{instruction:?}");
            written.push(instruction.op0_register());
        }
        assert!(!written.contains(&iced_x86::Register::RSP));
    }
}
