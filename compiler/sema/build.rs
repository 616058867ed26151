//! Embeds `stdlib/` with an index of the names each file declares, so that a run parses only the files it needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[path = "src/tapset/scan.rs"]
mod scan;

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../stdlib");
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rerun-if-changed=src/tapset/scan.rs");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let declared = scan::declarations(&fs::read_to_string(path)?);
        writeln!(
            table,
            "Embedded {{ name: {name:?}, text: include_str!({:?}), declared: &[",
            path.canonicalize()?
        )
        .expect("writing to a string");
        for (kind, name) in declared {
            writeln!(table, "(Kind::{kind:?}, {name:?}),").expect("writing to a string");
        }
        table.push_str("] },\n");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("stdlib.rs"), table)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "stp" || e == "stpm") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
