//! Attaching to a busy program and leaving it, again and again: it must never notice.
//!
//! The long form is `RSTAP_CYCLES=10000 cargo test -p rstap-host --release --test attach cycles -- --nocapture`.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rstap_host::process::access::AccessError;
use rstap_host::process::{Handle, Status, maps};
use rstap_program::CodeKind;
use support::{Maker, RAN, Target, build, tracer};

/// A `busy` target that has started its threads.
struct Busy(Child, BufReader<std::process::ChildStdout>);

impl Busy {
    fn start(target: &Target, threads: u32) -> Busy {
        let mut child = Command::new(&target.path)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it says it is ready");
        assert_eq!(line, "ready\n");
        Busy(child, lines)
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// All its file-backed text.
    fn text(&self) -> Vec<(u64, Vec<u8>)> {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.pid())).expect("our child");
        let mappings = maps::read(self.pid()).expect("it lives");
        mappings
            .iter()
            .filter(|m| m.executable && m.is_file())
            .map(|m| {
                let mut bytes = vec![0; (m.end - m.start) as usize];
                memory.read_exact_at(&mut bytes, m.start).expect("text is readable");
                (m.start, bytes)
            })
            .collect()
    }

    fn executable_mappings(&self) -> usize {
        maps::read(self.pid()).expect("it lives").iter().filter(|m| m.executable).count()
    }

    /// Ends it; whether it computed what it should have.
    fn finish(mut self) {
        self.0.stdin.take().expect("piped").write_all(b"\n").expect("it reads");
        let mut rest = String::new();
        self.1.read_to_string(&mut rest).expect("it writes");
        let status = self.0.wait().expect("it ends");
        assert!(status.success(), "{status:?} {rest}");
        assert_eq!(rest, "right\n");
    }
}

#[test]
fn cycles_of_attaching_and_leaving_leave_no_trace() {
    let cycles: u32 = std::env::var("RSTAP_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let target = build("busy.c", &[]);
    let busy = Busy::start(&target, 8);
    let (text, mappings) = (busy.text(), busy.executable_mappings());
    let mut maker = Maker::default();
    maker.code(&target, "step", CodeKind::Hit);
    maker.code(&target, "both", CodeKind::Hit);
    maker.code(&target, "step", CodeKind::Return);
    let begin = Instant::now();
    let mut hits = 0;
    for round in 0..cycles {
        let mut left = 20 + i64::from(round) % 7 * 10;
        let (mut tracer, _control) = tracer(&maker.program, |_| {
            left -= 1;
            hits += 1;
            rstap_host::backend::Verdict { end: left <= 0, ..RAN }
        });
        tracer.attach(busy.pid(), true).expect("it can be attached to");
        tracer.begin();
        tracer.run();
        tracer.detach_all();
        assert_eq!(tracer.target_end(), None);
        drop(tracer);
        if round % 10 == 0 {
            assert!(busy.text() == text, "text is not what it was after round {round}");
            assert_eq!(busy.executable_mappings(), mappings);
        }
    }
    println!("{cycles} cycles, {hits} hits: {:?}", begin.elapsed());
    assert!(busy.text() == text);
    assert_eq!(busy.executable_mappings(), mappings, "slot memory is unmapped");
    busy.finish();
}

#[test]
fn leaving_without_a_single_hit_is_as_harmless() {
    let target = build("busy.c", &["-O0"]);
    let busy = Busy::start(&target, 8);
    let text = busy.text();
    let mut maker = Maker::default();
    for symbol in ["step", "both", "main", "plain"] {
        maker.code(&target, symbol, CodeKind::Hit);
        maker.code(&target, symbol, CodeKind::Return);
    }
    for _ in 0..50 {
        let (mut tracer, control) = tracer(&maker.program, |_| RAN);
        tracer.attach(busy.pid(), true).expect("it can be attached to");
        control.stop();
        tracer.begin();
        tracer.run();
        tracer.detach_all();
    }
    assert!(busy.text() == text);
    busy.finish();
}

#[test]
fn a_stopped_program_stays_stopped_and_goes_on_when_told() {
    let target = build("busy.c", &[]);
    let busy = Busy::start(&target, 2);
    let state = |pid| rstap_host::process::status::state(pid);
    let kill = rstap_host::backend::ptrace::sys::kill;
    kill(busy.pid(), libc::SIGSTOP);
    while state(busy.pid()) != Some('T') {
        std::thread::yield_now();
    }
    let mut maker = Maker::default();
    maker.code(&target, "step", CodeKind::Hit);
    let mut left = 100;
    let pid = busy.pid();
    let (mut tracer, control) = tracer(&maker.program, |_| {
        left -= 1;
        if left == 50 {
            kill(pid, libc::SIGSTOP);
            std::thread::spawn(move || {
                while !rstap_host::process::status::threads(pid).iter().all(|t| state(*t) == Some('t')) {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(20));
                kill(pid, libc::SIGCONT);
            });
        }
        rstap_host::backend::Verdict { end: left == 0, ..RAN }
    });
    tracer.attach(pid, true).expect("a stopped process can be attached to");
    tracer.begin();
    // While it is stopped nothing is hit.
    let waker = control.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        kill(pid, libc::SIGCONT);
        drop(waker);
    });
    tracer.run();
    tracer.detach_all();
    drop(tracer);
    assert_eq!(left, 0);
    busy.finish();
}

