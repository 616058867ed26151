//! Pass 5: hands a compiled program to the host.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rstap_host::{Options as HostOptions, Session, Target};
use rstap_program::Program;

use crate::options::{Options, Watch};

/// Runs a program; whether all went well.
pub fn run(program: Program, options: &Options) -> bool {
    let host = HostOptions {
        target: match &options.watch {
            Watch::Command(command) => Target::Command(command.clone()),
            Watch::Pid(pid) => Target::Pid(*pid),
            Watch::Matching => Target::None,
        },
        output: options.output.clone(),
        verbose: options.verbose,
        timeout: options.timeout,
        suppress_warnings: options.no_warnings,
        suppress_handler_errors: options.suppress_handler_errors,
        backend: options.backend,
        ..HostOptions::default()
    };
    match Session::new(program, host).and_then(Session::run) {
        Ok(outcome) => outcome.status == 0,
        Err(error) => {
            eprintln!("error: {error}");
            false
        }
    }
}

/// The program that a command of -c runs.
pub fn program_of(command: &str) -> Option<PathBuf> {
    let program = rstap_host::command_words(command).ok()?.into_iter().next()?;
    Some(OsString::from_vec(program.into_bytes()).into())
}
