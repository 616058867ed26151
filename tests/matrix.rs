//! The matrix: one program per language, built by several compilers in many ways; at many instructions every parameter
//! and local as rstap has it and as gdb prints it. gdb is the judge. docs/MATRIX.md explains what differs.
//!
//! `cargo test --test matrix` takes a few builds, `RSTAP_MATRIX=long` all of them. With `RSTAP_MATRIX_REPORT=FOLDER`
//! every difference goes to a file in that folder.

mod support;

#[path = "matrix/builds.rs"]
mod builds;
#[path = "matrix/compare.rs"]
mod compare;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use builds::Build;
use compare::Judgement;
use libtest_mimic::{Arguments, Trial};
use support::process::{self, Plan};
use support::{RSTAP, needs, root, scratch};

/// Of what gdb prints, so much has to be printed equal. The rest must not be printed at all.
const EQUAL_PERCENT: f64 = 99.0;

/// A run of gdb, or of rstap with hundreds of probes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let long = std::env::var("RSTAP_MATRIX").is_ok_and(|value| value == "long");
    let trials = builds::all(long).into_iter().map(trial).collect();
    libtest_mimic::run(&args, trials).exit_code()
}

fn trial(build: Build) -> Trial {
    let missing = needs::missing_program(build.needs()).map(str::to_owned);
    let skipped = missing.is_some() && !needs::in_ci();
    let kind = missing.as_ref().map(|program| format!("needs {program}")).unwrap_or_default();
    let name = build.name();
    let run = move || match missing {
        Some(program) => Err(format!("needs {program}, which is not installed").into()),
        None => check(&build).map_err(Into::into),
    };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(skipped)
}

fn check(build: &Build) -> Result<(), String> {
    let dir = scratch().join("matrix").join(build.name());
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    // gdb names the program by its real path, whose length moves the stack.
    let dir = dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))?;
    let program = build.make(&dir)?;
    let mut judgement = judge(build, &program, &dir)?;
    judgement.compare_runs(&judge(build, &program, &dir)?);
    let answers = answers(build, &judgement, &program, &dir)?;
    let tally = compare::tally(&judgement, &answers, |difference| build.explain(difference));
    println!("{}: {}", build.name(), tally.summary());
    if let Some(folder) = std::env::var_os("RSTAP_MATRIX_REPORT") {
        let file = PathBuf::from(folder).join(build.name());
        fs::write(&file, tally.report()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let good = tally.equal_percent() >= EQUAL_PERCENT && tally.is_sound();
    if good { Ok(()) } else { Err(tally.report()) }
}

/// What gdb says.
fn judge(build: &Build, program: &Path, dir: &Path) -> Result<Judgement, String> {
    let out = dir.join("judged");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]);
    gdb.arg("-x").arg(root().join("tests/matrix/judge.py")).arg(program).current_dir(dir);
    gdb.env("JUDGE_OUT", &out)
        .env("JUDGE_SOURCE", build.source())
        .env("JUDGE_ENVIRONMENT", build.environment())
        .env("JUDGE_STOPS", build.stops().to_string());
    let outcome = finish(&mut gdb)?;
    let text = fs::read_to_string(&out).unwrap_or_default();
    if !text.ends_with("END\n") {
        return Err(format!("gdb gave up:\n{text}\n{outcome}"));
    }
    Judgement::parse(&text)
}

/// What rstap says, in the order of the hits.
fn answers(build: &Build, judgement: &Judgement, program: &Path, dir: &Path) -> Result<String, String> {
    let script = dir.join("script.stp");
    fs::write(&script, judgement.script(&program.to_string_lossy()))
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let mut rstap = Command::new(RSTAP);
    rstap.args(["-D", "MAXACTION=1000000", "-D", "MAXERRORS=1000000", "--suppress-time-limits", "-w", "-c"]);
    // As gdb starts it: the same addresses, the same environment.
    rstap
        .arg(format!("setarch -R env -i {} {}", build.environment(), program.display()))
        .arg(&script)
        .current_dir(dir);
    finish(&mut rstap)
}

fn finish(command: &mut Command) -> Result<String, String> {
    let plan = Plan { timeout: PATIENCE, ..Plan::default() };
    let outcome = process::run(command, &plan).map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    if outcome.status.is_success() {
        return Ok(text);
    }
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    Err(format!("{command:?} ended with {}\n{complaint}", outcome.status))
}
