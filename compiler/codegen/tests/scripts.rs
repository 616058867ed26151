//! Passes 3 and 4 on files: each `tests/codegen/NAME.stp` does the same compiled as in the evaluator, and what it
//! does and how it is laid out is in `NAME.txt`. `UPDATE_EXPECT=1` writes those.

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rstap_sema::files::NoFiles;
use rstap_sema::ir::Script;
use rstap_sema::{Options, Tapset, analyze};
use rstap_syntax::diagnostic::render;
use rstap_syntax::source::SourceMap;
use support::run::{difference, execute};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/codegen");
    let entries = std::fs::read_dir(folder).expect("the folder of cases exists");
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "stp"))
        .collect();
    cases.sort();
    cases
}

fn elaborate(path: &Path) -> Script {
    let text = std::fs::read_to_string(path).expect("the script can be read");
    let (mut sources, tapset, mut options) = (SourceMap::default(), Tapset::embedded(), Options::default());
    let (macros, _) = tapset.macros(&mut sources, &options.config);
    options.config.macros = Arc::new(macros);
    let source = sources.add(path.file_name().expect("a file").to_string_lossy(), text);
    let parsed = rstap_syntax::parse(&sources, source, &options.config);
    let (script, diagnostics) = analyze(Rc::new(NoFiles), &mut sources, vec![parsed.file], &tapset, &options);
    script.unwrap_or_else(|| panic!("{}", render(&sources, &diagnostics, false)))
}

fn shown(script: &Script) -> String {
    let program = rstap_codegen::compile(script).expect("it compiles");
    let mut text = String::new();
    for (probe, seen) in program.probes.iter().zip(execute(&program, true)) {
        let _ = writeln!(text, "{}: {}", probe.pp, seen.output);
        if let Some((fault, _, words)) = seen.fault {
            let _ = writeln!(text, "  {fault:?} {words}");
        }
    }
    text + "\n" + &rstap_codegen::describe(&program)
}

#[test]
fn scripts_do_as_the_evaluator_does_and_as_expected() {
    let mut problems = Vec::new();
    for path in cases() {
        let script = elaborate(&path);
        problems.extend(difference(&script).map(|text| format!("{}: {text}", path.display())));
        let (expected, actual) = (path.with_extension("txt"), shown(&script));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, actual).expect("the expectation can be written");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != actual {
            problems.push(format!("{} is not what is now printed:\n{actual}", expected.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(cases().len() >= 5, "the cases are missing");
}
