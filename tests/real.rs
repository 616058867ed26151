//! rstap on programs that were not written for it: vim, sqlite3, redis-server, and Debian's detached debug files.
//!
//! Each trial names what it needs; without it the trial is skipped by name, and fails when `CI=true`. Servers listen
//! on a Unix socket in the test's own folder and are ended by the trial that started them.

#[path = "real/debuginfod.rs"]
mod debuginfod;
#[path = "real/redis.rs"]
mod redis;
#[path = "real/strace.rs"]
mod strace;
mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use support::process::{Outcome, Plan, Status, run};
use support::{RSTAP, needs, root};

type Check = fn() -> Result<(), String>;

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let with_dwarf =
        || vim_with_dwarf().map(|_| ()).ok_or("tests/real/build-vim.sh to have been run".to_owned());
    let debug_file = |package: &'static str, program: &'static str| {
        move || {
            debug_file_exists(program)
                .then_some(())
                .ok_or(format!("the debug files of {program} ({package})"))
        }
    };
    let trials = vec![
        trial("vim_wildcard_prints_functions_in_call_order", programs(&["vim.nox"]), vim_wildcard),
        trial("vim_functions_are_listed", programs(&["vim.nox"]), vim_list),
        trial("vim_without_dwarf_says_what_is_missing", programs(&["vim.nox"]), vim_without_dwarf),
        trial("vim_founding_example_names_the_unknown_user", programs(&["vim.nox"]), vim_unknown_user),
        trial("vim_with_dwarf_reads_through_a_pointer", with_dwarf(), vim_pointer),
        trial("vim_with_dwarf_warns_once_for_a_wildcard", with_dwarf(), vim_some_have_argc),
        trial("vim_with_dwarf_lists_variables", with_dwarf(), vim_variables),
        trial("sqlite_counts_calls_of_a_library", programs(&["sqlite3"]), sqlite_library),
        trial(
            "libc_parameters_by_build_id",
            debug_file("libc6-dbg", "/lib/x86_64-linux-gnu/libc.so.6")(),
            libc_parameters,
        ),
        trial(
            "python_variables_by_build_id",
            debug_file("python3-dbg", "/usr/bin/python3.11")(),
            python_variables,
        ),
        trial("redis_survives_attach_and_detach", programs(redis::PROGRAMS), redis::attach_and_interrupt),
        trial("redis_survives_sigterm_and_sighup", programs(redis::PROGRAMS), redis::attach_and_terminate),
        trial("redis_has_as_many_hits_as_commands", programs(redis::PROGRAMS), redis::counts_are_exact),
        trial("strace_sees_the_same_system_calls", programs(&["strace", "python3"]), strace::same_calls),
        trial("debuginfod_has_a_debug_file", programs(debuginfod::PROGRAMS), debuginfod::fetched_once),
        trial("first_example_on_ls", Ok(()), first_example),
    ];
    libtest_mimic::run(&args, trials).exit_code()
}

fn trial(name: &str, needed: Result<(), String>, check: Check) -> Trial {
    let skipped = needed.is_err() && !needs::in_ci();
    let kind = needed.as_ref().err().map(|what| format!("needs {what}")).unwrap_or_default();
    let run = move || match needed {
        Err(what) => Err(Failed::from(format!("needs {what}"))),
        Ok(()) => check().map_err(Failed::from),
    };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(skipped)
}

fn programs(names: &[&str]) -> Result<(), String> {
    needs::missing_program(names.iter().copied()).map_or(Ok(()), |name| Err(name.to_owned()))
}

/// The vim that tests/real/build-vim.sh has built.
fn vim_with_dwarf() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(cache.join("rstap")).ok()?.flatten().map(|e| e.path()).collect();
    found.retain(|dir| dir.join("vim").is_file());
    found.sort();
    found.pop().map(|dir| dir.join("vim"))
}

/// Whether the detached debug file of `program` is where its build id says.
fn debug_file_exists(program: &str) -> bool {
    let output = Command::new("readelf").args(["-n", program]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let id = text
        .split_once("Build ID: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or_default();
    id.is_ascii() && id.len() > 2 && {
        let (first, rest) = id.split_at(2);
        PathBuf::from(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug")).is_file()
    }
}

fn rstap(args: &[&str]) -> Result<Outcome, String> {
    let mut command = Command::new(RSTAP);
    command.args(args).current_dir(root()).env("LC_ALL", "C").env("TERM", "dumb");
    run(&mut command, &Plan { timeout: std::time::Duration::from_secs(60), ..Plan::default() })
        .map_err(|error| error.to_string())
}

/// Standard output of a run that must succeed.
fn output_of(args: &[&str]) -> Result<String, String> {
    let outcome = rstap(args)?;
    let (stdout, stderr) = texts(&outcome);
    if outcome.status.is_success() {
        Ok(stdout)
    } else {
        Err(format!("status {}\n{stdout}{stderr}", outcome.status))
    }
}

/// Standard error of a run that must end with status 1.
fn error_of(args: &[&str]) -> Result<String, String> {
    let outcome = rstap(args)?;
    let (stdout, stderr) = texts(&outcome);
    if outcome.status == Status::Exited(1) {
        Ok(stderr)
    } else {
        Err(format!("status {}\n{stdout}{stderr}", outcome.status))
    }
}

fn texts(outcome: &Outcome) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&outcome.stdout), text(&outcome.stderr))
}

