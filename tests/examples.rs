//! Every script of examples/ on a real program: runs the first command in the script's head and looks for what
//! tests/examples/cases.txt says it shows, on standard output and in what the head says is printed. An example without a
//! case is a failure.
//!
//! Each trial names what it needs; without it the trial is skipped by name, and fails when `CI=true`.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use support::process::{Plan, run};
use support::{RSTAP, needs, root};

/// What is asked of one script.
#[derive(Clone, Default)]
struct Case {
    needs: Vec<String>,
    /// Run before, with a folder as its argument.
    prepare: Option<String>,
    see: Vec<String>,
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let cases = read_cases(&fs::read_to_string(root().join("tests/examples/cases.txt")).unwrap_or_default());
    let mut trials = vec![Trial::test("patterns", || patterns().map_err(Failed::from))];
    for script in scripts(&root().join("examples")) {
        let name = script.strip_prefix(root().join("examples")).unwrap_or(&script).display().to_string();
        trials.push(trial(name.clone(), script, cases.get(&name).cloned()));
    }
    for name in cases.keys().filter(|name| !root().join("examples").join(name).is_file()) {
        let name = name.clone();
        let message = format!("tests/examples/cases.txt names {name}, which is not in examples/");
        trials.push(Trial::test(name, || Err(Failed::from(message))));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

fn trial(name: String, script: PathBuf, case: Option<Case>) -> Trial {
    let Some(case) = case else {
        return Trial::test(name, || Err(Failed::from("it is not in tests/examples/cases.txt")));
    };
    let missing = case.needs.iter().find(|what| !is_there(what)).cloned();
    let skipped = missing.is_some() && !needs::in_ci();
    let kind = missing.as_ref().map(|what| format!("needs {what}")).unwrap_or_default();
    let run = move || match missing {
        Some(what) => Err(Failed::from(format!("needs {what}"))),
        None => check(&script, &case).map_err(Failed::from),
    };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(skipped)
}

/// Whether there is such a file or folder, or a program of that name in PATH or beside root's programs.
fn is_there(what: &str) -> bool {
    if what.starts_with('/') {
        return Path::new(what).exists();
    }
    needs::find_program(what).is_some() || Path::new("/usr/sbin").join(what).is_file()
}

fn check(script: &Path, case: &Case) -> Result<(), String> {
    let text = fs::read_to_string(script).map_err(|error| error.to_string())?;
    let shown = text.lines().find_map(|line| line.strip_prefix("#   rstap "));
    let shown = shown.ok_or("its head shows no command that begins with `#   rstap `")?;
    // A server needs a folder that its user may enter, and its socket a short path.
    let folder = std::env::temp_dir().join(format!("rstap-examples-{}-{:p}", std::process::id(), case));
    let folder_name = folder.display().to_string();
    let result = prepare(case, &folder_name).and_then(|()| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {RSTAP} {}", shown.replace("FOLDER", &folder_name)));
        command.current_dir(root()).env("LC_ALL", "C.UTF-8").env("LS_COLORS", "di=1").env("TERM", "dumb");
        let plan = Plan { timeout: Duration::from_secs(120), ..Plan::default() };
        run(&mut command, &plan).map_err(|error| error.to_string())
    });
    // Nothing is left of a server's data, whatever became of the run.
    let _ = fs::remove_dir_all(&folder);
    let outcome = result?;
    let (stdout, stderr) =
        (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    if !outcome.status.is_success() {
        return Err(format!("rstap {shown}\nends with {}\n{stdout}\n{stderr}", outcome.status));
    }
    for wanted in &case.see {
        if !stdout.lines().any(|line| matches(line, wanted)) {
            return Err(format!("rstap {shown}\nno line is like `{wanted}` in\n{stdout}\n{stderr}"));
        }
        if !printed(&text).any(|line| matches(line, wanted)) {
            return Err(format!("its head shows no line like `{wanted}`; rstap {shown} printed\n{stdout}"));
        }
    }
    Ok(())
}

/// The lines that a script's head says are printed: the indented ones after `# prints`.
fn printed(script: &str) -> impl Iterator<Item = &str> {
    let head = script.lines().take_while(|line| line.starts_with('#'));
    head.skip_while(|line| !line.starts_with("# prints")).filter_map(|line| line.strip_prefix("#   "))
}

fn prepare(case: &Case, folder: &str) -> Result<(), String> {
    let Some(program) = &case.prepare else { return Ok(()) };
    let output = Command::new(root().join(program)).arg(folder).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Blocks of lines, the first of which names the script.
fn read_cases(text: &str) -> BTreeMap<String, Case> {
    let mut cases = BTreeMap::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let Some(name) = lines.next() else { continue };
        let mut case = Case::default();
        for line in lines {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("needs", names) => case.needs = names.split_whitespace().map(str::to_owned).collect(),
                ("prepare", program) => case.prepare = Some(program.to_owned()),
                ("see", pattern) => case.see.push(pattern.to_owned()),
                _ => case.see.push(format!("(`{line}` in cases.txt makes no sense)")),
            }
        }
        cases.insert(name.to_owned(), case);
    }
    cases
}

/// Whether a line is as the pattern says: `#` is a number greater than 0, `*` any text; blanks count as one, and not
/// at all at the ends.
fn matches(line: &str, pattern: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    matches_from(squeeze(line).as_bytes(), squeeze(pattern).as_bytes())
}

fn matches_from(line: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => line.is_empty(),
        Some((b'*', rest)) => (0..=line.len()).any(|from| matches_from(&line[from..], rest)),
        Some((b'#', rest)) => {
            let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
            line[..digits].iter().any(|&digit| digit != b'0') && matches_from(&line[digits..], rest)
        }
        Some((byte, rest)) => line.first() == Some(byte) && matches_from(&line[1..], rest),
    }
}

fn patterns() -> Result<(), String> {
    let table = [
        ("   12 calls", "# calls", true),
        ("    0 calls", "# calls", false),
        ("a[7] b", "a[#] *", true),
        ("a[x] b", "a[#] *", false),
        ("one two", "one", false),
        ("one  two", "one two", true),
        ("", "*", true),
    ];
    match table.iter().find(|(line, pattern, expected)| matches(line, pattern) != *expected) {
        Some((line, pattern, _)) => Err(format!("`{line}` and `{pattern}`")),
        None => Ok(()),
    }
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "stp") {
            found.push(path);
        }
    }
    found.sort();
    found
}
