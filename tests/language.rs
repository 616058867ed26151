//! docs/LANGUAGE.md is true: it is made of the sources and compared with what is there. `UPDATE_EXPECT=1` writes it.
//!
//! Functions and macros come from `stdlib/`, with the comment above them; options from the command line's definition;
//! everything else from `tests/language/rows.txt`. Each row names golden cases that contain what the row is about, and
//! a row without one is a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Tests that are not golden cases but show options.
const OTHER_TESTS: &[&str] = &["tests/cli.rs", "tests/real.rs", "tests/golden.rs"];

#[test]
fn the_document_is_what_the_sources_say() {
    let cases = Cases::read();
    let mut faults = Vec::new();
    let text = document(&cases, &mut faults);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let path = root().join("docs/LANGUAGE.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text).expect("docs/ can be written");
        return;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let line = there.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(there == text, "docs/LANGUAGE.md is out of date (UPDATE_EXPECT=1 writes it), first at {line:?}");
}

fn document(cases: &Cases, faults: &mut Vec<String>) -> String {
    let mut text = String::from(
        "# The language\n\n\
         Each row names golden cases (`tests/golden/NAME`) or other tests that show it. Written by `tests/language.rs` from \
         `tests/language/rows.txt`, `stdlib/` and the definition of the command line: change those and run \
         `UPDATE_EXPECT=1 cargo test --test language`.\n\n\
         Where rstap differs from SystemTap on purpose is in [DIFFERENCES.md](DIFFERENCES.md).\n",
    );
    rows(cases, &mut text, faults);
    text += "\n## Options\n\n| option | what it does | shown by |\n| --- | --- | --- |\n";
    for option in options() {
        let shown = cases.with_option(&option);
        if shown.is_empty() {
            faults.push(format!("no test uses the option {}", option.names()));
        }
        let _ = writeln!(text, "| `{}` | {} | {} |", option.names(), cell(&option.about), shown.join(", "));
    }
    text += "\n## Library\n";
    for (file, source) in sorted_files("stdlib", "stp") {
        functions(&file, &source, cases, &mut text, faults);
    }
    text += "\n## Macros of the library\n\n| macro | what it is | shown by |\n| --- | --- | --- |\n";
    for (file, source) in sorted_files("stdlib", "stpm") {
        macros(&file, &source, cases, &mut text, faults);
    }
    text
}

/// The rows of rows.txt: `construct :: meaning :: cases :: text that the cases contain`; without the last part it is
/// the construct.
fn rows(cases: &Cases, text: &mut String, faults: &mut Vec<String>) {
    let path = root().join("tests/language/rows.txt");
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let _ = write!(text, "\n## {title}\n\n| | what it does | shown by |\n| --- | --- | --- |\n");
            continue;
        }
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        let parts: Vec<&str> = line.split(" :: ").map(str::trim).collect();
        let (construct, about, names, needle) = match parts.as_slice() {
            [construct, about, names] => (*construct, *about, *names, *construct),
            [construct, about, names, needle] => (*construct, *about, *names, *needle),
            _ => {
                faults.push(format!("rows.txt: `{line}` is not `construct :: meaning :: cases [:: text]`"));
                continue;
            }
        };
        let names: Vec<&str> = names.split_whitespace().collect();
        for name in &names {
            match cases.scripts.get(*name) {
                None => faults.push(format!("`{construct}`: there is no case {name}")),
                Some(script) if !script.contains(needle) => {
                    faults.push(format!("`{construct}`: {name} does not contain `{needle}`"));
                }
                Some(_) => {}
            }
        }
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| `{}` | {} | {} |", cell(construct), cell(about), names.join(", "));
    }
}

/// A function of the library with the comment that is about it: the one above it, or above the first of the functions
/// that follow each other without an empty line.
fn functions(file: &str, source: &str, cases: &Cases, text: &mut String, faults: &mut Vec<String>) {
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
            let shown = cases.calling(&format!("{signature})"), name);
            if about.is_empty() {
                faults.push(format!("{file}: {name} has no comment"));
            }
            if shown.is_empty() {
                faults.push(format!("{file}: no golden case calls {name}"));
            }
            let _ = writeln!(table, "| `{signature})` | {} | {} |", cell(&about), shown.join(", "));
        }
    }
    if !table.is_empty() {
        let head = head.join(" ");
        let _ = write!(
            text,
            "\n### {file}\n\n{head}\n\n| function | what it does | shown by |\n| --- | --- | --- |\n{table}"
        );
    }
}

