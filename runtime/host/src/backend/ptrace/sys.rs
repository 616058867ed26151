//! Every raw call of the ptrace backend: ptrace(2) requests, waitpid(2), fork and exec of the -c command, thread
//! affinity, the wake-up signal. Callers see safe functions over plain integers; what stops mean is decided elsewhere.
//!
//! ptrace requests are thread-bound: all of them must come from the thread that seized the tracee.

use std::ffi::{CString, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use rstap_abi::context::{self, Registers, register};

use crate::backend::FxSave;

/// A thread id, as the kernel's calls take it.
pub type Tid = i32;
type Result<T> = std::result::Result<T, Errno>;

/// Options set on every tracee: nothing here may hurt a target whose tracer dies, so never EXITKILL.
pub const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC;
/// Added where exits must be seen before the thread is gone.
pub const OPTION_EXIT: c_int = libc::PTRACE_O_TRACEEXIT;
/// Added for the time of a remote system call.
pub const OPTION_SUSPEND_SECCOMP: c_int = libc::PTRACE_O_SUSPEND_SECCOMP;

/// Registers in the kernel's order.
pub type UserRegisters = libc::user_regs_struct;

fn request(request: libc::c_uint, tid: Tid, address: usize, data: usize) -> Result<c_long> {
    // SAFETY: the requests made through here pass integers only, no addresses of this process.
    Errno::result(unsafe { libc::ptrace(request as _, tid, address as *mut c_void, data as *mut c_void) })
}

/// Becomes the tracer of a thread without stopping it.
pub fn seize(tid: Tid, options: c_int) -> Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

/// Changes a stopped tracee's options.
pub fn set_options(tid: Tid, options: c_int) -> Result<()> {
    request(libc::PTRACE_SETOPTIONS, tid, 0, options as usize).map(drop)
}

/// Asks a running tracee to stop with `PTRACE_EVENT_STOP`.
pub fn interrupt(tid: Tid) -> Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// How a stopped tracee goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// To the next event.
    Run,
    /// To the next event or system call boundary.
    ToSystemCall,
    /// One instruction.
    Step,
}

/// Lets a stopped tracee go on, with this signal delivered (0 for none).
pub fn resume(tid: Tid, how: Resume, signal: c_int) -> Result<()> {
    let how = match how {
        Resume::Run => libc::PTRACE_CONT,
        Resume::ToSystemCall => libc::PTRACE_SYSCALL,
        Resume::Step => libc::PTRACE_SINGLESTEP,
    };
    request(how, tid, 0, signal as usize).map(drop)
}

/// Leaves a group-stopped tracee stopped, but lets it report SIGCONT.
pub fn listen(tid: Tid) -> Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0).map(drop)
}

/// Writes a word of a stopped tracee's memory, also to text.
pub fn poke(tid: Tid, address: u64, value: u64) -> Result<()> {
    request(libc::PTRACE_POKEDATA, tid, address as usize, value as usize).map(drop)
}

/// Gives a stopped tracee up, with this signal delivered (0 for none).
pub fn detach(tid: Tid, signal: c_int) -> Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, signal as usize).map(drop)
}

/// Registers of a stopped tracee.
pub fn registers(tid: Tid) -> Result<UserRegisters> {
    let mut registers = MaybeUninit::<UserRegisters>::uninit();
    // SAFETY: PTRACE_GETREGS writes one user_regs_struct to the address, which has room for it.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_GETREGS, tid, ptr::null_mut::<c_void>(), registers.as_mut_ptr())
    })?;
    // SAFETY: the call succeeded, so all of it was written.
    Ok(unsafe { registers.assume_init() })
}

/// The floating-point and vector registers of a stopped tracee.
pub fn vector_registers(tid: Tid) -> Result<Box<FxSave>> {
    let mut saved = Box::new([0; size_of::<FxSave>()]);
    const _: () = assert!(size_of::<libc::user_fpregs_struct>() == size_of::<FxSave>());
    // SAFETY: PTRACE_GETFPREGS writes one user_fpregs_struct to the address, which has room for it.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_GETFPREGS, tid, ptr::null_mut::<c_void>(), saved.as_mut_ptr())
    })?;
    Ok(saved)
}

