//! docs/LANGUAGE.md is true: it is made of the sources and compared with what is there. `UPDATE_EXPECT=1` writes it.
//!
//! Functions and macros come from `stdlib/`, with the comment above them; options from the command line's definition;
//! everything else from `tests/language/rows.txt`. Each row names a golden case that shows it, which is put to the
//! test: with another function, macro or text in its place, or without the option, the case gives another result.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use support::proof::{Cases, Shown, answer_all, without_calls};

/// Tests that are not golden cases but show options.
const OTHER_TESTS: &[&str] = &["tests/cli.rs", "tests/real.rs", "tests/golden.rs"];

/// What stands in for what a case calls: no script has a result by chance that is one of these.
const OTHER_NUMBERS: [&str; 2] = ["0 - 86420", "86420"];
const OTHER_TEXT: &str = "\"?!\"";

#[test]
fn the_document_is_what_the_sources_say() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut page = Page { named: named(), ..Page::default() };
    let cases = Cases::load().expect("the golden cases can be read");
    page.write(&cases);
    let answers = answer_all(&page.questions, |question| question.answer(&cases, update));
    let mut faults = page.faults;
    let mut text = page.text;
    for (index, answer) in answers.into_iter().enumerate() {
        let shown = answer.unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        let shown: Vec<String> = shown.iter().map(|name| format!("`{name}`")).collect();
        text = text.replacen(&placeholder(index), &shown.join(", "), 1);
    }
    let path = root().join("docs/LANGUAGE.md");
    if update && faults.is_empty() {
        fs::write(&path, &text).expect("docs/ can be written");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let there = fs::read_to_string(&path).unwrap_or_default();
    let line = there.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(there == text, "docs/LANGUAGE.md is out of date (UPDATE_EXPECT=1 writes it), first at {line:?}");
}

/// What stands for an answer until it is there.
fn placeholder(question: usize) -> String {
    format!("\u{1}{question}\u{1}")
}

/// The document while it is made.
#[derive(Default)]
struct Page {
    text: String,
    questions: Vec<Question>,
    faults: Vec<String>,
    /// What the document names now, by its rows' first cell.
    named: BTreeMap<String, Vec<String>>,
}

/// Which case shows a row.
struct Question {
    /// The row, for messages.
    row: String,
    /// The cases to ask: those that the document names, or all that come into question.
    named: Vec<String>,
    candidates: Vec<String>,
    by: Proof,
}

/// What is changed in a case.
enum Proof {
    /// Each of these cases is run with each of these changes of its text.
    Texts(Vec<(String, Vec<(String, String)>)>),
    /// Calls of the function with so many arguments give way to one of these texts.
    Calls { name: String, arity: usize, instead: Vec<&'static str> },
    /// One of these definitions takes the place of the library's.
    Macro(Vec<String>),
    /// The option is left out.
    Option(CommandOption),
    /// The case has the option, and is accepted; or the test that is named has it.
    Accepted,
}

impl Question {
    /// The cases that show the row: those that the document names, if they do. Otherwise, if a new one is `wanted`, the
    /// first that does.
    fn answer(&self, cases: &Cases, wanted: bool) -> Result<Vec<String>, String> {
        if let Proof::Texts(parts) = &self.by {
            return self.all(cases, parts);
        }
        let mut refused = String::new();
        let mut shows = |name: &String| match self.shown(cases, name) {
            Shown::Yes => true,
            Shown::No => false,
            Shown::Fails(why) | Shown::Refused(why) => {
                refused = format!("\n{name}: {why}");
                false
            }
        };
        if !self.named.is_empty() && self.named.iter().all(&mut shows) {
            return Ok(self.named.clone());
        }
        let found = self.candidates.iter().filter(|_| wanted).find(|name| shows(name));
        let names = &self.named;
        found
            .map(|name| vec![name.clone()])
            .ok_or(format!("no golden case shows {}, {names:?} do not{refused}", self.row))
    }

