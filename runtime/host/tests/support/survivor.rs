//! `targets/survivor.c`, a program that checks itself all the time, and the killing of whoever traces it at an exact
//! system call. Knows nothing of what does the tracing: `survive.rs` kills the ptrace backend, the root package's
//! `tests/kills.rs` an rstap that injects.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rstap_host::backend::ptrace::sys::{self, Resume, Status};
use rstap_host::process::{maps, status};

/// A `survivor` that has started its threads.
pub struct Survivor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// The file-backed text of a program, by file.
pub type Text = Vec<(String, Vec<u8>)>;

impl Survivor {
    pub fn start(path: &Path, args: &str) -> Survivor {
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

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits until each thread has done something more.
    pub fn must_be_alive(&mut self, when: &str) {
        let asked = self.to.write_all(b"\n");
        let line = self.line();
        if asked.is_err() || line != "alive\n" {
            panic!("{when}: it said {line:?} and ended with {:?}", self.child.wait());
        }
    }

    /// All its text, but that of a library that comes and goes.
    pub fn text(&self) -> Text {
        let memory = File::open(format!("/proc/{}/mem", self.pid())).expect("our child");
        let mappings = maps::read(self.pid()).expect("it lives");
        let text = mappings.iter().filter(|m| m.executable && m.is_file() && !m.path.contains("library-"));
        text.map(|m| {
            let mut bytes = vec![0; (m.end - m.start) as usize];
            memory.read_exact_at(&mut bytes, m.start).expect("text is readable");
            (m.path.clone(), bytes)
        })
        .collect()
    }

    pub fn must_have_text(&self, before: &Text) {
        for ((path, was), (_, is)) in before.iter().zip(self.text()) {
            let differs = was.iter().zip(&is).position(|(was, is)| was != is);
            assert_eq!(differs.map(|at| &is[at..(at + 16).min(is.len())]), None, "{path} {differs:x?}");
        }
    }

    /// Mappings that an rstap left which has our name on them: arenas and the memory for breakpoints.
    pub fn memory_of_ours(&self) -> Vec<String> {
        let mappings = maps::read(self.pid()).expect("it lives");
        mappings.into_iter().map(|m| m.path).filter(|path| path.contains("rstap")).collect()
    }

    pub fn finish(self) {
        let Survivor { mut child, to, mut from } = self;
        drop(to);
        let mut rest = String::new();
        from.read_to_string(&mut rest).expect("it writes");
        let ended = child.wait().expect("it ends");
        assert!(ended.success() && rest == "right\n", "{ended:?} {rest}");
    }
}

/// Opens the gate at which a child of ours waits and kills the child at its n-th system call, of those from the first
/// on that is `begun` by the thread; how many it made, and whether that came before its end.
pub fn kill_at(child: &Child, n: u64, open: impl FnOnce(), begun: impl Fn(i32) -> bool) -> (u64, bool) {
    kill_when(child, open, begun, |count| count == n)
}

/// The same at the first system call at which the time has come.
pub fn kill_when(
    child: &Child,
    open: impl FnOnce(),
    begun: impl Fn(i32) -> bool,
    mut has_come: impl FnMut(u64) -> bool,
) -> (u64, bool) {
    let pid = child.id().cast_signed();
    for tid in status::threads(pid) {
        sys::seize(tid, libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE).expect("our child");
        sys::interrupt(tid).expect("it is ours");
    }
    open();
    let (mut count, mut killed) = (0, false);
    while let Ok(Some((tid, status))) = sys::wait(-1, true) {
        match status {
            Status::Stopped(signal, event) => {
                if event == 0 && signal == libc::SIGTRAP | 0x80 && (count > 0 || begun(tid)) {
                    count += 1;
                }
                if !killed && has_come(count) {
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
    (count, killed)
}
