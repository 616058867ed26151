//! Pass 1 on files: `tests/parse/ok/NAME.stp` must give the warnings and the dump in `NAME.txt`, and
//! `tests/parse/err/NAME.stp` the errors. `UPDATE_EXPECT=1` writes them.

mod common;

use std::path::Path;

use common::{Case, parse_text, run, scripts, shape};
use rstap_syntax::diagnostic::render;
use rstap_syntax::print;

/// Compares with the file beside the script, or writes it; gives what differs.
fn difference(script: &Path, actual: &str) -> Option<String> {
    let path = script.with_extension("txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, actual).expect("the expectation can be written");
        return None;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    (expected != actual)
        .then(|| format!("{}:\n--- expected\n{expected}--- actual\n{actual}", script.display()))
}

fn assert_none(differences: Vec<String>) {
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn good_scripts_give_their_dump() {
    let mut differences = Vec::new();
    for script in scripts("ok") {
        let Case { sources, parsed } = run(&script);
        let warnings = render(&sources, &parsed.diagnostics, false);
        differences.extend(difference(&script, &(warnings + &print::dump(&sources, &parsed.file))));
        if parsed.diagnostics.iter().any(|finding| finding.is_error()) {
            differences.push(format!("{}: has errors", script.display()));
        }
    }
    assert_none(differences);
}

#[test]
fn bad_scripts_give_their_errors() {
    let mut differences = Vec::new();
    for script in scripts("err") {
        let Case { sources, parsed } = run(&script);
        differences.extend(difference(&script, &render(&sources, &parsed.diagnostics, false)));
        if !parsed.diagnostics.iter().any(|finding| finding.is_error()) {
            differences.push(format!("{}: has no errors", script.display()));
        }
    }
    assert_none(differences);
}

#[test]
fn dumps_parse_to_the_same_tree() {
    for script in scripts("ok") {
        let first = run(&script).parsed.file;
        let text = print::file(&first);
        let (sources, second) = parse_text(&text);
        let errors = render(&sources, &second.diagnostics, false);
        assert!(second.diagnostics.is_empty(), "{}:\n{errors}", script.display());
        assert_eq!(shape(&first), shape(&second.file), "{}", script.display());
    }
}

#[test]
fn used_arguments_are_known() {
    let used = |name: &str| run(&common::folder("ok").join(name)).parsed.used_args;
    assert_eq!(used("args.stp"), [true, true, true, false]);
}
