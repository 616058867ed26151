//! Pass 2 on files: `tests/sema/ok/NAME.stp` must give the warnings, the probe list and the IR in `NAME.txt`, and
//! `tests/sema/err/NAME.stp` the errors. A first line `//@ args: -g -G x=1 -- a b` gives options and script arguments.
//! `UPDATE_EXPECT=1` writes the expectations.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rstap_sema::files::NoFiles;
use rstap_sema::tapset::Kind;
use rstap_sema::{Options, Tapset, analyze, ir, print};
use rstap_syntax::ParseConfig;
use rstap_syntax::ast::{File, Item, TypeName};
use rstap_syntax::diagnostic::render;
use rstap_syntax::source::SourceMap;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sema").join(kind)
}

fn scripts(kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(kind)).expect("the folder of cases exists");
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "stp"))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

fn options(text: &str) -> Options {
    let mut options = Options::default();
    let line = text.lines().next().unwrap_or("");
    let mut words = line.strip_prefix("//@ args:").unwrap_or("").split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-g" => options.guru = true,
            "-u" => options.unoptimized = true,
            "-G" => {
                let (name, value) = words.next().and_then(|w| w.split_once('=')).expect("-G NAME=VALUE");
                options.globals.push((name.to_owned(), value.to_owned()));
            }
            "--" => options.config.args = words.by_ref().map(str::to_owned).collect(),
            other => panic!("unknown option {other}"),
        }
    }
    options
}

/// What pass 2 says of a script: text to compare, and whether there were errors.
fn elaborate(script: &Path) -> (String, bool) {
    let text = std::fs::read_to_string(script).expect("the script can be read");
    let name = script.file_name().expect("a script has a name").to_string_lossy().into_owned();
    let mut options = options(&text);
    let mut sources = SourceMap::default();
    let tapset = Tapset::embedded();
    let (macros, problems) = tapset.macros(&mut sources, &ParseConfig::default());
    assert!(problems.is_empty(), "{}", render(&sources, &problems, false));
    options.config.macros = Arc::new(macros);
    options.config.guru = options.guru;
    let source = sources.add(name, text);
    let parsed = rstap_syntax::parse(&sources, source, &options.config);
    if parsed.diagnostics.iter().any(|d| d.is_error()) {
        return (render(&sources, &parsed.diagnostics, false), true);
    }
    let (result, diagnostics) = analyze(Rc::new(NoFiles), &mut sources, vec![parsed.file], &tapset, &options);
    let mut shown = render(&sources, &diagnostics, false);
    let failed = result.is_none();
    assert_eq!(
        failed,
        diagnostics.iter().any(|d| d.is_error()),
        "an error, and only that, means no result: {shown}"
    );
    if let Some(result) = &result {
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&print::elaborated(result));
        shown.push('\n');
        shown.push_str(&ir::print::print(result));
    }
    (shown, failed)
}

/// Compares with the file beside the script, or writes it; gives what differs.
fn difference(script: &Path, actual: &str) -> Option<String> {
    let path = script.with_extension("txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, actual).expect("the expectation can be written");
        return None;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    (expected != actual)
        .then(|| format!("{}:\n--- expected\n{expected}\n--- actual\n{actual}", script.display()))
}

fn check(kind: &str, fails: bool) {
    let mut differences = Vec::new();
    for script in scripts(kind) {
        let (shown, failed) = elaborate(&script);
        differences.extend(difference(&script, &shown));
        if failed != fails {
            differences.push(format!("{}: unexpected outcome\n{shown}", script.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn good_scripts_give_their_ir() {
    check("ok", false);
}

#[test]
fn bad_scripts_give_their_errors() {
    check("err", true);
}

/// The library's files as pass 1 sees them, without findings.
fn library(tapset: &Tapset) -> (SourceMap, Vec<File>) {
    let mut sources = SourceMap::default();
    let config = ParseConfig { library: true, ..ParseConfig::default() };
    let mut files = Vec::new();
    for file in tapset.files() {
        let source = sources.add(file.name.clone(), file.text.clone());
        let parsed = rstap_syntax::parse(&sources, source, &config);
        assert!(parsed.diagnostics.is_empty(), "{}", render(&sources, &parsed.diagnostics, false));
        files.push(parsed.file);
    }
    (sources, files)
}

/// Kind and name of each public declaration.
fn declared(file: &File) -> Vec<(Kind, String)> {
    let one = |item: &Item| match item {
        Item::Function(f) if !f.private => Some((Kind::Function, f.name.text.clone())),
        Item::Global(g) if !g.private => Some((Kind::Global, g.name.text.clone())),
        Item::Alias(alias) => {
            let names: Vec<&str> = alias.name.components.iter().map(|c| c.name.text.as_str()).collect();
            Some((Kind::Alias, names.join(".")))
        }
        _ => None,
    };
    file.items.iter().filter_map(one).collect()
}

#[test]
fn the_index_of_the_library_is_what_its_files_declare() {
    let tapset = Tapset::embedded();
    let (_, files) = library(&tapset);
    let mut names = [Kind::Function, Kind::Global, Kind::Alias].map(|kind| (kind, Vec::new()));
    for (index, file) in files.iter().enumerate() {
        for (kind, name) in declared(file) {
            assert!(tapset.declaring(kind, &name).contains(&index), "{kind:?} {name}");
            names.iter_mut().filter(|(k, _)| *k == kind).for_each(|(_, names)| names.push(name.clone()));
        }
    }
    for (kind, mut names) in names {
        names.sort();
        names.dedup();
        assert_eq!(tapset.names(kind), names);
    }
}

#[test]
fn every_library_function_can_be_called() {
    let tapset = Tapset::embedded();
    let (_, files) = library(&tapset);
    let mut script = String::from("probe begin {\n");
    for item in files.iter().flat_map(|file| &file.items) {
        let Item::Function(function) = item else { continue };
        if function.private {
            continue;
        }
        let name = &function.name.text;
        let argument = |ty| match ty {
            Some(TypeName::Long) => "1",
            Some(TypeName::String) => "\"a\"",
            None => panic!("a parameter of {name} has no type"),
        };
        let arguments: Vec<&str> = function.params.iter().map(|p| argument(p.ty)).collect();
        let call = format!("{name}({})", arguments.join(", "));
        script += &if function.return_type.is_some() {
            format!("  println({call})\n")
        } else {
            format!("  {call}\n")
        };
    }
    script += "}\n";
    let mut sources = SourceMap::default();
    let source = sources.add("calls.stp", script);
    let mut options = Options { guru: true, ..Options::default() };
    options.config.guru = true;
    let parsed = rstap_syntax::parse(&sources, source, &options.config);
    let (result, diagnostics) = analyze(Rc::new(NoFiles), &mut sources, vec![parsed.file], &tapset, &options);
    assert!(result.is_some(), "{}", render(&sources, &diagnostics, false));
}
