//! The contract with users: `tests/golden/NAME/{script.stp, expected}`, see `tests/golden/README.md`.
//!
//! Runs each script through the rstap binary, once per backend when it probes a program, and compares standard
//! output, standard error and exit status with `expected`. `UPDATE_EXPECT=1` writes `expected` instead.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use support::case::{self, Case};
use support::run::Run;
use support::{diff, needs, root, targets};

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
    let file = format!("{}.stp", case.name);
    let actual = Run::of(case, &file, backend_options).outcome(&dir)?;
    let path = case.dir.join("expected");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(&path, actual).map_err(|error| format!("{}: {error}", path.display()));
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if expected == actual { Ok(()) } else { Err(diff::lines(&expected, &actual)) }
}