/// Sets all registers of a stopped tracee.
pub fn set_registers(tid: Tid, registers: &UserRegisters) -> Result<()> {
    // SAFETY: PTRACE_SETREGS reads one user_regs_struct from the address.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_SETREGS, tid, ptr::null_mut::<c_void>(), ptr::from_ref(registers))
    })
    .map(drop)
}

/// Sets only the instruction pointer of a stopped tracee: cheaper than [`set_registers`].
pub fn set_instruction_pointer(tid: Tid, address: u64) -> Result<()> {
    request(
        libc::PTRACE_POKEUSER,
        tid,
        std::mem::offset_of!(libc::user, regs) + std::mem::offset_of!(UserRegisters, rip),
        address as usize,
    )
    .map(drop)
}

/// A debug register of a stopped tracee.
pub fn debug_register(tid: Tid, number: usize) -> Result<u64> {
    let mut value = 0_u64;
    // SAFETY: the system call (unlike the library's function) stores the word at the address that is its fourth argument.
    let done = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            libc::PTRACE_PEEKUSER,
            tid,
            debug_register_at(number),
            ptr::from_mut(&mut value),
        )
    };
    Errno::result(done).map(|_| value)
}

/// Changes a debug register of a stopped tracee.
pub fn set_debug_register(tid: Tid, number: usize, value: u64) -> Result<()> {
    request(libc::PTRACE_POKEUSER, tid, debug_register_at(number), value as usize).map(drop)
}

fn debug_register_at(number: usize) -> usize {
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<u64>()
}

/// The signal a tracee in signal-delivery-stop is about to get.
#[derive(Clone, Copy)]
pub struct SignalInfo(libc::siginfo_t);

impl SignalInfo {
    /// `si_code`
    pub fn code(&self) -> c_int {
        self.0.si_code
    }

    /// `si_addr`; meaningful for faults only.
    pub fn address(&self) -> u64 {
        // SAFETY: reads 8 bytes inside the siginfo, initialised by the kernel for every signal.
        unsafe { self.0.si_addr() as u64 }
    }

    /// Changes `si_addr`.
    pub fn set_address(&mut self, address: u64) {
        // SAFETY: on x86-64 the union of siginfo_t starts at byte 16, and `si_addr` is the first member of its
        // `_sigfault`; the struct is 128 bytes long.
        unsafe { ptr::from_mut(&mut self.0).cast::<u8>().add(16).cast::<u64>().write_unaligned(address) }
    }
}

/// `si_code` of an `int3`.
pub const SI_KERNEL: c_int = 0x80;

/// The signal that a tracee in signal-delivery-stop is about to get.
pub fn signal_info(tid: Tid) -> Result<SignalInfo> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: PTRACE_GETSIGINFO writes one siginfo_t to the address.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_GETSIGINFO, tid, ptr::null_mut::<c_void>(), info.as_mut_ptr())
    })?;
    // SAFETY: zeroed above, overwritten by the kernel; any bytes are a valid siginfo_t.
    Ok(SignalInfo(unsafe { info.assume_init() }))
}

/// Changes the signal that a tracee in signal-delivery-stop is about to get.
pub fn set_signal_info(tid: Tid, info: &SignalInfo) -> Result<()> {
    // SAFETY: PTRACE_SETSIGINFO reads one siginfo_t from the address.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_SETSIGINFO, tid, ptr::null_mut::<c_void>(), ptr::from_ref(&info.0))
    })
    .map(drop)
}

/// Whether an `int3`'s SIGTRAP waits in a stopped tracee's own queue, not yet delivered.
pub fn has_pending_breakpoint_trap(tid: Tid) -> Result<bool> {
    is_queued(tid, 0, |info| info.si_signo == libc::SIGTRAP && info.si_code == SI_KERNEL)
}

/// Whether a debug register's SIGTRAP waits in a stopped tracee's own queue, not yet delivered.
pub fn has_pending_data_trap(tid: Tid) -> Result<bool> {
    is_queued(tid, 0, |info| info.si_signo == libc::SIGTRAP && info.si_code == libc::TRAP_HWBKPT)
}

/// Whether a signal waits to be delivered to a stopped tracee or its process.
pub fn has_pending(tid: Tid, signal: c_int) -> Result<bool> {
    const PTRACE_PEEKSIGINFO_SHARED: u32 = 1;
    let wanted = |info: &libc::siginfo_t| info.si_signo == signal;
    Ok(is_queued(tid, 0, wanted)? || is_queued(tid, PTRACE_PEEKSIGINFO_SHARED, wanted)?)
}

