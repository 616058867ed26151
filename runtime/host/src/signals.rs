//! SIGINT, SIGTERM, SIGHUP and SIGQUIT as a wish to end the session.
//!
//! By handlers, not by blocking them for a signalfd: threads that somebody started before the session (a thread pool
//! of pass 2, an embedding program's) do not block them, and would take the default action, which ends rstap with
//! breakpoints still in the target.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// The last signal that came and was not taken, 0 for none.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// Descriptor that the handler writes to, -1 for none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// While this lives, the signals do not end the process; its descriptor becomes readable instead.
#[derive(Debug)]
pub struct Signals {
    fd: EventFd,
    before: Vec<(Signal, SigAction)>,
}

impl Signals {
    /// Takes the signals over. One that is ignored (nohup) stays so.
    pub fn take_over() -> Result<Signals, Errno> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        PENDING.store(0, Ordering::Release);
        WAKE.store(fd.as_fd().as_raw_fd(), Ordering::Release);
        let mut signals = Signals { fd, before: Vec::new() };
        for signal in SIGNALS {
            let ours = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: the handler uses atomics and write(2) only, which are async-signal-safe (signal-safety(7)).
            let before = unsafe { sigaction(signal, &ours) }?;
            if matches!(before.handler(), SigHandler::SigIgn) {
                // SAFETY: restores what was there.
                unsafe { sigaction(signal, &before) }?;
            } else {
                signals.before.push((signal, before));
            }
        }
        Ok(signals)
    }

    /// Readable when a signal came.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The signal that came, once.
    pub fn take(&self) -> Option<Signal> {
        Signal::try_from(PENDING.swap(0, Ordering::AcqRel)).ok()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: restores what was there.
            let _ = unsafe { sigaction(*signal, before) };
        }
        WAKE.store(-1, Ordering::Release);
    }
}

extern "C" fn note(signal: i32) {
    PENDING.store(signal, Ordering::Release);
    let errno = Errno::last();
    let one = 1u64;
    // SAFETY: `one` is eight readable bytes. A descriptor closed meanwhile is an error that does not matter.
    unsafe { libc::write(WAKE.load(Ordering::Acquire), (&raw const one).cast(), 8) };
    errno.set();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_to_any_thread_is_noted_and_does_not_end_the_process() {
        let (start, wait) = std::sync::mpsc::channel::<()>();
        let early = std::thread::spawn(move || wait.recv());
        let signals = Signals::take_over().unwrap();
        nix::sys::signal::kill(nix::unistd::getpid(), Signal::SIGINT).unwrap();
        let mut fds = [nix::poll::PollFd::new(signals.descriptor(), nix::poll::PollFlags::POLLIN)];
        assert!(nix::poll::poll(&mut fds, 5000u16).is_ok_and(|ready| ready == 1));
        assert_eq!(signals.take(), Some(Signal::SIGINT));
        assert_eq!(signals.take(), None);
        drop(start);
        assert!(early.join().unwrap().is_err());
    }
}
