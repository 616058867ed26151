//! redis-server under the load of redis-benchmark: attached to, watched, let go again, and unharmed.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::crowd::{Rstap, number_after};
use crate::support::process::{Plan, run};
use crate::support::{RSTAP, scratch};
use crate::{ensure, texts};

/// What these trials run.
pub const PROGRAMS: &[&str] = &["redis-server", "redis-benchmark", "redis-cli"];

const SCRIPT: &str = r#"global n
probe process("/usr/bin/redis-server").function("processCommand") { if (n++ == 100) println("watching") }
probe end { printf("%d\n", n > 100) }"#;

/// ^C detaches.
pub fn attach_and_interrupt() -> Result<(), String> {
    attach_and_signal("interrupt", &[Signal::SIGINT])
}

/// So do SIGTERM and SIGHUP.
pub fn attach_and_terminate() -> Result<(), String> {
    attach_and_signal("terminate", &[Signal::SIGTERM, Signal::SIGHUP])
}

fn attach_and_signal(name: &str, signals: &[Signal]) -> Result<(), String> {
    let server = Server::start(&scratch().join(format!("redis-{name}")))?;
    let before = server.text()?;
    let mut load = server.load()?;
    for signal in signals {
        let plan =
            Plan { timeout: Duration::from_secs(60), signal_at_first_line: Some(*signal), ..Plan::default() };
        let mut command = Command::new(RSTAP);
        command.args(["-e", SCRIPT, "-x", &server.process.id().to_string()]);
        let outcome = run(&mut command, &plan).map_err(|error| error.to_string())?;
        let (stdout, stderr) = texts(&outcome);
        ensure(stdout == "watching\n1\n", "hits and an end probe expected", &format!("{stdout}{stderr}"))?;
        ensure(server.text()? == before, "the text of the program must be as before", "other bytes")?;
        ensure(tracer_pid(server.process.id()) == Some(0), "no tracer may be left", "one is")?;
    }
    ensure(matches!(load.try_wait(), Ok(None)), "the load outlasts the watching", "it has ended")?;
    load.kill().and_then(|()| load.wait()).map_err(|error| error.to_string())?;
    let answer = server.ask("PING")?;
    ensure(answer.trim() == "PONG", "the server answers", &answer)
}

/// As many hits as the server says it has had commands, by either backend.
pub fn counts_are_exact() -> Result<(), String> {
    let server = Server::start(&scratch().join("redis-counts"))?;
    for backend in ["ptrace", "inject"] {
        let before = server.commands()?;
        let script = "global n probe process(\"/usr/bin/redis-server\").function(\"processCommand\") { n++ }\n\
                      probe end { println(\"counted \", n) }";
        let args = ["--backend", backend, "-x", &server.process.id().to_string()];
        let mut rstap = Rstap::start(script, &args);
        let load = Command::new("redis-benchmark")
            .arg("-s")
            .arg(&server.socket)
            .args(["-q", "-c", "4", "-n", "500", "-t", "set,incr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        ensure(load.is_ok_and(|status| status.success()), "the load ends", "a failure")?;
        kill(Pid::from_raw(rstap.pid().cast_signed()), Signal::SIGINT).map_err(|error| error.to_string())?;
        let (stdout, stderr) = rstap.rest();
        let _ = rstap.child.wait();
        let count = number_after(&stdout, "counted ").unwrap_or(0);
        // The first question came between the answers.
        let truth = server.commands()? - before - 1;
        let seen = format!("{backend}: {stdout}{stderr}");
        ensure(count == truth && truth > 1000, &format!("{truth} commands expected"), &seen)?;
    }
    Ok(())
}

struct Server {
    process: Child,
    socket: PathBuf,
}

impl Server {
    /// Starts a server with several I/O threads that listens on a socket in `dir` only, and waits until it answers.
    fn start(dir: &Path) -> Result<Server, String> {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        // A socket's path is limited to about 100 bytes, which a build folder may exceed: name it from /tmp.
        let socket = std::env::temp_dir().join(format!("rstap-{}-{:p}.sock", std::process::id(), dir));
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--io-threads",
                "4",
                "--io-threads-do-reads",
                "yes",
                "--unixsocket",
            ])
            .arg(&socket)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server: {error}"))?;
        let server = Server { process, socket };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !server.ask("PING").is_ok_and(|answer| answer.trim() == "PONG") {
            ensure(Instant::now() < deadline, "the server starts", "it does not answer")?;
            std::thread::yield_now();
        }
        Ok(server)
    }

    fn ask(&self, question: &str) -> Result<String, String> {
        let output = Command::new("redis-cli").arg("-s").arg(&self.socket).arg(question).output();
        let output = output.map_err(|error| format!("redis-cli: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The commands that it has had so far.
    fn commands(&self) -> Result<u64, String> {
        let output = Command::new("redis-cli").arg("-s").arg(&self.socket).args(["INFO", "stats"]).output();
        let output = output.map_err(|error| format!("redis-cli: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        number_after(&text, "total_commands_processed:").ok_or_else(|| format!("no count in {text}"))
    }

    /// A load that goes on until it is killed.
    fn load(&self) -> Result<Child, String> {
        Command::new("redis-benchmark")
            .arg("-s")
            .arg(&self.socket)
            .args(["-q", "-l", "-c", "8", "-n", "100000", "-t", "set,get"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-benchmark: {error}"))
    }

    /// The bytes of the program's executable mappings.
    fn text(&self) -> Result<Vec<u8>, String> {
        let pid = self.process.id();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| error.to_string())?;
        let mut memory = fs::File::open(format!("/proc/{pid}/mem")).map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.contains("/redis")) {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let (start, end) = range.ok_or_else(|| format!("no range in `{line}`"))?;
            let parse = |hex: &str| u64::from_str_radix(hex, 16).map_err(|error| error.to_string());
            let (start, end) = (parse(start)?, parse(end)?);
            memory.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
            let read = (&memory).take(end - start).read_to_end(&mut text);
            read.map_err(|error| error.to_string())?;
        }
        ensure(!text.is_empty(), "the program has text", &maps)?;
        Ok(text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have died already, which the trial has then said.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

fn tracer_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}
