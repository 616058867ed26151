//! Whole sessions: order of events, errors, ends, exit status. Each runs in a process of its own (this test binary
//! again), because a session writes to standard output and takes signals.

mod support;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rstap_host::{Options, Session, Target};
use rstap_program::{CodeKind, Point, ProcessEvent};
use support::image::{Op, image};
use support::{Maker, build};

/// Runs one of [`SCENARIOS`] in a process of its own.
fn run(scenario: &str, argument: &str) -> Output {
    command(scenario, argument).output().expect("the test binary runs")
}

fn command(scenario: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("there is a test binary"));
    command.env("RSTAP_SCENARIO", scenario).env("RSTAP_ARGUMENT", argument);
    command
}

/// What the session wrote.
fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const TESTS: &[(&str, fn())] = &[
    ("events_come_in_order", events_come_in_order),
    ("exit_in_begin_lets_the_command_never_run", exit_in_begin_lets_the_command_never_run),
    ("an_error_ends_the_session", an_error_ends_the_session),
    (
        "an_error_in_the_target_ends_the_session_and_warnings_come_once",
        an_error_in_the_target_ends_the_session_and_warnings_come_once,
    ),
    (
        "a_crash_in_a_handler_is_an_error_and_the_target_goes_on",
        a_crash_in_a_handler_is_an_error_and_the_target_goes_on,
    ),
    ("timers_run_and_exit", timers_run_and_exit),
    ("a_timeout_ends_the_session", a_timeout_ends_the_session),
    ("the_commands_end_is_told", the_commands_end_is_told),
    ("what_cannot_be_attached_to_is_explained", what_cannot_be_attached_to_is_explained),
    (
        "signals_end_a_session_and_leave_the_target_unharmed",
        signals_end_a_session_and_leave_the_target_unharmed,
    ),
    ("a_closed_reader_ends_the_session", a_closed_reader_ends_the_session),
    ("without_a_target_new_processes_are_found", without_a_target_new_processes_are_found),
    ("a_profile_samples_running_threads", a_profile_samples_running_threads),
];

fn main() {
    if let Ok(scenario) = std::env::var("RSTAP_SCENARIO") {
        play(&scenario, &std::env::var("RSTAP_ARGUMENT").unwrap_or_default());
    }
    let trial = |(name, test): &(&'static str, fn())| {
        let test = *test;
        libtest_mimic::Trial::test(*name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), TESTS.iter().map(trial).collect()).exit();
}

/// The process that [`run`] starts: one session, on its only thread, so that signals find nobody else.
fn play(scenario: &str, argument: &str) -> ! {
    let (_, make) = SCENARIOS.iter().find(|(name, _)| *name == scenario).expect("a known scenario");
    let mut script = Script::default();
    make(&mut script, argument);
    script.maker.program.image = image(&script.handlers);
    script.maker.program.arena.size = 64;
    let status = match Session::new(script.maker.program, script.options).and_then(Session::run) {
        Ok(outcome) => outcome.status,
        Err(error) => {
            eprintln!("ERROR: {error}");
            2
        }
    };
    std::process::exit(status);
}

#[derive(Default)]
struct Script {
    maker: Maker,
    handlers: Vec<Vec<Op>>,
    options: Options,
}

impl Script {
    fn probe(&mut self, point: Point, ops: Vec<Op>) {
        self.maker.probe(point);
        self.handlers.push(ops);
    }
}

