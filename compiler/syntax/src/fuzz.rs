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
    let (sources, first) = parse_guru(text);
    render(&sources, &first.diagnostics, false);
    if first.diagnostics.iter().any(Diagnostic::is_error) {
        return;
    }
    let dump = print::file(&first.file);
    let (sources, second) = parse_guru(dump.clone());
    let said = render(&sources, &second.diagnostics, false);
    assert!(!second.diagnostics.iter().any(Diagnostic::is_error), "the dump does not parse:\n{dump}\n{said}");
    assert_eq!(print::file(&second.file), dump, "the dump of the dump differs");
}

fn parse_guru(text: String) -> (SourceMap, Parsed) {
    let mut sources = SourceMap::default();
    let source = sources.add("fuzz", text);
    let config = ParseConfig { guru: true, args: vec!["1 + 2".to_owned()], ..ParseConfig::default() };
    let parsed = parse(&sources, source, &config);
    (sources, parsed)
}
