//! A tracer killed at any moment leaves a target that goes on and computes what it should, and the next tracer finds
//! it as if nothing had been.
//!
//! A process of this very binary traces the target, and is itself traced here and killed before its n-th system call (a
//! change to the target is a system call), for numbers spread over all that a whole session makes: arming, being hit,
//! disarming. Each second kill comes at no particular moment instead. The long form is
//! `RSTAP_KILLS=1000 cargo test -p rstap-host --release --test survive -- --nocapture`.

mod support;
#[path = "support/survivor.rs"]
mod survivor;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rstap_host::backend::Verdict;
use rstap_host::backend::ptrace::sys::{self, Resume, Status};
use rstap_host::process::{maps, status};
use rstap_program::{CodeKind, ProcessFilter};
use support::{Maker, RAN, Target, build, existing, tracer};
use survivor::Survivor;

/// The variable that makes this binary a tracer: pid of the target, its path, that of the library.
const ROLE: &str = "RSTAP_TEST_TRACER";

/// A process that attaches to a target, lets it be hit for a while, and detaches.
struct Tracing {
    child: Child,
    gate: ChildStdin,
}

impl Tracing {
    fn prepare(survivor: &Survivor, target: &Target, library: &Target) -> Tracing {
        let role = format!("{} {} {}", survivor.pid(), target.path.display(), library.path.display());
        let mut child = Command::new(std::env::current_exe().expect("we are a file"))
            .args(["--exact", "tracer_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("we run");
        let gate = child.stdin.take().expect("piped");
        // It says so when it waits at its gate.
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.any(|line| line.expect("text").ends_with("at the gate")));
        // The rest of what it says is of no interest, but must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Tracing { child, gate }
    }

    /// Lets it run to its end; how many system calls it made.
    fn count(self) -> u64 {
        self.kill_at(u64::MAX).0
    }

    /// Kills it at its n-th system call; how many it made, and whether that came before its end.
    fn kill_at(mut self, n: u64) -> (u64, bool) {
        let open = || self.gate.write_all(b"\n").expect("it waits");
        survivor::kill_at(&self.child, n, open, |_| true)
    }

    /// Kills it at the first system call at which the time has come.
    fn kill_when(mut self, mut has_come: impl FnMut() -> bool) {
        let open = || self.gate.write_all(b"\n").expect("it waits");
        let (count, killed) = survivor::kill_when(&self.child, open, |_| true, |_| has_come());
        assert!(killed, "the time has not come in {count} system calls");
    }

    /// Kills it at no particular moment.
    fn kill_after(mut self, turns: u32) {
        self.gate.write_all(b"\n").expect("it waits");
        for _ in 0..turns {
            std::hint::spin_loop();
        }
        self.child.kill().expect("our child");
        self.child.wait().expect("it ends");
    }
}

/// Not a test, but what the processes of this binary do that are to be killed.
#[test]
fn tracer_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let (target, library) = (existing(words[1]), existing(words[2]));
    println!("at the gate");
    std::io::stdin().read_line(&mut String::new()).expect("the gate opens");
    trace(words[0].parse().expect("a pid"), &target, &library);
}

/// Attaches, is hit some times, detaches.
fn trace(pid: i32, target: &Target, library: &Target) {
    let mut maker = Maker::default();
    for symbol in ["step", "both", "deep"] {
        maker.code(target, symbol, CodeKind::Hit);
        maker.code(target, symbol, CodeKind::Return);
    }
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    maker.code_in(library, "library_call", CodeKind::Hit, filter);
    let mut left = 300;
    let (mut tracer, _control) = tracer(&maker.program, |_| {
        left -= 1;
        Verdict { end: left <= 0, ..RAN }
    });
    tracer.attach(pid, true).expect("it can be attached to");
    tracer.begin();
    tracer.run();
    tracer.detach_all();
    assert_eq!(tracer.target_end(), None);
}

/// Who comes next finds and removes all of it, but for memory that a thread is in just then.
fn is_given_back(survivor: &mut Survivor, target: &Target, library: &Target) {
    for _ in 0..20 {
        trace(survivor.pid(), target, library);
        survivor.must_be_alive("after the last");
        if survivor.memory_of_ours().is_empty() {
            break;
        }
    }
    assert_eq!(survivor.memory_of_ours(), [""; 0]);
}

