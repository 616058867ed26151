//! Why a process cannot be traced, told for real processes. What takes the right to be somebody else, or a kernel that has
//! it, is left out where that is missing; in CI it is not.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{RSTAP, needs, targets};

/// `nobody` of every Linux.
const NOBODY: u32 = 65534;

/// A folder that anybody can look into, with a copy of rstap and programs.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("rstap-access-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        targets::copy(RSTAP.as_ref(), &folder.join("rstap"));
        Folder(folder)
    }

    /// The same, if we can be somebody else.
    fn for_nobody(name: &str) -> Option<Folder> {
        let can = Command::new("true").uid(NOBODY).gid(NOBODY).status().is_ok_and(|status| status.success());
        if !can {
            needs::left_out("another user's rights");
        }
        can.then(|| Folder::new(name))
    }

    fn compile(&self, name: &str, text: &str, flags: &[&str]) -> PathBuf {
        let (source, program) = (self.0.join(format!("{name}.c")), self.0.join(name));
        std::fs::write(&source, text).expect("it can be written");
        let status = Command::new("cc").args(flags).arg(&source).arg("-o").arg(&program).status();
        assert!(status.expect("cc runs").success());
        program
    }

    /// A program that says when it is ready and waits.
    fn waits(&self, name: &str, before: &str) -> PathBuf {
        let text = format!(
            "#include <stdio.h>\n#include <sys/prctl.h>\nint main(void) {{ {before}; puts(\"ready\"); \
             fflush(stdout); getchar(); return 0; }}\n"
        );
        self.compile(name, &text, &[])
    }

    fn nobodys_rstap(&self) -> Command {
        let mut command = Command::new(self.0.join("rstap"));
        command.uid(NOBODY).gid(NOBODY);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What an rstap says that is to attach to a process.
fn refusal(mut rstap: Command, pid: u32) -> String {
    let output =
        rstap.args(["-e", "probe begin { exit() }", "-x", &pid.to_string()]).output().expect("rstap runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let error = text.lines().find_map(|line| line.split_once("cannot attach: "));
    error.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

fn assert_starts(text: &str, with: &str) {
    assert!(text.starts_with(with), "{text}");
}

/// Ends with the test.
struct Process(Child);

impl Process {
    /// A program that says when it is ready.
    fn start(mut command: Command) -> Process {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line);
        let process = Process(child);
        assert_eq!(line, "ready\n");
        process
    }

    fn of(program: &Path, user: u32) -> Process {
        let mut command = Command::new(program);
        command.uid(user).gid(user);
        Process::start(command)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_of_another_user() {
    let Some(folder) = Folder::for_nobody("other") else { return };
    let process = Process::of(&folder.waits("waits", ""), 0);
    let pid = process.pid();
    assert_eq!(
        refusal(folder.nobodys_rstap(), pid),
        format!(
            "process {pid} (waits) belongs to user 0, and you are user 65534; run rstap as that user or as root"
        )
    );
}

#[test]
fn a_process_that_is_not_dumpable() {
    let Some(folder) = Folder::for_nobody("hidden") else { return };
    let process = Process::of(&folder.waits("hides", "prctl(PR_SET_DUMPABLE, 0)"), NOBODY);
    let pid = process.pid();
    assert_starts(
        &refusal(folder.nobodys_rstap(), pid),
        &format!(
            "process {pid} (hides) is not dumpable: it has changed its user, or its program cannot be read"
        ),
    );
}

#[test]
fn a_setuid_program() {
    let Some(folder) = Folder::for_nobody("setuid") else { return };
    let program = folder.waits("setuid", "");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).expect("it is ours");
    let process = Process::of(&program, NOBODY);
    let pid = process.pid();
    let is_setuid = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| status.lines().any(|line| line == format!("Uid:\t{NOBODY}\t0\t0\t0")));
    if !is_setuid {
        return needs::left_out("a set-user-ID program (mounted with nosuid)");
    }
    assert_starts(
        &refusal(folder.nobodys_rstap(), pid),
        &format!("process {pid} (setuid) runs a set-user-ID or set-group-ID program; run rstap as root"),
    );
}

#[test]
fn root_without_the_capability() {
    let Some(folder) = Folder::for_nobody("capability") else { return };
    let process = Process::of(&folder.waits("waits", ""), NOBODY);
    let mut rstap = Command::new("setpriv");
    rstap.args(["--bounding-set", "-sys_ptrace", RSTAP]);
    let error = refusal(rstap, process.pid());
    assert!(
        error.contains("root may trace it with CAP_SYS_PTRACE only, which this rstap has not"),
        "{error}"
    );
}

#[test]
fn a_process_outside_of_the_container() {
    let folder = Folder::new("outside");
    let process = Process::start(Command::new(folder.waits("waits", "")));
    let inside = ["--user", "--map-root-user"];
    let can = Command::new("unshare").args(inside).arg("true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        return needs::left_out("a user namespace");
    }
    let mut rstap = Command::new("unshare");
    rstap.args(inside).arg(folder.0.join("rstap"));
    let error = refusal(rstap, process.pid());
    assert!(error.contains("(waits) is outside of this container (user namespace)"), "{error}");
}

#[test]
fn a_process_that_somebody_else_traces() {
    let folder = Folder::new("traced");
    let process = Process::start(Command::new(folder.waits("waits", "")));
    let pid = process.pid();
    let mut tracer = Command::new(RSTAP);
    tracer.args(["-e", "probe begin { println(\"ready\") }", "-x", &pid.to_string()]);
    let mut tracer = Process::start(tracer);
    assert_starts(
        &refusal(Command::new(RSTAP), pid),
        &format!("process {pid} (waits) is already traced by process {} (rstap)", tracer.pid()),
    );
    drop(process);
    tracer.0.wait().expect("it ends with its target");
}

#[test]
fn a_zombie() {
    let mut child = Command::new("true").spawn().expect("true runs");
    let pid = child.id();
    let is_zombie = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|text| text.contains("State:\tZ"))
    };
    while !is_zombie() {
        std::thread::yield_now();
    }
    let parent = std::process::id();
    assert_eq!(
        refusal(Command::new(RSTAP), pid),
        format!(
            "process {pid} (true) has ended already: it is a zombie, kept only until its parent {parent} collects it"
        )
    );
    child.wait().expect("it ended");
}

