//! Every hit is handled or counted as skipped, also with many threads and processes on one global, and whatever becomes
//! of the processes. The targets count their calls themselves.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{RSTAP, root, scratch, targets};

/// A program of tests/targets that waits for a byte.
struct Target {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Target {
    fn start(path: &Path, args: &[&str]) -> Target {
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

    fn go(&mut self) {
        self.input.take().expect("once").write_all(b"x").expect("it waits");
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; its own count.
    fn count(&mut self) -> u64 {
        let count = self.line().parse().expect("a number");
        assert!(self.child.wait().expect("it ends").success());
        count
    }
}

/// An rstap whose script says `ready` first.
struct Rstap {
    child: Child,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
}

impl Rstap {
    fn start(script: &str, args: &[&str]) -> Rstap {
        let mut child = Command::new(RSTAP)
            .args(["-e", &format!("{script}\nprobe begin {{ println(\"ready\") }}")])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rstap starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let errors = child.stderr.take().expect("it is piped");
        let mut rstap = Rstap { child, output, errors };
        let mut line = String::new();
        rstap.output.read_line(&mut line).expect("it can be read");
        if line != "ready\n" {
            let mut errors = String::new();
            let _ = rstap.errors.read_to_string(&mut errors);
            panic!("rstap said {line:?}: {errors}");
        }
        rstap
    }

    /// Ends it; the numbers its end probes print by name, and skipped probes as `skipped`.
    fn end(mut self) -> HashMap<String, u64> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).expect("it runs");
        let (mut text, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut text).expect("it can be read");
        self.errors.read_to_string(&mut errors).expect("it can be read");
        self.child.wait().expect("it ends");
        let numbers = numbers(&text, &errors);
        assert!(numbers.contains_key("total"), "{text}{errors}");
        numbers
    }
}

/// Numbers that were printed by name, and skipped probes as `skipped`.
fn numbers(text: &str, errors: &str) -> HashMap<String, u64> {
    let pair = |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
    let mut numbers: HashMap<String, u64> = text.lines().filter_map(pair).collect();
    let skipped = errors.split("skipped probes: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    numbers.insert("skipped".to_owned(), skipped.unwrap_or(0));
    numbers
}

/// The program, as a file of its own: probes are for all processes that run a file, whoever has started them.
fn crowd(name: &str) -> PathBuf {
    let built = targets::build_folder(&root().join("tests/targets")).expect("the targets can be built");
    let own = scratch().join(format!("crowd-{name}-{}", std::process::id()));
    std::fs::copy(built.join("crowd"), &own).expect("it can be copied");
    own
}

fn script(path: &Path) -> String {
    format!(
        "global total, by probe process(\"{}\").function(\"called\") {{ total++; by[pid()]++ }} \
         probe end {{ println(\"total \", total) foreach (pid in by) println(pid, \" \", by[pid]) }}",
        path.display()
    )
}

const SKIP_ANY: &[&str] = &["-D", "MAXSKIPPED=1000000000"];

#[test]
fn processes_and_threads_on_one_global_lose_no_hit() {
    let path = crowd("lose");
    let mut targets: Vec<Target> = (0..3).map(|_| Target::start(&path, &["4", "1500"])).collect();
    let rstap = Rstap::start(&script(&path), SKIP_ANY);
    targets.iter_mut().for_each(Target::go);
    let counts: Vec<u64> = targets.iter_mut().map(Target::count).collect();
    let said = rstap.end();
    assert_eq!(counts, [6000, 6000, 6000]);
    assert_eq!(said["total"] + said["skipped"], 18000, "{said:?}");
    let by: u64 = targets.iter().filter_map(|target| said.get(&target.pid().to_string())).sum();
    assert_eq!(by, said["total"], "{said:?}");
}

#[test]
fn hits_that_find_the_global_locked_are_counted_as_skipped() {
    let path = crowd("locked");
    let mut targets: Vec<Target> = (0..3).map(|_| Target::start(&path, &["2", "1500"])).collect();
    let slow = format!(
        "global total probe process(\"{}\").function(\"called\") {{ total++ for (i = 0; i < 300; i++) j += i }} \
         probe end {{ println(\"total \", total) }}",
        path.display()
    );
    let limits = ["-D", "MAXTRYLOCK=1", "-D", "TRYLOCKDELAY=1"];
    let rstap = Rstap::start(&slow, &[SKIP_ANY, &limits].concat());
    targets.iter_mut().for_each(Target::go);
    let counts: u64 = targets.iter_mut().map(Target::count).sum();
    let said = rstap.end();
    assert_eq!(counts, 9000);
    assert_eq!(said["total"] + said["skipped"], 9000, "{said:?}");
}

#[test]
fn a_process_that_is_killed_in_the_middle_stops_nobody_else() {
    let path = crowd("killed");
    let mut victim = Target::start(&path, &["8", "1000000000"]);
    let mut others: Vec<Target> = (0..2).map(|_| Target::start(&path, &["2", "1000"])).collect();
    let rstap = Rstap::start(&script(&path), SKIP_ANY);
    victim.go();
    others[0].go();
    let first = others[0].count();
    // Its threads are hitting the probe all the time.
    victim.child.kill().expect("it runs");
    victim.child.wait().expect("it ends");
    others[1].go();
    let second = others[1].count();
    let said = rstap.end();
    assert_eq!((first, second), (2000, 2000));
    let by = |pid: u32| said.get(&pid.to_string()).copied().unwrap_or(0);
    assert!(by(victim.pid()) > 0, "{said:?}");
    assert_eq!(by(victim.pid()) + by(others[0].pid()) + by(others[1].pid()), said["total"], "{said:?}");
    if said["skipped"] == 0 {
        assert_eq!((by(others[0].pid()), by(others[1].pid())), (2000, 2000), "{said:?}");
    }
}

#[test]
fn children_of_one_command_get_tracer_threads_of_their_own_and_lose_no_hit() {
    let folder = targets::build_folder(&root().join("tests/targets")).expect("the targets can be built");
    let path = folder.join("brood");
    let program = path.display();
    // Forked ones; such that begin the program anew; a shell's, of which the first has its thread for itself.
    let shell = format!("sh -c \"{program} 0 400 & {program} 0 400 & {program} 0 400 & wait\"");
    let commands =
        [(format!("{program} 5 400"), 5, 5), (format!("{program} 5 400 exec"), 5, 5), (shell, 3, 2)];
    for (command, processes, own) in commands {
        let mut rstap = Command::new(RSTAP);
        rstap.args(SKIP_ANY).args(["-v", "-e", &script(&path), "-c", &command]).stdin(Stdio::null());
        let output = rstap.output().expect("rstap runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        let said = numbers(&text, &errors);
        assert_eq!(said["total"] + said["skipped"], processes * 400, "{text}{errors}");
        assert_eq!(said.len() as u64, processes + 2, "{text}");
        let given = errors.matches(" gets a tracer thread of its own").count();
        assert!(given >= own, "{errors}");
    }
}
