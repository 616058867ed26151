//! Whether a golden case shows something: run without it, or with something else in its place, the case must give
//! another result than `expected`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::case::{self, Case};
use super::needs;
use super::run::Run;
use super::{root, targets};

/// A changed case that does not come to an end gives another result as well.
const LONGEST: Duration = Duration::from_secs(3);

/// What a changed case gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Another result.
    Yes,
    /// The same result: the case does not show it.
    No,
    /// It does not compile.
    Fails(String),
    /// It cannot be run.
    Refused(String),
}

/// All golden cases.
pub struct Cases {
    cases: BTreeMap<String, Case>,
    shared: PathBuf,
    runs: AtomicUsize,
}

impl Cases {
    pub fn load() -> Result<Cases, String> {
        let shared = targets::build_folder(&root().join("tests/targets"))?;
        let all = case::load_all(&root().join("tests/golden"))?;
        let cases = all.into_iter().map(|case| (case.name.clone(), case)).collect();
        Ok(Cases { cases, shared, runs: AtomicUsize::new(0) })
    }

    /// The names of those with such a script.
    pub fn that(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.cases.values().filter(|case| wanted(&case.script)).map(|case| case.name.clone()).collect()
    }

    pub fn script(&self, name: &str) -> Option<&str> {
        self.cases.get(name).map(|case| case.script.as_str())
    }

    /// Whether the case shows what another script does not have. `whole`: also what is said before the run counts.
    pub fn show_text(&self, name: &str, script: &str, whole: bool) -> Shown {
        self.change(name, |case, file| match case.with_script(script) {
            Ok(case) => {
                self.compare(Run::of(&case, file, &[]), if whole { str::to_owned } else { at_run_time })
            }
            Err(error) => Shown::Refused(error),
        })
    }

    /// Whether the case shows an option, which may have a value. That it fails without the option shows it too.
    pub fn show_option(&self, name: &str, is_option: impl Fn(&str) -> bool, has_value: bool) -> Shown {
        let shown = self.change(name, |case, file| {
            let mut words = case.directives.options.clone();
            let Some(at) = words.iter().position(|word| is_option(word)) else { return Shown::No };
            let long = words[at].starts_with("--");
            let apart = has_value && !words[at].contains('=') && (long || words[at].len() == 2);
            words.drain(at..(at + 1 + usize::from(apart)).min(words.len()));
            let run = Run { own_options: &words, ..Run::of(case, file, &[]) };
            self.compare(run, str::to_owned)
        });
        if matches!(shown, Shown::Fails(_)) { Shown::Yes } else { shown }
    }

    fn change(&self, name: &str, run: impl FnOnce(&Case, &str) -> Shown) -> Shown {
        let Some(case) = self.cases.get(name) else {
            return Shown::Refused("there is no such case".to_owned());
        };
        if let Some(program) = needs::missing_program(case.directives.needs.iter().map(String::as_str)) {
            // As the case itself: skipped where the program is missing, but not in CI.
            return if needs::in_ci() { Shown::Refused(format!("needs {program}")) } else { Shown::Yes };
        }
        // A name of the same length, so that lines which are cut are cut at the same place.
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        run(case, &format!("{number:0width$}.stp", width = name.len()))
    }

    fn compare(&self, run: Run<'_>, part: fn(&str) -> String) -> Shown {
        let case = run.case;
        let result = || {
            let dir =
                if case.has_own_target { targets::build_folder(&case.dir)? } else { self.shared.clone() };
            let expected =
                fs::read_to_string(case.dir.join("expected")).map_err(|error| error.to_string())?;
            let actual = Run { timeout: run.timeout.min(LONGEST), ..run }.outcome(&dir)?;
            let _ = fs::remove_file(dir.join(run.file));
            Ok::<_, String>((expected, actual))
        };
        let (expected, actual) = match result() {
            Ok(both) => both,
            Err(error) => return Shown::Refused(error),
        };
        let fails = |text: &str| text.contains("\nPass 1: ") || text.contains("\nPass 2: ");
        match part(&expected) == part(&actual) {
            true => Shown::No,
            false if fails(&actual) && !fails(&expected) => Shown::Fails(actual),
            false => Shown::Yes,
        }
    }
}

/// A script with a text instead of each call of a function with so many arguments; `None` if there is none.
pub fn without_calls(script: &str, name: &str, arity: usize, instead: &str) -> Option<String> {
    let head: usize =
        script.split_inclusive('\n').take_while(|line| line.starts_with("//")).map(str::len).sum();
    let (mut out, mut rest, mut found) = (script[..head].to_owned(), &script[head..], false);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => string_len(rest),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(len);
        rest = behind;
        match arguments(behind).filter(|_| token == name) {
            Some((count, len)) if count == arity => {
                out += instead;
                rest = &behind[len..];
                found = true;
            }
            _ => out += token,
        }
    }
    found.then_some(out)
}

/// Bytes of the string literal that a text begins with.
fn string_len(text: &str) -> usize {
    let mut escaped = true;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |at| at + 1)
}

/// Number of the arguments in the parentheses that a text begins with, and bytes up to their end.
fn arguments(text: &str) -> Option<(usize, usize)> {
    let (mut at, mut depth, mut commas, mut empty) = (0, 0, 0, true);
    loop {
        let c = text[at..].chars().next()?;
        at += if c == '"' { string_len(&text[at..]) } else { c.len_utf8() };
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 1 => commas += 1,
            _ => {}
        }
        if depth == 0 {
            return (c == ')').then_some((if empty { 0 } else { commas + 1 }, at));
        }
        empty &= c.is_whitespace() || (c == '(' && depth == 1 && commas == 0 && at == 1);
    }
}

/// What a result has but for the diagnostics of passes 1 and 2, and for places in the script.
fn at_run_time(result: &str) -> String {
    let is_diagnostic = |line: &str| {
        let framed = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let starts = ["warning: ", "error[", "┌─", "│", "·", "= "];
        line.is_empty() || starts.iter().any(|start| framed.starts_with(start))
    };
    let (stdout, rest) = result.split_once("--- stderr\n").unwrap_or((result, ""));
    let said = rest.lines().filter(|line| !is_diagnostic(line));
    let said = said.map(|line| line.split(" near ").next().unwrap_or_default());
    stdout.lines().chain(said).collect::<Vec<_>>().join("\n")
}

/// Answers all questions, several at a time, in their order.
pub fn answer_all<Q: Sync, A: Send>(questions: &[Q], answer: impl Fn(&Q) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        while let Some((index, question)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            questions.get(index).map(|question| (index, question))
        } {
            answers.push((index, answer(question)));
        }
        answers
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let mut answers: Vec<(usize, A)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
