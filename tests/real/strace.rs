//! process.syscall against strace: the same calls of the same programs in the same order, with the same results.

use std::process::Command;

use crate::support::process::{Plan, Status, run};
use crate::support::{RSTAP, scratch};

/// Programs that do the same each time they are run.
const COMMANDS: &[&str] = &[
    "ls -l /usr/include",
    "cat /etc/passwd /nonexistent",
    "sort /etc/services",
    "/usr/bin/python3 -S -c 'import json; print(json.dumps([1, 2]))'",
    "sh -c 'exit 3'",
];

const SCRIPT: &str = r#"
probe process.syscall { if (syscall_name($syscall) =~ "^exit") printf("%s ?\n", syscall_name($syscall)) }
probe process.syscall.return { printf("%s %d\n", syscall_name($syscall), $return) }
"#;

/// Results that differ from run to run: addresses, process numbers, random numbers, times.
const VARIABLE: &[&str] =
    &["brk", "mmap", "mremap", "set_tid_address", "getpid", "getppid", "gettid", "futex"];

pub fn same_calls() -> Result<(), String> {
    for command in COMMANDS {
        let (ours, theirs) = (by_rstap(command)?, by_strace(command)?);
        if ours.len() < 20 {
            return Err(format!("{command}: only {} system calls were seen", ours.len()));
        }
        if let Some(at) = (0..ours.len().max(theirs.len())).find(|&at| ours.get(at) != theirs.get(at)) {
            let (ours, theirs) = (&ours[at.saturating_sub(3)..], &theirs[at.saturating_sub(3)..]);
            let shown = |calls: &[String]| calls.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("{command}: call {at}: rstap {}; strace {}", shown(ours), shown(theirs)));
        }
    }
    Ok(())
}

fn by_rstap(command: &str) -> Result<Vec<String>, String> {
    let output = scratch().join("calls.rstap");
    let mut rstap = Command::new(RSTAP);
    rstap.args(["-e", SCRIPT, "-c", command, "-o"]).arg(&output);
    traced(&mut rstap)?;
    let text = std::fs::read_to_string(&output).map_err(|error| error.to_string())?;
    Ok(text.lines().filter_map(|line| call(line.split_once(' ')?.0, line.split_once(' ')?.1)).collect())
}

fn by_strace(command: &str) -> Result<Vec<String>, String> {
    let output = scratch().join("calls.strace");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&output).args(["sh", "-c", &format!("exec {command}")]);
    traced(&mut strace)?;
    let text =
        String::from_utf8_lossy(&std::fs::read(&output).map_err(|error| error.to_string())?).into_owned();
    // The first execve is the shell's, the second is that of the program.
    let own = text.rmatch_indices("execve(").next().ok_or("strace saw no execve")?.0;
    let lines = text[own..].lines().skip(1).filter(|line| !line.starts_with(['+', '-']));
    let parsed = |line: &str| {
        let (name, rest) = line.split_once('(')?;
        call(name, rest.rsplit_once(" = ")?.1)
    };
    Ok(lines.filter_map(parsed).collect())
}

/// `name result`, the result as far as it is the same each time.
fn call(name: &str, result: &str) -> Option<String> {
    let result = result.split(' ').next()?;
    let hexadecimal = result.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let result = hexadecimal.map_or(result.to_owned(), |number| number.to_string());
    Some(match result.starts_with('-') {
        true => format!("{name} failed"),
        false if VARIABLE.contains(&name) => name.to_owned(),
        false => format!("{name} {result}"),
    })
}

/// In one small environment, also where a shell comes between: what it holds decides when an allocator needs memory.
fn traced(command: &mut Command) -> Result<(), String> {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("PWD", "/")
        .env("PYTHONHASHSEED", "0")
        .current_dir("/");
    let outcome = run(command, &Plan::default()).map_err(|error| error.to_string())?;
    match outcome.status {
        Status::Exited(_) => Ok(()),
        other => Err(format!("{command:?}: {other}: {}", String::from_utf8_lossy(&outcome.stderr))),
    }
}
