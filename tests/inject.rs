//! Handlers inside targets, under load: programs stay right, counts exact and text as it was, however often probes come
//! and go and whatever becomes of rstap.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::process::{Outcome, Plan, Server, Status, run};
use support::{RSTAP, needs, root, targets};

/// Hits that find a global locked for too long are skipped, and too many of them would end a session; so would handlers
/// that take most of a thread's time, as they do here when threads wait for each other.
const INJECT: &[&str] = &["--backend", "inject", "-D", "MAXSKIPPED=1000000000", "-D", "STP_NO_OVERLOAD"];

/// How often probes are planted and taken out again.
const CYCLES: usize = 10;

fn program(name: &str) -> PathBuf {
    targets::build_folder(&root().join("tests/targets")).expect("the targets can be built").join(name)
}

fn inject(args: &[&str]) -> Outcome {
    let mut command = Command::new(RSTAP);
    command.args(INJECT).args(args).env("LC_ALL", "C");
    let plan = Plan { timeout: Duration::from_secs(120), ..Plan::default() };
    run(&mut command, &plan).expect("rstap starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Four threads that call one function without a pause.
fn server(path: &Path) -> Server {
    Server::start(Command::new(path).args(["4", "0"])).expect("the target starts")
}

fn assert_unharmed(server: Server) {
    let (rest, status) = server.finish(Duration::from_secs(60));
    assert_eq!((text(&rest).trim_end(), status), ("unharmed", Status::Exited(0)));
}

#[test]
fn probes_come_and_go_under_load() {
    let path = program("server");
    let server = server(&path);
    let pid = server.pid().to_string();
    let script = format!(
        "global n\nprobe process(\"{}\").function(\"work\") {{ if (n++ == 1000) exit() }}\n\
         probe end {{ println(n > 1000) }}",
        path.display()
    );
    for cycle in 0..CYCLES {
        let outcome = inject(&["-v", "-x", &pid, "-e", &script]);
        let said = text(&outcome.stderr);
        assert_eq!(
            (text(&outcome.stdout).as_str(), outcome.status),
            ("1\n", Status::Exited(0)),
            "{cycle}: {said}"
        );
        assert!(said.contains("runs untraced"), "{said}");
    }
    assert_unharmed(server);
}

/// Handlers that are mostly done without a call must not become slow unnoticed: what their code is to be like is told by
/// the code itself.
#[test]
fn small_handlers_need_no_preparation() {
    let path = program("server").display().to_string();
    let (quick, slow) = (", which needs no preparation", "");
    for (handler, report, how) in [
        ("n++", "println(n)", quick),
        ("n += $count * 3 - $thread", "println(n)", quick),
        ("a[$count % 64]++", "foreach (k in a) println(a[k])", quick),
        ("s <<< $count", "print(@hist_linear(s, 0, 9, 1))", quick),
        ("l[$thread] <<< $count", "foreach (k in l) print(@hist_log(l[k]))", quick),
        ("if ($count == -1) exit()", "", quick),
        ("if ($count & 1) n++; else a[$thread]++", "foreach (k in a) println(a[k], n)", quick),
        ("a[tid()]++", "foreach (k in a) println(a[k])", quick),
        ("n++; a[$count]++", "foreach (k in a) println(a[k], n)", slow),
        ("printf(\"%d %x\\n\", $count, tid())", "", quick),
        ("printf(\"%s\\n\", execname())", "", slow),
        ("n = $count", "println(n)", slow),
    ] {
        let script = format!(
            "global n, a, s, l probe process(\"{path}\").function(\"work\") {{ {handler} }} probe end {{ {report} }}"
        );
        let outcome = inject(&["-vv", "-w", "-e", &script, "-c", &path]);
        let said = text(&outcome.stderr);
        let jumps = said.lines().find_map(|line| line.split_once(" jumps to 0x"));
        let said_how = jumps.map(|(_, to)| to.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        assert_eq!(said_how, Some(how), "{handler}: {said}");
    }
}

/// What programs are, by how they are built.
const KINDS: &[(&str, &[&str])] = &[
    ("static", &["cc", "-static"]),
    ("static-pie", &["cc", "-static-pie"]),
    ("not-relocatable", &["cc", "-no-pie"]),
    ("branch-tracking", &["cc", "-fcf-protection=full"]),
    ("stripped", &["cc", "-rdynamic", "-s"]),
    ("musl", &["musl-gcc", "-static"]),
];

#[test]
fn programs_of_all_kinds_are_probed_inside() {
    for (kind, build) in KINDS {
        if needs::missing_program([build[0]]).is_some() {
            assert!(!needs::in_ci(), "needs {}", build[0]);
            continue;
        }
        let path = support::scratch().join(format!("server-{kind}"));
        let built = Command::new(build[0])
            .args(&build[1..])
            .args(["-g", "-O1", "-pthread", "-o"])
            .args([&path, &root().join("tests/targets/server.c")])
            .status();
        assert!(built.is_ok_and(|status| status.success()), "{kind}");
        let server = server(&path);
        Session::start(&server.pid().to_string(), &path).end();
        assert_unharmed(server);
    }
}

#[test]
fn debuggers_attach_while_probes_are_live() {
    let path = program("server");
    let server = server(&path);
    let pid = server.pid().to_string();
    let session = Session::start(&pid, &path);
    if needs::missing_program(["gdb"]).is_some() {
        assert!(!needs::in_ci(), "needs gdb");
    } else {
        let bt = ["-q", "-nx", "-batch", "-p", &pid, "-ex", "thread apply all bt"];
        let said = text(&Command::new("gdb").args(bt).output().expect("gdb starts").stdout);
        // A thread may be in a handler, but none is where gdb finds nothing at all.
        assert_eq!(said.matches("#0 ").count(), 5, "{said}");
        assert!(said.contains("in main ("), "{said}");
    }
    if needs::missing_program(["strace"]).is_some() {
        assert!(!needs::in_ci(), "needs strace");
    } else {
        let mut strace = Command::new("strace")
            .args(["-f", "-e", "trace=none", "-p", &pid])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let mut stderr = BufReader::new(strace.stderr.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("attached") {
            assert_ne!(stderr.read_line(&mut said).expect("it can be read"), 0, "{said}");
        }
        kill(Pid::from_raw(strace.id().cast_signed()), Signal::SIGINT).expect("it runs");
        stderr.read_to_string(&mut said).expect("it can be read");
        strace.wait().expect("it ends");
        assert!(said.contains("detached"), "{said}");
    }
    session.end();
    assert_unharmed(server);
}

/// A session that has been started: its probes are hit.
struct Session {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Session {
    fn start(pid: &str, path: &Path) -> Session {
        let script = format!(
            "global n\nprobe process(\"{}\").function(\"work\") {{ if (n++ == 1000) warn(\"hit\") }}\n\
             probe end {{ println(n > 1000) }}",
            path.display()
        );
        Session::start_with(pid, &script)
    }

    /// With a script that warns of a hit and ends with a line that is 1.
    fn start_with(pid: &str, script: &str) -> Session {
        let mut child = Command::new(RSTAP)
            .args(INJECT)
            .args(["-v", "-x", pid, "-e", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rstap starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut said = String::new();
        while !(said.contains("WARNING: hit\n") && said.contains("runs untraced")) {
            let count = stderr.read_line(&mut said).expect("it can be read");
            assert_ne!(count, 0, "{said}");
        }
        Session { child, stderr }
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    fn end(mut self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("it runs");
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("it can be read");
        let output = self.child.wait_with_output().expect("it ends");
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("1\n", Some(0)), "{said}");
        assert!(!said.contains("stay in it"), "{said}");
    }
}

#[test]
fn gdb_finds_the_callers_of_functions_whose_returns_are_probed() {
    if needs::missing_program(["gdb"]).is_some() {
        assert!(!needs::in_ci(), "needs gdb");
        return;
    }
    let path = program("nested");
    let server = Server::start(&mut Command::new(&path)).expect("the target starts");
    let pid = server.pid().to_string();
    let script = format!(
        "global n\nprobe process(\"{0}\").function(\"work\").return, process(\"{0}\").function(\"middle\").return {{\n\
         if (n++ == 1000) warn(\"hit\") }}\nprobe end {{ println(n > 1000) }}",
        path.display()
    );
    let session = Session::start_with(&pid, &script);
    let commands = ["-ex", "break inner", "-ex", "continue", "-ex", "bt"];
    let gdb = Command::new("gdb").args(["-q", "-nx", "-batch", "-p", &pid]).args(commands).output();
    let said = text(&gdb.expect("gdb starts").stdout);
    let frames = |name: &&str| said.contains(&format!(" {name} ("));
    assert!(["inner", "in middle", "in work", "in main"].iter().all(frames), "{said}");
    session.end();
    assert_unharmed(server);
}

/// Nothing of rstap's may be killed for a system call: there the probes are breakpoints.
#[test]
fn a_program_behind_a_filter_of_system_calls_is_probed_and_unharmed() {
    let path = program("nested");
    let server = Server::start(Command::new(&path).arg("confined")).expect("the target starts");
    let script = format!(
        "global n\nprobe process(\"{}\").function(\"work\").return {{ if (n++ == 100) exit() }}\n\
         probe end {{ println(n > 100) }}",
        path.display()
    );
    let outcome = inject(&["-v", "-x", &server.pid().to_string(), "-e", &script]);
    let said = text(&outcome.stderr);
    assert_eq!((text(&outcome.stdout).as_str(), outcome.status), ("1\n", Status::Exited(0)), "{said}");
    assert!(said.contains("is probed by ptrace: "), "{said}");
    assert_unharmed(server);
}

#[test]
fn a_killed_rstap_leaves_a_program_that_goes_on() {
    let path = program("server");
    let server = server(&path);
    for _ in 0..CYCLES {
        Session::start(&server.pid().to_string(), &path).kill();
    }
    assert_unharmed(server);
}

#[test]
fn two_sessions_probe_one_function_and_end_in_either_order() {
    let path = program("server");
    let server = server(&path);
    let pid = server.pid().to_string();
    for later_ends_first in [true, false] {
        let [earlier, later] = [(); 2].map(|()| Session::start(&pid, &path));
        let (first, second) = if later_ends_first { (later, earlier) } else { (earlier, later) };
        first.end();
        second.end();
    }
    assert_unharmed(server);
}

/// Recursion, exceptions, threads, garbage collection, and many functions at once.
const PYTHON: &str = r#"
import hashlib, json, threading
def deep(n):
    if n == 0: raise ValueError("bottom")
    return deep(n - 1) + 1
def work(number, out):
    total = 0
    for k in range(300):
        data = {str(x): [x, x * k, {"k": str(k)}] for x in range(20)}
        total += len(json.dumps(data)) + json.loads(json.dumps(data))["3"][1]
        total += int(hashlib.sha1(str(k).encode()).hexdigest(), 16) % 7
        try: deep(50)
        except ValueError as error: total += len(str(error))
    out[number] = total
out = [0] * 4
threads = [threading.Thread(target=work, args=(i, out)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(out)
"#;

#[test]
fn python_stays_right_with_hundreds_of_its_functions_probed() {
    let python = Path::new("/usr/bin/python3.11");
    if !python.is_file() {
        assert!(!needs::in_ci(), "needs python3.11");
        return;
    }
    let source = support::scratch().join("inject.py");
    std::fs::write(&source, PYTHON).expect("the folder is writable");
    let alone = Command::new(python).arg(&source).output().expect("python starts");
    let script = "global n, d\nprobe process(@1).function(\"Py[D-U]*\") { n++ }\n\
                  probe process(@1).function(\"PyDict_SetItem\") { d++ }\n\
                  probe end { printf(\"many %d, some %d\\n\", n > 100000, d > 1000) }";
    let command = format!("{} {}", python.display(), source.display());
    let outcome = inject(&["-e", script, "-c", &command, &python.display().to_string()]);
    let expected = format!("{}many 1, some 1\n", text(&alone.stdout));
    assert_eq!(
        (text(&outcome.stdout), outcome.status),
        (expected, Status::Exited(0)),
        "{}",
        text(&outcome.stderr)
    );
}
