//! What the fuzz target of pass 1 runs.

use crate::config::ParseConfig;
use crate::diagnostic::{Diagnostic, render};
use crate::parse::{Parsed, parse};
use crate::print;
use crate::source::{SourceMap, decode_script};

/// Takes any bytes as a script: what is said about them can be shown, and a good script's dump is a good script with
/// the same dump.
///
/// # Panics
/// If one of that is not so.
pub fn fuzz_one(bytes: &[u8]) {
    let Ok(text) = decode_script("fuzz", bytes.to_vec()) else { return };
    check(&text, &["1 + 2"], true);
    check(&text, &["42", "two words"], false);
}

fn check(text: &str, args: &[&str], guru: bool) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let config = ParseConfig { guru, args, ..ParseConfig::default() };
    let (sources, first) = parsed(text, &config);
    render(&sources, &first.diagnostics, false);
    if first.diagnostics.iter().any(Diagnostic::is_error) {
        return;
    }
    let dump = print::file(&first.file);
    let (sources, second) = parsed(&dump, &ParseConfig { guru: true, ..config });
    let said = render(&sources, &second.diagnostics, false);
    assert!(!second.diagnostics.iter().any(Diagnostic::is_error), "the dump does not parse:\n{dump}\n{said}");
    assert_eq!(print::file(&second.file), dump, "the dump of the dump differs");
}

fn parsed(text: &str, config: &ParseConfig) -> (SourceMap, Parsed) {
    let mut sources = SourceMap::default();
    let source = sources.add("fuzz", text);
    let parsed = parse(&sources, source, config);
    (sources, parsed)
}