/// Kills tracers of a target again and again, as often as this if nothing else is said.
fn stress(args: &str, short: u64) {
    let target = build("survivor.c", &["-rdynamic"]);
    let library = build("library.c", &["-shared", "-fPIC"]);
    let library_path: PathBuf = library.path.clone();
    let args = args.replace("LIBRARY", &library_path.display().to_string());
    let mut survivor = Survivor::start(&target.path, &args);
    let text = survivor.text();
    let wanted = std::env::var("RSTAP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(short);
    let whole = Tracing::prepare(&survivor, &target, &library).count();
    survivor.must_be_alive("after a whole session");
    let (mut done, mut late) = (0, 0);
    while done < wanted {
        let tracing = Tracing::prepare(&survivor, &target, &library);
        let mut when = "at no particular moment".to_owned();
        if done % 2 == 0 {
            // The golden ratio spreads them evenly however many there are.
            let spread = (done / 2 + late).wrapping_mul(11_400_714_819_323_198_485);
            let n = 1 + ((u128::from(spread) * u128::from(whole)) >> 64) as u64;
            when = format!("before system call {n} of {whole}");
            if !tracing.kill_at(n).1 {
                // This session was shorter than the first one.
                late += 1;
                assert!(late < 100 + wanted, "sessions of {whole} system calls are rare");
                continue;
            }
        } else {
            tracing.kill_after((done * 2_654_435_761 % 1_000_000) as u32);
        }
        done += 1;
        survivor.must_be_alive(&format!("kill {done}, {when}"));
    }
    println!("{args}: {done} kills, in sessions of some {whole} system calls");
    is_given_back(&mut survivor, &target, &library);
    survivor.must_have_text(&text);
    survivor.finish();
}

/// The memory for breakpoints of a tracer that died before its handler was in force is removed, and the descriptor that
/// it had open as well, also if the next one dies just when it has closed that.
#[test]
fn what_a_tracer_has_begun_is_removed() {
    let target = build("survivor.c", &["-rdynamic"]);
    let library = build("library.c", &["-shared", "-fPIC"]);
    let mut survivor = Survivor::start(&target.path, "1 trap");
    let prepare = |survivor: &Survivor| Tracing::prepare(survivor, &target, &library);
    prepare(&survivor).kill_when(|| survivor.memory_of_ours().len() == 2);
    survivor.must_be_alive("memory mapped");
    let descriptors = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", survivor.pid())).expect("it lives").flatten();
        let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        names.filter(|name| name.to_string_lossy().contains("rstap")).count()
    };
    assert_ne!(descriptors(), 0);
    prepare(&survivor).kill_when(|| descriptors() == 0);
    survivor.must_be_alive("descriptor closed");
    trace(survivor.pid(), &target, &library);
    survivor.must_be_alive("in the end");
    assert_eq!(survivor.memory_of_ours(), [""; 0]);
    survivor.finish();
}

/// A thread that is stopped on its way back from a system call that a tracer had it make comes back, whatever later
/// tracers remove or have it do, and wherever they die.
#[test]
fn a_stopped_thread_comes_back_from_what_tracers_had_it_do() {
    let target = build("survivor.c", &["-rdynamic"]);
    let library = build("library.c", &["-shared", "-fPIC"]);
    // With one thread there is no choice which one makes the call.
    let mut survivor = Survivor::start(&target.path, "0");
    survivor.must_be_alive("at first");
    let prepare = |survivor: &Survivor| Tracing::prepare(survivor, &target, &library);
    sys::kill(survivor.pid(), libc::SIGSTOP);
    while status::state(survivor.pid()) != Some('T') {
        std::thread::yield_now();
    }
    // The memory for the handler; its removal; that memory and slots.
    for mappings in [2, 0, 3] {
        prepare(&survivor).kill_when(|| survivor.memory_of_ours().len() == mappings);
    }
    sys::kill(survivor.pid(), libc::SIGCONT);
    survivor.must_be_alive("afterwards");
    let (mut tracer, _control) = tracer(&Maker::default().program, |_| RAN);
    assert_eq!(tracer.clean(survivor.pid()).expect("it can be attached to").sessions, 1);
    survivor.must_be_alive("in the end");
    assert_eq!(survivor.memory_of_ours(), [""; 0]);
    survivor.finish();
}