#[test]
fn a_stopped_program_that_is_left_is_still_stopped() {
    let target = build("busy.c", &[]);
    let busy = Busy::start(&target, 2);
    let state = |pid| rstap_host::process::status::state(pid);
    let kill = rstap_host::backend::ptrace::sys::kill;
    kill(busy.pid(), libc::SIGSTOP);
    while state(busy.pid()) != Some('T') {
        std::thread::yield_now();
    }
    let mut maker = Maker::default();
    maker.code(&target, "step", CodeKind::Hit);
    let (mut tracer, control) = tracer(&maker.program, |_| RAN);
    tracer.attach(busy.pid(), true).expect("a stopped process can be attached to");
    tracer.begin();
    control.stop();
    tracer.run();
    tracer.detach_all();
    drop(tracer);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(state(busy.pid()), Some('T'));
    kill(busy.pid(), libc::SIGCONT);
    busy.finish();
}

#[test]
fn a_process_number_that_was_used_again_is_noticed() {
    let target = build("busy.c", &[]);
    let first = Busy::start(&target, 1);
    let pid = first.pid();
    let handle = Handle::open(pid).expect("it runs");
    first.finish();
    // As root, a number can be chosen.
    let Some(second) = Second::start(pid) else { return };
    let mut maker = Maker::default();
    maker.code(&target, "step", CodeKind::Hit);
    let (mut tracer, _control) = tracer(&maker.program, |_| RAN);
    let refused = tracer.attach_to(pid, Some(&handle), true);
    assert_eq!(refused, Err(AccessError::NoSuchProcess { pid }));
    assert_eq!(Status::read(second.0).map(|status| status.tracer), Some(0), "it is let go");
}

/// A child with a number that was another one's.
struct Second(i32);

impl Second {
    fn start(pid: i32) -> Option<Second> {
        let number = [pid];
        // struct clone_args: exit signal, set_tid and its size; all else 0.
        let arguments: [u64; 11] = [0, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, number.as_ptr() as u64, 1, 0];
        // SAFETY: a fork; the child makes system calls only, until it is killed.
        let new = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
        if new == 0 {
            loop {
                // SAFETY: no arguments.
                unsafe { libc::pause() };
            }
        }
        (new == i64::from(pid)).then_some(Second(pid))
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // SAFETY: a child of ours that was not waited for, and no place for its status.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}
