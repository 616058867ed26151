//! Whatever becomes of rstap's output or of rstap itself, the program that it watches goes on at once, and what was lost
//! is told. On both backends; what a script alone can do is in the golden cases `bounded_…`.

mod support;

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstap_host::process::status;
use support::crowd::{Rstap, Target, crowd, number_after};
use support::process::{Server, Status};
use support::{RSTAP, root, scratch, targets};

const BACKENDS: [&str; 2] = ["ptrace", "inject"];

/// Lines of this length fill what a terminal, rstap and the ring hold together (68 MB) with few hits.
const LINE: usize = 8000;
const HITS: u64 = 10_000;
/// For such lines, however slow the machine.
const LIMITS: [&str; 4] = ["-D", "MAXSTRINGLEN=16384", "-D", "STP_NO_OVERLOAD"];

/// A line of output for each hit.
fn prints(path: &Path) -> String {
    format!(
        "global line probe begin {{ line = sprintf(\"%{LINE}d\", 1) }} \
         probe process(\"{}\").function(\"called\") {{ println(line) }}",
        path.display()
    )
}

fn rstap(backend: &str, script: &str, pid: u32) -> Command {
    let mut command = Command::new(RSTAP);
    command.args(["--backend", backend, "-x", &pid.to_string(), "-e", script]).args(LIMITS);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is our child");
}

/// A new pseudo-terminal: what a terminal program has, and what programs in it have.
fn terminal() -> (File, File) {
    let (mut master, mut slave) = (0, 0);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: openpty writes two descriptors, which are new and ours; it may be given no name, settings nor size.
    unsafe {
        let made = libc::openpty(&mut master, &mut slave, name, settings, size);
        assert_eq!(made, 0, "{}", io::Error::last_os_error());
        (OwnedFd::from_raw_fd(master).into(), OwnedFd::from_raw_fd(slave).into())
    }
}

/// All that is written to a terminal until nobody has it open any more.
fn read_terminal(mut master: File) -> Vec<u8> {
    let mut text = Vec::new();
    match master.read_to_end(&mut text) {
        // The kernel's word for that.
        Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
        other => drop(other.expect("a terminal can be read")),
    }
    text
}

#[test]
fn a_terminal_that_nobody_reads_does_not_stop_the_program() {
    for backend in BACKENDS {
        let path = crowd(&format!("terminal-{backend}"));
        let mut target = Target::start(&path, &["1", &HITS.to_string()]);
        let script = prints(&path) + " probe begin { println(\"ready\") }";
        let (mut master, slave) = terminal();
        let mut command = rstap(backend, &script, target.pid());
        // What it says about its own work goes there too, from all its threads.
        command.args(["-vvv"]).stdout(slave.try_clone().expect("a copy")).stderr(slave);
        let mut child = command.spawn().expect("rstap starts");
        drop(command);
        let mut begin = Vec::new();
        while !begin.ends_with(b"ready\r\n") {
            let mut byte = [0];
            master.read_exact(&mut byte).expect("it says so");
            begin.extend(byte);
        }
        target.go();
        // Nobody has read one line.
        assert_eq!(target.count(), HITS);
        let text = read_terminal(master);
        let text = String::from_utf8_lossy(&text);
        let said: Vec<&str> = text.lines().filter(|line| line.len() != LINE).collect();
        assert!(child.wait().expect("it ends").success(), "{backend}: {said:?}");
        let printed = text.lines().filter(|line| line.len() == LINE && line.ends_with(" 1")).count() as u64;
        let lost = number_after(&text, "WARNING: There were ");
        let lost = lost.unwrap_or_else(|| panic!("{backend}: nothing was lost of {printed} lines: {said:?}"));
        assert_eq!(printed + lost, HITS, "{backend}");
    }
}

/// Whether a thread of a process sleeps by a system call of its own (nanosleep(2)).
fn sleeps(pid: u32) -> bool {
    status::threads(pid as i32).iter().any(|tid| {
        let call = std::fs::read_to_string(format!("/proc/{tid}/syscall")).unwrap_or_default();
        call.starts_with(&format!("{} ", libc::SYS_nanosleep))
    })
}

/// Megabytes of a process that are in memory.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let size =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    size.unwrap_or(0_u64) / 1024
}