    fn shown(&self, cases: &Cases, name: &str) -> Shown {
        if OTHER_TESTS.contains(&name) {
            return Shown::Yes;
        }
        match &self.by {
            Proof::Calls { name: function, arity, instead } => any(instead, |instead| {
                let script = cases.script(name).unwrap_or_default();
                match without_calls(script, function, *arity, instead) {
                    Some(changed) => cases.show_text(name, &changed, false),
                    None => Shown::No,
                }
            }),
            Proof::Macro(others) => any(others, |other| {
                let script = cases.script(name).unwrap_or_default();
                cases.show_text(name, &before_the_first_word(script, other), false)
            }),
            Proof::Option(option) => cases.show_option(name, |word| option.is(word), option.value.is_some()),
            Proof::Texts(_) | Proof::Accepted => Shown::Yes,
        }
    }

    fn all(&self, cases: &Cases, parts: &[(String, Vec<(String, String)>)]) -> Result<Vec<String>, String> {
        for (name, changes) in parts {
            for (old, new) in changes {
                if OTHER_TESTS.contains(&name.as_str()) {
                    let text = fs::read_to_string(root().join(name)).unwrap_or_default();
                    text.contains(old).then_some(()).ok_or(format!("{}: {name} has no `{old}`", self.row))?;
                    continue;
                }
                let (new, refused) = new.strip_suffix(" !").map_or((new.as_str(), false), |new| (new, true));
                let script = cases.script(name).ok_or(format!("{}: there is no case {name}", self.row))?;
                let changed =
                    replaced(script, old, new).ok_or(format!("{}: {name} has no `{old}`", self.row))?;
                match cases.show_text(name, &changed, true) {
                    Shown::Yes => {}
                    Shown::Fails(_) if refused => {}
                    Shown::No => {
                        return Err(format!(
                            "{}: {name} is the same with `{new}` instead of `{old}`",
                            self.row
                        ));
                    }
                    Shown::Fails(why) | Shown::Refused(why) => {
                        return Err(format!("{}: {name} with `{new}` instead of `{old}`: {why}", self.row));
                    }
                }
            }
        }
        Ok(parts.iter().map(|(name, _)| name.clone()).collect())
    }
}

/// The first change that shows something.
fn any<T: AsRef<str>>(changes: &[T], shown: impl Fn(&str) -> Shown) -> Shown {
    let mut last = Shown::No;
    for change in changes {
        last = shown(change.as_ref());
        if last == Shown::Yes {
            break;
        }
    }
    last
}

/// A script with another text in the place of the first such one outside of comments; in directives if it is not there.
fn replaced(script: &str, old: &str, new: &str) -> Option<String> {
    let mut lines: Vec<String> = script.split_inclusive('\n').map(str::to_owned).collect();
    let code = lines.iter().position(|line| !line.starts_with("//") && line.contains(old));
    let directive = || lines.iter().position(|line| line.starts_with("//@ ") && line.contains(old));
    let line = code.or_else(directive)?;
    lines[line] = lines[line].replacen(old, new, 1);
    Some(lines.concat())
}

/// A script with a text before its first word, on the same line.
fn before_the_first_word(script: &str, text: &str) -> String {
    let lines = script.split_inclusive('\n');
    let head: usize =
        lines.take_while(|line| line.starts_with("//") || line.trim().is_empty()).map(str::len).sum();
    format!("{}{text} {}", &script[..head], &script[head..])
}

impl Page {
    fn write(&mut self, cases: &Cases) {
        self.text += "# The language\n\n\
             Each row names golden cases (`tests/golden/NAME`), or other tests, that show it: with something else in \
             its place they give another result. Written by `tests/language.rs` from `tests/language/rows.txt`, \
             `stdlib/` and the definition of the command line: change those and run \
             `UPDATE_EXPECT=1 cargo test --test language`.\n\n\
             Where rstap differs from SystemTap on purpose is in [DIFFERENCES.md](DIFFERENCES.md).\n";
        self.rows();
        self.text += "\n## Options\n\n| option | what it does | shown by |\n| --- | --- | --- |\n";
        for option in options() {
            self.option(option, cases);
        }
        self.text += "\n## Library\n";
        for (file, source) in sorted_files("stdlib", "stp") {
            self.functions(&file, &source, cases);
        }
        self.text += "\n## Macros of the library\n\n| macro | what it is | shown by |\n| --- | --- | --- |\n";
        for (file, source) in sorted_files("stdlib", "stpm") {
            self.macros(&file, &source, cases);
        }
    }

