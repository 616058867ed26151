//! How a program uses rstap as a library: it compiles a script, runs it on a process, and waits in one `poll` for its
//! own input, for what the handlers print, and for the end of the session.
//!
//! `embed PID SCRIPT` counts the lines that the script prints; it ends at the end of its input or of the session.

#[path = "../compiler/driver/debuginfod.rs"]
#[expect(dead_code, reason = "only the driver says where files are kept")]
mod debuginfod;
#[path = "../compiler/driver/disk.rs"]
mod disk;
#[path = "../compiler/driver/headers.rs"]
mod headers;

use std::fs::File;
use std::io::{Read, stdin};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rstap_host::{Options, Session, Target};
use rstap_program::Program;
use rstap_sema::analyze::{self, analyze};
use rstap_sema::tapset::Tapset;
use rstap_syntax::diagnostic::{Diagnostic, Severity};
use rstap_syntax::source::SourceMap;
use rstap_syntax::{ParseConfig, parse};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let pid = words.next().context("usage: embed PID SCRIPT")?.parse()?;
    let program = compile(&words.next().context("usage: embed PID SCRIPT")?, pid)?;

    // The signals stay this program's own.
    let options = Options { target: Target::Pid(pid), handle_signals: false, ..Options::default() };
    let mut session = Session::new(program, options)?;
    let (lines_end, write_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    session.write_to(File::from(write_end));
    // From here on an error, a panic or a return gives the process back, because that drops the session.
    let session = session.start()?;

    let (mut lines, input) = (File::from(lines_end), stdin());
    let (mut count, mut has_input) = (0, true);
    let mut buffer = [0; 4096];
    loop {
        let mut events = vec![readable(&lines), readable(&session)];
        events.extend(has_input.then(|| readable(&input)));
        poll(&mut events, PollTimeout::NONE)?;
        let happened: Vec<bool> = events.iter().map(|event| event.any().unwrap_or(false)).collect();
        if happened[0] {
            let len = lines.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            count += buffer[..len].iter().filter(|byte| **byte == b'\n').count();
        }
        // All that was printed has been read.
        if happened[1] && !happened[0] {
            break;
        }
        if happened.get(2) == Some(&true) && input.lock().read(&mut buffer)? == 0 {
            has_input = false;
            session.end();
        }
    }
    let outcome = session.finish()?;
    println!("{count} lines, {} errors, {} skipped", outcome.errors, outcome.skipped);
    Ok(())
}

fn readable<'f>(file: &'f impl AsFd) -> PollFd<'f> {
    PollFd::new(file.as_fd(), PollFlags::POLLIN)
}

/// Passes 1 to 4.
fn compile(text: &str, pid: u32) -> Result<Program> {
    let store = disk::Store::default();
    let tapset = Tapset::embedded();
    let mut sources = SourceMap::default();
    let mut config = ParseConfig::default();
    let (macros, _) = tapset.macros(&mut sources, &config);
    config.macros = std::sync::Arc::new(macros);
    let source = sources.add("<script>", text.to_owned());
    let parsed = parse(&sources, source, &config);
    check(&parsed.diagnostics)?;
    let options = analyze::Options {
        config,
        target: rstap_sema::points::process::Target::Pid(pid),
        ..analyze::Options::default()
    };
    let disk = Rc::new(disk::Disk::new(&store, &[], debuginfod::Client::from_environment(), None));
    let (script, diagnostics) = analyze(disk, &mut sources, vec![parsed.file], &tapset, &options);
    check(&diagnostics)?;
    Ok(rstap_codegen::compile(&script.context("the script cannot be analyzed")?)?)
}

fn check(diagnostics: &[Diagnostic]) -> Result<()> {
    if let Some(error) = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
        bail!("{}", error.message);
    }
    Ok(())
}
