//! The contract with users: `tests/golden/NAME/{script.stp, expected}`, see `tests/golden/README.md`.
//!
//! Runs each script through the rstap binary, once per backend when it probes a program, and compares standard
//! output, standard error and exit status with `expected`. `UPDATE_EXPECT=1` writes `expected` instead.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use support::case::{self, Case};
use support::normalize::{Names, normalize};
use support::process::{self, Outcome, Plan, Server, Status};
use support::{RSTAP, diff, needs, root, scratch, targets};

/// Each backend with the options that choose it.
const BACKENDS: &[(&str, &[&str])] =
    &[("ptrace", &["--backend", "ptrace"]), ("inject", &["--backend", "inject"])];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&args, trials).exit_code(),
        Err(message) => {
            eprintln!("golden: {message}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> Result<Vec<Trial>, String> {
    let shared = targets::build_folder(&root().join("tests/targets"))?;
    let mut trials = Vec::new();
    for case in case::load_all(&root().join("tests/golden"))? {
        if case.has_target() {
            let wanted = case.directives.backends.clone();
            let wanted =
                |name: &str| wanted.as_ref().is_none_or(|list| list.iter().any(|entry| entry == name));
            for (backend, options) in BACKENDS.iter().filter(|(name, _)| wanted(name)) {
                let name = format!("{}::{backend}", case.name);
                trials.push(trial(name, Case::load(&case.dir)?, options, shared.clone()));
            }
        } else {
            trials.push(trial(case.name.clone(), case, &[], shared.clone()));
        }
    }
    Ok(trials)
}

fn trial(name: String, case: Case, backend_options: &'static [&'static str], shared: PathBuf) -> Trial {
    let missing = needs::missing_program(case.directives.needs.iter().map(String::as_str)).map(str::to_owned);
    let skipped = missing.is_some() && !needs::in_ci();
    let kind = missing.as_ref().map(|program| format!("needs {program}")).unwrap_or_default();
    let run = move || match missing {
        Some(program) => Err(Failed::from(format!("needs {program}, which is not installed"))),
        None => check(&case, backend_options, &shared).map_err(Failed::from),
    };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(skipped)
}

fn check(case: &Case, backend_options: &[&str], shared: &Path) -> Result<(), String> {
    let dir = if case.has_own_target { targets::build_folder(&case.dir)? } else { shared.to_owned() };
    let actual = run(case, backend_options, &dir)?;
    let path = case.dir.join("expected");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(&path, actual).map_err(|error| format!("{}: {error}", path.display()));
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if expected == actual { Ok(()) } else { Err(diff::lines(&expected, &actual)) }
}

/// Runs the case in `dir`; what `expected` should be.
fn run(case: &Case, backend_options: &[&str], dir: &Path) -> Result<String, String> {
    // The script lies beside the programs and is named without a folder: a run-time error line is cut at a length, which
    // must not depend on where the checkout is.
    let file = format!("{}.stp", case.name);
    let script = dir.join(&file);
    // In one step: the case may be running with another backend.
    let backend = backend_options.last().unwrap_or(&"");
    let written = dir.join(format!("{file}.{backend}"));
    fs::write(&written, &case.script)
        .and_then(|()| fs::rename(&written, &script))
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let mut command = Command::new(RSTAP);
    command.current_dir(dir).args(backend_options).args(&case.directives.options);
    command.env("TZ", "UTC").env("LC_ALL", "C").env("TMPDIR", scratch()).env_remove("RUST_BACKTRACE");

    let directives = &case.directives;
    let server = match &directives.attach {
        Some(words) => Some(start_server(words, dir)?),
        None => None,
    };
    if let Some(server) = &server {
        command.args(["-x", &server.pid().to_string()]);
    }
    if case.has_script() {
        command.args(["--", &file]).args(&directives.script_args);
    }
    let plan = Plan {
        timeout: directives.timeout,
        stdin: directives.stdin.clone().unwrap_or_default().into_bytes(),
        signal_at_first_line: directives.signal,
    };
    let outcome = process::run(&mut command, &plan).map_err(|error| format!("{RSTAP}: {error}"))?;
    let target = server.map(|server| server.finish(directives.timeout));
    Ok(render(&outcome, target.as_ref(), &Names { dir: &dir.to_string_lossy(), file: &file }))
}

fn start_server(words: &[String], dir: &Path) -> Result<Server, String> {
    let (program, args) = words.split_first().ok_or("nothing to attach to")?;
    Server::start(Command::new(dir.join(program)).args(args).current_dir(dir))
        .map_err(|error| format!("{program}: {error}"))
}

/// Sections in a fixed order; those that hold nothing unusual are left out.
fn render(outcome: &Outcome, target: Option<&(Vec<u8>, Status)>, names: &Names) -> String {
    let mut text = normalize(&outcome.stdout, names);
    if !outcome.stderr.is_empty() {
        text += "--- stderr\n";
        text += &normalize(&outcome.stderr, names);
    }
    if !outcome.status.is_success() {
        text += &format!("--- status\n{}\n", outcome.status);
    }
    if let Some((stdout, status)) = target {
        text += "--- target\n";
        text += &normalize(stdout, names);
        text += &format!("status {status}\n");
    }
    text
}
