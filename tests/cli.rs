//! rstap as a command: what it says and does when something outside the script is not as it should be.
//!
//! What one script prints is in `tests/golden`; here are the cases that need more than a script and a program.

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::{Outcome, Plan, Server, Status, run};
use support::{RSTAP, root, scratch, targets};

fn rstap(args: &[&str], plan: &Plan) -> Outcome {
    let mut command = Command::new(RSTAP);
    command.args(args).current_dir(programs()).env("LC_ALL", "C");
    run(&mut command, plan).expect("rstap can be run")
}

/// The folder of the built programs of tests/targets.
fn programs() -> PathBuf {
    targets::build_folder(&root().join("tests/targets")).expect("the targets compile")
}

fn stderr(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stderr).into_owned()
}

fn stdout(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

/// The run fails with status 1 and one message that has all of `parts`; it does not panic.
fn assert_fails(args: &[&str], parts: &[&str]) {
    let outcome = rstap(args, &Plan::default());
    let text = stderr(&outcome);
    assert_eq!(outcome.status, Status::Exited(1), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{args:?}: `{part}` expected in\n{text}");
    }
}

fn write_script(name: &str, bytes: &[u8]) -> String {
    let path = scratch().join(name);
    fs::write(&path, bytes).expect("the scratch folder can be written");
    path.to_str().expect("its path is UTF-8").to_owned()
}

#[test]
fn version_and_help_are_on_standard_output() {
    for (option, part) in [("-V", "rstap"), ("--version", "rstap"), ("-h", "-x"), ("--help", "-x")] {
        let outcome = rstap(&[option], &Plan::default());
        assert!(outcome.status.is_success(), "{option}: {}", stderr(&outcome));
        assert!(stdout(&outcome).contains(part), "{option}: {}", stdout(&outcome));
    }
}

#[test]
fn no_script_is_an_error_that_says_how_to_give_one() {
    assert_fails(&[], &["-e"]);
}

#[test]
fn unknown_option_is_named() {
    assert_fails(&["--no-such-option", "-e", "probe begin { exit() }"], &["--no-such-option"]);
}

#[test]
fn options_that_only_systemtap_has_are_refused_with_what_works_instead() {
    for (option, instead) in
        [("--monitor=2", "ansi_clear_screen"), ("-i", "one by one"), ("--remote", "ssh HOST")]
    {
        assert_fails(&[option, "-e", "probe begin { exit() }"], &["rstap has no option", instead]);
    }
}

#[test]
fn the_library_can_be_listed() {
    for (option, line) in [
        ("--dump-functions", "strlen:long (s:string)"),
        ("--dump-probe-types", "process(string).function(string).return"),
        ("--dump-probe-aliases", "oneshot += begin"),
    ] {
        let outcome = rstap(&[option], &Plan::default());
        assert!(outcome.status.is_success(), "{option}: {}", stderr(&outcome));
        assert!(stdout(&outcome).lines().any(|shown| shown == line), "{option}: {}", stdout(&outcome));
    }
}

#[test]
fn timing_reports_every_probe_that_was_hit() {
    let script = "probe begin { exit() } probe end { println(1) } probe error { println(2) }";
    let outcome = rstap(&["-t", "-e", script], &Plan::default());
    let text = stdout(&outcome);
    let lines: Vec<&str> = text.lines().collect();
    let [one, head, begin, end] = lines[..] else { panic!("{text}") };
    assert_eq!((one, head.trim_end()), ("1", "----- probe hit report:"));
    assert!(begin.starts_with("begin, (<input>:1:7), hits: 1, cycles: "), "{begin}");
    assert!(begin.ends_with("max, variance: 0, from: begin, index: 0"), "{begin}");
    assert!(end.starts_with("end, (<input>:1:30), hits: 1, cycles: "), "{end}");
}

#[test]
fn verbosity_can_be_given_for_a_pass() {
    let outcome = rstap(&["--vp", "01", "-p4", "-e", "probe begin { exit() }"], &Plan::default());
    let text = stderr(&outcome);
    assert!(text.contains("Pass 2: ") && !text.contains("Pass 1: "), "{text}");
    assert_fails(&["--vp", "1x", "-e", ""], &["a digit for each"]);
}

#[test]
fn scripts_see_the_version_and_privilege_that_are_given() {
    let script = r#"probe begin { println(%( systemtap_v < "3.0" && systemtap_privilege == "stapsys" %? 1 %: 0 %)) exit() }"#;
    let outcome = rstap(&["--compatible=2.9", "--privilege=stapsys", "-e", script], &Plan::default());
    assert_eq!(stdout(&outcome), "1\n", "{}", stderr(&outcome));
}

#[test]
fn command_and_process_exclude_each_other() {
    assert_fails(&["-e", "probe begin { exit() }", "-c", "true", "-x", "1"], &["-c", "-x"]);
}

#[test]
fn missing_script_file_is_named() {
    assert_fails(&["no/such/script.stp"], &["no/such/script.stp", "No such file"]);
}

#[test]
fn invalid_utf8_is_one_error_with_its_place() {
    let script = write_script("invalid.stp", b"probe begin {\n  println(\"\xff\xfe\") }\n");
    assert_fails(&[&script], &["UTF-8", "invalid.stp"]);
}

#[test]
fn ten_megabytes_of_brackets_are_one_clear_error() {
    for bracket in ["(", "{", "[", "probe begin { if (1) "] {
        let script = write_script("brackets.stp", bracket.repeat(10_000_000 / bracket.len()).as_bytes());
        let outcome = rstap(&[&script], &Plan::default());
        let text = stderr(&outcome);
        assert_eq!(outcome.status, Status::Exited(1), "{bracket}: {}", &text[..text.len().min(500)]);
        assert!(text.len() < 20_000, "{bracket}: {} bytes of messages", text.len());
        assert!(!text.contains("panicked"), "{bracket}");
    }
}

#[test]
fn missing_process_is_named() {
    // Above the largest process id that Linux allows.
    assert_fails(&["-e", "probe begin { exit() }", "-x", "4194305"], &["4194305"]);
}

#[test]
fn missing_command_is_named() {
    assert_fails(&["-e", "probe begin { exit() }", "-c", "./no-such-command"], &["no-such-command"]);
}

#[test]
fn process_of_another_tracer_is_refused_with_its_name() {
    let server = Server::start(&mut Command::new(programs().join("server"))).expect("the server starts");
    let pid = server.pid().to_string();
    let script = r#"probe process("./server").function("work") { if (!n++) println("watching") } global n"#;
    let mut first = Command::new(RSTAP);
    first.args(["-e", script, "-x", &pid]).current_dir(programs());
    let holder = Server::start(&mut first).expect("the first rstap attaches");
    let name = PathBuf::from(RSTAP).file_name().expect("a name").to_string_lossy().into_owned();
    assert_fails(&["-e", script, "-x", &pid], &[&pid, &holder.pid().to_string(), &name]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(holder.pid().cast_signed()), Signal::SIGINT)
        .expect("the first rstap lives");
    assert_eq!(holder.finish(Duration::from_secs(20)).1, Status::Exited(0));
    assert_unharmed(server);
}

#[test]
fn absolute_statement_address_is_hit() {
    let server = Server::start(&mut Command::new(programs().join("server"))).expect("the server starts");
    let address = server.first_line().rsplit(' ').next().expect("it says where `work` is").trim().to_owned();
    let pid = server.pid();
    let script = format!("probe user.process({pid}).statement({address}) {{ println(\"hit\") exit() }}");
    let outcome = rstap(&["-e", &script], &Plan::default());
    assert_eq!((stdout(&outcome).as_str(), stderr(&outcome).as_str()), ("hit\n", ""));
    assert_unharmed(server);
}

#[test]
fn process_of_another_user_is_refused_with_the_missing_right() {
    // Process 1 belongs to root. Who is root runs the test as nobody, from a place that nobody can read.
    let copy = std::env::temp_dir().join(format!("rstap-{}", std::process::id()));
    targets::copy(RSTAP.as_ref(), &copy);
    let mut command = Command::new(&copy);
    command.args(["-e", "probe begin { exit() }", "-x", "1"]).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let outcome = run(&mut command, &Plan::default()).expect("rstap can be run");
    fs::remove_file(&copy).expect("the copy is there");
    let text = stderr(&outcome);
    assert_eq!(outcome.status, Status::Exited(1), "{text}");
    assert!(text.contains("process 1 ") && text.contains("root"), "{text}");
}

#[test]
fn every_pass_can_be_the_last_and_shows_its_result() {
    let script = r#"global n probe begin { n += 40 + 2 printf("%d\n", n) exit() }"#;
    for (pass, part) in [("-p1", "+="), ("-p2", "begin"), ("-p3", "begin"), ("-p4", "begin")] {
        let outcome = rstap(&[pass, "-e", script], &Plan::default());
        assert!(outcome.status.is_success() && outcome.stderr.is_empty(), "{pass}: {}", stderr(&outcome));
        assert!(stdout(&outcome).contains(part), "{pass}: {}", stdout(&outcome));
        assert_ne!(stdout(&outcome), "42\n", "{pass} ran the script");
    }
}

#[test]
fn library_scripts_are_found_in_folders() {
    let folder = scratch().join("tapset");
    fs::create_dir_all(&folder).expect("the scratch folder can be written");
    fs::write(folder.join("mine.stp"), "function mine:long() { return 42 }").expect("it can be written");
    let folder = folder.to_str().expect("its path is UTF-8");
    let outcome = rstap(&["-I", folder, "-e", "probe begin { println(mine()) exit() }"], &Plan::default());
    assert_eq!(stdout(&outcome), "42\n", "{}", stderr(&outcome));
}

#[test]
fn verbose_runs_tell_the_passes() {
    let outcome = rstap(&["-v", "-e", "probe begin { exit() }"], &Plan::default());
    assert!(stderr(&outcome).contains("Pass 1: "), "{}", stderr(&outcome));
}

#[test]
fn switch_file_goes_on_in_numbered_files() {
    let path = scratch().join("switched");
    let name = path.to_str().expect("its path is UTF-8");
    let script = "probe begin { println(0) switch_file() println(1) switch_file() println(2) exit() }";
    let outcome = rstap(&["-o", name, "-e", script], &Plan::default());
    assert!(outcome.status.is_success(), "{}", stderr(&outcome));
    for (file, text) in [("", "0\n"), (".1", "1\n"), (".2", "2\n")] {
        assert_eq!(fs::read_to_string(format!("{name}{file}")).expect("it was written"), text);
    }
}

#[test]
fn a_session_in_the_background_is_stopped_by_the_number_that_was_printed() {
    let path = scratch().join("background");
    let name = path.to_str().expect("its path is UTF-8");
    let script =
        r#"probe begin { println("begin") } probe timer.s(100) { } probe end { println("end") warn("bye") }"#;
    let outcome = rstap(&["-F", "-o", name, "-e", script], &Plan::default());
    assert!(outcome.status.is_success(), "{}", stderr(&outcome));
    let pid = stdout(&outcome).trim().parse().expect("a process id and nothing else");
    // It is ready, so its signal handlers are there.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let holds = |suffix: &str, text: &str| {
        wait_until(|| fs::read_to_string(format!("{name}{suffix}")).is_ok_and(|found| found == text));
    };
    holds("", "begin\nend\n");
    holds(".err", "WARNING: bye\n");
}

