//! Job control: ^Z, fg and ^C at a terminal, as a shell with jobs does it. The terminal is that of script(1).

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::process::Server;
use support::{RSTAP, needs, root, targets};

/// A shell at a terminal that runs a command, waits for a line when that has stopped, and brings it back.
struct Terminal {
    child: Child,
    said: String,
}

impl Terminal {
    fn run(command: &str) -> Option<Terminal> {
        if let Some(program) = needs::missing_program(["script", "bash"]) {
            assert!(!needs::in_ci(), "{program} is not installed");
            return None;
        }
        let shell = format!(
            "set -m; {command}; echo \"<stopped $?>\"; read line; fg >/dev/null; echo \"<ended $?>\""
        );
        let child = Command::new("script")
            .args(["-qec", "exec bash --norc -c \"$SHELL_TEXT\"", "/dev/null"])
            .env("SHELL_TEXT", shell)
            .env("SHELL", "/bin/sh")
            .current_dir(programs())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        Some(Terminal { child, said: String::new() })
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().expect("piped").write_all(keys.as_bytes()).expect("somebody listens");
    }

    /// Waits for something to be said after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        while !self.said.contains(text) {
            let mut bytes = [0; 256];
            let count = self.child.stdout.as_mut().expect("piped").read(&mut bytes).expect("it can be read");
            assert!(count > 0, "no {text:?} in {:?}", self.said);
            self.said += &String::from_utf8_lossy(&bytes[..count]);
        }
        let end = self.said.find(text).expect("just seen") + text.len();
        self.said.drain(..end);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn programs() -> PathBuf {
    targets::build_folder(&root().join("tests/targets")).expect("the targets compile")
}

/// Says something at each tenth call, and counts the beginnings of the process.
const SCRIPT: &str = "global n, begins probe process(\"./server\").begin { begins++ } \
    probe process(\"./server\").function(\"work\") { if (++n % 10 == 0) println(\"<calls>\") } \
    probe end { println(\"<begins \", begins, \">\") }";

/// A line of /proc/PID/status.
fn status_line(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    text.lines().find(|line| line.starts_with(key)).expect("a known key").to_owned()
}

#[test]
fn a_stopped_rstap_gives_its_target_back_and_takes_it_again() {
    for backend in ["ptrace", "inject"] {
        let server = Server::start(Command::new(programs().join("server")).current_dir(programs()));
        let server = server.expect("it starts");
        let pid = server.pid();
        let command = format!("{RSTAP} --backend {backend} -e '{SCRIPT}' -x {pid}");
        let Some(mut terminal) = Terminal::run(&command) else { return };
        terminal.wait_for("<calls>");
        terminal.press("\x1a");
        // SIGSTOP's number and 128.
        terminal.wait_for("<stopped 147>");
        assert_eq!(status_line(pid, "TracerPid:"), "TracerPid:\t0");
        assert!(!status_line(pid, "State:").contains("T (stopped)"));
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it lives");
        assert!(!maps.contains("rstap-"), "{maps}");
        terminal.press("\n");
        terminal.wait_for("<calls>");
        terminal.press("\x03");
        terminal.wait_for("<begins 1>");
        terminal.wait_for("<ended 0>");
        let (output, status) = server.finish(std::time::Duration::from_secs(20));
        assert!(status.is_success(), "{output:?}");
    }
}

#[test]
fn a_command_stops_and_goes_on_together_with_rstap() {
    let command = format!("{RSTAP} -e '{SCRIPT}' -c ./server");
    let Some(mut terminal) = Terminal::run(&command) else { return };
    terminal.wait_for("<calls>");
    terminal.press("\x1a");
    terminal.wait_for("<stopped 147>");
    terminal.press("\n");
    terminal.wait_for("<calls>");
    terminal.press("\x04");
    terminal.wait_for("<begins 1>");
    terminal.wait_for("<ended 0>");
}
