//! What trampolines call. [`rstap_payload_enter`] saves what the program has in registers and finds the thread's
//! context; `hit` runs the handlers.
//!
//! A trampoline steps over the red zone, pushes the number of its site and calls. All the program can see of a hit is
//! in registers, flags and memory below its red zone, so all registers that the calling convention lets a function
//! change are put back: also at function entries and returns, because compilers use what they know of a callee's
//! registers (gcc -fipa-ra). Handlers and runtime are compiled for the baseline of x86-64, so of the vector registers
//! only xmm0 to xmm15 can change, never what is above them; x87 and MMX registers are not touched, and mxcsr by
//! floating-point arithmetic only ([`InTarget`] puts it back).

use core::arch::naked_asm;
use core::mem::offset_of;

use rstap_abi::context::{EFLAGS, FS_BASE, register as r};
use rstap_abi::inject::{CLAIM_STACK, Config, POOL_HEAD, PoolHead, ProbeAt, SiteEntry, kind};
use rstap_core::handler::{Hit, Outcome};

use crate::env::{InTarget, VectorRegisters};
use crate::frames::{Call, FrameId};
use crate::slot::{self, LIVE, REGISTERS, RSTAP_PAYLOAD_CONFIG, Slot, config};
use crate::sys::number;

/// What [`rstap_payload_abi_version`] must give for the blob to be used with an image and an arena.
#[unsafe(no_mangle)]
pub extern "C" fn rstap_payload_abi_version() -> u32 {
    rstap_abi::ABI_VERSION
}

/// Flags that `sahf` does not restore and a handler must not see set: direction and alignment check.
const ODD_FLAGS: u32 = 1 << 10 | 1 << 18;
/// Single steps of a debugger, which must not come back with the flags.
pub(crate) const TRAP_FLAG: u32 = 1 << 8;
/// Pauses between tries to take the pool's lock, each of [`PAUSE_NS`]: whoever has it may be waiting for a cpu.
const PAUSES: u32 = 500;
/// Tries before each pause, of some 40 cycles each: the lock is kept for some system calls.
const TRIES: u32 = 256;
/// What a pause is at least.
const PAUSE_NS: u32 = 50_000;

/// Hits of a thread between two looks whether rstap is still there.
pub(crate) const OWNER_CHECK: u32 = 1 << 16;

pub(crate) const fn reg(number: usize) -> usize {
    REGISTERS.wrapping_add(number.wrapping_mul(8))
}

