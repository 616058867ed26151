//! Giving a traced process to another tracer thread, so that two busy processes do not wait for each other's handlers.
//!
//! The kernel binds a process to the thread that traces it: it must be let go and traced anew, and in between it runs. So it
//! is made to wait by itself first: in the stub by which it makes system calls for us (see `remote`), its signals blocked.
//! If nobody comes (the other thread could not, or rstap was killed), the wait ends and the stub restores everything;
//! breakpoints that are met then are passed as `rescue` says.
//!
//! Done where a process has one thread, and that is stopped: when it is forked, and when it begins a program.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::control::Control;
use super::lifecycle::wait_for_event_stop;
use super::remote::{self, Held};
use super::rescue::code;
use super::space::Space;
use super::sys::{self, Tid};
use super::tracer::{Process, State, Thread, Tracer};
use crate::backend::Handlers;

/// How long a process waits for its new tracer: longer than a busy machine takes, and no hang if there is none.
const WAIT_MS: u64 = 2000;

/// A process on its way.
pub struct Handover {
    tid: Tid,
    process: Process,
    thread: Thread,
    space: Space,
    held: Held,
    stub: Range<u64>,
    /// It begins a program: nothing is planted yet.
    is_fresh: bool,
}

impl fmt::Debug for Handover {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Handover({})", self.tid)
    }
}

impl<H: Handlers> Tracer<H> {
    /// Gives a process whose only thread is parked to another tracer thread, if this one has others to serve. Whether
    /// it is gone.
    pub(super) fn hand_over(&mut self, tid: Tid, pid: i32, is_fresh: bool) -> bool {
        let is_probed = |p: &Process| p.accepted.contains(&true);
        let Some(process) = self.processes.get(&pid).filter(|p| is_probed(p)) else { return false };
        let id = process.space;
        let mut others = self.processes.iter().filter(|(other, _)| **other != pid);
        let is_alone = others.clone().all(|(_, other)| !is_probed(other));
        let is_shared = others.any(|(_, other)| other.space == id);
        let is_still = self.threads.get(&tid).is_some_and(|t| t.state == State::Parked(0) && !t.park);
        let is_bound = self.holding || self.quiet || self.injector.is_some() || self.target == Some(pid);
        if is_alone || is_shared || is_bound || !is_still {
            return false;
        }
        let Some(other) = self.handlers.colleague(pid, &self.control) else { return false };
        let held = self.hold(tid, pid);
        let (Some((held, stub)), Some(process), Some(thread), Some(space)) =
            (held, self.processes.remove(&pid), self.threads.remove(&tid), self.spaces.remove(&id))
        else {
            return false;
        };
        // Failing means that it was killed.
        let _ = sys::detach(tid, 0);
        self.report.say(1, format_args!("process {pid} gets a tracer thread of its own"));
        let handover = Handover { tid, process, thread, space, held, stub, is_fresh };
        if let Err(handover) = other.give(Box::new(handover)) {
            self.adopt(*handover);
        }
        true
    }

    /// Makes a stopped thread wait as soon as it goes on; with the place where it does.
    fn hold(&mut self, tid: Tid, pid: i32) -> Option<(Held, Range<u64>)> {
        let space = self.processes.get(&pid)?.space;
        if self.spaces.get(&space).is_some_and(|s| s.rescue.is_none()) {
            self.open_cave(pid, space);
        }
        let stub = self.stub_address(space)?;
        match remote::hold(tid, stub, WAIT_MS) {
            Ok(held) => Some((held, stub..stub + code::stub_alone().len() as u64)),
            Err(_) => {
                self.close_cave(space);
                None
            }
        }
    }

    /// Becomes the tracer of a process that another thread has given away.
    pub(super) fn adopt(&mut self, handover: Handover) {
        let Handover { tid, process, thread, space, held, stub, is_fresh } = handover;
        let pid = process.subject.pid;
        if let Err(errno) = sys::seize(tid, self.options()).and_then(|()| sys::interrupt(tid)) {
            // It has ended, or another debugger was faster.
            self.report.say(1, format_args!("process {pid} is not traced any more: {errno}"));
            return;
        }
        let stop = wait_for_event_stop(tid);
        let is_held = sys::registers(tid).is_ok_and(|registers| stub.contains(&registers.rip));
        if is_held {
            held.release(tid);
        }
        self.has_resting |= space.sites.values().any(|site| site.is_resting);
        let space = self.new_space(space);
        self.close_cave(space);
        self.processes.insert(pid, Process { space, ..process });
        let park = self.quiet || self.holding;
        let state = stop.map_or(State::Stopped, State::Parked);
        self.threads.insert(tid, Thread { state, park, ..thread });
        match stop {
            // It was stopped by something else, or has ended.
            Err(status) => self.postpone(tid, status),
            Ok(_) => {
                if is_fresh && !self.quiet {
                    self.begin_program(tid, pid);
                }
                self.event_stop_of_parked(tid);
            }
        }
    }

    /// Takes what other threads have given us, and no more from now on.
    pub(super) fn close(&mut self) {
        for handover in self.control.close() {
            self.adopt(*handover);
        }
    }
}

/// Finds tracer threads.
pub trait Colleagues {
    /// The thread that is to trace a process from now on, if the one with this control should not.
    fn find(&self, pid: i32, own: &Control) -> Option<Arc<Control>>;
}