#[test]
fn what_goes_wrong_before_the_background_is_told_as_always() {
    let path = scratch().join("not-background");
    let name = path.to_str().expect("its path is UTF-8");
    assert_fails(&["-F", "-o", name, "-e", "probe bgin { }"], &["probe point mismatch", "Pass 2"]);
    assert_fails(
        &["-F", "-o", name, "-x", "4194303", "-e", "probe process.end { println(1) }"],
        &["4194303"],
    );
    assert_fails(
        &["-F", "-o", "/nonexistent/out", "-e", "probe begin { exit() }"],
        &["/nonexistent/out.err"],
    );
    assert_fails(&["-F", "-e", "probe begin { exit() }"], &["-o <FILE>"]);
    let outcome = rstap(&["-F", "-o", name, "-e", "probe begin { println(7) exit() }"], &Plan::default());
    assert!(outcome.status.is_success() && outcome.stdout.is_empty(), "{}", stderr(&outcome));
    assert_eq!(fs::read_to_string(&path).expect("it was written"), "7\n");
}

/// Waits for what another process does, which may take as long as the machine is busy.
fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_name_of_the_output_file_may_have_a_date() {
    let folder = scratch().join("dated");
    fs::create_dir_all(&folder).expect("the scratch folder can be written");
    let name = folder.join("out-%Y").to_str().expect("its path is UTF-8").to_owned();
    let outcome = rstap(&["-o", &name, "-e", r#"probe begin { println("x") exit() }"#], &Plan::default());
    assert!(outcome.status.is_success(), "{}", stderr(&outcome));
    let names = fs::read_dir(&folder).expect("it is there").map(|entry| entry.expect("one").file_name());
    let is_dated = |name: std::ffi::OsString| {
        let year = name.to_str().and_then(|name| name.strip_prefix("out-")?.parse::<u32>().ok());
        year.is_some_and(|year| year >= 2020)
    };
    let dated: Vec<bool> = names.map(is_dated).collect();
    assert!(!dated.is_empty() && dated.iter().all(|dated| *dated), "{dated:?}");
}

#[test]
fn output_goes_on_in_other_files_when_one_is_full() {
    let path = scratch().join("rotated");
    let name = path.to_str().expect("its path is UTF-8");
    let script = r#"probe begin { for (i = 0; i < 20000; i++) printf("%0199d\n", i) exit() }"#;
    let outcome = rstap(&["-o", name, "-S", "1,3", "-DMAXACTION=1000000", "-e", script], &Plan::default());
    assert!(outcome.status.is_success(), "{}", stderr(&outcome));
    assert!(!path.exists() && !scratch().join("rotated.0").exists());
    let read = |n| fs::read_to_string(format!("{name}.{n}")).expect("it was written");
    let kept: String = (1..4).map(read).collect();
    let (first, last) = (kept.lines().next(), kept.lines().last());
    let line = |n| format!("{n:0199}");
    assert_eq!((first, last), (Some(&*line((1 << 20) / 200)), Some(&*line(19_999))));
    assert_eq!(kept.lines().count(), 20_000 - (1 << 20) / 200);
}

#[test]
fn print_regs_prints_the_registers_at_the_probe() {
    let script =
        r#"probe process("./basic").function("add") { printf("RIP: %016x\n", uaddr()) print_regs() exit() }"#;
    let outcome = rstap(&["-c", "./basic", "-e", script], &Plan::default());
    let text = stdout(&outcome);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (8, lines[1]), "{text}");
    let names: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with('R')).collect();
    assert_eq!(names.len(), 18, "{text}");
}