/// A hit. Called with the site's number and the return address on the stack, 144 bytes below the program's stack
/// pointer; everything else is as the program left it.
///
/// # Safety
/// To be called by trampolines only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rstap_payload_enter() {
    naked_asm!(
        "push rax",
        "push rcx",
        "push rdx",
        "pushfq",
        // From here on: [rsp] flags, +8 rdx, +16 rcx, +24 rax, +32 return address, +40 site, +176 the program's stack.
        "cmp qword ptr [rip + {config} + {enabled}], 0",
        "je 9f",
        "rdfsbase rax",
        "mov rcx, {multiplier}",
        "imul rcx, rax",
        "shr rcx, {shift}",
        "shl ecx, 4",
        "mov rdx, [rip + {config} + {pool}]",
        "lea rcx, [rcx + rdx + {keys}]",
        "2:",
        "mov rdx, [rcx]",
        "cmp rdx, rax",
        "jne 3f",
        "mov rcx, [rcx + 8]",
        "test rcx, rcx",
        "jz 5f",
        "cmp dword ptr [rcx + {state}], 0",
        "jne 5f",
        "mov rdx, [rcx + {check_at}]",
        "mov edx, fs:[rdx]",
        "cmp edx, [rcx + {check}]",
        "jne 5f",
        "lea rdx, [rsp + 176]",
        "sub rdx, [rcx + {safe_low}]",
        "cmp rdx, [rcx + {safe_len}]",
        "jae 5f",
        "mov rdx, [rcx + {own_stack}]",
        // rax is the fs base, rcx the context, rdx the stack to use.
        "4:",
        "mov dword ptr [rcx + {state}], 1",
        "mov [rcx + {fs_base}], rax",
        "mov rax, [rsp + 24]",
        "mov [rcx + {rax}], rax",
        "mov rax, [rsp + 16]",
        "mov [rcx + {rcx}], rax",
        "mov rax, [rsp + 8]",
        "mov [rcx + {rdx}], rax",
        "mov rax, [rsp]",
        "mov [rcx + {flags}], rax",
        "lea rax, [rsp + 176]",
        "mov [rcx + {rsp}], rax",
        "mov [rcx + {rbx}], rbx",
        "mov [rcx + {rsi}], rsi",
        "mov [rcx + {rdi}], rdi",
        "mov [rcx + {rbp}], rbp",
        "mov [rcx + {r8}], r8",
        "mov [rcx + {r9}], r9",
        "mov [rcx + {r10}], r10",
        "mov [rcx + {r11}], r11",
        "mov [rcx + {r12}], r12",
        "mov [rcx + {r13}], r13",
        "mov [rcx + {r14}], r14",
        "mov [rcx + {r15}], r15",
        "mov esi, [rsp + 40]",
        "mov rdi, rcx",
        "mov rbx, rcx",
        "mov [rcx + {stack_pointer}], rsp",
        "mov rsp, rdx",
        "movaps [rsp], xmm0",
        "movaps [rsp + 16], xmm1",
        "movaps [rsp + 32], xmm2",
        "movaps [rsp + 48], xmm3",
        "movaps [rsp + 64], xmm4",
        "movaps [rsp + 80], xmm5",
        "movaps [rsp + 96], xmm6",
        "movaps [rsp + 112], xmm7",
        "movaps [rsp + 128], xmm8",
        "movaps [rsp + 144], xmm9",
        "movaps [rsp + 160], xmm10",
        "movaps [rsp + 176], xmm11",
        "movaps [rsp + 192], xmm12",
        "movaps [rsp + 208], xmm13",
        "movaps [rsp + 224], xmm14",
        "movaps [rsp + 240], xmm15",
        "cld",
        // The context, the site, and rdx: where the vector registers are.
        "call {hit}",
        "movaps xmm0, [rsp]",
        "movaps xmm1, [rsp + 16]",
        "movaps xmm2, [rsp + 32]",
        "movaps xmm3, [rsp + 48]",
        "movaps xmm4, [rsp + 64]",
        "movaps xmm5, [rsp + 80]",
        "movaps xmm6, [rsp + 96]",
        "movaps xmm7, [rsp + 112]",
        "movaps xmm8, [rsp + 128]",
        "movaps xmm9, [rsp + 144]",
        "movaps xmm10, [rsp + 160]",
        "movaps xmm11, [rsp + 176]",
        "movaps xmm12, [rsp + 192]",
        "movaps xmm13, [rsp + 208]",
        "movaps xmm14, [rsp + 224]",
        "movaps xmm15, [rsp + 240]",
        "mov rcx, rbx",
        "mov rsp, [rcx + {stack_pointer}]",
        "test eax, eax",
        "jnz 6f",
        "7:",
        "mov rbx, [rcx + {rbx}]",
        "mov rsi, [rcx + {rsi}]",
        "mov rdi, [rcx + {rdi}]",
        "mov r8, [rcx + {r8}]",
        "mov r9, [rcx + {r9}]",
        "mov r10, [rcx + {r10}]",
        "mov r11, [rcx + {r11}]",
        "mov edx, [rcx + {idle}]",
        "test dword ptr [rsp], {odd_flags}",
        "jnz 8f",
        // The arithmetic flags without popf, which is slow: overflow by an addition, the others from ah.
        "mov al, [rsp + 1]",
        "and al, 8",
        "add al, 0x78",
        "mov ah, [rsp]",
        "sahf",
        "mov [rcx + {state}], edx",
        "lea rsp, [rsp + 8]",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "ret",
        "8:",
        "and dword ptr [rsp], {no_trap}",
        "mov [rcx + {state}], edx",
        "popfq",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "ret",
        // A handler changed registers.
        "6:",
        "mov rax, [rcx + {rax}]",
        "mov [rsp + 24], rax",
        "mov rax, [rcx + {rcx}]",
        "mov [rsp + 16], rax",
        "mov rax, [rcx + {rdx}]",
        "mov [rsp + 8], rax",
        "mov rbp, [rcx + {rbp}]",
        "mov r12, [rcx + {r12}]",
        "mov r13, [rcx + {r13}]",
        "mov r14, [rcx + {r14}]",
        "mov r15, [rcx + {r15}]",
        "jmp 7b",
        // The next place of the table.
        "3:",
        "add rcx, 16",
        "test rdx, rdx",
        "jnz 2b",
        // Not the common path: the thread has no context yet, or there is something to decide.
        "5:",
        "mov rcx, [rip + {config} + {pool}]",
        "mov edx, {tries}",
        "51:",
        "lock bts dword ptr [rcx + {lock}], 0",
        "jnc 52f",
        "pause",
        "dec edx",
        "test edx, {between}",
        "jnz 51b",
        "test edx, edx",
        "jz 53f",
        // nanosleep(2); a system call changes rax, rcx and r11 only.
        "push r11",
        "push rcx",
        "push rdi",
        "push rsi",
        "push {pause_ns}",
        "push 0",
        "mov rdi, rsp",
        "xor esi, esi",
        "mov eax, {nanosleep}",
        "syscall",
        "add rsp, 16",
        "pop rsi",
        "pop rdi",
        "pop rcx",
        "pop r11",
        "rdfsbase rax",
        "jmp 51b",
        "53:",
        "lock inc qword ptr [rcx + {missed}]",
        "jmp 9f",
        "52:",
        "mov [rcx + {claim_pointer}], rsp",
        "lea rdx, [rsp + 176]",
        "lea rsp, [rcx + {claim_stack}]",
        "mov [rsp + 256], rsi",
        "mov [rsp + 264], rdi",
        "mov [rsp + 272], r8",
        "mov [rsp + 280], r9",
        "mov [rsp + 288], r10",
        "mov [rsp + 296], r11",
        "movaps [rsp], xmm0",
        "movaps [rsp + 16], xmm1",
        "movaps [rsp + 32], xmm2",
        "movaps [rsp + 48], xmm3",
        "movaps [rsp + 64], xmm4",
        "movaps [rsp + 80], xmm5",
        "movaps [rsp + 96], xmm6",
        "movaps [rsp + 112], xmm7",
        "movaps [rsp + 128], xmm8",
        "movaps [rsp + 144], xmm9",
        "movaps [rsp + 160], xmm10",
        "movaps [rsp + 176], xmm11",
        "movaps [rsp + 192], xmm12",
        "movaps [rsp + 208], xmm13",
        "movaps [rsp + 224], xmm14",
        "movaps [rsp + 240], xmm15",
        "cld",
        "mov rdi, rax",
        "mov rsi, rdx",
        "call {claim}",
        "movaps xmm0, [rsp]",
        "movaps xmm1, [rsp + 16]",
        "movaps xmm2, [rsp + 32]",
        "movaps xmm3, [rsp + 48]",
        "movaps xmm4, [rsp + 64]",
        "movaps xmm5, [rsp + 80]",
        "movaps xmm6, [rsp + 96]",
        "movaps xmm7, [rsp + 112]",
        "movaps xmm8, [rsp + 128]",
        "movaps xmm9, [rsp + 144]",
        "movaps xmm10, [rsp + 160]",
        "movaps xmm11, [rsp + 176]",
        "movaps xmm12, [rsp + 192]",
        "movaps xmm13, [rsp + 208]",
        "movaps xmm14, [rsp + 224]",
        "movaps xmm15, [rsp + 240]",
        "mov rsi, [rsp + 256]",
        "mov rdi, [rsp + 264]",
        "mov r8, [rsp + 272]",
        "mov r9, [rsp + 280]",
        "mov r10, [rsp + 288]",
        "mov r11, [rsp + 296]",
        "mov rcx, [rip + {config} + {pool}]",
        "mov rsp, [rcx + {claim_pointer}]",
        "mov dword ptr [rcx + {lock}], 0",
        "test rax, rax",
        "jz 9f",
        "mov rcx, rax",
        "rdfsbase rax",
        "mov rdx, [rcx + {hit_stack}]",
        "jmp 4b",
        // Nothing is done.
        "9:",
        "and dword ptr [rsp], {no_trap}",
        "popfq",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "ret",
        config = sym RSTAP_PAYLOAD_CONFIG,
        enabled = const offset_of!(Config, enabled),
        pool = const offset_of!(Config, pool),
        multiplier = const slot::MULTIPLIER,
        shift = const slot::SHIFT,
        keys = const slot::KEYS,
        state = const offset_of!(Slot, state),
        idle = const offset_of!(Slot, idle),
        check_at = const offset_of!(Slot, check_at),
        check = const offset_of!(Slot, check),
        safe_low = const offset_of!(Slot, safe_low),
        safe_len = const offset_of!(Slot, safe_len),
        own_stack = const offset_of!(Slot, own_stack),
        hit_stack = const offset_of!(Slot, hit_stack),
        stack_pointer = const offset_of!(Slot, stack_pointer),
        lock = const offset_of!(PoolHead, lock),
        missed = const offset_of!(PoolHead, missed),
        claim_pointer = const offset_of!(PoolHead, stack_pointer),
        claim_stack = const POOL_HEAD + CLAIM_STACK - 320,
        tries = const TRIES * PAUSES,
        between = const TRIES - 1,
        pause_ns = const PAUSE_NS,
        nanosleep = const number::NANOSLEEP,
        odd_flags = const ODD_FLAGS,
        no_trap = const !TRAP_FLAG as i32,
        rax = const reg(r::RAX),
        rdx = const reg(r::RDX),
        rcx = const reg(r::RCX),
        rbx = const reg(r::RBX),
        rsi = const reg(r::RSI),
        rdi = const reg(r::RDI),
        rbp = const reg(r::RBP),
        rsp = const reg(r::RSP),
        r8 = const reg(r::R8),
        r9 = const reg(r::R9),
        r10 = const reg(r::R10),
        r11 = const reg(r::R11),
        r12 = const reg(r::R12),
        r13 = const reg(r::R13),
        r14 = const reg(r::R14),
        r15 = const reg(r::R15),
        flags = const reg(EFLAGS),
        fs_base = const reg(FS_BASE),
        hit = sym hit,
        claim = sym slot::claim,
    )
}