    /// A row whose last cell is the answer to a question.
    fn row(&mut self, first: &str, about: &str, candidates: Vec<String>, by: Proof) -> String {
        let row = first.to_owned();
        let index = self.questions.len();
        let named = self.named.get(&cell(first)).cloned().unwrap_or_default();
        self.questions.push(Question { row, named, candidates, by });
        format!("| `{}` | {} | {} |\n", cell(first), cell(about), placeholder(index))
    }

    /// The rows of rows.txt: `construct :: meaning :: case :: changes`, perhaps with more cases and their changes; the
    /// changes are `old => new`, separated by ` ;; `.
    fn rows(&mut self) {
        let path = root().join("tests/language/rows.txt");
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            if let Some(title) = line.strip_prefix("## ") {
                let _ =
                    write!(self.text, "\n## {title}\n\n| | what it does | shown by |\n| --- | --- | --- |\n");
                continue;
            }
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let parts: Vec<&str> = line.split(" :: ").map(str::trim).collect();
            let [construct, about, shown @ ..] = parts.as_slice() else { continue };
            let (pairs, rest) = shown.as_chunks::<2>();
            let changes = |[name, changes]: &[&str; 2]| {
                let change = |change: &str| {
                    let (old, new) = change.split_once("=>")?;
                    Some((old.trim().to_owned(), new.trim().to_owned()))
                };
                let changes: Option<Vec<_>> = changes.split(" ;; ").map(change).collect();
                Some(((*name).to_owned(), changes?))
            };
            match pairs.iter().map(changes).collect::<Option<Vec<_>>>() {
                Some(parts) if rest.is_empty() && !parts.is_empty() => {
                    let row = self.row(construct, about, Vec::new(), Proof::Texts(parts));
                    self.text += &row;
                }
                _ => self
                    .faults
                    .push(format!("rows.txt: `{line}` is not `construct :: meaning :: case :: old => new`")),
            }
        }
    }

    fn option(&mut self, option: CommandOption, cases: &Cases) {
        let in_cases = cases.that(|script| {
            let lines = script.lines().filter_map(|line| line.strip_prefix("//@ args:"));
            lines.flat_map(str::split_whitespace).take_while(|word| *word != "--").any(|word| option.is(word))
        });
        let candidates = in_others(in_cases, |text| text.split('"').any(|word| option.is(word)));
        let (names, about) = (option.names(), option.about.clone());
        let by = if option.hidden { Proof::Accepted } else { Proof::Option(option) };
        let row = self.row(&names, &about, candidates, by);
        self.text += &row;
    }

    /// A function of the library with the comment that is about it: the one above it, or above the first of the
    /// functions that follow each other without an empty line.
    fn functions(&mut self, file: &str, source: &str, cases: &Cases) {
        let head: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let mut table = String::new();
        let (mut comment, mut about) = (Vec::new(), String::new());
        for line in source.lines().skip(head.len()) {
            if let Some(words) = line.strip_prefix("# ") {
                comment.push(words);
            } else if line.is_empty() || line.starts_with("private") {
                comment.clear();
                about.clear();
            } else if let Some(declaration) = line.strip_prefix("function ") {
                if !comment.is_empty() {
                    about = std::mem::take(&mut comment).join(" ");
                }
                let signature = declaration.split_once(')').map_or(declaration, |(start, _)| start);
                let name = signature.split(['(', ':']).next().unwrap_or_default().trim();
                if name.starts_with("__") {
                    continue;
                }
                if about.is_empty() {
                    self.faults.push(format!("{file}: {name} has no comment"));
                }
                let by = if about.contains("without effect") { Proof::Accepted } else { calls_of(signature) };
                let candidates = in_others(cases.that(|script| calls(script, name)), |text| {
                    text.contains(&format!("{name}("))
                });
                table += &self.row(&format!("{signature})"), &about, candidates, by);
            }
        }
        if !table.is_empty() {
            let head = head.join(" ");
            let _ = write!(
                self.text,
                "\n### {file}\n\n{head}\n\n| function | what it does | shown by |\n| --- | --- | --- |\n{table}"
            );
        }
    }