#[test]
fn without_losses_the_program_waits_for_a_reader_that_comes_late() {
    for backend in BACKENDS {
        let path = crowd(&format!("lossless-{backend}"));
        let mut target = Target::start(&path, &["1", &HITS.to_string()]);
        let pid = target.pid();
        let script = prints(&path) + " probe process.begin { system(\"echo armed >&2\") }";
        let mut command = rstap(backend, &script, target.pid());
        command.args(["--lossless", "-D", "MAXOUTPUTWAIT=60000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rstap starts");
        let mut said = child.stderr.take().expect("piped");
        let mut line = [0; 6];
        said.read_exact(&mut line).expect("it says so");
        assert_eq!(&line, b"armed\n");
        target.go();
        // All that rstap keeps for a reader, and more to come.
        while resident(child.id()) < 64 && child.try_wait().expect("ours").is_none() {
            std::thread::yield_now();
        }
        let mut has_ended = || target.child.try_wait().expect("ours").is_some();
        while backend == "inject" && !has_ended() && !sleeps(pid) {
            std::thread::yield_now();
        }
        let mut text = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert_eq!(target.count(), HITS);
        assert!(child.wait().expect("it ends").success(), "{backend}: {rest}");
        let printed = text.lines().filter(|line| line.len() == LINE && line.ends_with(" 1")).count() as u64;
        assert_eq!((printed, rest.contains("transport")), (HITS, false), "{backend}: {rest}");
        let waited = number_after(&rest, "WARNING: Handlers waited ");
        assert!(backend == "ptrace" || waited.is_some(), "{backend}: {rest}");
    }
}

#[test]
fn without_losses_a_reader_that_never_comes_is_given_up() {
    for backend in BACKENDS {
        let path = crowd(&format!("given-up-{backend}"));
        let mut target = Target::start(&path, &["1", &HITS.to_string()]);
        let script = prints(&path) + " probe process.begin { system(\"echo armed >&2\") }";
        let mut command = rstap(backend, &script, target.pid());
        command.args(["--lossless", "-D", "MAXOUTPUTWAIT=20"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rstap starts");
        let mut said = child.stderr.take().expect("piped");
        let mut line = [0; 6];
        said.read_exact(&mut line).expect("it says so");
        target.go();
        // Nobody has read one line.
        assert_eq!(target.count(), HITS);
        let mut text = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert!(child.wait().expect("it ends").success(), "{backend}: {rest}");
        let printed = text.lines().filter(|line| line.len() == LINE && line.ends_with(" 1")).count() as u64;
        let number = |head| number_after(&rest, head).unwrap_or_else(|| panic!("{backend}: {head}: {rest}"));
        assert_eq!(printed + number("WARNING: There were "), HITS, "{backend}");
        assert!(number("WARNING: Handlers waited ") > 0, "{backend}");
    }
}

#[test]
fn an_interrupt_releases_the_program_also_when_nobody_reads_and_a_second_one_ends_rstap() {
    for backend in BACKENDS {
        let path = crowd(&format!("interrupt-{backend}"));
        let mut target = Target::start(&path, &["1", "1000"]);
        // `end` comes after the release, so a probe there is no sign of it; the end of the target is.
        let script = prints(&path) + " probe process.begin { system(\"echo armed >&2\") }";
        let mut command = rstap(backend, &script, target.pid());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rstap starts");
        let mut line = [0; 6];
        child.stderr.as_mut().expect("piped").read_exact(&mut line).expect("it says so");
        assert_eq!(&line, b"armed\n");
        target.go();
        // 8 MB of output that nobody reads, in a pipe of 64 KB.
        assert_eq!(target.count(), 1000);
        // The session is over with its target; rstap waits for its reader. How far it has come cannot be seen.
        let status = loop {
            interrupt(&child);
            if let Some(status) = child.try_wait().expect("ours") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.signal(), Some(libc::SIGINT), "{backend}: {status:?}");
    }
}

#[test]
fn a_reader_that_has_had_enough_ends_the_session_without_complaint() {
    for backend in BACKENDS {
        let path = crowd(&format!("closed-{backend}"));
        let mut target = Target::start(&path, &["1", "2000"]);
        let args = ["--backend", backend, "-x", &target.pid().to_string()];
        let mut rstap = Rstap::start(&prints(&path), &[&args[..], &LIMITS].concat());
        rstap.output = std::io::BufReader::new(closed());
        target.go();
        assert_eq!(target.count(), 2000);
        let mut errors = String::new();
        rstap.errors.read_to_string(&mut errors).expect("it can be read");
        let status = rstap.child.wait().expect("it ends");
        assert_eq!((errors.as_str(), status.code()), ("", Some(0)), "{backend}");
    }
}

/// What takes the place of the reading end of a pipe that is to be closed.
fn closed() -> std::process::ChildStdout {
    let file = File::open("/dev/null").expect("it is there");
    OwnedFd::from(file).into()
}

/// The session ends with this error, and the program does not notice.
fn assert_cannot_write(backend: &str, name: &str, mut command: Command, file: &str, why: &str) {
    let path = crowd(&format!("{name}-{backend}"));
    let mut target = Target::start(&path, &["1", "2000"]);
    let args = ["--backend", backend, "-x", &target.pid().to_string(), "-o", file, "-s", "1"];
    let script = prints(&path) + " probe begin { system(\"echo armed >&2\") }";
    let mut child = command
        .args(["-e", &script])
        .args(args)
        .args(LIMITS)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rstap starts");
    let mut stderr = child.stderr.take().expect("piped");
    let mut line = [0; 6];
    stderr.read_exact(&mut line).expect("it says so");
    assert_eq!(&line, b"armed\n");
    target.go();
    assert_eq!(target.count(), 2000);
    let mut errors = String::new();
    stderr.read_to_string(&mut errors).expect("it can be read");
    let status = child.wait().expect("it ends");
    let expected = format!("ERROR: cannot write to {file}: {why}\nPass 5: run failed.\n");
    assert_eq!(errors, expected, "{backend}");
    assert_eq!(status.code(), Some(1), "{backend}");
}

#[test]
fn a_full_disk_is_an_error_of_rstap_and_not_of_the_program() {
    for backend in BACKENDS {
        let why = "No space left on device (os error 28)";
        assert_cannot_write(backend, "full", Command::new(RSTAP), "/dev/full", why);
    }
}

/// For this the kernel has a signal that ends a process which does not expect it.
#[test]
fn a_file_that_may_not_grow_is_an_error_of_rstap_and_not_of_the_program() {
    for backend in BACKENDS {
        let file = scratch().join(format!("limited-{backend}-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 6000 && exec \"$0\" \"$@\"", RSTAP]);
        let name = file.to_str().expect("plain");
        assert_cannot_write(backend, "limited", command, name, "File too large (os error 27)");
        assert!(std::fs::metadata(&file).expect("it was begun").len() > 0);
        let _ = std::fs::remove_file(&file);
    }
}

/// SIGKILL is what the kernel's memory killer sends, SIGABRT what an allocation that fails ends in, SIGSEGV and SIGBUS
/// are bugs.
#[test]
fn the_program_survives_every_end_of_rstap_and_can_be_probed_again() {
    let path = targets::build_folder(&root().join("tests/targets")).expect("they compile").join("server");
    for backend in BACKENDS {
        let server = Server::start(Command::new(&path).args(["4", "0"])).expect("the target starts");
        let pid = server.pid().to_string();
        let script = format!(
            "global n probe process(\"{}\").function(\"work\") {{ if (n++ == 500) system(\"echo hit >&2\") }}",
            path.display()
        );
        for signal in [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGBUS] {
            let args = ["--backend", backend, "-D", "MAXSKIPPED=1000000000", "-x", &pid];
            let mut rstap = Rstap::start(&script, &args);
            let mut line = String::new();
            rstap.errors.read_line(&mut line).expect("it says so");
            assert_eq!(line, "hit\n");
            kill(Pid::from_raw(rstap.pid() as i32), signal).expect("it runs");
            let status = rstap.child.wait().expect("it ends");
            assert_eq!(status.signal(), Some(signal as i32), "{backend}: {status:?}");
        }
        let (rest, status) = server.finish(Duration::from_secs(60));
        let rest = String::from_utf8_lossy(&rest);
        assert_eq!((rest.trim_end(), status), ("unharmed", Status::Exited(0)), "{backend}");
    }
}
