//! `-F`: the session goes on in the background, in a process of its own (stap(1), `-F`). The user gets the prompt back,
//! and the process's number to stop it with, once the probes are in; whatever goes wrong before is told as always.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};
use rstap_host::Ready;

/// Runs `work` in a new process, in a session of its own so that neither a terminal's ^C nor its end reaches it. Its
/// messages go to `OUTPUT.err` from the moment on at which it says that it is ready. No thread may have been started yet.
pub fn run(output: &Path, work: impl FnOnce(Ready) -> bool) -> ExitCode {
    let messages = messages_beside(output);
    match divide(&messages) {
        Ok(Half::Parent(child, told)) => wait(child, told),
        Ok(Half::Child(tell, messages)) => {
            let ready = Box::new(move || let_go(tell, &messages));
            if work(ready) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: cannot run in the background ({}): {error}", messages.display());
            ExitCode::FAILURE
        }
    }
}

enum Half {
    Parent(Pid, File),
    Child(File, File),
}

fn divide(messages: &Path) -> io::Result<Half> {
    let messages = File::create(messages)?;
    let (told, tell) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: called at the start of main; no other thread exists that could hold a lock in the child.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Half::Parent(child, told.into())),
        ForkResult::Child => {
            setsid()?;
            Ok(Half::Child(tell.into(), messages))
        }
    }
}

/// Waits until the probes are in, or the process has ended before.
fn wait(child: Pid, mut told: File) -> ExitCode {
    let mut byte = [0];
    if matches!(told.read(&mut byte), Ok(1)) {
        println!("{child}");
        return ExitCode::SUCCESS;
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, 0)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Nothing of the terminal is used any more.
fn let_go(mut tell: File, messages: &File) {
    let turned = File::options().read(true).write(true).open("/dev/null").and_then(|null| {
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(messages)?;
        Ok(())
    });
    match turned.and_then(|()| tell.write_all(&[1])) {
        Ok(()) => {}
        Err(error) => eprintln!("WARNING: rstap cannot leave the terminal: {error}"),
    }
}

fn messages_beside(output: &Path) -> PathBuf {
    let mut name = OsString::from(rstap_host::sink::dated(output));
    name.push(".err");
    name.into()
}
