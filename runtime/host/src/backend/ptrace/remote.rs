//! System calls made by a stopped thread of the target: it is pointed at a `syscall` instruction, run from its entry to
//! its exit, and put back. Never single-stepped: a tracer that died would leave the trap flag set.
//!
//! A tracer that dies in between does no harm either: the instruction is the first of a stub (`rescue/code.rs`) which
//! goes on by restoring the signal mask and all registers and jumping back, from values that stand behind it. So the
//! order is: values, registers, mask; and on the way back: mask, registers. Whatever step is the last one, the thread
//! comes home.
//!
//! The thread must be in `PTRACE_EVENT_STOP`, or stopped by a breakpoint's SIGTRAP and past it already; afterwards it is in
//! `PTRACE_EVENT_STOP`, where the kernel restarts system calls as usual when it goes on.

use nix::errno::Errno;

use super::memory::Memory;
use super::rescue::code;
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
    /// No thread of the target can make one now, or there is no `syscall` instruction.
    #[error("no thread can make a system call")]
    Nowhere,
}

/// The outcome: the result, and the signal of a group stop the thread is in, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What the system call returned.
    pub value: u64,
    /// See [`Done`].
    pub group_stop: i32,
}

/// The instruction to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// That of a stub at this address.
    Stub(u64),
    /// One of the program's own. If the tracer dies, the thread goes on behind it, with the wrong registers.
    Bare(u64),
}

/// Has a thread make a system call; `options` are set on it.
pub fn system_call(
    tid: Tid,
    instruction: Instruction,
    options: i32,
    number: i64,
    arguments: [u64; 6],
) -> Result<Done, RemoteError> {
    let held = point_at(tid, instruction, number, arguments)?;
    // Needs CAP_SYS_ADMIN; without it a seccomp filter may refuse the call.
    let _ = sys::set_options(tid, options | sys::OPTION_SUSPEND_SECCOMP);
    let outcome = enter_and_leave(tid);
    if !matches!(outcome, Err(RemoteError::Gone(_))) {
        let _ = sys::set_options(tid, options);
        sys::set_signal_mask(tid, held.mask)?;
        sys::set_registers(tid, &held.registers)?;
    }
    let (value, group_stop) = outcome?;
    match value as i64 {
        error @ -4095..0 => Err(RemoteError::Failed(Errno::from_raw(-error as i32))),
        _ => Ok(Done { value, group_stop }),
    }
}

/// What a thread had before it was pointed elsewhere.
#[derive(Clone, Copy)]
pub struct Held {
    registers: UserRegisters,
    mask: u64,
}

impl Held {
    /// Gives it back to the thread. Failing means that it was killed.
    pub fn release(&self, tid: Tid) {
        let _ = sys::set_signal_mask(tid, self.mask);
        let _ = sys::set_registers(tid, &self.registers);
    }
}

/// Makes a thread wait in the stub at an address as soon as it goes on, with signals blocked. When the time is over, it
/// goes on by itself as if nothing had happened.
pub fn hold(tid: Tid, stub: u64, at_most_ms: u64) -> Result<Held, RemoteError> {
    point_at(tid, Instruction::Stub(stub), libc::SYS_poll, [0, 0, at_most_ms, 0, 0, 0])
}

/// Puts a thread that a tracer has left in its stub where the stub would take it. The stub does so by itself, but until
/// then nothing but its data tells where to: perhaps into what a later tracer would remove.
pub fn take_out_of_stub(tid: Tid, memory: &Memory) {
    // In one stub on the way back from another, if several tracers have died. The target may write anything there.
    for _ in 0..16 {
        let Ok(registers) = sys::registers(tid) else { return };
        let Some(data) = data_of_stub(registers.rip, memory) else { return };
        let (mask, registers) = code::after_stub(data, registers);
        if sys::set_signal_mask(tid, mask).and_then(|()| sys::set_registers(tid, &registers)).is_err() {
            return;
        }
    }
}

/// What a stub restores in which an instruction pointer is.
fn data_of_stub(rip: u64, memory: &Memory) -> Option<[u64; code::STUB_WORDS]> {
    let stub = code::stub_alone();
    let instructions = &stub[..code::stub_data() as usize];
    let mut around = vec![0; 2 * stub.len()];
    let first = rip.checked_sub(instructions.len() as u64 - 1)?;
    let count = memory.read_raw(first, &mut around);
    let at = around[..count].windows(instructions.len()).position(|window| window == instructions)?;
    let data = around[..count].get(at + instructions.len()..)?.get(..8 * code::STUB_WORDS)?;
    let mut words = data.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    (first + at as u64 <= rip).then(|| std::array::from_fn(|_| words.next().unwrap_or(0)))
}

/// Sets a thread's registers such that it makes a system call next.
fn point_at(
    tid: Tid,
    instruction: Instruction,
    number: i64,
    arguments: [u64; 6],
) -> Result<Held, RemoteError> {
    let registers = sys::registers(tid)?;
    let mask = sys::signal_mask(tid)?;
    let rip = match instruction {
        Instruction::Bare(address) => address,
        Instruction::Stub(address) => {
            let to = (address + code::stub_data()..).step_by(8);
            for (to, value) in to.zip(code::stub_values(mask, &restarted(registers))) {
                sys::poke(tid, to, value)?;
            }
            address
        }
    };
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    // Not in a system call: none is to be restarted.
    let (rax, orig_rax) = (number as u64, u64::MAX);
    let call = UserRegisters { rip, rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, ..registers };
    sys::set_registers(tid, &call)?;
    // With signals blocked nothing but SIGKILL and SIGSTOP comes between.
    sys::set_signal_mask(tid, u64::MAX)?;
    Ok(Held { registers, mask })
}

/// The registers of a thread that was interrupted in a system call, made to begin that call anew. The kernel does so
/// for a thread that goes on from its stop, but cannot for one that has made another call since. A wait that the
/// kernel would go on with (`ERESTART_RESTARTBLOCK`) begins anew as well.
fn restarted(mut registers: UserRegisters) -> UserRegisters {
    const RESTART: [i64; 4] = [-512, -513, -514, -516];
    if registers.orig_rax as i64 >= 0 && RESTART.contains(&(registers.rax as i64)) {
        registers.rax = registers.orig_rax;
        registers.rip = registers.rip.wrapping_sub(2);
    }
    registers
}

fn enter_and_leave(tid: Tid) -> Result<(u64, i32), RemoteError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_call_begins_anew_and_one_that_is_over_does_not() {
        // SAFETY: integers only.
        let blank: UserRegisters = unsafe { std::mem::zeroed() };
        let at = |orig_rax: i64, rax: i64| {
            let r =
                restarted(UserRegisters { rip: 100, orig_rax: orig_rax as u64, rax: rax as u64, ..blank });
            (r.rip, r.rax as i64)
        };
        assert_eq!(at(35, -516), (98, 35));
        assert_eq!(at(0, -512), (98, 0));
        assert_eq!(at(0, -4), (100, -4));
        assert_eq!(at(-1, -512), (100, -512));
    }
}
