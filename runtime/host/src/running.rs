//! A session for a program with an event loop of its own: it runs on its own threads, and a descriptor tells of its
//! end.
//!
//! Whatever becomes of the owner, the targets are given back: dropping a [`Running`] ends the session and waits until
//! they are, so a panic that unwinds does as well. A process that the owner itself has started is collected by the
//! session when it ends while it is traced (the kernel tells a process of an end once): its status is in the outcome.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::session::{Ender, Outcome, Session, SessionError};

/// A session that runs.
#[derive(Debug)]
pub struct Running {
    ender: Ender,
    over: Arc<EventFd>,
    thread: Option<JoinHandle<Result<Outcome, SessionError>>>,
}

impl Session {
    /// Runs it on threads of its own. Errors that are found later, as that the target cannot be attached to, are told
    /// by [`Running::finish`].
    pub fn start(self) -> Result<Running, SessionError> {
        let failed = |error: io::Error| SessionError::System { what: "the session's thread", error };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let over = Arc::new(EventFd::from_flags(flags).map_err(|errno| failed(errno.into()))?);
        let ender = self.ender();
        let tell = Tell(over.clone());
        let body = move || {
            let _tell = tell;
            self.run()
        };
        let thread = std::thread::Builder::new().name("rstap-session".into()).spawn(body).map_err(failed)?;
        Ok(Running { ender, over, thread: Some(thread) })
    }
}

/// Tells of the end of the session's thread, also by a panic.
struct Tell(Arc<EventFd>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.write(1);
    }
}

impl Running {
    /// Asks the session to end: probes are removed, end probes run. The descriptor tells when that is done.
    pub fn end(&self) {
        self.ender.end();
    }

    /// Waits for the end; how it ended.
    ///
    /// # Panics
    /// When the session did, which is a bug of rstap.
    pub fn finish(mut self) -> Result<Outcome, SessionError> {
        let thread = self.thread.take().expect("only the destructor takes it otherwise");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Readable once the session is over; then [`Running::finish`] does not wait.
impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.ender.end();
            let _ = thread.join();
        }
    }
}