fn is_queued(tid: Tid, flags: u32, wanted: impl Fn(&libc::siginfo_t) -> bool) -> Result<bool> {
    /// `struct __ptrace_peeksiginfo_args`
    #[repr(C)]
    struct Arguments {
        offset: u64,
        flags: u32,
        count: i32,
    }
    const BATCH: usize = 16;
    let mut offset = 0;
    loop {
        let arguments = Arguments { offset, flags, count: BATCH as i32 };
        let mut infos = [MaybeUninit::<libc::siginfo_t>::zeroed(); BATCH];
        // SAFETY: PTRACE_PEEKSIGINFO reads `arguments` and writes at most `count` siginfo_t to `infos`.
        let count = Errno::result(unsafe {
            libc::ptrace(libc::PTRACE_PEEKSIGINFO, tid, ptr::from_ref(&arguments), infos.as_mut_ptr())
        })? as usize;
        let found = infos.iter().take(count).any(|info| {
            // SAFETY: zeroed above, so initialised whether or not the kernel wrote it.
            wanted(unsafe { info.assume_init_ref() })
        });
        if found || count < BATCH {
            return Ok(found);
        }
        offset += count as u64;
    }
}

/// Blocked signals of a stopped tracee, as bits.
pub fn signal_mask(tid: Tid) -> Result<u64> {
    let mut mask = 0_u64;
    // SAFETY: PTRACE_GETSIGMASK writes a kernel sigset of the size given as the address argument, 8 bytes.
    Errno::result(unsafe {
        libc::ptrace(PTRACE_GETSIGMASK, tid, size_of::<u64>() as *mut c_void, ptr::from_mut(&mut mask))
    })?;
    Ok(mask)
}

/// Changes the blocked signals of a stopped tracee.
pub fn set_signal_mask(tid: Tid, mask: u64) -> Result<()> {
    // SAFETY: PTRACE_SETSIGMASK reads a kernel sigset of the size given as the address argument, 8 bytes.
    Errno::result(unsafe {
        libc::ptrace(PTRACE_SETSIGMASK, tid, size_of::<u64>() as *mut c_void, ptr::from_ref(&mask))
    })
    .map(drop)
}

const PTRACE_GETSIGMASK: libc::c_uint = 0x420a;
const PTRACE_SETSIGMASK: libc::c_uint = 0x420b;

/// The value that comes with a ptrace event: the new thread, or the old thread id at exec.
pub fn event_message(tid: Tid) -> Result<u64> {
    let mut message = 0_u64;
    // SAFETY: PTRACE_GETEVENTMSG writes one unsigned long to the address.
    Errno::result(unsafe {
        libc::ptrace(libc::PTRACE_GETEVENTMSG, tid, ptr::null_mut::<c_void>(), ptr::from_mut(&mut message))
    })?;
    Ok(message)
}

/// What waitpid told about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended with this exit status.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// It stopped: signal, and ptrace event or 0.
    Stopped(i32, i32),
}

fn decode(status: c_int) -> Status {
    if libc::WIFEXITED(status) {
        Status::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Status::Killed(libc::WTERMSIG(status))
    } else {
        Status::Stopped(libc::WSTOPSIG(status), status >> 16)
    }
}

/// Waits for news of one tracee or child of the calling thread (`tid` > 0) or of any (-1). `None`: not blocking,
/// and there is none. EINTR is an error, ECHILD says that nothing is left to wait for.
pub fn wait(tid: Tid, block: bool) -> Result<Option<(Tid, Status)>> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: waitpid writes one int to the address.
    match Errno::result(unsafe { libc::waitpid(tid, &mut status, flags) })? {
        0 => Ok(None),
        tid => Ok(Some((tid, decode(status)))),
    }
}