    fn macros(&mut self, file: &str, source: &str, cases: &Cases) {
        let signature = |line: &str| {
            line.strip_prefix("@define ")
                .map(|rest| rest.split_once("%(").map_or(rest, |(s, _)| s).trim().to_owned())
        };
        let all: Vec<String> = source.lines().filter_map(signature).collect();
        let (mut comment, mut about) = (Vec::new(), String::new());
        for line in source.lines() {
            if let Some(words) = line.strip_prefix("# ") {
                comment.push(words);
            } else if let Some(signature) = signature(line) {
                if !comment.is_empty() {
                    about = std::mem::take(&mut comment).join(" ");
                }
                let others = family(&signature, &all);
                let names: Vec<String> =
                    others.iter().map(|other| format!("@{}", macro_name(other))).collect();
                let candidates = cases.that(|script| names.iter().any(|name| has_word(script, name)));
                let by = Proof::Macro(others.iter().flat_map(|other| other_macros(other)).collect());
                let row = self.row(&format!("@{signature}"), &about, candidates, by);
                self.text += &row;
                if about.is_empty() {
                    self.faults.push(format!("{file}: {signature} has no comment"));
                }
            }
        }
    }
}

/// These cases, then the other tests with such a text.
fn in_others(cases: Vec<String>, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let others = OTHER_TESTS.iter().filter(|name| {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        wanted(&text)
    });
    cases.into_iter().chain(others.map(|name| (*name).to_owned())).collect()
}

/// What a macro of a numbered family shows, it shows for all: the macro itself, then the others.
fn family(signature: &str, all: &[String]) -> Vec<String> {
    let family = |signature: &str| {
        let name = macro_name(signature).trim_end_matches("_unquoted").trim_end_matches("_map");
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (stem.len() < name.len()).then(|| stem.to_owned())
    };
    let own = family(signature);
    let others = all.iter().filter(|other| own.is_some() && *other != signature && family(other) == own);
    [signature.to_owned()].into_iter().chain(others.cloned()).collect()
}

/// Definitions that can stand for the one with this signature: a value, a place that is another each time, nothing, an
/// assignment to an argument, something of the type that is an argument.
fn other_macros(signature: &str) -> Vec<String> {
    let parameters = signature.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let parameters: Vec<&str> = parameters.split(',').map(str::trim).collect();
    let mut results = vec![OTHER_NUMBERS[1], OTHER_TEXT, "__other[__count++]", ""];
    results.extend(parameters.contains(&"place").then_some("@place = 86420"));
    let cast = match (parameters.contains(&"type"), parameters.contains(&"module")) {
        (true, true) => Some("@cast(8, @type, @module)"),
        (true, false) => Some("@cast(8, @type)"),
        _ => None,
    };
    results.extend(cast);
    let globals = |result: &str| if result.contains("__other") { "global __other, __count " } else { "" };
    results.iter().map(|result| format!("{}@define {signature} %( {result} %)", globals(result))).collect()
}

fn macro_name(signature: &str) -> &str {
    signature.split('(').next().unwrap_or_default()
}

/// What is put in the place of calls of the function with this signature.
fn calls_of(signature: &str) -> Proof {
    let (name, parameters) = signature.split_once('(').unwrap_or((signature, ""));
    let (name, ty) = name.split_once(':').unwrap_or((name, ""));
    let instead = if ty == "string" { vec![OTHER_TEXT] } else { OTHER_NUMBERS.to_vec() };
    let arity = if parameters.trim().is_empty() { 0 } else { parameters.split(',').count() };
    Proof::Calls { name: name.to_owned(), arity, instead }
}

