//! What other threads ask of the tracer thread, which is the only one that may use ptrace, and may be waiting for the
//! target when they do.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rstap_program::ProbeId;

use super::handover::Handover;
use super::sys;

/// Requests to a tracer thread.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    pending: AtomicBool,
    /// It is to give its processes back for the time being.
    suspended: AtomicBool,
    /// It has done so.
    released: AtomicBool,
    thread: AtomicI32,
    asked: Mutex<Asked>,
    changed: Condvar,
}

/// What was asked since the tracer last looked.
#[derive(Debug, Default)]
pub struct Asked {
    /// Processes that started or changed their program.
    pub newcomers: Vec<i32>,
    /// Profile probes whose time has come.
    pub samples: Vec<ProbeId>,
    /// Processes that other tracer threads give to this one.
    pub given: Vec<Box<Handover>>,
    /// It takes no more of them.
    is_closed: bool,
}

impl Control {
    /// The calling thread is the tracer from now on.
    pub fn adopt(&self) {
        self.thread.store(sys::this_thread(), Ordering::Release);
    }

    /// Asks the tracer to end.
    pub fn stop(&self) {
        {
            let _asked = self.asked.lock();
            self.stop.store(true, Ordering::Release);
        }
        self.changed.notify_all();
        self.wake();
    }

    /// Whether it was asked to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks the tracer to give its processes back until [`Control::resume`].
    pub fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
        self.ask(|_| {});
    }

    /// Whether it was asked to, and has not done so yet.
    pub fn is_suspending(&self) -> bool {
        self.suspended.load(Ordering::Acquire) && !self.released.load(Ordering::Acquire)
    }

    /// The tracer may take its processes again.
    pub fn resume(&self) {
        let _asked = self.asked.lock();
        self.suspended.store(false, Ordering::Release);
        self.changed.notify_all();
    }

    /// For a tracer that has given its processes back: waits until it may take them again.
    pub fn wait_while_suspended(&self) {
        let asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.released.store(true, Ordering::Release);
        let is_suspended = |_: &mut Asked| self.suspended.load(Ordering::Acquire) && !self.is_stopping();
        let asked = self.changed.wait_while(asked, is_suspended);
        asked.unwrap_or_else(|poisoned| poisoned.into_inner()).is_closed = false;
        self.released.store(false, Ordering::Release);
    }

    /// Adds to what is asked.
    pub fn ask(&self, add: impl FnOnce(&mut Asked)) {
        {
            let mut asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            add(&mut asked);
            self.pending.store(true, Ordering::Release);
        }
        self.changed.notify_all();
        self.wake();
    }

    /// Gives the tracer a process, or gives it back if the tracer is about to end.
    pub fn give(&self, handover: Box<Handover>) -> Result<(), Box<Handover>> {
        let mut handover = Some(handover);
        self.ask(|asked| {
            if !asked.is_closed {
                asked.given.extend(handover.take());
            }
        });
        handover.map_or(Ok(()), Err)
    }

    /// What was given and not taken; from now on nothing is.
    pub fn close(&self) -> Vec<Box<Handover>> {
        let mut asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        asked.is_closed = true;
        std::mem::take(&mut asked.given)
    }

    /// Waits until something is asked, for a tracer that traces nothing.
    pub fn wait(&self, at_most: Duration) {
        let asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let nothing = |_: &mut Asked| !self.is_pending() && !self.is_stopping();
        drop(self.changed.wait_timeout_while(asked, at_most, nothing));
    }

    /// Whether the tracer has not looked yet. A wake-up that comes just before it begins to wait is lost, so who
    /// asks must [`Control::wake`] again from time to time while this holds.
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Makes the tracer look.
    pub fn wake(&self) {
        let thread = self.thread.load(Ordering::Acquire);
        if thread != 0 {
            sys::wake(thread);
        }
    }

    /// What was asked, for the tracer. Cheap when nothing was.
    pub fn take(&self) -> Option<Asked> {
        if !self.pending.load(Ordering::Acquire) {
            return None;
        }
        self.pending.store(false, Ordering::Release);
        let mut asked = self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_closed = asked.is_closed;
        Some(std::mem::replace(&mut *asked, Asked { is_closed, ..Asked::default() }))
    }
}