/// Runs the handlers of a site. Not 0: one of them changed registers.
///
/// # Safety
/// Called by [`rstap_payload_enter`] only: the context is that of the running thread and marked as busy, and `vectors`
/// is where xmm0 to xmm15 were saved.
unsafe extern "C" fn hit(slot: *mut Slot, site: u32, vectors: *const VectorRegisters) -> u32 {
    // SAFETY: by the contract; rstap has mapped tables of the lengths it says.
    let (slot, sites, probes, vectors) = unsafe {
        let config = config();
        let sites = core::slice::from_raw_parts(config.sites as *const SiteEntry, config.site_count as usize);
        let probes =
            core::slice::from_raw_parts(config.probes as *const ProbeAt, config.probe_count as usize);
        (&mut *slot, sites, probes, &*vectors)
    };
    let Some(site) = sites.get(site as usize).filter(|_| slot.live == LIVE) else { return 0 };
    let first = site.first as usize;
    let Some(probes) = probes.get(first..first.wrapping_add(site.count as usize)) else { return 0 };
    let registers = slot.runner.registers_mut();
    registers[r::RIP] = site.address;
    let env = InTarget::new(slot.tid, registers[r::RSP], slot.no_wait_before, vectors);
    slot.hits = slot.hits.wrapping_add(1);
    if slot.hits.is_multiple_of(OWNER_CHECK) {
        slot::look_after_owner();
    }
    for probe in probes {
        match probe.kind {
            kind::HIT => {
                run(slot, &env, probe.probe, None);
            }
            kind::ENTRY => entered(slot, &env, probe),
            kind::RETURN => returned(slot, &env, probe.probe),
            _ => {}
        }
    }
    slot.no_wait_before = env.no_wait_before();
    u32::from(env.wrote_registers())
}

