//! Hundreds of functions of real programs probed at once, armed and disarmed again and again under load, by both
//! backends: the programs stay alive and their answers right, their text is as before, and counts are exact.
//!
//! The programs under tests/stress check themselves: each says `ready` and the id of the process to watch, works until
//! a file exists, and then says `right`. `RSTAP_STRESS=100 cargo test --release --test stress -- --nocapture` is the
//! long form, which has some programs more. Each trial names what it needs; without it the trial is skipped by name, and
//! fails when `CI=true`.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rstap_host::process::maps;
use support::process::{Outcome, Plan, Server, Status, run};
use support::{RSTAP, needs, root, scratch};

/// A program under load.
struct Load {
    name: &'static str,
    /// Programs and files without which it cannot run.
    needs: &'static [&'static str],
    /// How it is started. `$HERE` is the folder tests/stress, `$DIR` one of its own; the shell is replaced by it.
    command: &'static str,
    /// Probe points without their `process("…")`, and the file they are in.
    file: &'static str,
    points: &'static [&'static str],
    /// Part of the long form only: nothing else needs these programs.
    long: bool,
}

const LOADS: &[Load] = &[
    Load {
        name: "python",
        needs: &["/usr/bin/python3.11"],
        command: "exec /usr/bin/python3.11 $HERE/python.py $DIR/stop",
        file: "/usr/bin/python3.11",
        points: &["function(\"Py[D-U]*\")"],
        long: false,
    },
    Load {
        name: "sqlite",
        needs: &["/usr/bin/python3.11"],
        command: "exec /usr/bin/python3.11 $HERE/sqlite.py $DIR/stop",
        file: "/usr/bin/python3.11",
        points: &["library(\"libsqlite3*\").function(\"sqlite3_*\")"],
        long: false,
    },
    Load {
        name: "redis",
        needs: &["redis-server", "redis-cli", "redis-benchmark"],
        command: "exec $HERE/redis.sh $DIR/stop",
        file: "/usr/bin/redis-server",
        points: &["function(\"[a-h]*\")"],
        long: false,
    },
    Load {
        name: "vim",
        needs: &["vim.nox"],
        command: "STOP=$DIR/stop exec vim.nox -N -u NONE -i NONE -es -S $HERE/vim.vim",
        file: "/usr/bin/vim.nox",
        points: &["function(\"[b-h]*\")"],
        long: false,
    },
    Load {
        name: "rust",
        needs: &["rustc"],
        command: "rustc -O -g -o $DIR/rust $HERE/rust.rs && exec $DIR/rust $DIR/stop",
        file: "$DIR/rust",
        points: &["function(\"*\")"],
        long: false,
    },
    Load {
        name: "postgres",
        needs: &["pgbench", "/usr/lib/postgresql"],
        command: "exec $HERE/postgres.sh $DIR/stop",
        file: "/usr/lib/postgresql/*/bin/postgres",
        points: &["function(\"Exec*\")", "function(\"heap*\")"],
        long: false,
    },
    Load {
        name: "node",
        needs: &["node"],
        command: "exec node $HERE/node.js $DIR/stop",
        file: "/usr/bin/node",
        points: &["function(\"uv_*\")"],
        long: true,
    },
    Load {
        name: "go",
        needs: &["go"],
        command: "go build -o $DIR/go $HERE/go.go && exec $DIR/go $DIR/stop",
        file: "$DIR/go",
        points: &["function(\"[a-m]*\")"],
        long: true,
    },
];

/// How often each backend arms and disarms, and how many hits it takes.
const CYCLES: u64 = 1;
const HITS: u64 = 300;

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let long = long_form();
    let trials = LOADS.iter().filter(|load| long.is_some() || !load.long).map(|load| {
        let missing = load.needs.iter().copied().find(|what| !is_there(what));
        let run = move || match missing {
            Some(what) => Err(Failed::from(format!("needs {what}"))),
            None => stress(load).map_err(Failed::from),
        };
        let kind = missing.map(|what| format!("needs {what}")).unwrap_or_default();
        Trial::test(load.name, run).with_kind(kind).with_ignored_flag(missing.is_some() && !needs::in_ci())
    });
    // One at a time: each is a load by itself.
    let args = Arguments { test_threads: Some(1), ..args };
    libtest_mimic::run(&args, trials.collect()).exit_code()
}

