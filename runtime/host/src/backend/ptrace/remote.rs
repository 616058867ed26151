//! System calls made by a stopped thread of the target, without writing any code: it is pointed at a `syscall`
//! instruction that is there anyway, run from its entry to its exit, and put back. Never single-stepped: a tracer that
//! died would leave the trap flag set.
//!
//! The thread must be in `PTRACE_EVENT_STOP` or stopped by a SIGTRAP that nobody wants; afterwards it is in
//! `PTRACE_EVENT_STOP`, where the kernel restarts system calls as usual when it goes on.

use nix::errno::Errno;

use super::sys::{self, Resume, Status, Tid, UserRegisters};

/// Why a remote system call was not made, or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The thread is gone; this is what waitpid said.
    #[error("the thread ended")]
    Gone(Status),
    /// ptrace failed.
    #[error("ptrace: {0}")]
    Ptrace(#[from] Errno),
    /// The system call failed.
    #[error("{0}")]
    Failed(Errno),
}

/// The outcome: the result, and the signal of a group stop the thread is in, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What the system call returned.
    pub value: u64,
    /// See [`Done`].
    pub group_stop: i32,
}

/// Has a thread make a system call. `instruction` is the address of a `syscall` instruction, `options` what is set
/// on the thread.
pub fn system_call(
    tid: Tid,
    instruction: u64,
    options: i32,
    number: i64,
    arguments: [u64; 6],
) -> Result<Done, RemoteError> {
    let saved = sys::registers(tid)?;
    let mask = sys::signal_mask(tid)?;
    // With signals blocked nothing but SIGKILL and SIGSTOP comes between.
    sys::set_signal_mask(tid, u64::MAX)?;
    // Needs CAP_SYS_ADMIN; without it a seccomp filter may refuse the call.
    let _ = sys::set_options(tid, options | sys::OPTION_SUSPEND_SECCOMP);
    let outcome = enter_and_leave(tid, &saved, instruction, number, arguments);
    if !matches!(outcome, Err(RemoteError::Gone(_))) {
        let _ = sys::set_options(tid, options);
        sys::set_signal_mask(tid, mask)?;
        sys::set_registers(tid, &saved)?;
    }
    let (value, group_stop) = outcome?;
    match value as i64 {
        error @ -4095..0 => Err(RemoteError::Failed(Errno::from_raw(-error as i32))),
        _ => Ok(Done { value, group_stop }),
    }
}

fn enter_and_leave(
    tid: Tid,
    saved: &UserRegisters,
    instruction: u64,
    number: i64,
    [rdi, rsi, rdx, r10, r8, r9]: [u64; 6],
) -> Result<(u64, i32), RemoteError> {
    let call = UserRegisters {
        rip: instruction,
        rax: number as u64,
        // Not in a system call: none is to be restarted.
        orig_rax: u64::MAX,
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        ..*saved
    };
    sys::set_registers(tid, &call)?;
    let mut stopped_by_user = false;
    for _ in ["entry", "exit"] {
        sys::resume(tid, Resume::ToSystemCall, 0)?;
        wait_until(tid, &mut stopped_by_user, Resume::ToSystemCall, |signal, event| {
            event == 0 && signal == libc::SIGTRAP | 0x80
        })?;
    }
    let value = sys::registers(tid)?.rax;
    // From here on registers can be set as if nothing had happened, system call restart included.
    sys::interrupt(tid)?;
    sys::resume(tid, Resume::Run, 0)?;
    let signal =
        wait_until(tid, &mut stopped_by_user, Resume::Run, |_, event| event == libc::PTRACE_EVENT_STOP)?;
    if stopped_by_user {
        sys::kill(tid, libc::SIGSTOP);
    }
    Ok((value, if signal == libc::SIGTRAP { 0 } else { signal }))
}

/// Waits for a stop of the thread; those before it are passed over. Its signal.
fn wait_until(
    tid: Tid,
    stopped_by_user: &mut bool,
    how: Resume,
    wanted: impl Fn(i32, i32) -> bool,
) -> Result<i32, RemoteError> {
    loop {
        match sys::wait(tid, true) {
            Ok(Some((_, Status::Stopped(_, libc::PTRACE_EVENT_EXIT)))) | Ok(None) => {
                return Err(RemoteError::Gone(Status::Stopped(libc::SIGTRAP, libc::PTRACE_EVENT_EXIT)));
            }
            Ok(Some((_, Status::Stopped(signal, event)))) if wanted(signal, event) => return Ok(signal),
            Ok(Some((_, Status::Stopped(signal, event)))) => {
                *stopped_by_user |= event == 0 && signal == libc::SIGSTOP;
                sys::resume(tid, how, 0)?;
            }
            Ok(Some((_, gone))) => return Err(RemoteError::Gone(gone)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