fn macros(file: &str, source: &str, cases: &Cases, text: &mut String, faults: &mut Vec<String>) {
    let (mut comment, mut about) = (Vec::new(), String::new());
    for line in source.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
        } else if let Some(definition) = line.strip_prefix("@define ") {
            if !comment.is_empty() {
                about = std::mem::take(&mut comment).join(" ");
            }
            let signature = definition.split_once("%(").map_or(definition, |(start, _)| start).trim();
            let name = signature.split('(').next().unwrap_or_default();
            // What one macro of a numbered family shows, it shows for all.
            let family = name
                .trim_end_matches("_unquoted")
                .trim_end_matches("_map")
                .trim_end_matches(|c: char| c.is_ascii_digit());
            let shown = cases.containing(&format!("@{signature}"), &format!("@{family}"));
            if shown.is_empty() {
                faults.push(format!("{file}: no golden case uses @{name}"));
            }
            let _ = writeln!(text, "| `@{signature}` | {} | {} |", cell(&about), shown.join(", "));
        }
    }
}

/// An option as the definition of the command line has it.
#[derive(Default)]
struct CommandOption {
    short: Option<char>,
    long: Option<String>,
    value: Option<String>,
    about: String,
}

impl CommandOption {
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

/// The golden cases' scripts by their names, and the texts of the other tests.
struct Cases {
    scripts: BTreeMap<String, String>,
    others: Vec<(&'static str, String)>,
    /// What the document names now, by its rows' first cell. That stays as long as it is true, so that a new case does
    /// not change the rows of what it happens to use.
    named: BTreeMap<String, Vec<String>>,
}

impl Cases {
    fn read() -> Cases {
        let mut scripts = BTreeMap::new();
        for dir in fs::read_dir(root().join("tests/golden")).expect("there are golden cases").flatten() {
            if let Ok(script) = fs::read_to_string(dir.path().join("script.stp")) {
                scripts.insert(dir.file_name().to_string_lossy().into_owned(), script);
            }
        }
        let others =
            OTHER_TESTS.iter().map(|&name| (name, fs::read_to_string(root().join(name)).unwrap_or_default()));
        Cases { scripts, others: others.collect(), named: named() }
    }

    /// The cases that the row names if this is true of them, else the first two of which it is.
    fn that(&self, row: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let is_true = |name: &String| self.scripts.get(name).is_some_and(|script| wanted(script));
        if let Some(named) = self.named.get(row).filter(|named| named.iter().all(is_true)) {
            return named.iter().map(|name| format!("`{name}`")).collect();
        }
        self.scripts
            .iter()
            .filter(|(_, script)| wanted(script))
            .map(|(name, _)| format!("`{name}`"))
            .take(2)
            .collect()
    }

    fn containing(&self, row: &str, text: &str) -> Vec<String> {
        self.that(row, |script| script.contains(text))
    }

    /// Those in which `name` is a word before an opening parenthesis, outside of comments.
    fn calling(&self, row: &str, name: &str) -> Vec<String> {
        let call = format!("{name}(");
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let calls = |line: &str| {
            line.match_indices(&call).any(|(at, _)| at == 0 || !is_word(line.as_bytes()[at - 1]))
        };
        self.that(row, |script| script.lines().any(|line| !line.starts_with("//") && calls(line)))
    }

    /// Those whose `//@ args:` have the option, or else the other tests that do.
    fn with_option(&self, option: &CommandOption) -> Vec<String> {
        let long = option.long.as_ref().map(|long| format!("--{long}"));
        let has = |word: &str| {
            let short = option.short.is_some_and(|short| word.starts_with(&format!("-{short}")));
            short || long.as_ref().is_some_and(|long| word == long || word.starts_with(&format!("{long}=")))
        };
        let in_case = self.that(&option.names(), |script| {
            let lines = script.lines().filter_map(|line| line.strip_prefix("//@ args:"));
            lines.flat_map(str::split_whitespace).take_while(|word| *word != "--").any(has)
        });
        if !in_case.is_empty() {
            return in_case;
        }
        let quoted = |text: &str| text.split('"').any(has);
        self.others
            .iter()
            .filter(|(_, text)| quoted(text))
            .map(|(name, _)| format!("`{name}`"))
            .take(1)
            .collect()
    }
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
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
