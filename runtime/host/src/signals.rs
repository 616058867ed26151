//! SIGINT, SIGTERM, SIGHUP and SIGQUIT as a wish to end the session.
//!
//! By handlers, not by blocking them for a signalfd: threads that somebody started before the session (a thread pool
//! of pass 2, an embedding program's) do not block them, and would take the default action, which ends rstap with
//! breakpoints still in the target.
//!
//! SIGXFSZ, by which the kernel tells that a file may not grow, must not end rstap either: the write fails as well, and
//! is reported.
//!
//! SIGTSTP (^Z) is noted too. A tracer that stopped would leave its target in the middle of a breakpoint. So with -c rstap
//! stops only once the command has, as [`stop_with_the_command`] says, and else once it has given its processes back.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const SIGNALS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGXFSZ];

/// The last signal that came and was not taken, 0 for none.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// Descriptor that the handler writes to, -1 for none.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// When SIGTSTP came, in nanoseconds of the monotonic clock; 0 for never.
static STOP_ASKED: AtomicI64 = AtomicI64::new(0);
/// When the command stopped; 0 if it runs.
static COMMAND_STOPPED: AtomicI64 = AtomicI64::new(0);
/// How long a command may take to stop after ^Z. A stop that comes later has another cause.
const STOP_WITHIN: Duration = Duration::from_secs(2);

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

    /// Whether ^Z came, once.
    pub fn take_stop(&self) -> bool {
        STOP_ASKED.swap(0, Ordering::AcqRel) != 0
    }

    /// Stops this process until somebody continues it.
    pub fn stop() {
        let _ = nix::sys::signal::raise(Signal::SIGSTOP);
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

/// Makes a limit on the size of files an error of whoever writes. By a handler: what is ignored stays ignored in the
/// commands that are started.
pub fn expect_file_limits() {
    extern "C" fn nothing(_: i32) {}
    let ours = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing; one that the program has is put back.
    unsafe {
        if let Ok(before) = sigaction(Signal::SIGXFSZ, &ours)
            && !matches!(before.handler(), SigHandler::SigDfl)
        {
            let _ = sigaction(Signal::SIGXFSZ, &before);
        }
    }
}

/// To be called when the command of -c has stopped, or goes on.
pub fn command_stopped(is_stopped: bool) {
    COMMAND_STOPPED.store(if is_stopped { now() } else { 0 }, Ordering::Release);
    stop_with_the_command();
}

/// Stops this process too if ^Z was meant for it and the command, so that the shell sees its job stopped. SIGCONT, which a
/// shell sends to the whole group, lets both go on. To be called from time to time: which of the two is told first is
/// chance.
pub fn stop_with_the_command() {
    let (asked, stopped) = (STOP_ASKED.load(Ordering::Acquire), COMMAND_STOPPED.load(Ordering::Acquire));
    let is_one = asked != 0 && stopped != 0 && asked.abs_diff(stopped) < STOP_WITHIN.as_nanos() as u64;
    let ours = || STOP_ASKED.compare_exchange(asked, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if is_one && ours() {
        Signals::stop();
    }
}

/// Nanoseconds of the monotonic clock.
fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is of this frame; clock_gettime is async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

extern "C" fn note(signal: i32) {
    if signal == libc::SIGTSTP {
        STOP_ASKED.store(now(), Ordering::Release);
        return;
    }
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