type Scenario = (&'static str, fn(&mut Script, &str));

const SCENARIOS: &[Scenario] = &[
    ("order", |script, path| {
        script.probe(Point::End(1), vec![Op::Print("end(1)\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.probe(Point::Begin(1), vec![Op::Print("begin(1)\n")]);
        script.probe(Point::Begin(0), vec![Op::Print("begin\n")]);
        script.probe(Point::Begin(-1), vec![Op::Print("begin(-1)\n")]);
        script.probe(Point::Error(0), vec![Op::Print("error\n")]);
        let target = support::existing(path);
        script.maker.event(&target, ProcessEvent::End);
        script.handlers.push(vec![Op::Print("process.end\n")]);
        script.maker.event(&target, ProcessEvent::Begin);
        script.handlers.push(vec![Op::Print("process.begin\n")]);
        script.maker.code(&target, "main", CodeKind::Hit);
        script.handlers.push(vec![Op::Print("main\n")]);
        script.maker.code(&target, "main", CodeKind::Return);
        script.handlers.push(vec![Op::Print("main.return\n")]);
        script.options.target = Target::Command(format!("{path} > /dev/null"));
    }),
    ("exit in begin", |script, path| {
        script.probe(Point::Begin(0), vec![Op::Print("a\n"), Op::Exit]);
        script.probe(Point::Begin(0), vec![Op::Print("b same number\n")]);
        script.probe(Point::Begin(1), vec![Op::Print("c later\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.maker.code(&support::existing(path), "main", CodeKind::Hit);
        script.handlers.push(vec![Op::Print("main\n")]);
        script.options.target = Target::Command(path.to_owned());
    }),
    ("error", |script, _| {
        script.probe(Point::Begin(0), vec![Op::Print("one\n"), Op::Raise("the reason"), Op::Print("two\n")]);
        script.probe(Point::Begin(1), vec![Op::Print("second begin\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.probe(Point::Error(0), vec![Op::Print("error probe\n")]);
    }),
    ("crash", |script, path| {
        script.maker.code(&support::existing(path), "main", CodeKind::Hit);
        script.handlers.push(vec![Op::Print("before\n"), Op::Crash, Op::Print("not here\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.probe(Point::Error(0), vec![Op::Print("error probe\n")]);
        script.options.target = Target::Command(format!("{path} > /dev/null"));
        script.maker.program.limits.max_errors = 10;
    }),
    ("error in target", |script, path| {
        script.maker.code(&support::existing(path), "main", CodeKind::Hit);
        script.handlers.push(vec![Op::Warn("careful"), Op::Warn("careful"), Op::Raise("my text")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.probe(Point::Error(0), vec![Op::Print("error probe\n")]);
        script.options.target = Target::Command(format!("{path} > /dev/null"));
    }),
    ("timer exit", |script, _| {
        script.probe(Point::Begin(0), vec![Op::Print("begin\n")]);
        let timer = |ms: u64| Point::Timer { period_ns: ms * 1_000_000, randomize_ns: 0 };
        script.probe(timer(30), vec![Op::Print("30\n")]);
        script.probe(timer(50), vec![Op::Print("50\n"), Op::Exit]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
    }),
    ("timeout", |script, _| {
        script.probe(Point::Begin(0), vec![Op::Print("begin\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.options.timeout = Some(Duration::from_millis(100));
    }),
    ("command", |script, command| {
        script.probe(Point::Begin(0), vec![Op::Print("begin\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.options.target = Target::Command(command.to_owned());
    }),
    ("attach", |script, pid| {
        script.probe(Point::Begin(0), vec![Op::Print("begin\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
        script.options.target = Target::Pid(pid.parse().expect("a number"));
    }),
    ("many lines", |script, _| {
        let period_ns = 1_000;
        script.probe(Point::Timer { period_ns, randomize_ns: 0 }, vec![Op::Print("a line of output\n")]);
        script.probe(Point::End(0), vec![Op::Print("end\n")]);
    }),
    ("everywhere", |script, path| {
        script.maker.code(&support::existing(path), "work", CodeKind::Hit);
        script.handlers.push(vec![Op::Print("hit\n"), Op::Exit]);
        script.options.verbose = 1;
    }),
    ("profile", |script, path| {
        script.probe(Point::Profile { hz: 200 }, vec![Op::Print("sample\n"), Op::Exit]);
        script.options.target = Target::Command(format!("{path} 2 2000000000"));
        script.options.timeout = Some(Duration::from_secs(10));
    }),
];

fn events_come_in_order() {
    let target = build("count.c", &[]);
    let output = run("order", target.path.to_str().expect("a plain path"));
    let wanted = "begin(-1)\nbegin\nbegin(1)\nprocess.begin\nmain\nmain.return\nprocess.end\nend\nend(1)\n";
    assert_eq!((out(&output).as_str(), err(&output).as_str()), (wanted, ""));
    assert_eq!(output.status.code(), Some(0));
}

fn exit_in_begin_lets_the_command_never_run() {
    let target = build("count.c", &[]);
    let output = run("exit in begin", target.path.to_str().expect("a plain path"));
    assert_eq!((out(&output).as_str(), err(&output).as_str()), ("a\nb same number\nend\n", ""));
    assert_eq!(output.status.code(), Some(0));
}

fn an_error_ends_the_session() {
    let output = run("error", "");
    assert_eq!(out(&output), "one\nerror probe\n");
    assert_eq!(err(&output), "ERROR: the reason\nWARNING: Number of errors: 1, skipped probes: 0\n");
    assert_eq!(output.status.code(), Some(1));
}

fn an_error_in_the_target_ends_the_session_and_warnings_come_once() {
    let target = build("count.c", &[]);
    let output = run("error in target", target.path.to_str().expect("a plain path"));
    assert_eq!(out(&output), "error probe\n");
    let wanted = "WARNING: careful\nERROR: my text\nWARNING: Number of errors: 1, skipped probes: 0\n";
    assert_eq!(err(&output), wanted);
    assert_eq!(output.status.code(), Some(1));
}

fn a_crash_in_a_handler_is_an_error_and_the_target_goes_on() {
    let target = build("count.c", &[]);
    let output = run("crash", target.path.to_str().expect("a plain path"));
    assert_eq!(out(&output), "before\nend\n");
    let wanted = "ERROR: the handler's code crashed, please report this bug of rstap\n\
                  WARNING: Number of errors: 1, skipped probes: 0\n";
    assert_eq!(err(&output), wanted);
    assert_eq!(output.status.code(), Some(1));
}

fn timers_run_and_exit() {
    let output = run("timer exit", "");
    assert_eq!(out(&output), "begin\n30\n50\nend\n");
    assert_eq!(output.status.code(), Some(0));
}

fn a_timeout_ends_the_session() {
    let output = run("timeout", "");
    assert_eq!(out(&output), "begin\nend\n");
    assert_eq!(output.status.code(), Some(0));
}

fn the_commands_end_is_told() {
    for (command, wanted, status) in [
        ("true", "", 0),
        ("sh -c 'exit 5'", "WARNING: Child process exited with status 5\n", 1),
        ("sh -c 'kill -TERM $$'", "WARNING: Child process exited with signal 15 (Terminated)\n", 1),
        (
            "./nosuchcommand",
            "./nosuchcommand: No such file or directory\nWARNING: Child process exited with status 127\n",
            1,
        ),
    ] {
        let output = run("command", command);
        assert_eq!((out(&output).as_str(), err(&output).as_str()), ("begin\nend\n", wanted), "{command}");
        assert_eq!(output.status.code(), Some(status), "{command}");
    }
}

fn what_cannot_be_attached_to_is_explained() {
    let output = run("attach", "999999999");
    assert_eq!(err(&output), "ERROR: cannot attach: there is no process 999999999\n");
    assert_eq!(output.status.code(), Some(2));

    let mut traced = Command::new("sleep").arg("20").spawn().expect("sleep runs");
    let pid = traced.id().to_string();
    let mut first = command("attach", &pid).stdout(Stdio::piped()).spawn().expect("it runs");
    let tracer = || rstap_host::process::Status::read(pid.parse().expect("a number")).map(|s| s.tracer);
    while tracer() == Some(0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = run("attach", &pid);
    assert!(err(&output).contains("already traced by process"), "{}", err(&output));
    // The session of a process that ends, ends.
    traced.kill().expect("it runs");
    traced.wait().expect("it ended");
    assert!(first.wait().expect("it ran").success());
}

fn signals_end_a_session_and_leave_the_target_unharmed() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut target = Command::new("sleep").arg("20").spawn().expect("sleep runs");
        let pid = target.id().to_string();
        let child = command("attach", &pid).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("it runs");
        let status = || rstap_host::process::Status::read(pid.parse().expect("a number")).expect("alive");
        while status().tracer == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        rstap_host::backend::ptrace::sys::kill(child.id() as i32, signal);
        let output = child.wait_with_output().expect("it ran");
        assert_eq!((out(&output).as_str(), err(&output).as_str()), ("begin\nend\n", ""));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!((status().tracer, target.try_wait().expect("ours")), (0, None));
        target.kill().expect("it runs");
        target.wait().expect("it ended");
    }
}

fn a_closed_reader_ends_the_session() {
    let mut child =
        command("many lines", "").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ran");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!((err(&output).as_str(), output.status.code()), ("", Some(0)));
}

fn without_a_target_new_processes_are_found() {
    let target = build("count.c", &[]);
    let path = target.path.to_str().expect("a plain path");
    let child = command("everywhere", path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    let begin = Instant::now();
    while child.try_wait().expect("ours").is_none() && begin.elapsed() < Duration::from_secs(20) {
        assert_eq!(target.run("1 300000"), target.run("1 300000"));
    }
    let output = child.wait_with_output().expect("it ran");
    assert_eq!(out(&output), "hit\n", "{}", err(&output));
    assert!(err(&output).contains("new processes are"), "{}", err(&output));
}

fn a_profile_samples_running_threads() {
    let target = build("count.c", &[]);
    let output = run("profile", target.path.to_str().expect("a plain path"));
    assert!(out(&output).starts_with("sample\n"), "{} {}", out(&output), err(&output));
}
