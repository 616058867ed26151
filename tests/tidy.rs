//! The project's own rules, checked on its files: dependency edges, file heads, unsafe code, test data.
//!
//! Each rule is stated in docs/ARCHITECTURE.md; a failure names the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the workspace crates it may use; docs/ARCHITECTURE.md has the same table with the reasons.
const MAY_USE: &[(&str, &str, &[&str])] = &[
    ("compiler/syntax", "rstap-syntax", &[]),
    ("compiler/debuginfo", "rstap-debuginfo", &["abi"]),
    ("compiler/sema", "rstap-sema", &["abi", "debuginfo", "program", "syntax"]),
    ("compiler/program", "rstap-program", &["abi"]),
    ("compiler/codegen", "rstap-codegen", &["abi", "program", "sema"]),
    ("runtime/abi", "rstap-abi", &[]),
    ("runtime/core", "rstap-core", &["abi"]),
    ("runtime/payload", "rstap-payload", &["abi", "core"]),
    ("runtime/host", "rstap-host", &["abi", "core", "debuginfo", "program"]),
    (".", "rstap", &["abi", "codegen", "core", "debuginfo", "host", "program", "sema", "syntax"]),
];

/// Crates that only compute: no unsafe code at all.
const WITHOUT_UNSAFE: &[&str] =
    &["compiler/syntax", "compiler/debuginfo", "compiler/sema", "compiler/program", "runtime/abi"];

/// Crates that come to be inside a target: nothing from outside the workspace, and no standard library.
const FREESTANDING: &[&str] = &["runtime/abi", "runtime/core", "runtime/payload"];

/// A file longer than this holds more than one idea.
const MAX_LINES: usize = 800;

#[test]
fn every_crate_uses_only_what_the_table_allows() {
    for (folder, name, allowed) in MAY_USE {
        let manifest = Manifest::read(folder);
        assert_eq!(manifest.name, *name, "{folder}/Cargo.toml");
        let allowed: BTreeSet<String> = allowed.iter().map(|short| format!("rstap-{short}")).collect();
        let used: BTreeSet<String> =
            manifest.dependencies.into_iter().filter(|name| name.starts_with("rstap-")).collect();
        let more: Vec<&String> = used.difference(&allowed).collect();
        assert!(
            more.is_empty(),
            "{folder}/Cargo.toml uses {more:?}, which the table in tests/tidy.rs does not allow"
        );
    }
}

#[test]
fn the_table_names_every_member_of_the_workspace() {
    let manifest = read(&root().join("Cargo.toml"));
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let members: BTreeSet<&str> =
        members.expect("the workspace lists members").0.split('"').skip(1).step_by(2).collect();
    let listed: BTreeSet<&str> = MAY_USE.iter().map(|row| row.0).filter(|folder| *folder != ".").collect();
    assert_eq!(members, listed);
}

#[test]
fn what_runs_inside_a_target_depends_on_nothing_from_outside() {
    for folder in FREESTANDING {
        let outside: Vec<String> = Manifest::read(folder)
            .dependencies
            .into_iter()
            .filter(|name| !name.starts_with("rstap-"))
            .collect();
        assert!(outside.is_empty(), "{folder} depends on {outside:?}");
        let head = read(&root().join(folder).join("src/lib.rs"));
        assert!(head.contains("no_std"), "{folder}/src/lib.rs is not no_std");
    }
}

#[test]
fn crates_that_only_compute_forbid_unsafe_code() {
    for folder in WITHOUT_UNSAFE {
        let head = read(&root().join(folder).join("src/lib.rs"));
        assert!(head.contains("#![forbid(unsafe_code)]"), "{folder}/src/lib.rs lacks forbid(unsafe_code)");
    }
}

/// Cranelift's memory provider is a trait with an unsafe method, which somebody has to implement.
#[test]
fn codegen_has_unsafe_code_in_one_file_only() {
    let folder = root().join("compiler/codegen/src");
    assert!(read(&folder.join("lib.rs")).contains("#![deny(unsafe_code)]"), "codegen allows unsafe code");
    for path in walk(&folder).into_iter().filter(|path| !path.ends_with("memory.rs")) {
        let mentions = ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| read(&path).contains(word));
        assert!(!mentions, "{} has unsafe code", path.display());
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for path in files(&["rs"]) {
        let text = read(&path);
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
    }
}

#[test]
fn no_source_file_is_too_long() {
    for path in files(&["rs", "lalrpop", "stp"]) {
        let count = read(&path).lines().count();
        assert!(count <= MAX_LINES, "{} has {count} lines, more than {MAX_LINES}", path.display());
    }
}

