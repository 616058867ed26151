//! Stopping threads and giving them up again, leaving nothing behind.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::detached::LAST_HANDLERS;
use super::space::SpaceId;
use super::sys::{self, Resume, Status, Tid};
use super::tracer::{State, Tracer};
use crate::backend::Handlers;
use crate::process::status;

/// What stopping one thread came to.
pub enum Stop {
    /// It is in `PTRACE_EVENT_STOP`; the signal of a group stop, 0 for none.
    Interrupted(i32),
    /// It has stopped or ended for another reason, which is still to be told.
    Otherwise,
    /// It waits in the kernel where it cannot be stopped, but will stop before it runs any code of the program.
    CannotRun,
}

/// How long a thread may take to stop before we look at why.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long a thread that is busy in the kernel is waited for when it is to be given up.
const LONG_PATIENCE: Duration = Duration::from_secs(2);

/// Stops one running thread.
pub fn stop(tid: Tid) -> Stop {
    if sys::interrupt(tid).is_err() {
        return Stop::CannotRun;
    }
    let begin = Instant::now();
    loop {
        match sys::peek(tid, false) {
            Ok(Some((_, Status::Stopped(signal, libc::PTRACE_EVENT_STOP)))) => {
                let _ = sys::wait(tid, false);
                return Stop::Interrupted(if signal == libc::SIGTRAP { 0 } else { signal });
            }
            Ok(Some(_)) => return Stop::Otherwise,
            Ok(None) | Err(Errno::EINTR) => {}
            Err(_) => return Stop::CannotRun,
        }
        if begin.elapsed() > PATIENCE && cannot_run(tid, begin) {
            return Stop::CannotRun;
        }
        pause(begin);
    }
}

/// Brings a thread from the stop of a signal, which it does not get, into `PTRACE_EVENT_STOP`. Something else that happened
/// instead.
pub(super) fn stop_again(tid: Tid) -> Option<Status> {
    sys::interrupt(tid).and_then(|()| sys::resume(tid, Resume::Run, 0)).ok()?;
    loop {
        match sys::wait(tid, true) {
            Ok(Some((_, Status::Stopped(_, libc::PTRACE_EVENT_STOP)))) => return None,
            Err(Errno::EINTR) | Ok(None) => {}
            Ok(Some((_, status))) => return Some(status),
            Err(_) => return None,
        }
    }
}

