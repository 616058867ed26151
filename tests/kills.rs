//! An rstap killed at any moment while it injects leaves a program that goes on and computes what it should; whoever comes
//! next, or `--cleanup`, removes what is left.
//!
//! The moments are exact: rstap is traced here and killed at its n-th system call after it has first reached for the
//! program, for each n in a row in the long form (`RSTAP_KILLS=1000 cargo test --release --test kills -- --nocapture`),
//! until there are no more, again and again; in the short one for some of them. Some kills come at no particular moment.
//! The ptrace backend's own is `runtime/host/tests/survive.rs`, with the same program.

mod support;
#[path = "../runtime/host/tests/support/survivor.rs"]
mod survivor;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rstap_host::backend::ptrace::sys;
use rstap_host::process::status;
use support::{RSTAP, root, scratch};
use survivor::Survivor;

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
    fn kill_at(self, script: &str, n: u64) -> bool {
        let Tracing { child, script: mut to } = self;
        let open = move || to.write_all(script.as_bytes()).expect("it waits");
        survivor::kill_at(&child, n, open, begins_to_trace).1
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

fn build() -> PathBuf {
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
        // A handler that is called at once, and one that is not.
        "global n, steps\nprobe process(\"{0}\").function(\"step\") {{ steps++ }}\n\
         probe process(\"{0}\").function(\"compute\"), process(\"{0}\").function(\"deep\").return {{\n\
         if (n++ > 300) exit() }}\n",
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
    survivor.must_have_text(&text);
    survivor.finish();
}

#[test]
fn a_program_survives_every_kill_of_an_injecting_rstap() {
    let path = build();
    stress(&path, "1", 8, 61);
    stress(&path, "8", 8, 83);
    stress(&path, "2 fork", 8, 97);
}