/// Looks for what [`wait`] would tell without taking it. A signal that was taken is not delivered any more if the
/// tracer dies; one that was only looked at is.
pub fn peek(tid: Tid, block: bool) -> Result<Option<(Tid, Status)>> {
    let (kind, id) = if tid < 0 { (libc::P_ALL, 0) } else { (libc::P_PID, tid as libc::id_t) };
    let kinds = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
    let flags = kinds | libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: an all-zero siginfo_t is a valid one; waitid writes one to the address, or leaves it.
    let (info, news) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        Errno::result(libc::waitid(kind, id, &mut info, flags))?;
        (info.si_code, (info.si_pid(), info.si_status()))
    };
    let (tid, status) = news;
    Ok((tid != 0).then(|| {
        let status = match info {
            libc::CLD_EXITED => Status::Exited(status),
            libc::CLD_KILLED | libc::CLD_DUMPED => Status::Killed(status),
            // The signal is in the lowest eight bits, an event in those above.
            _ => Status::Stopped(status & 0xff, status >> 8),
        };
        (tid, status)
    }))
}

/// Registers in the context's order. `rip` is given apart: after a breakpoint it is one too far.
pub fn to_context(from: &UserRegisters, rip: u64) -> Registers {
    let mut to = [0; context::REGISTER_COUNT];
    to[register::RAX] = from.rax;
    to[register::RDX] = from.rdx;
    to[register::RCX] = from.rcx;
    to[register::RBX] = from.rbx;
    to[register::RSI] = from.rsi;
    to[register::RDI] = from.rdi;
    to[register::RBP] = from.rbp;
    to[register::RSP] = from.rsp;
    to[register::R8] = from.r8;
    to[register::R9] = from.r9;
    to[register::R10] = from.r10;
    to[register::R11] = from.r11;
    to[register::R12] = from.r12;
    to[register::R13] = from.r13;
    to[register::R14] = from.r14;
    to[register::R15] = from.r15;
    to[register::RIP] = rip;
    to[context::EFLAGS] = from.eflags;
    to[context::ORIG_RAX] = from.orig_rax;
    to[context::FS_BASE] = from.fs_base;
    to[context::GS_BASE] = from.gs_base;
    to
}

/// Sets the general registers a handler changed; never rip, flags or segment bases.
pub fn from_context(to: &mut UserRegisters, from: &Registers) {
    to.rax = from[register::RAX];
    to.rdx = from[register::RDX];
    to.rcx = from[register::RCX];
    to.rbx = from[register::RBX];
    to.rsi = from[register::RSI];
    to.rdi = from[register::RDI];
    to.rbp = from[register::RBP];
    to.rsp = from[register::RSP];
    to.r8 = from[register::R8];
    to.r9 = from[register::R9];
    to.r10 = from[register::R10];
    to.r11 = from[register::R11];
    to.r12 = from[register::R12];
    to.r13 = from[register::R13];
    to.r14 = from[register::R14];
    to.r15 = from[register::R15];
}

/// Whether two processes share their memory (`CLONE_VM`); `None` where the kernel cannot tell.
pub fn share_memory(a: Tid, b: Tid) -> Option<bool> {
    const KCMP_VM: c_int = 1;
    // SAFETY: kcmp takes integers only.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_VM, 0, 0) };
    (order >= 0).then_some(order == 0)
}

/// Makes the calling thread run on one cpu only.
pub fn run_on_cpu(cpu: usize) -> Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set; CPU_SET is given an index below CPU_SETSIZE.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(Errno::EINVAL);
        }
        libc::CPU_SET(cpu, &mut set);
        Errno::result(libc::sched_setaffinity(0, size_of_val(&set), &set)).map(drop)
    }
}

/// The signal that makes the tracer thread return from [`wait`].
fn wake_signal() -> c_int {
    libc::SIGRTMIN() + 5
}

/// Installs the handler of the wake-up signal, once per process.
pub fn prepare_wake_ups() -> Result<()> {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: the handler does nothing, and an all-zero sigaction is a valid one (no flags: waits are not restarted).
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        Errno::result(libc::sigaction(wake_signal(), &action, ptr::null_mut()))?;
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, wake_signal());
        Errno::result(libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, ptr::null_mut())).map(drop)
    }
}

/// The calling thread's id.
pub fn this_thread() -> Tid {
    // SAFETY: gettid has no arguments.
    unsafe { libc::gettid() }
}

/// Interrupts a [`wait`] of a thread of this process.
pub fn wake(tid: Tid) {
    // SAFETY: tgkill takes integers only; the process is our own, so at worst a thread gets a signal it ignores.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, wake_signal()) };
}