/// Runs a handler, with the values of this frame; whether it ran.
fn run(slot: &mut Slot, env: &InTarget<'_>, probe: u32, frame: Option<FrameId>) -> bool {
    let mut hit = Hit::default();
    (hit.pid, hit.tid, hit.registers_in_place) = (slot.pid, slot.tid, true);
    if let Some(frame) = frame {
        // SAFETY: rstap has made frames large enough for the values of any probe.
        unsafe { hit.set_entry_values(slot.frames.values(frame)) };
    }
    !matches!(slot.runner.run(env, probe, hit), Outcome::Skipped(_) | Outcome::NotRunning)
}

/// A function with a return probe was entered; the return address is on top of the stack.
fn entered(slot: &mut Slot, env: &InTarget<'_>, at: &ProbeAt) {
    if !slot.runner.is_enabled(at.probe) || !slot::is_running() {
        return;
    }
    let key = slot.runner.registers()[r::RSP];
    // SAFETY: the program's call has just written it, to its own stack.
    let to = unsafe { (key as *const u64).read_volatile() };
    let Some(frame) = slot.frames.enter(Call { key, to, probe: at.probe }) else { return slot::skip() };
    if at.saver != u32::MAX && !run(slot, env, at.saver, Some(frame)) {
        slot.frames.spoil(frame);
    }
}

/// A function with a return probe is about to return. The handler sees registers as its caller will.
fn returned(slot: &mut Slot, env: &InTarget<'_>, probe: u32) {
    let (key, from) = (slot.runner.registers()[r::RSP], slot.runner.registers()[r::RIP]);
    // SAFETY: the instruction that is next reads it.
    let to = unsafe { (key as *const u64).read_volatile() };
    let Some(frame) = slot.frames.find(Call { key, to, probe }) else { return };
    let registers = slot.runner.registers_mut();
    (registers[r::RSP], registers[r::RIP]) = (key.wrapping_add(8), to);
    if slot.frames.is_spoiled(frame) {
        slot::skip();
    } else {
        run(slot, env, probe, Some(frame));
    }
    slot.frames.leave(frame);
    let registers = slot.runner.registers_mut();
    (registers[r::RSP], registers[r::RIP]) = (key, from);
}
