//! Every hit is handled or counted as skipped, also with many threads and processes on one global, and whatever becomes
//! of the processes. The targets count their calls themselves.

mod support;

use std::collections::HashMap;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::crowd::{Rstap, Target, crowd, number_after};
use support::{RSTAP, root, targets};

/// Handlers run in rstap, or in the targets.
const BACKENDS: [&str; 2] = ["ptrace", "inject"];

fn start(backend: &str, script: &str, limits: &[&str]) -> Rstap {
    let args = ["--backend", backend, "-D", "MAXSKIPPED=1000000000", "-D", "STP_NO_OVERLOAD"];
    Rstap::start(script, &[&args, limits].concat())
}

/// Ends it; the numbers its end probes print by name, and skipped probes as `skipped`.
fn end(mut rstap: Rstap) -> HashMap<String, u64> {
    kill(Pid::from_raw(rstap.pid() as i32), Signal::SIGINT).expect("it runs");
    let (text, errors) = rstap.rest();
    rstap.child.wait().expect("it ends");
    let numbers = numbers(&text, &errors);
    assert!(numbers.contains_key("total"), "{text}{errors}");
    numbers
}

/// Numbers that were printed by name, and skipped probes as `skipped`.
fn numbers(text: &str, errors: &str) -> HashMap<String, u64> {
    let pair = |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
    let mut numbers: HashMap<String, u64> = text.lines().filter_map(pair).collect();
    numbers.insert("skipped".to_owned(), number_after(errors, "skipped probes: ").unwrap_or(0));
    numbers
}

fn script(path: &Path) -> String {
    format!(
        "global total, by probe process(\"{}\").function(\"called\") {{ total++; by[pid()]++ }} \
         probe end {{ println(\"total \", total) foreach (pid in by) println(pid, \" \", by[pid]) }}",
        path.display()
    )
}

#[test]
fn processes_and_threads_on_one_global_lose_no_hit() {
    for backend in BACKENDS {
        let path = crowd(&format!("lose-{backend}"));
        let mut targets: Vec<Target> = (0..3).map(|_| Target::start(&path, &["4", "1500"])).collect();
        let rstap = start(backend, &script(&path), &[]);
        targets.iter_mut().for_each(Target::go);
        let counts: Vec<u64> = targets.iter_mut().map(Target::count).collect();
        let said = end(rstap);
        assert_eq!(counts, [6000, 6000, 6000]);
        assert_eq!(said["total"] + said["skipped"], 18000, "{backend}: {said:?}");
        let by: u64 = targets.iter().filter_map(|target| said.get(&target.pid().to_string())).sum();
        assert_eq!(by, said["total"], "{backend}: {said:?}");
    }
}

#[test]
fn hits_that_find_the_global_locked_are_counted_as_skipped() {
    for backend in BACKENDS {
        let path = crowd(&format!("locked-{backend}"));
        let mut targets: Vec<Target> = (0..3).map(|_| Target::start(&path, &["2", "1500"])).collect();
        let slow = format!(
            "global total probe process(\"{}\").function(\"called\") {{ if (total++ < 0) exit() for (i = 0; i < 300; i++) j += i }} \
             probe end {{ println(\"total \", total) }}",
            path.display()
        );
        let rstap = start(backend, &slow, &["-D", "MAXTRYLOCK=1", "-D", "TRYLOCKDELAY=1"]);
        targets.iter_mut().for_each(Target::go);
        let counts: u64 = targets.iter_mut().map(Target::count).sum();
        let said = end(rstap);
        assert_eq!(counts, 9000);
        assert_eq!(said["total"] + said["skipped"], 9000, "{backend}: {said:?}");
    }
}

#[test]
fn a_process_that_is_killed_in_the_middle_stops_nobody_else() {
    for backend in BACKENDS {
        let path = crowd(&format!("killed-{backend}"));
        let mut victim = Target::start(&path, &["8", "1000000000"]);
        let mut others: Vec<Target> = (0..2).map(|_| Target::start(&path, &["2", "1000"])).collect();
        let rstap = start(backend, &script(&path), &[]);
        victim.go();
        others[0].go();
        let first = others[0].count();
        // Its threads are hitting the probe all the time.
        victim.wait_until_busy();
        victim.kill();
        others[1].go();
        let second = others[1].count();
        let said = end(rstap);
        assert_eq!((first, second), (2000, 2000));
        let by = |target: &Target| said.get(&target.pid().to_string()).copied().unwrap_or(0);
        assert!(by(&victim) > 0, "{backend}: {said:?}");
        // Where handlers run in the victim, each of its threads may have been killed in the middle of one.
        let cut_off = said["total"] - by(&victim) - by(&others[0]) - by(&others[1]);
        assert!(cut_off <= if backend == "inject" { 8 } else { 0 }, "{backend}: {said:?}");
        if said["skipped"] == 0 {
            assert_eq!((by(&others[0]), by(&others[1])), (2000, 2000), "{backend}: {said:?}");
        }
    }
}

/// The handler of the victim's hit says so and then keeps the lock until the victim is killed: in the victim itself
/// for as long as it lives, in rstap for as long as MAXACTION lets it.
#[test]
fn a_process_that_is_killed_in_a_handler_gives_its_lock_back() {
    for (backend, actions) in [("ptrace", "10000000"), ("inject", "1000000000000000")] {
        let path = crowd(&format!("holds-{backend}"));
        let mut victim = Target::start(&path, &["1", "1"]);
        let mut others: Vec<Target> = (0..3).map(|_| Target::start(&path, &["2", "1000"])).collect();
        let script = format!(
            "global total probe process(\"{}\").function(\"called\") {{
                 if (total++ < 0) exit()
                 if (pid() == {}) {{ system(\"echo held >&2\") while (1) i++ }}
             }} probe end {{ println(\"total \", total) }}",
            path.display(),
            victim.pid()
        );
        let limits = [format!("MAXACTION={actions}"), "MAXERRORS=1".into(), "STP_NO_OVERLOAD".into()];
        let limits: Vec<&str> = limits.iter().flat_map(|limit| ["-D", limit]).collect();
        let mut rstap = start(backend, &script, &limits);
        victim.go();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut rstap.errors, &mut line).expect("it says so");
        assert_eq!(line, "held\n");
        victim.kill();
        others.iter_mut().for_each(Target::go);
        let counts: u64 = others.iter_mut().map(Target::count).sum();
        let said = end(rstap);
        assert_eq!(counts, 6000);
        // The victim's one hit was handled as far as `total`.
        assert_eq!(said["total"] + said["skipped"], 6001, "{backend}: {said:?}");
        assert!(backend == "ptrace" || said["total"] > 1, "the lock was never free again: {said:?}");
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
        let mut rstap = std::process::Command::new(RSTAP);
        rstap
            .args(["-D", "MAXSKIPPED=1000000000", "-v", "-e", &script(&path), "-c", &command])
            .stdin(std::process::Stdio::null());
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
