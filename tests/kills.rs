//! An rstap killed at any moment while it injects leaves a program that goes on and computes what it should; whoever comes
//! next, or `--cleanup`, removes what is left.
//!
//! The moments are exact: rstap is traced here and killed at its n-th system call after it has first reached for the
//! program, for each n in a row in the long form (`RSTAP_KILLS=1000 cargo test --release --test kills -- --nocapture`),
//! until there are no more, again and again; in the short one for some of them. Some kills come at no particular moment.
//! The ptrace backend's own is `runtime/host/tests/survive.rs`, with the same program.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rstap_host::backend::ptrace::sys::{self, Resume, Status};
use rstap_host::process::{maps, status};
use support::{RSTAP, root, scratch};

/// A program that checks itself all the time.
struct Survivor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Survivor {
    fn start(path: &Path, args: &str) -> Survivor {
        let mut child = Command::new(path)
            .args(args.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut survivor = Survivor { child, to, from };
        assert_eq!(survivor.line(), "ready\n");
        survivor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it writes lines");
        line
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits until each thread has done something more.
    fn must_be_alive(&mut self, when: &str) {
        let asked = self.to.write_all(b"\n");
        let line = self.line();
        if asked.is_err() || line != "alive\n" {
            panic!("{when}: it said {line:?} and ended with {:?}", self.child.wait());
        }
    }

    /// All its file-backed text.
    fn text(&self) -> Vec<(String, Vec<u8>)> {
        let memory = File::open(format!("/proc/{}/mem", self.pid())).expect("our child");
        let mappings = maps::read(self.pid()).expect("it lives");
        let text = mappings.iter().filter(|m| m.executable && m.is_file());
        text.map(|m| {
            let mut bytes = vec![0; (m.end - m.start) as usize];
            memory.read_exact_at(&mut bytes, m.start).expect("text is readable");
            (m.path.clone(), bytes)
        })
        .collect()
    }

    /// Mappings that an rstap left which has our name on them: arenas and the memory for breakpoints.
    fn memory_of_ours(&self) -> Vec<String> {
        let mappings = maps::read(self.pid()).expect("it lives");
        mappings.into_iter().map(|m| m.path).filter(|path| path.contains("rstap")).collect()
    }

    fn finish(self) {
        let Survivor { mut child, to, mut from } = self;
        drop(to);
        let mut rest = String::new();
        from.read_to_string(&mut rest).expect("it writes");
        let ended = child.wait().expect("it ends");
        assert!(ended.success() && rest == "right\n", "{ended:?} {rest}");
    }
}

fn rstap(args: &[&str]) -> Command {
    let mut command = Command::new(RSTAP);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// An rstap that waits for its script.
struct Tracing {
    child: Child,
    script: ChildStdin,
}

impl Tracing {
    fn prepare(pid: i32) -> Tracing {
        let pid = pid.to_string();
        let mut child = rstap(&["--backend", "inject", "-D", "MAXSKIPPED=1000000000", "-x", &pid, "-"])
            .spawn()
            .expect("rstap starts");
        let script = child.stdin.take().expect("piped");
        Tracing { child, script }
    }

    /// Kills it at its n-th system call after it has begun to trace; `false` if it ended before that.
    fn kill_at(mut self, script: &str, n: u64) -> bool {
        let pid = self.child.id().cast_signed();
        for tid in status::threads(pid) {
            sys::seize(tid, libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE).expect("our child");
            sys::interrupt(tid).expect("it is ours");
        }
        self.script.write_all(script.as_bytes()).expect("it waits");
        drop(self.script);
        let (mut count, mut killed) = (0, false);
        while let Ok(Some((tid, status))) = sys::wait(-1, true) {
            match status {
                Status::Stopped(signal, event) => {
                    if event == 0 && signal == libc::SIGTRAP | 0x80 {
                        let begun = count > 0 || begins_to_trace(tid);
                        count += u64::from(begun);
                    }
                    if count == n && !killed {
                        sys::kill(pid, libc::SIGKILL);
                        killed = true;
                    }
                    let own = if event == 0 && signal & 0x80 == 0 { signal } else { 0 };
                    let _ = sys::resume(tid, Resume::ToSystemCall, own);
                }
                _ if tid == pid => break,
                _ => {}
            }
        }
        killed
    }

    /// Kills it when the program has been hit for a while, or is just being armed.
    fn kill_after(mut self, script: &str, turns: u64) {
        self.script.write_all(script.as_bytes()).expect("it waits");
        drop(self.script);
        let pid = self.child.id().cast_signed();
        let is_tracing = || status::threads(pid).len() > 1;
        while !is_tracing() && self.child.try_wait().expect("our child").is_none() {
            std::thread::yield_now();
        }
        for _ in 0..turns {
            std::hint::spin_loop();
        }
        self.child.kill().expect("our child");
        self.child.wait().expect("it ends");
    }
}

/// Whether a thread of rstap is in its first PTRACE_SEIZE.
fn begins_to_trace(tid: i32) -> bool {
    sys::registers(tid).is_ok_and(|r| {
        r.orig_rax == libc::SYS_ptrace.cast_unsigned() && r.rdi == u64::from(libc::PTRACE_SEIZE)
    })
}

fn survivor() -> PathBuf {
    let path = scratch().join("survivor");
    let source = root().join("runtime/host/tests/targets/survivor.c");
    let built = Command::new("cc")
        .args(["-O2", "-g", "-pthread", "-rdynamic", "-o"])
        .args([&path, &source])
        .status()
        .expect("cc is installed");
    assert!(built.success());
    path
}

fn stress(path: &Path, args: &str, short: u64, stride: u64) {
    let kills = std::env::var("RSTAP_KILLS").ok().and_then(|count| count.parse::<u64>().ok());
    let (wanted, stride) = (kills.unwrap_or(short), if kills.is_some() { 1 } else { stride });
    let script = format!(
        "global n\nprobe process(\"{0}\").function(\"step\"), process(\"{0}\").function(\"compute\"),\n\
         process(\"{0}\").function(\"deep\").return {{ if (n++ > 300) exit() }}\n",
        path.display()
    );
    let mut survivor = Survivor::start(path, args);
    let pid = survivor.pid().to_string();
    let text = survivor.text();
    let mut n = 1;
    for done in 1..=wanted {
        let tracing = Tracing::prepare(survivor.pid());
        if done % 3 == 0 {
            tracing.kill_after(&script, done * 2_654_435_761 % 1_000_000);
        } else if tracing.kill_at(&script, n) {
            n += stride;
        } else {
            // That was all of it; once more, at other moments.
            assert!(n > 100, "{n} system calls are not a session");
            n = 1 + done % 7;
        }
        survivor.must_be_alive(&format!("{args}: kill {done}, before system call {n}"));
    }
    println!("{args}: {wanted} kills, the last at system call {n}");
    // A thread may have been in what was to be removed.
    let mut said = String::new();
    for _ in 0..20 {
        let cleanup =
            Command::new(RSTAP).args(["-v", "--cleanup", "-x", &pid]).output().expect("rstap starts");
        said += &String::from_utf8_lossy(&cleanup.stderr);
        assert!(cleanup.status.success(), "{said}");
        survivor.must_be_alive("after the cleanup");
        if survivor.memory_of_ours().is_empty() {
            break;
        }
    }
    assert_eq!(survivor.memory_of_ours(), [""; 0], "{said}");
    for ((file, was), (_, is)) in text.iter().zip(survivor.text()) {
        let differs = was.iter().zip(&is).position(|(was, is)| was != is);
        assert_eq!(differs.map(|at| &is[at..(at + 16).min(is.len())]), None, "{file} {differs:x?}");
    }
    survivor.finish();
}

#[test]
fn a_program_survives_every_kill_of_an_injecting_rstap() {
    let path = survivor();
    stress(&path, "1", 8, 61);
    stress(&path, "8", 8, 83);
    stress(&path, "2 fork", 8, 97);
}
