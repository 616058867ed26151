//! Pass 5: hands a compiled program to the host.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rstap_debuginfo::sources::DEBUG_ROOT;
use rstap_host::{Cleaned, DebugPlaces, Options as HostOptions, Session, Target};
use rstap_program::Program;

use crate::debuginfod::Client;
use crate::options::{Options, Watch};
use rstap_host::Ready;

/// Runs a program, and `ready` when its probes are in; whether all went well.
pub fn run(program: Program, options: &Options, ready: Option<Ready>) -> bool {
    let host = HostOptions {
        target: match &options.watch {
            Watch::Command(command) => Target::Command(command.clone()),
            Watch::Pid(pid) => Target::Pid(*pid),
            Watch::Matching => Target::None,
        },
        output: options.output.clone(),
        rotation: options.rotation,
        verbose: options.verbose[4],
        timing: options.timing,
        timeout: options.timeout,
        suppress_warnings: options.no_warnings,
        suppress_handler_errors: options.suppress_handler_errors,
        backend: options.backend,
        debug_places: debug_places(options),
        ..HostOptions::default()
    };
    let host = match options.buffer_bytes {
        Some(ring_bytes) => HostOptions { ring_bytes, ..host },
        None => host,
    };
    let session = Session::new(program, host).map(|mut session| {
        if let Some(ready) = ready {
            session.when_ready(ready);
        }
        session
    });
    match session.and_then(Session::run) {
        Ok(outcome) => outcome.status == 0,
        Err(error) => {
            eprintln!("error: {error}");
            false
        }
    }
}

/// Those that pass 2 looks in.
fn debug_places(options: &Options) -> DebugPlaces {
    let roots = [options.debug_roots.as_slice(), &[DEBUG_ROOT.into()]].concat();
    DebugPlaces { roots, cache: Client::from_environment().cache().map(PathBuf::from) }
}

/// Removes what dead sessions left in a process, and says what that was; whether it could be looked for.
pub fn clean_up(pid: u32, verbose: u8) -> bool {
    let cleaned = match rstap_host::clean(pid, verbose) {
        Ok(cleaned) => cleaned,
        Err(error) => {
            eprintln!("error: {error}");
            return false;
        }
    };
    if cleaned == Cleaned::default() {
        eprintln!("process {pid}: nothing to remove");
        return true;
    }
    let Cleaned { sessions, breakpoints, jumps, semaphores, masks, unmapped, kept, descriptors } = cleaned;
    eprintln!(
        "process {pid}: removed what {sessions} dead session{} left: {breakpoints} breakpoints, {jumps} jumps, {semaphores} marker \
         counters, {masks} signal masks, {descriptors} descriptors, {unmapped} bytes of memory",
        if sessions == 1 { "" } else { "s" }
    );
    if kept > 0 {
        eprintln!(
            "process {pid}: {kept} bytes of memory are still used by a thread; they do nothing, and a later --cleanup \
             removes them"
        );
    }
    true
}

/// The program that a command of -c runs.
pub fn program_of(command: &str) -> Option<PathBuf> {
    let program = rstap_host::command_words(command).ok()?.into_iter().next()?;
    Some(OsString::from_vec(program.into_bytes()).into())
}