/// Sends a signal to a process; errors (it is gone) do not matter to the callers.
pub fn kill(pid: Tid, signal: c_int) {
    // SAFETY: kill takes integers only.
    unsafe { libc::kill(pid, signal) };
}

/// A process that waits before its exec until [`Waiting::go`].
pub struct Waiting {
    /// Its pid.
    pub pid: Tid,
    gate: c_int,
}

/// Forks a process that will exec `words` as a shell would find it, once told to go. If exec fails it says so on
/// standard error and ends with status 127 (126 if the file cannot be run), as a shell does.
pub fn spawn(words: &[CString]) -> Result<Waiting> {
    let mut argv: Vec<*const libc::c_char> = words.iter().map(|w| w.as_ptr()).collect();
    argv.push(ptr::null());
    let mut gate = [0; 2];
    // SAFETY: pipe2 writes two ints.
    Errno::result(unsafe { libc::pipe2(gate.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: between fork and exec the child calls async-signal-safe functions only, and touches nothing that
    // needs another thread's lock: everything it uses was made before.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above; this never returns.
        unsafe { exec_when_told(&argv, gate) }
    }
    // SAFETY: the read end is ours to close.
    unsafe { libc::close(gate[0]) };
    if pid < 0 {
        let error = Errno::last();
        // SAFETY: the write end is ours to close.
        unsafe { libc::close(gate[1]) };
        return Err(error);
    }
    Ok(Waiting { pid, gate: gate[1] })
}

impl Waiting {
    /// Lets it exec.
    pub fn go(self) {
        // SAFETY: writes one byte to our pipe; closes it in `drop`.
        unsafe { libc::write(self.gate, [1_u8].as_ptr().cast(), 1) };
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours. A process that was never told to go reads end of file and exits.
        unsafe { libc::close(self.gate) };
    }
}

/// # Safety
/// To be called in a freshly forked process only; `argv` ends with null and its strings are alive.
unsafe fn exec_when_told(argv: &[*const libc::c_char], gate: [c_int; 2]) -> ! {
    // SAFETY: async-signal-safe calls on memory of this process.
    unsafe {
        libc::close(gate[1]);
        let mut byte = 0_u8;
        while libc::read(gate[0], ptr::from_mut(&mut byte).cast(), 1) != 1 {
            if Errno::last() != Errno::EINTR {
                libc::_exit(127);
            }
        }
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::execvp(argv[0], argv.as_ptr());
        let error = Errno::last();
        let reason = error.desc().as_bytes();
        let say = |text: *const c_void, len: usize| libc::write(2, text, len);
        say(argv[0].cast(), libc::strlen(argv[0]));
        say(b": ".as_ptr().cast(), 2);
        say(reason.as_ptr().cast(), reason.len());
        say(b"\n".as_ptr().cast(), 1);
        libc::_exit(if error == Errno::EACCES { 126 } else { 127 });
    }
}

/// Splits a command into words as a shell would: quotes, `$VAR`, `~`, file name patterns. `None`: it needs a real
/// shell (pipes, redirections, `;`, `&`, command substitution) or is not well formed.
pub fn shell_words(command: &str) -> Option<Vec<CString>> {
    /// `wordexp_t` of wordexp.h
    #[repr(C)]
    struct Words {
        count: usize,
        words: *mut *mut libc::c_char,
        offset: usize,
    }
    unsafe extern "C" {
        fn wordexp(words: *const libc::c_char, to: *mut Words, flags: c_int) -> c_int;
        fn wordfree(words: *mut Words);
    }
    const WRDE_NOCMD: c_int = 4;
    let command = CString::new(command).ok()?;
    let mut words = Words { count: 0, words: ptr::null_mut(), offset: 0 };
    // SAFETY: wordexp reads a C string and fills `words`; the list is read while it is alive and then freed.
    unsafe {
        if wordexp(command.as_ptr(), &mut words, WRDE_NOCMD) != 0 {
            return None;
        }
        let list = (0..words.count)
            .map(|i| std::ffi::CStr::from_ptr(*words.words.add(i)).to_owned())
            .collect::<Vec<_>>();
        wordfree(&mut words);
        (!list.is_empty()).then_some(list)
    }
}
