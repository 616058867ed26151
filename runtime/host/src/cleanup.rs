//! `--cleanup`: undoes in a running process what a session left that died. A session that begins does the same on its
//! own; this is for who wants to be rid of it and probe nothing.

use std::sync::Arc;

use rstap_program::{ProbeId, Program};

use crate::backend::ptrace::control::Control;
use crate::backend::ptrace::registry::Registry;
use crate::backend::ptrace::{Cleaned, Report, Tracer, sys};
use crate::backend::{Handlers, Hit, Verdict};
use crate::process::Modules;
use crate::session::SessionError;

/// Undoes what dead sessions left in a process, and lets it go on; what that was.
pub fn clean(pid: u32, verbose: u8) -> Result<Cleaned, SessionError> {
    let number = i32::try_from(pid).map_err(|_| SessionError::BadPid { pid })?;
    sys::prepare_wake_ups().map_err(|errno| SessionError::System { what: "signals", error: errno.into() })?;
    let program = Program::default();
    let registry = Registry::new(&program, Modules::of(&program)?);
    let report = Stderr { verbose };
    let mut tracer = Tracer::new(NoHandlers, registry, Arc::new(Control::default()), Box::new(report));
    Ok(tracer.clean(number)?)
}

/// There are no probes.
struct NoHandlers;

impl Handlers for NoHandlers {
    fn run(&mut self, _: Hit<'_>) -> Verdict {
        Verdict::default()
    }

    fn skip(&mut self, _: ProbeId) {}
}

/// What the tracer says goes to standard error.
struct Stderr {
    verbose: u8,
}

impl Report for Stderr {
    fn say(&self, level: u8, text: std::fmt::Arguments<'_>) {
        if self.verbose >= level {
            eprintln!("rstap: {text}");
        }
    }

    fn warn(&self, text: std::fmt::Arguments<'_>) {
        eprintln!("WARNING: {text}");
    }
}
