//! Targets in containers: in other pid, user and mount namespaces, with a root of their own. Left out where no such
//! namespace can be made.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use support::{RSTAP, needs, scratch};

/// A folder that is the root of a container, with a program in it.
struct Root(PathBuf);

const PROGRAM: &str = "#include <stdio.h>\n#include <unistd.h>\n\
    __attribute__((noinline)) int work(int n) { __asm__ volatile(\"\"); return n + 1; }\n\
    int main(void) { int n = 0; char c; puts(\"ready\"); fflush(stdout);\n\
    while (read(0, &c, 1) == 1) n = work(n); return n; }\n";

impl Root {
    fn new(name: &str) -> Option<Root> {
        let can = Command::new("unshare").args(INSIDE).arg("true").output();
        if !can.is_ok_and(|output| output.status.success()) {
            needs::left_out("a set of namespaces");
            return None;
        }
        let root = scratch().join(format!("container-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).expect("it can be made");
        fs::write(root.join("program.c"), PROGRAM).expect("it can be written");
        let mut cc = Command::new("cc");
        cc.args(["-static", "-O1", "-g", "-o"])
            .arg(root.join("usr/bin/contained-1"))
            .arg(root.join("program.c"));
        assert!(cc.status().expect("cc runs").success());
        // It leads inside the container only.
        std::os::unix::fs::symlink("/usr/bin/contained-1", root.join("usr/bin/contained")).expect("new");
        Some(Root(root))
    }

    fn start(&self) -> Contained {
        let mut child = Command::new("unshare")
            .args(INSIDE)
            .arg("chroot")
            .arg(&self.0)
            .arg("/usr/bin/contained")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("it can be read");
        assert_eq!(line, "ready\n");
        let pid = child_of(child.id());
        Contained { input: child.stdin.take(), child, pid }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// New user, pid and mount namespaces; the program is process 1 of its own.
const INSIDE: [&str; 5] = ["--user", "--map-root-user", "--mount", "--pid", "--fork"];

struct Contained {
    child: Child,
    input: Option<ChildStdin>,
    /// Its number outside.
    pid: u32,
}

impl Contained {
    /// Has it call `work`, and end.
    fn work(&mut self, calls: usize) {
        use std::io::Write;
        let mut input = self.input.take().expect("once");
        input.write_all(&vec![b'x'; calls]).expect("it reads");
        drop(input);
        assert_eq!(self.child.wait().expect("it ends").code(), Some(calls as i32));
    }
}

fn child_of(parent: u32) -> u32 {
    let pids = fs::read_dir("/proc").expect("there is /proc").flatten();
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_child).expect("it has a child")
}

/// An rstap that has begun; its output so far is one line.
fn rstap(script: &str, args: &[&str]) -> Child {
    let mut child = Command::new(RSTAP)
        .args(["-e", &format!("{script} probe begin {{ println(\"begun\") }}")])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rstap starts");
    let mut first = [0; 6];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("it begins");
    assert_eq!(&first, b"begun\n");
    child
}

fn rest(mut rstap: Child) -> String {
    let mut text = String::new();
    rstap.stdout.as_mut().expect("piped").read_to_string(&mut text).expect("it can be read");
    assert!(rstap.wait().expect("it ends").success(), "{text}");
    text
}

fn script(path: &Path) -> String {
    format!(
        "global n, by probe process(\"{}\").function(\"work\") {{ n++; by[pid()]++ }} \
         probe process(\"{}\").end {{ exit() }} \
         probe end {{ print(n) foreach (pid in by) print(\" \", pid) println() }}",
        path.display(),
        path.display()
    )
}

#[test]
fn a_path_means_a_file_of_the_containers_that_the_process_is_in() {
    let Some(root) = Root::new("path") else { return };
    for path in ["/usr/bin/contained", "/usr/bin/contained-1", "/u*/bin/contain*"] {
        let mut contained = root.start();
        let pid = contained.pid.to_string();
        let rstap = rstap(&script(Path::new(path)), &["-x", &pid]);
        contained.work(7);
        assert_eq!(rest(rstap), format!("7 {pid}\n"));
    }
}

#[test]
fn processes_in_containers_are_found_by_the_file_they_run() {
    let Some(root) = Root::new("found") else { return };
    let mut early = root.start();
    let script = format!(
        "global n, late probe process(\"{0}\").function(\"work\") {{ n++ }} \
         probe process(\"{0}\").begin {{ if (pid() != {1}) println(\"late\") }} \
         probe process(\"{0}\").end {{ if (pid() != {1}) exit() }} probe end {{ println(n) }}",
        root.0.join("usr/bin/contained-1").display(),
        early.pid
    );
    let mut rstap = rstap(&script, &[]);
    early.work(3);
    let mut late = root.start();
    let mut line = [0; 5];
    rstap.stdout.as_mut().expect("piped").read_exact(&mut line).expect("it is seen");
    assert_eq!(&line, b"late\n");
    late.work(4);
    assert_eq!(rest(rstap), "7\n");
}