/// Cycles of the long form, if that is wanted.
fn long_form() -> Option<u64> {
    std::env::var("RSTAP_STRESS").ok()?.parse().ok()
}

fn is_there(what: &str) -> bool {
    if what.starts_with('/') { Path::new(what).exists() } else { needs::find_program(what).is_some() }
}

fn stress(load: &Load) -> Result<(), String> {
    let dir = scratch().join(format!("stress-{}", load.name));
    // What a run that failed has left.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let here = root().join("tests/stress");
    let placed = |text: &str| {
        text.replace("$HERE", &here.display().to_string()).replace("$DIR", &dir.display().to_string())
    };
    let mut command = Command::new("sh");
    command.args(["-c", &placed(load.command)]).env("LC_ALL", "C").env("PGTZ", "UTC");
    let server = Server::start(&mut command).map_err(|error| error.to_string())?;
    let said = server.first_line().to_owned();
    let Some(rest) = said.strip_prefix("ready") else { return Err(format!("it said {said:?}")) };
    let pid = rest.trim().parse().unwrap_or(server.pid());
    let done = cycles(load, &placed(load.file), pid);
    std::fs::write(dir.join("stop"), "").map_err(|error| error.to_string())?;
    let (rest, status) = server.finish(Duration::from_secs(120));
    let rest = String::from_utf8_lossy(&rest);
    if (rest.trim_end(), status) != ("right", Status::Exited(0)) {
        return Err(format!("the program ended with {status} and said {rest:?}; {done:?}"));
    }
    done
}

/// Arms and disarms again and again.
fn cycles(load: &Load, file: &str, pid: u32) -> Result<(), String> {
    let points: Vec<String> =
        load.points.iter().map(|point| format!("process(\"{file}\").{point}")).collect();
    let listed = rstap(&["-l", &points[0]], Duration::from_secs(60))?;
    let count: usize = text(&listed.stdout).lines().count();
    let script = format!(
        "global n\nprobe {} {{ if (n++ == {HITS}) exit() }}\nprobe end {{ println(n > {HITS}) }}",
        points.join(", ")
    );
    let target = pid.to_string();
    let of = if pid == 0 { vec![] } else { vec!["-x", target.as_str()] };
    let text_before = own_text(pid)?;
    let cycles = long_form().unwrap_or(CYCLES);
    for backend in ["inject", "ptrace"] {
        for cycle in 0..cycles {
            let limits = ["--backend", backend, "-D", "MAXSKIPPED=1000000000", "-D", "STP_NO_OVERLOAD"];
            let args = [&limits, of.as_slice(), &["-e", &script]].concat();
            let outcome = rstap(&args, Duration::from_secs(300))?;
            let (stdout, stderr) = (text(&outcome.stdout), text(&outcome.stderr));
            if stdout != "1\n" || outcome.status != Status::Exited(0) || stderr.contains("ERROR") {
                return Err(format!("{backend}, cycle {cycle}: {}: {stdout}{stderr}", outcome.status));
            }
            let text_now = own_text(pid)?;
            if !text_before.iter().all(|mapping| text_now.contains(mapping)) {
                return Err(format!("{backend}, cycle {cycle}: its text is not as before: {stderr}"));
            }
        }
    }
    println!("{}: {count} functions by the first wildcard, {cycles} cycles by each backend", load.name);
    Ok(())
}

fn rstap(args: &[&str], timeout: Duration) -> Result<Outcome, String> {
    let mut command = Command::new(RSTAP);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null());
    run(&mut command, &Plan { timeout, ..Plan::default() }).map_err(|error| error.to_string())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text of a process that is from files; nothing of process 0.
fn own_text(pid: u32) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    use std::os::unix::fs::FileExt;
    if pid == 0 {
        return Ok(Vec::new());
    }
    let error = |error: std::io::Error| format!("process {pid}: {error}");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).map_err(error)?;
    let mappings = maps::read(pid.cast_signed()).map_err(|error| error.to_string())?;
    let text = mappings.into_iter().filter(|m| m.executable && m.is_file() && !m.path.starts_with("/memfd:"));
    text.map(|m| {
        let mut bytes = vec![0; (m.end - m.start) as usize];
        memory.read_exact_at(&mut bytes, m.start).map_err(error)?;
        Ok((PathBuf::from(m.path), bytes))
    })
    .collect()
}