/// Lets a thread run one instruction. `false`: something else happened, before or after it, which is still to be told.
pub fn step(tid: Tid) -> bool {
    if sys::resume(tid, Resume::Step, 0).is_err() {
        return false;
    }
    loop {
        match sys::peek(tid, true) {
            Ok(Some((_, Status::Stopped(libc::SIGTRAP, 0))))
                if sys::signal_info(tid).is_ok_and(|info| is_step(info.code())) =>
            {
                return sys::wait(tid, false).is_ok();
            }
            // Left over from an interruption that came together with its hit.
            Ok(Some((_, Status::Stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP)))) => {
                let _ = sys::wait(tid, false).and_then(|_| sys::resume(tid, Resume::Step, 0));
            }
            Err(Errno::EINTR) | Ok(None) => {}
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// Whether a SIGTRAP with this `si_code` is from a step: TRAP_TRACE, on some kernels TRAP_BRKPT or TRAP_HWBKPT, and
/// SIGTRAP after a `syscall`. An `int3` has SI_KERNEL, a signal that somebody sent a code that is not positive.
fn is_step(code: i32) -> bool {
    code == libc::SIGTRAP || (1..=libc::TRAP_HWBKPT).contains(&code)
}

/// Whether a thread that was asked to stop then will not stop soon. One that waits in the kernel for a moment only is
/// waited for, as what it does there may matter: a fork that has copied the actions for signals, but not the memory yet,
/// must not see both of them change in between.
fn cannot_run(tid: Tid, since: Instant) -> bool {
    match status::state(tid) {
        None | Some('Z' | 'X') => true,
        Some('D') => since.elapsed() > LONG_PATIENCE || status::waits_for_child(tid),
        Some(_) => false,
    }
}

fn pause(begin: Instant) {
    let waited = begin.elapsed();
    if waited < Duration::from_micros(100) {
        std::thread::yield_now();
    } else {
        std::thread::sleep(Duration::from_micros(50));
    }
}

impl<H: Handlers> Tracer<H> {
    /// Holds all threads of the processes that `which` takes. What happens to them on the way is handled as usual.
    pub(super) fn park(&mut self, which: impl Fn(i32) -> bool, patience: Duration) {
        let begin = Instant::now();
        let mut asked = 0;
        loop {
            // Threads that appear meanwhile count as well, so all are looked at each time.
            let mut waiting = false;
            let mut running = Vec::new();
            for (tid, thread) in &mut self.threads {
                if which(thread.pid) {
                    thread.park = true;
                    waiting |= matches!(thread.state, State::Running | State::Stopped);
                    running.extend((thread.state == State::Running).then_some(*tid));
                }
            }
            if !waiting {
                return;
            }
            if running.len() != asked || begin.elapsed() > PATIENCE {
                for &tid in &running {
                    let _ = sys::interrupt(tid);
                }
                asked = running.len();
            }
            let mut quiet = true;
            while let Ok(Some((tid, status))) = self.next_event(false) {
                self.handle(tid, status);
                quiet = false;
            }
            if quiet {
                if begin.elapsed() > patience {
                    for tid in running {
                        if cannot_run(tid, begin) || begin.elapsed() > LONG_PATIENCE {
                            self.set_state(tid, State::Blocked);
                        }
                    }
                }
                pause(begin);
            }
        }
    }

    pub(super) fn set_state(&mut self, tid: Tid, state: State) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = state;
        }
    }

    /// Lets parked threads go on.
    pub(super) fn unpark(&mut self, which: impl Fn(i32) -> bool) {
        let mut parked = Vec::new();
        for (tid, thread) in &mut self.threads {
            if which(thread.pid) {
                thread.park = false;
                match thread.state {
                    State::Parked(_) => parked.push(*tid),
                    State::Blocked => thread.state = State::Running,
                    _ => {}
                }
            }
        }
        for tid in parked {
            self.release(tid);
        }
    }

    /// A thread stopped for the sake of another goes on.
    pub(super) fn event_stop_of_parked(&mut self, tid: Tid) {
        if self.threads.get(&tid).is_some_and(|thread| !thread.park) {
            self.release(tid);
        }
    }

    /// Gives everything back: all threads stopped, text restored byte for byte, nobody in a slot, slot memory
    /// unmapped, all threads detached.
    pub fn detach_all(&mut self) {
        self.quiet = true;
        self.close();
        self.retrace();
        self.park(|_| true, PATIENCE);
        let pids: Vec<i32> = self.processes.keys().copied().collect();
        pids.iter().for_each(|pid| self.take_out_what_is_not_there(*pid));
        for space in self.spaces.values_mut() {
            space.remove_all();
        }
        for pid in pids {
            self.detach_process(pid);
        }
    }

    /// Gives one process back whose threads are parked and whose text is restored.
    pub(super) fn detach_process(&mut self, pid: i32) {
        let Some(space) = self.processes.get(&pid).map(|p| p.space) else { return };
        let shared = self.processes.iter().any(|(other, p)| *other != pid && p.space == space);
        if !shared && self.spaces.get(&space).is_some_and(|s| s.home.is_some()) {
            self.open_cave(pid, space);
            self.retire_home(pid, space, LAST_HANDLERS);
            self.close_cave(space);
        }
        let tids = self.threads_of(pid);
        let mut all_out = true;
        for &tid in &tids {
            all_out &= self.bring_home(tid, space);
        }
        self.unprotect(pid, space, &tids, all_out);
        for tid in tids {
            // Of a thread that cannot be stopped the kernel lets go when the tracer thread ends.
            let _ = sys::detach(tid, 0);
            self.threads.remove(&tid);
        }
        self.processes.remove(&pid);
        self.drop_space_if_unused(space);
    }

    /// Makes a parked thread as if it had never been traced: a breakpoint it has just met is forgotten, a slot left.
    /// `false` if it cannot be.
    fn bring_home(&mut self, tid: Tid, space: SpaceId) -> bool {
        if !matches!(self.threads.get(&tid).map(|t| t.state), Some(State::Parked(_))) {
            return self
                .threads
                .get(&tid)
                .is_none_or(|_| matches!(status::state(tid), None | Some('Z' | 'X')));
        }
        self.unwatch(tid);
        self.swallow_trap(tid, space);
        self.leave_slot(tid, space, 0);
        self.leave_thunk(tid, space);
        true
    }

    /// A thread that was interrupted just when it met a breakpoint has the SIGTRAP still in its queue.
    pub(super) fn swallow_trap(&mut self, tid: Tid, space: SpaceId) {
        let Ok(registers) = sys::registers(tid) else { return };
        let address = registers.rip.wrapping_sub(1);
        let retired = self.spaces.get(&space).and_then(|s| s.retired.get(&address).copied());
        let Some(retired) = retired.filter(|_| sys::has_pending_breakpoint_trap(tid).unwrap_or(false)) else {
            return;
        };
        // Going on, it reports the SIGTRAP before it runs anything.
        if sys::resume(tid, Resume::Run, 0).is_err() {
            return;
        }
        loop {
            match sys::peek(tid, true) {
                Ok(Some((_, Status::Stopped(libc::SIGTRAP, 0)))) => break,
                // A stop that was on its way; the SIGTRAP is next.
                Ok(Some((_, Status::Stopped(_, libc::PTRACE_EVENT_STOP)))) => {
                    let _ = sys::wait(tid, false).and_then(|_| sys::resume(tid, Resume::Run, 0));
                }
                Err(Errno::EINTR) | Ok(None) => {}
                Ok(Some((_, status))) => return self.postpone(tid, status),
                Err(_) => return,
            }
        }
        // Not to the instruction itself before the SIGTRAP is out of the way, and not out of the way before that is
        // done: see `rescue` and [`Tracer::take`].
        if retired.slot.is_none() {
            self.note_step(space, address);
        }
        let _ = sys::set_instruction_pointer(tid, retired.slot.unwrap_or(address));
        let _ = sys::wait(tid, false);
        if retired.slot.is_none() {
            self.note_step(space, 0);
        }
        if let Some(status) = stop_again(tid) {
            self.postpone(tid, status);
        }
    }
}
