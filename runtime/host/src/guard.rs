//! Calls handler code so that a crash in it (a bug of the compiler or the core) ends the handler, not rstap: rstap's
//! death would leave its breakpoints behind, and they would kill the target.
//!
//! [`enter`] remembers its stack pointer before it calls the code. The handler of SIGSEGV, SIGBUS, SIGILL and SIGFPE,
//! if the thread is inside [`enter`], continues there as if the code had returned. Frames in between are the code's and
//! the core's; neither has anything to drop. Crashes elsewhere go to whoever had the signal before.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rstap_abi::context::Context;
use rstap_core::image::Code;

const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Where to go on after a crash.
#[repr(C)]
struct Landing {
    rsp: u64,
    rip: u64,
}

thread_local! {
    /// Of the code that this thread is in, or null. Without destructor or lazy initialisation, so that a signal
    /// handler may look at it.
    static LANDING: Cell<*const Landing> = const { Cell::new(std::ptr::null()) };
}

/// Who had the signals before, in the order of [`SIGNALS`].
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// Installs the signal handlers, once per process.
pub fn prepare() {
    BEFORE.get_or_init(|| {
        SIGNALS.map(|signal| {
            // SAFETY: an all-zero sigaction is a valid one; `crashed` keeps to what a signal handler may do. It runs
            // on the alternate stack that std gives to each of its threads, if there is one.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let mut before: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = crashed as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                libc::sigaction(signal, &raw const action, &raw mut before);
                before
            }
        })
    });
}

/// Calls handler code; `false` if it crashed.
///
/// # Safety
/// The contract of the code (`rstap_core::image::Image::new`) holds for this context.
pub unsafe fn call(code: Code, context: *mut Context) -> bool {
    let mut landing = Landing { rsp: 0, rip: 0 };
    LANDING.set(&raw const landing);
    // SAFETY: the caller's contract; `landing` outlives the call.
    let crashed = unsafe { enter(code, context, &raw mut landing) };
    LANDING.set(std::ptr::null());
    crashed == 0
}

/// Calls `code(context)` and returns 0, or 1 when the signal handler has continued at `landing`.
#[unsafe(naked)]
unsafe extern "C" fn enter(code: Code, context: *mut Context, landing: *mut Landing) -> u64 {
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdx], rsp",
        "lea rax, [rip + 2f]",
        "mov [rdx + 8], rax",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "xor eax, eax",
        "jmp 3f",
        "2:",
        "cld",
        "mov eax, 1",
        "3:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a siginfo.
    let was_sent = unsafe { (*info).si_code <= 0 };
    let landing = if was_sent { std::ptr::null() } else { LANDING.replace(std::ptr::null()) };
    if landing.is_null() {
        give_back(signal);
        if was_sent {
            raise_again(signal);
        }
        return;
    }
    let context: *mut libc::ucontext_t = context.cast();
    // SAFETY: with SA_SIGINFO the kernel passes the interrupted thread's context, to be restored when this returns.
    // `landing` is on a frame below the crash: `call` clears the pointer before it returns.
    unsafe {
        (*context).uc_mcontext.gregs[libc::REG_RSP as usize] = (*landing).rsp as i64;
        (*context).uc_mcontext.gregs[libc::REG_RIP as usize] = (*landing).rip as i64;
    }
}

/// For a signal that somebody sent no instruction will run again. The handler that std has for stack overflows takes it
/// for a crash of such an instruction: it restores the default action and returns.
fn raise_again(signal: c_int) {
    // SAFETY: sigaction and raise are async-signal-safe; an all-zero sigaction is a valid one.
    unsafe {
        libc::raise(signal);
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now);
        if now.sa_sigaction == libc::SIG_DFL {
            libc::raise(signal);
        }
    }
}

/// Not ours: restores who had the signal before; the instruction runs again and meets that.
fn give_back(signal: c_int) {
    let number = SIGNALS.iter().position(|s| *s == signal).unwrap_or(0);
    if let Some(before) = BEFORE.get() {
        // SAFETY: `before` is what sigaction gave.
        unsafe { libc::sigaction(signal, &raw const before[number], std::ptr::null_mut()) };
    }
}
