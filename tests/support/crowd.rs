//! Programs of tests/targets that wait for a byte and count their calls themselves, and an rstap that watches them.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use super::{RSTAP, root, scratch, targets};

/// `crowd` as a file of its own: probes are for all processes that run a file, whoever has started them.
pub fn crowd(name: &str) -> PathBuf {
    let built = targets::build_folder(&root().join("tests/targets")).expect("the targets can be built");
    let own = scratch().join(format!("crowd-{name}-{}", std::process::id()));
    targets::copy(&built.join("crowd"), &own);
    own
}

/// A program that waits for a byte.
pub struct Target {
    pub child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Target {
    /// Starts it and waits until it says `ready`.
    pub fn start(path: &Path, args: &[&str]) -> Target {
        let mut child = Command::new(path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the target starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut target = Target { child, input, output };
        assert_eq!(target.line(), "ready");
        target
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it can be read");
        line.trim_end().to_owned()
    }

    /// Lets it begin.
    pub fn go(&mut self) {
        self.input.take().expect("once").write_all(b"x").expect("it waits");
    }

    /// Waits until its threads have had the cpu for a while (proc_pid_stat(5): utime and stime, in hundredths of a second).
    pub fn wait_until_busy(&self) {
        let ticks = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
            let fields = stat.rsplit(')').next().expect("one at least").split_whitespace();
            fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum::<u64>()
        };
        let before = ticks();
        while ticks() < before + 3 {
            std::thread::yield_now();
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; its own count.
    pub fn count(&mut self) -> u64 {
        let count = self.line();
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status:?} {count:?}");
        count.parse().expect("a number")
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// An rstap whose script says `ready` first.
pub struct Rstap {
    pub child: Child,
    pub output: BufReader<ChildStdout>,
    pub errors: BufReader<ChildStderr>,
}

impl Rstap {
    /// Starts it and waits until its probes are about to be hit.
    pub fn start(script: &str, args: &[&str]) -> Rstap {
        Rstap::start_as(Command::new(RSTAP), script, args)
    }

    /// The same for a command that becomes rstap, given its arguments.
    pub fn start_as(mut command: Command, script: &str, args: &[&str]) -> Rstap {
        let mut child = command
            .args(["-e", &format!("{script}\nprobe begin {{ println(\"ready\") }}")])
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rstap starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut rstap = Rstap { child, output, errors };
        let mut line = String::new();
        rstap.output.read_line(&mut line).expect("it can be read");
        if line != "ready\n" {
            panic!("rstap said {line:?}: {}", rstap.rest().1);
        }
        rstap
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it still says on standard output and standard error until it ends.
    pub fn rest(&mut self) -> (String, String) {
        let (mut text, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut text).expect("it can be read");
        self.errors.read_to_string(&mut errors).expect("it can be read");
        (text, errors)
    }
}

/// The number behind a text.
pub fn number_after(text: &str, before: &str) -> Option<u64> {
    let rest = text.split(before).nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
