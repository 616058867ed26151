//! Raw system calls of Linux on x86-64. The target's C library may be in any state when a probe is hit, so nothing
//! of it is used.

use core::arch::asm;

/// Numbers of the calls (arch/x86/entry/syscalls/syscall_64.tbl).
#[allow(missing_docs, reason = "the names say it")]
pub mod number {
    pub const SCHED_YIELD: usize = 24;
    pub const NANOSLEEP: usize = 35;
    pub const GETPID: usize = 39;
    pub const KILL: usize = 62;
    pub const GETUID: usize = 102;
    pub const GETGID: usize = 104;
    pub const GETEUID: usize = 107;
    pub const GETEGID: usize = 108;
    pub const GETPPID: usize = 110;
    pub const GETPGID: usize = 121;
    pub const GETSID: usize = 124;
    pub const SIGALTSTACK: usize = 131;
    pub const PRCTL: usize = 157;
    pub const GETTID: usize = 186;
    pub const TGKILL: usize = 234;
    pub const CLOCK_GETTIME: usize = 228;
    pub const GETCPU: usize = 309;
    pub const PROCESS_VM_READV: usize = 310;
    pub const PROCESS_VM_WRITEV: usize = 311;
}

/// "No such process".
pub const ESRCH: isize = 3;

/// A system call; a negative result is an error number.
///
/// # Safety
/// What the call does with these arguments must be sound: memory it writes is the caller's.
pub unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the kernel's calling convention (syscall(2)): rcx and r11 are lost, the rest is kept; memory is the
    // caller's to answer for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A call that takes and writes no memory and changes nothing that matters to Rust.
pub fn ask(number: usize, first: usize, second: usize) -> isize {
    // SAFETY: calls of this module's callers that take numbers only.
    unsafe { call(number, [first, second, 0, 0, 0, 0]) }
}

/// `struct timespec`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeSpec {
    /// Whole seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: i64,
}

/// The time of a clock (clock_gettime(2)), by the vDSO's function at this address if it is not 0.
pub fn clock(vdso: u64, clock: usize) -> TimeSpec {
    type Function = unsafe extern "C" fn(i32, *mut TimeSpec) -> i32;
    let mut time = TimeSpec::default();
    let pointer = &raw mut time;
    if vdso != 0 {
        // SAFETY: rstap found `__vdso_clock_gettime` there, whose type this is (vdso(7)).
        let result = unsafe { core::mem::transmute::<usize, Function>(vdso as usize)(clock as i32, pointer) };
        if result == 0 {
            return time;
        }
    }
    // SAFETY: the kernel writes one `timespec` there.
    unsafe { call(number::CLOCK_GETTIME, [clock, pointer as usize, 0, 0, 0, 0]) };
    time
}

/// Copies memory that is known to be readable.
///
/// # Safety
/// It is, for `into.len()` bytes from `address`, and is not `into`.
pub unsafe fn copy_certain(address: u64, into: &mut [u8]) {
    // SAFETY: by the contract; the direction flag is clear (calling convention).
    unsafe {
        asm!("rep movsb", inout("rcx") into.len() => _, inout("rsi") address => _,
            inout("rdi") into.as_mut_ptr() => _, options(nostack, preserves_flags));
    }
}

/// Sleeps (nanosleep(2)); a signal ends it early.
pub fn sleep(time: TimeSpec) {
    let pointer = &raw const time as usize;
    // SAFETY: the kernel reads one `timespec` there, and writes nothing.
    unsafe { call(number::NANOSLEEP, [pointer, 0, 0, 0, 0, 0]) };
}

/// `struct iovec`
#[repr(C)]
struct IoVec {
    base: usize,
    len: usize,
}

/// Copies memory of this process that may not be there (process_vm_readv(2)); whether all of it was.
pub fn copy_from(address: u64, into: &mut [u8]) -> bool {
    let local = IoVec { base: into.as_mut_ptr() as usize, len: into.len() };
    // SAFETY: the kernel writes to `into` only, and answers an unreadable address with an error.
    unsafe { copy(number::PROCESS_VM_READV, &local, address) }
}

/// Writes memory of this process that may not be there (process_vm_writev(2)); whether all of it was.
///
/// # Safety
/// Nothing of Rust's lies there: it is the target's memory, which the script wants changed.
pub unsafe fn copy_to(address: u64, from: &[u8]) -> bool {
    let local = IoVec { base: from.as_ptr() as usize, len: from.len() };
    // SAFETY: the kernel reads `from`; where it writes is the caller's to answer for.
    unsafe { copy(number::PROCESS_VM_WRITEV, &local, address) }
}

/// # Safety
/// As the call.
unsafe fn copy(number: usize, local: &IoVec, address: u64) -> bool {
    let remote = IoVec { base: address as usize, len: local.len };
    let (local_at, remote_at) = (core::ptr::from_ref(local) as usize, &raw const remote as usize);
    let pid = ask(number::GETPID, 0, 0) as usize;
    // SAFETY: the kernel reads one `iovec` each; the copying is the caller's to answer for.
    let copied = unsafe { call(number, [pid, local_at, 1, remote_at, 1, 0]) };
    usize::try_from(copied) == Ok(local.len)
}

/// The number of the cpu (getcpu(2)).
pub fn cpu() -> u32 {
    let mut cpu = 0u32;
    let pointer = &raw mut cpu as usize;
    // SAFETY: the kernel writes one `unsigned` there.
    unsafe { call(number::GETCPU, [pointer, 0, 0, 0, 0, 0]) };
    cpu
}

/// Name of the thread, with NULs behind it (prctl(2), PR_GET_NAME).
pub fn thread_name() -> [u8; 16] {
    const PR_GET_NAME: usize = 16;
    let mut name = [0; 16];
    let pointer = name.as_mut_ptr() as usize;
    // SAFETY: the kernel writes at most 16 bytes there.
    unsafe { call(number::PRCTL, [PR_GET_NAME, pointer, 0, 0, 0, 0]) };
    name
}

/// `stack_t`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalStack {
    /// Its lowest address.
    pub start: u64,
    /// `SS_…`
    pub flags: i32,
    /// Its length in bytes; 0 if there is none.
    pub len: u64,
}

/// The running thread's signal stack (sigaltstack(2)).
pub fn signal_stack() -> Option<SignalStack> {
    let mut stack = SignalStack::default();
    let pointer = &raw mut stack as usize;
    // SAFETY: the kernel writes one `stack_t` there.
    let result = unsafe { call(number::SIGALTSTACK, [0, pointer, 0, 0, 0, 0]) };
    (result == 0).then_some(stack)
}

/// The processor's time-stamp counter.
pub fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// st0 to st7 of the running thread, each as two words, the low one first (Intel SDM vol. 1, 10.5.1).
pub fn x87_registers() -> [[u64; 2]; 8] {
    #[repr(C, align(16))]
    struct Saved {
        control: [u64; 4],
        registers: [[u64; 2]; 8],
        others: [u64; 44],
    }
    const _: () = assert!(size_of::<Saved>() == 512);
    let mut saved = Saved { control: [0; 4], registers: [[0; 2]; 8], others: [0; 44] };
    // SAFETY: every x86-64 processor has it; it writes 512 bytes to an address that is a multiple of 16.
    unsafe { core::arch::x86_64::_fxsave64((&raw mut saved).cast()) };
    saved.registers
}