#[test]
fn output_buffers_have_a_size_from_1_to_4095_megabytes() {
    let outcome = rstap(&["-s", "4095", "-p4", "-e", "probe begin { exit() }"], &Plan::default());
    assert!(outcome.status.is_success(), "{}", stderr(&outcome));
    assert_fails(&["-s", "0", "-e", ""], &["0 is not in 1..=4095"]);
}

#[test]
fn output_file_takes_the_output() {
    let path = scratch().join("output.txt");
    let path = path.to_str().expect("its path is UTF-8");
    let outcome = rstap(&["-o", path, "-e", "probe begin { println(42) exit() }"], &Plan::default());
    assert!(outcome.status.is_success() && outcome.stdout.is_empty(), "{}", stderr(&outcome));
    assert_eq!(fs::read_to_string(path).expect("it was written"), "42\n");
}

#[test]
fn script_comes_from_standard_input() {
    let plan = Plan { stdin: b"probe begin { println(42) exit() }".to_vec(), ..Plan::default() };
    assert_eq!(stdout(&rstap(&["-"], &plan)), "42\n");
}

#[test]
fn signals_end_the_session_in_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let script = r#"probe begin { println("begin") } probe end { println("end") }"#;
        let outcome = rstap(&["-e", script], &Plan { signal_at_first_line: Some(signal), ..Plan::default() });
        assert_eq!(stdout(&outcome), "begin\nend\n", "{signal}: {}", stderr(&outcome));
    }
}