/// Whether `name` is a word before an opening parenthesis, outside of comments.
fn calls(script: &str, name: &str) -> bool {
    script.lines().any(|line| !line.starts_with("//") && has_word(line, &format!("{name}(")))
}

/// Whether the text is there as a word or words.
fn has_word(text: &str, word: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let open = word.ends_with(|c: char| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| text.as_bytes()[at]);
        let after = text.as_bytes().get(at + word.len()).copied();
        !(before.is_some_and(is_word) || open && after.is_some_and(is_word))
    })
}

/// An option as the definition of the command line has it.
#[derive(Default)]
struct CommandOption {
    short: Option<char>,
    long: Option<String>,
    value: Option<String>,
    about: String,
    /// For SystemTap's sake, without effect.
    hidden: bool,
}

impl CommandOption {
    /// Whether a word of a command line is this option.
    fn is(&self, word: &str) -> bool {
        let short = self.short.is_some_and(|short| word.starts_with(&format!("-{short}")));
        let long = self.long.as_ref().map(|long| format!("--{long}"));
        short || long.is_some_and(|long| word == long || word.starts_with(&format!("{long}=")))
    }

    fn names(&self) -> String {
        let mut names: Vec<String> = self.short.map(|short| format!("-{short}")).into_iter().collect();
        names.extend(self.long.as_ref().map(|long| format!("--{long}")));
        let value = self.value.as_ref().map(|value| format!(" {value}")).unwrap_or_default();
        names.join(", ") + &value
    }
}

/// Reads `#[arg(…)]` attributes and the comments before them.
fn options() -> Vec<CommandOption> {
    let source = fs::read_to_string(root().join("compiler/driver/options.rs")).expect("it is there");
    let given = source
        .split_once("struct Given {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .expect("it is a struct")
        .0;
    let mut found = Vec::new();
    let (mut about, mut attribute) = (String::new(), String::new());
    for line in given.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            about = [about.as_str(), words].join(" ").trim().to_owned();
        } else if line.starts_with("#[arg") || (!attribute.is_empty() && !attribute.ends_with(")]")) {
            attribute += line;
        } else if let Some((field, _)) = line.split_once(": ") {
            let hidden = attribute.contains("hide = true");
            let parts: Vec<&str> = attribute
                .trim_start_matches("#[arg(")
                .trim_end_matches(")]")
                .split(',')
                .map(str::trim)
                .collect();
            let value = |key: &str| {
                parts.iter().find_map(|part| part.strip_prefix(key)?.trim_start().strip_prefix("= "))
            };
            let mut option = CommandOption { about: std::mem::take(&mut about), ..CommandOption::default() };
            option.short = value("short").and_then(|text| text.trim_matches('\'').chars().next());
            option.long = value("long").map(|text| text.trim_matches('"').to_owned());
            if parts.contains(&"long") {
                option.long = Some(field.replace('_', "-"));
            }
            option.value = value("value_name").map(|text| text.trim_matches('"').to_owned());
            option.hidden = hidden;
            if hidden && !option.about.contains("(accepted)") {
                option.about = "Accepted for SystemTap's sake, without effect.".to_owned();
            }
            if option.short.is_some() || option.long.is_some() {
                found.push(option);
            }
            attribute.clear();
        }
    }
    found
}

/// The rows of the document as it is: first cell and named cases.
fn named() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/LANGUAGE.md")).unwrap_or_default();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let Some((first, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) else {
            continue;
        };
        let Some((_, last)) = rest.rsplit_once(" | ") else { continue };
        let names = last.trim_end_matches(" |").split(", ").map(|name| name.trim_matches('`').to_owned());
        rows.insert(first.to_owned(), names.collect());
    }
    rows
}

/// Files of a folder with this extension, by name, as `name without extension` and text.
fn sorted_files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there").flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    paths.sort();
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.iter().map(|path| (stem(path), fs::read_to_string(path).unwrap_or_default())).collect()
}

/// As a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn root() -> &'static Path {
    support::root()
}