#[test]
fn nothing_is_left_for_later_or_tied_to_one_machine() {
    // In pieces, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["X", "XX "],
        ["dbg", "!("],
        ["to", "do!("],
        ["unimpl", "emented!("],
        ["/wo", "rk/"],
        ["/root", "/"],
    ]
    .map(|pieces| pieces.concat());
    for path in files(&["rs", "lalrpop", "stp", "toml", "md", "sh", "c", "cc", "yml", "run"]) {
        for (number, line) in read(&path).lines().enumerate() {
            for word in &words {
                assert!(!line.contains(word.as_str()), "{}:{}: `{word}`", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn no_test_is_switched_off() {
    let mark = ["#[ig", "nore"].concat();
    for path in files(&["rs"]) {
        assert!(!read(&path).contains(&mark), "{} has a test that never runs", path.display());
    }
}

#[test]
fn every_data_file_of_a_test_has_its_expectation() {
    for dir in folders(&root().join("tests/golden")) {
        for name in ["script.stp", "expected"] {
            assert!(dir.join(name).is_file(), "{} has no {name}", dir.display());
        }
    }
    for kind in ["parse", "sema", "codegen"] {
        for script in walk(&root().join("tests").join(kind)) {
            let is_script = script.extension().is_some_and(|extension| extension == "stp");
            let expected = script.with_extension("txt");
            assert!(!is_script || expected.is_file(), "{} is missing", expected.display());
        }
    }
}

#[test]
fn every_example_says_how_to_run_it() {
    let examples: Vec<PathBuf> = walk(&root().join("examples"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "stp"))
        .collect();
    assert!(examples.len() >= 25, "examples/ has only {}", examples.len());
    for path in examples {
        let text = read(&path);
        let head = text.lines().take_while(|line| line.starts_with('#')).collect::<String>();
        assert!(head.contains("rstap "), "{} does not show a command", path.display());
    }
}

#[test]
fn one_gimli_is_in_the_tree() {
    let lock = read(&root().join("Cargo.lock"));
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            package.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim_matches('"'))
        };
        if let (Some(name), Some(version)) = (value("name = "), value("version = ")) {
            versions.entry(name).or_default().push(version);
        }
    }
    for name in ["gimli", "cranelift-codegen"] {
        assert_eq!(versions.get(name).map_or(0, Vec::len), 1, "{name}: {:?}", versions.get(name));
    }
}

/// What the rules need of a Cargo.toml.
struct Manifest {
    name: String,
    dependencies: Vec<String>,
}

impl Manifest {
    fn read(folder: &str) -> Manifest {
        let text = read(&root().join(folder).join("Cargo.toml"));
        let mut section = "";
        let mut manifest = Manifest { name: String::new(), dependencies: Vec::new() };
        for line in text.lines() {
            if line.starts_with('[') {
                section = line.trim();
                // A table of its own for one dependency: `[dependencies.NAME]`.
                if let Some(name) = section.strip_prefix("[dependencies.") {
                    manifest.dependencies.push(name.trim_end_matches(']').to_owned());
                }
            } else if let Some((key, value)) = line.split_once('=') {
                let key = key.split('.').next().unwrap_or(key).trim();
                let conditional = section.starts_with("[target.") && section.ends_with(".dependencies]");
                match section {
                    "[package]" if key == "name" => manifest.name = value.trim().trim_matches('"').to_owned(),
                    "[dependencies]" => manifest.dependencies.push(key.to_owned()),
                    _ if conditional && !section.contains("loom") => {
                        manifest.dependencies.push(key.to_owned())
                    }
                    _ => {}
                }
            }
        }
        manifest
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The project's own files with one of these extensions (or names), test data left out.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for top in
        ["compiler", "runtime", "stdlib", "grammar", "examples", "benches", "fuzz", "docs", ".ci", "tests"]
    {
        found.extend(walk(&root().join(top)));
    }
    found.extend(["Cargo.toml", "README.md"].map(|name| root().join(name)));
    let data = ["parse", "sema", "codegen", "golden"].map(|kind| root().join("tests").join(kind));
    found.retain(|path| {
        let kind = path.extension().or(path.file_name()).and_then(|kind| kind.to_str()).unwrap_or_default();
        extensions.contains(&kind) && !data.iter().any(|dir| path.starts_with(dir))
    });
    found
}

/// Every file below `folder`, without what builds leave there; nothing when there is no such folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let built = ["target", "corpus", "artifacts"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !built {
            found.extend(walk(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}
