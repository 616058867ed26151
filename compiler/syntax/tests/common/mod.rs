//! What the tests of pass 1 share.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rstap_syntax::ast::{File, Item};
use rstap_syntax::source::SourceMap;
use rstap_syntax::{MacroLibrary, ParseConfig, Parsed, parse};

/// A parsed test script.
pub struct Case {
    /// The text and, where there is one, its macro library.
    pub sources: SourceMap,
    /// What became of it.
    pub parsed: Parsed,
}

/// The folder of a kind of case.
pub fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parse").join(kind)
}

/// The scripts of a folder, sorted.
pub fn scripts(kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(kind)).expect("the folder of cases is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "stp"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in tests/parse/{kind}");
    paths
}

/// Parses a script as its `//@` lines ask: `//@ args: one two`, `//@ guru`, `//@ library`; with the macros of
/// `NAME.stpm` if that exists.
pub fn run(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).expect("a readable script");
    let mut sources = SourceMap::default();
    let mut config = ParseConfig { kernel_release: "6.1.0-18-amd64".to_owned(), ..ParseConfig::default() };
    config.arch = "x86_64".to_owned();
    for line in text.lines() {
        if let Some(args) = line.strip_prefix("//@ args: ") {
            config.args = args.split(' ').map(|arg| arg.replace('_', " ")).collect();
        }
        config.guru |= line == "//@ guru";
        config.library |= line == "//@ library";
    }
    let file_name = |path: &Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    let mut findings = Vec::new();
    let library = path.with_extension("stpm");
    if let Ok(macros) = std::fs::read_to_string(&library) {
        let source = sources.add(file_name(&library), macros);
        let mut macros = MacroLibrary::default();
        findings = macros.add(&sources, source, &config);
        config.macros = Arc::new(macros);
    }
    let source = sources.add(file_name(path), text);
    let mut parsed = parse(&sources, source, &config);
    parsed.diagnostics.splice(0..0, findings);
    Case { sources, parsed }
}

/// Parses a text on its own.
pub fn parse_text(text: &str) -> (SourceMap, Parsed) {
    let mut sources = SourceMap::default();
    let source = sources.add("text.stp", text);
    let parsed = parse(&sources, source, &ParseConfig { guru: true, ..ParseConfig::default() });
    (sources, parsed)
}

/// The tree without places, declarations sorted by kind as a dump has them.
pub fn shape(file: &File) -> String {
    let mut items = file.items.clone();
    items.sort_by_key(|item| match item {
        Item::Embedded(_) => 0,
        Item::Global(_) => 1,
        Item::Alias(_) => 2,
        Item::Probe(_) => 3,
        Item::Function(_) => 4,
    });
    let debug = format!("{items:?}");
    let mut shape = String::with_capacity(debug.len());
    let mut rest = debug.as_str();
    while let Some(at) = rest.find("Span {") {
        shape.push_str(&rest[..at]);
        let end = rest[at..].find(" }").expect("a span ends");
        rest = &rest[at + end + 2..];
    }
    shape + rest
}

/// Steps that the layers may take for a text: some for each byte, and what macros may bring into any text.
pub fn most_steps(text: &str) -> u64 {
    4 * text.len() as u64 + 1000 + if text.contains('@') { MOST_FOR_MACROS } else { 0 }
}

/// The tokens that macros may expand to, each used at the greatest depth.
const MOST_FOR_MACROS: u64 = 200_000 * 200;