#[test]
fn busy_target_survives_two_hundred_attachments() {
    let server =
        Server::start(Command::new(programs().join("server")).args(["8", "0"])).expect("the server starts");
    let pid = server.pid().to_string();
    let script = r#"global n probe process("./server").function("work") { if (n++ == 20) exit() }
        probe end { println(n > 20) }"#;
    for round in 0..200 {
        let outcome = rstap(&["-e", script, "-x", &pid], &Plan::default());
        assert_eq!(stdout(&outcome), "1\n", "round {round}: {}", stderr(&outcome));
    }
    assert_unharmed(server);
}

/// Lets an rstap attach, and kills it at a second hit: the breakpoint at the first one's return address is there.
fn kill_at_first_hit(pid: &str) {
    let script = r#"global n probe process("./server").function("work") { if (n++) println("hit") }
        probe process("./server").function("work").return { n++ }"#;
    let mut command = Command::new(RSTAP);
    command.args(["-e", script, "-x", pid]).current_dir(programs());
    let tracer = Server::start(&mut command).expect("rstap attaches");
    assert_eq!(tracer.first_line(), "hit\n");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(tracer.pid().cast_signed()), Signal::SIGKILL)
        .expect("rstap lives");
    assert_eq!(tracer.finish(Duration::from_secs(20)).1, Status::Killed(Signal::SIGKILL as i32));
}

