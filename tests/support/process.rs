//! Runs one program to its end, or to the end of its time; then nothing of its process group is left.
//!
//! Nothing here sleeps or polls: threads read the pipes and wait for the process, and a channel has the timeout.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// What a program did.
pub struct Outcome {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: Status,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    Killed(i32),
    TimedOut,
}

impl Status {
    pub fn is_success(self) -> bool {
        self == Status::Exited(0)
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Status {
        match status.code() {
            Some(code) => Status::Exited(code),
            None => Status::Killed(status.signal().unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Status::Exited(code) => write!(out, "{code}"),
            Status::Killed(signal) => write!(out, "signal {signal}"),
            Status::TimedOut => write!(out, "timed out"),
        }
    }
}

/// What to do to a program while it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// After this time the process group is killed.
    pub timeout: Duration,
    /// Sent to the program's standard input, which is then closed.
    pub stdin: Vec<u8>,
    /// A signal for the program as soon as it has written a line.
    pub signal_at_first_line: Option<Signal>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { timeout: Duration::from_secs(60), stdin: Vec::new(), signal_at_first_line: None }
    }
}

/// Runs `command` in a process group of its own, as `plan` says.
pub fn run(command: &mut Command, plan: &Plan) -> std::io::Result<Outcome> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    // A program that does not read its input closes the pipe, which is no failure of the test.
    let _ = child.stdin.take().expect("stdin is piped").write_all(&plan.stdin);
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let signal = plan.signal_at_first_line;
    let stdout = thread::spawn(move || read_and_signal(stdout, pid, signal));
    let stderr = thread::spawn(move || read_to_end(stderr));

    let status = wait(child, plan.timeout);
    // Also what the program has left running would hold the pipes open.
    let _ = killpg(pid, Signal::SIGKILL);
    Ok(Outcome {
        stdout: stdout.join().expect("the reader does not panic"),
        stderr: stderr.join().expect("the reader does not panic"),
        status,
    })
}

/// A program that a test attaches to: it says `ready` in a first line and ends when its standard input does.
pub struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    first_line: String,
}

impl Server {
    pub fn start(command: &mut Command) -> std::io::Result<Server> {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line)?;
        Ok(Server { child, stdin, stdout, first_line })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Lets the program end; what it wrote after its first line, and how it ended.
    pub fn finish(self, timeout: Duration) -> (Vec<u8>, Status) {
        let Server { child, stdin, stdout, .. } = self;
        let pid = Pid::from_raw(child.id().cast_signed());
        drop(stdin);
        let rest = thread::spawn(move || read_to_end(stdout));
        let status = wait(child, timeout);
        let _ = killpg(pid, Signal::SIGKILL);
        (rest.join().expect("the reader does not panic"), status)
    }
}

fn wait(mut child: Child, timeout: Duration) -> Status {
    let pid = Pid::from_raw(child.id().cast_signed());
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::spawn(move || sender.send(child.wait()));
    let status = match receiver.recv_timeout(timeout) {
        Ok(status) => status.map_or(Status::TimedOut, Status::from),
        Err(_) => {
            let _ = killpg(pid, Signal::SIGKILL);
            Status::TimedOut
        }
    };
    let _ = waiter.join();
    status
}

fn read_to_end(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error still says what the program did.
    let _ = from.read_to_end(&mut bytes);
    bytes
}

fn read_and_signal(from: impl Read, pid: Pid, signal: Option<Signal>) -> Vec<u8> {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    if let Some(signal) = signal {
        let _ = from.read_until(b'\n', &mut bytes);
        let _ = kill(pid, signal);
    }
    bytes.extend(read_to_end(from));
    bytes
}