fn ensure(holds: bool, what: &str, seen: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}; seen:\n{seen}")) }
}

fn ensure_contains(text: &str, parts: &[&str]) -> Result<(), String> {
    parts.iter().try_for_each(|part| ensure(text.contains(part), &format!("`{part}` expected"), text))
}

fn vim_wildcard() -> Result<(), String> {
    let script = r#"probe process("/usr/bin/vim").function("*init*") { printf("%s %d\n", ppfunc(), pid()) }"#;
    let out = output_of(&["-e", script, "-c", "vim -es +q"])?;
    let lines: Vec<(&str, &str)> = out.lines().filter_map(|line| line.split_once(' ')).collect();
    ensure(lines.len() > 5, "more than five hits expected", &out)?;
    ensure(lines.iter().all(|(name, _)| name.contains("init")), "only names with `init` expected", &out)?;
    ensure(lines.iter().all(|(_, pid)| *pid == lines[0].1), "one process id expected", &out)
}

fn vim_list() -> Result<(), String> {
    let out = output_of(&["-l", r#"process("/usr/bin/vim").function("*init*")"#])?;
    ensure(out.lines().count() > 20, "more than 20 functions expected", &out)?;
    ensure(out.lines().all(|line| line.starts_with("process(\"/usr/bin/vim")), "probe points expected", &out)
}

fn vim_without_dwarf() -> Result<(), String> {
    let script = format!(
        r#"probe user("{}").process("/bin/vi").function("*init*") < print($argc) >"#,
        support::user_name()
    );
    let text = error_of(&["-e", &script])?;
    ensure_contains(&text, &["argc", "debug info", "$arg1", "int_arg(1)", "vim"])
}

fn vim_unknown_user() -> Result<(), String> {
    let script = r#"probe user("fche").process("/bin/vi").function("*init*") < print($argc) >"#;
    ensure_contains(&error_of(&["-e", script])?, &["fche", "user"])
}

fn dwarf_script(rest: &str) -> String {
    let vim = vim_with_dwarf().unwrap_or_default();
    format!("process(\"{}\").function({rest}", vim.display())
}

fn vim_command() -> String {
    format!("{} -es +q", vim_with_dwarf().unwrap_or_default().display())
}

fn vim_pointer() -> Result<(), String> {
    let script = format!("probe {}", dwarf_script(r#""common_init*") { println($paramp->argc) }"#));
    let out = output_of(&["-e", &script, "-c", &vim_command()])?;
    ensure(out.trim() == "3", "argc is 3", &out)
}

fn vim_some_have_argc() -> Result<(), String> {
    let script = format!("probe {}", dwarf_script(r#""*init*") { printf("%s %p\n", ppfunc(), $paramp) }"#));
    let outcome = rstap(&["-e", &script, "-c", &vim_command()])?;
    let (stdout, stderr) = texts(&outcome);
    ensure(stdout.contains("common_init 0x"), "a hit in common_init expected", &stdout)?;
    let warnings = stderr.to_lowercase().matches("warning").count();
    ensure(warnings == 1 && outcome.status.is_success(), "one warning expected", &stderr)
}

fn vim_variables() -> Result<(), String> {
    let out = output_of(&["-L", &dwarf_script("\"common_init\")")])?;
    ensure(out.contains("$paramp:mparm_T*"), "the parameter's type expected", &out)
}

fn sqlite_library() -> Result<(), String> {
    let script = r#"global n probe process("/usr/bin/sqlite3").library("libsqlite3*").function("sqlite3_*") { n[ppfunc()]++ }
        probe end { foreach (f in n- limit 10) printf("%6d %s\n", n[f], f) }"#;
    let out = output_of(&["-e", script, "-c", r#"sqlite3 :memory: "select 1""#])?;
    ensure(out.starts_with("1\n"), "the target's own output expected first", &out)?;
    let counts: Vec<u64> =
        out.lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    ensure(counts.len() == 10, "ten functions expected", &out)?;
    ensure(counts.is_sorted_by(|a, b| a >= b) && counts[0] > 10, "counts in falling order expected", &out)
}

fn libc_parameters() -> Result<(), String> {
    let script = r#"global n probe process("/usr/bin/ls").library("libc.so.6").function("malloc") { n <<< $bytes }
        probe end { printf("%d %d\n", @count(n) > 10, @max(n) >= 1024) }"#;
    let out = output_of(&["-e", script, "-c", "ls /usr/include"])?;
    ensure(out.ends_with("1 1\n"), "sizes of allocations expected", &out)
}

fn python_variables() -> Result<(), String> {
    let out = output_of(&["-L", r#"process("/usr/bin/python3.11").function("PyObject_Repr")"#])?;
    ensure(out.contains("$v:PyObject*"), "the parameter's type expected", &out)
}

fn first_example() -> Result<(), String> {
    let out = output_of(&["examples/first.stp", "-c", "ls -R /usr/include"])?;
    ensure_contains(&out, &["stdio.h", "calls"])
}