#[test]
fn a_kernel_thread() {
    // Containers do not show any.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        assert_eq!(
            refusal(Command::new(RSTAP), 2),
            "process 2 (kthreadd) is a kernel thread; only user-space programs can be traced"
        );
    }
}

#[test]
fn a_32_bit_program() {
    let folder = Folder::new("narrow");
    // Without a C library: write(1, "ready\n", 6), pause().
    let text = "__asm__(\".globl _start\\n_start: mov $4, %eax\\nmov $1, %ebx\\nmov $text, %ecx\\nmov $6, %edx\\n\"\n\
                \"int $0x80\\nmov $29, %eax\\nint $0x80\\ntext: .ascii \\\"ready\\\\n\\\"\");\n";
    let program =
        folder.compile("narrow", text, &["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"]);
    if Command::new(&program).stdin(Stdio::null()).stdout(Stdio::null()).spawn().map(Process).is_err() {
        // A kernel without them.
        return;
    }
    let process = Process::start(Command::new(&program));
    let pid = process.pid();
    assert_eq!(
        refusal(Command::new(RSTAP), pid),
        format!("process {pid} (narrow) is a 32-bit program; only 64-bit x86 programs can be probed")
    );
}

#[test]
fn no_process_at_all() {
    let mut child = Command::new("true").spawn().expect("true runs");
    let pid = child.id();
    child.wait().expect("it ends");
    assert_eq!(refusal(Command::new(RSTAP), pid), format!("there is no process {pid}"));
}