fn has_memory_of_ours(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives").contains("rstap-rescue")
}

#[test]
fn what_a_killed_rstap_left_is_removed_on_request() {
    let server = Server::start(Command::new(programs().join("server")).arg("4")).expect("the server starts");
    let pid = server.pid().to_string();
    kill_at_first_hit(&pid);
    assert!(has_memory_of_ours(&pid));
    let outcome = rstap(&["--cleanup", "-x", &pid], &Plan::default());
    let text = stderr(&outcome);
    assert!(outcome.status.is_success() && outcome.stdout.is_empty(), "{text}");
    let parts = ["removed what 1 dead session left: 2 breakpoints", "bytes of memory"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    // Memory that a thread was in just then goes the next time.
    while has_memory_of_ours(&pid) {
        assert!(rstap(&["--cleanup", "-x", &pid], &Plan::default()).status.is_success());
    }
    let outcome = rstap(&["--cleanup", "-x", &pid], &Plan::default());
    assert_eq!(stderr(&outcome), format!("process {pid}: nothing to remove\n"));
    assert_unharmed(server);
}

#[test]
fn who_attaches_next_removes_what_a_killed_rstap_left() {
    let server = Server::start(Command::new(programs().join("server")).arg("4")).expect("the server starts");
    let pid = server.pid().to_string();
    kill_at_first_hit(&pid);
    let script = r#"probe process("./server").function("work").return { println("again") exit() }"#;
    let outcome = rstap(&["-v", "-e", script, "-x", &pid], &Plan::default());
    let text = stderr(&outcome);
    assert_eq!(stdout(&outcome), "again\n", "{text}");
    assert!(
        text.contains(&format!("process {pid}: removed what a dead rstap left: 2 breakpoints")),
        "{text}"
    );
    assert_unharmed(server);
}

#[test]
fn cleanup_needs_a_process() {
    assert_fails(&["--cleanup"], &["-x <PID>"]);
    assert_fails(&["--cleanup", "-x", "4194305"], &["4194305"]);
}

/// The server has noticed nothing: it counted in every thread and ends as it should.
fn assert_unharmed(server: Server) {
    let (stdout, status) = server.finish(Duration::from_secs(20));
    assert_eq!((String::from_utf8_lossy(&stdout).as_ref(), status), ("unharmed\n", Status::Exited(0)));
}

#[test]
fn verbose_says_how_each_probed_instruction_is_passed_and_what_is_refused_is_said_anyway() {
    let script = "probe process(\"./ways\").function(\"copied\"), process(\"./ways\").function(\"stepped\"), \
                  process(\"./ways\").function(\"own\"), process(\"./ways\").function(\"refused\") { println(\"hit\") }";
    let outcome = rstap(&["-v", "-e", script, "-c", "./ways", "--backend", "ptrace"], &Plan::default());
    let text = stderr(&outcome);
    assert_eq!((stdout(&outcome).as_str(), outcome.status), ("hit\n", Status::Exited(0)), "{text}");
    let says = |name: &str, how: &str| {
        let line = text.lines().find(|line| line.contains(&format!(": {name}+0x0 [ways] at 0x")));
        let line = line.unwrap_or_else(|| panic!("nothing about {name}: {text}"));
        assert!(line.contains(how), "{line}");
    };
    says("copied", " runs as a copy at 0x");
    says(
        "stepped",
        " is stepped with all threads stopped, which is slow: a copy of it would behave differently",
    );
    says("own", " is a breakpoint of the program's own");
    let refused = text.lines().find(|line| line.starts_with("WARNING: not probed in process "));
    assert!(refused.is_some_and(|line| line.contains("is int1, whose trap cannot be told from")), "{text}");
}
