//! ^Z: a tracer that is about to be stopped gives its processes back, and takes them again when it goes on. A stopped
//! tracer would hold them at their next breakpoint or signal.

use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::process::Handle;

/// A process that was given back for the time being.
struct Released {
    pid: i32,
    /// What tells whether it is still the same. `None` on kernels before 5.3.
    handle: Option<Handle>,
    in_target: bool,
    has_begun: bool,
}

impl<H: Handlers> Tracer<H> {
    /// Gives everything back, waits until it may go on, and attaches to what is left. What happens meanwhile is missed.
    pub(super) fn suspend(&mut self) {
        let released = |(pid, process): (&i32, &super::tracer::Process)| Released {
            pid: *pid,
            handle: Handle::open(*pid),
            in_target: process.subject.in_target,
            has_begun: process.has_begun,
        };
        let mut released: Vec<Released> = self.processes.iter().map(released).collect();
        released.sort_unstable_by_key(|process| process.pid);
        self.detach_all();
        self.control.wait_while_suspended();
        self.quiet = false;
        for process in released {
            self.take_again(process);
        }
    }

    fn take_again(&mut self, released: Released) {
        let Released { pid, handle, in_target, has_begun } = released;
        if self.control.is_stopping() {
            return;
        }
        let (target, was_holding) = (self.target, std::mem::replace(&mut self.holding, true));
        let outcome = self.attach_to(pid, handle.as_ref(), in_target);
        (self.target, self.holding) = (target, was_holding);
        match outcome {
            Ok(()) => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.has_begun = has_begun;
                }
                self.let_run(pid);
            }
            Err(error) => {
                self.report.say(1, format_args!("not attached again: {error}"));
                self.end_wanted |= target == Some(pid);
            }
        }
    }
}