/// Whoever blocks SIGTRAP, and however, meets the breakpoints of a dead tracer unharmed.
fn blocking_trap(how: &str, flags: &[&str]) {
    let target = build("survivor.c", flags);
    let library = build("library.c", &["-shared", "-fPIC"]);
    let mut survivor = Survivor::start(&target.path, &format!("0 {how}"));
    survivor.must_be_alive("at first");
    let text = survivor.text();
    let step = maps::read(survivor.pid()).expect("it lives")[0].start + target.offset("step").0;
    let memory = File::open(format!("/proc/{}/mem", survivor.pid())).expect("our child");
    let is_planted = || {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, step).is_ok() && byte == [0xcc]
    };
    Tracing::prepare(&survivor, &target, &library).kill_when(is_planted);
    assert!(is_planted());
    for _ in 0..3 {
        survivor.must_be_alive("with breakpoints of a dead tracer");
    }
    assert!(is_planted());
    is_given_back(&mut survivor, &target, &library);
    survivor.must_have_text(&text);
    survivor.finish();
}

#[test]
fn threads_that_block_all_signals_survive() {
    blocking_trap("masking", &[]);
    blocking_trap("masking", &["-static"]);
    blocking_trap("masked", &[]);
}

#[test]
fn handlers_that_block_all_signals_survive() {
    blocking_trap("handled", &[]);
    blocking_trap("handled", &["-static"]);
}

#[test]
fn threads_and_children_that_begin_with_all_signals_blocked_survive() {
    blocking_trap("bequeathing", &[]);
    blocking_trap("masked_family", &[]);
}

/// Debug registers stay set when who set them has died: what they watch is written all the same.
#[test]
fn a_thread_watched_by_a_dead_tracer_goes_on() {
    const CONTROL: usize = 7;
    /// The first register is enabled, for writes of eight bytes.
    const WRITES: u64 = 1 | 0b1001 << 16;
    let target = build("survivor.c", &["-rdynamic"]);
    let library = build("library.c", &["-shared", "-fPIC"]);
    let mut survivor = Survivor::start(&target.path, "1");
    let base = maps::read(survivor.pid()).expect("it lives")[0].start;
    Tracing::prepare(&survivor, &target, &library).kill_when(|| survivor.memory_of_ours().len() == 3);
    let done = base + target.offset("workers").0;
    let worker = status::threads(survivor.pid()).into_iter().max().expect("it has threads");
    let hold = || {
        sys::seize(worker, 0).and_then(|()| sys::interrupt(worker)).expect("nobody traces it");
        sys::wait(worker, true).expect("it stops");
    };
    // The end of a thread ends its tracing as its death does.
    let in_a_tracer = |work: &(dyn Fn() + Sync)| std::thread::scope(|scope| drop(scope.spawn(work)));
    in_a_tracer(&|| {
        hold();
        sys::set_debug_register(worker, 0, done).expect("it can be watched");
        sys::set_debug_register(worker, CONTROL, WRITES).expect("it can be watched");
        sys::resume(worker, Resume::Run, 0).expect("it is stopped");
        let news = sys::wait(worker, true).expect("it is watched");
        assert_eq!(news, Some((worker, Status::Stopped(libc::SIGTRAP, 0))));
        assert_eq!(sys::signal_info(worker).map(|info| info.code()), Ok(libc::TRAP_HWBKPT));
        sys::resume(worker, Resume::Run, 0).expect("it is stopped");
    });
    survivor.must_be_alive("watched");
    in_a_tracer(&|| {
        hold();
        assert_eq!(sys::debug_register(worker, 0), Ok(done));
        assert_ne!(sys::debug_register(worker, CONTROL).map(|value| value & 1), Ok(0));
    });
    survivor.must_be_alive("in the end");
    survivor.finish();
}

#[test]
fn a_computing_thread_survives_every_kill() {
    stress("1", 12);
}

#[test]
fn sixteen_threads_survive_every_kill() {
    stress("16", 8);
}

#[test]
fn children_libraries_and_own_traps_survive_every_kill() {
    stress("2 fork trap LIBRARY", 16);
}
