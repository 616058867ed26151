//! Builds the programs that golden cases probe.
//!
//! The first line of a source file says how: `// cc: FLAGS` runs the C compiler (for `.cc` the C++ compiler) as
//! `cc FILE FLAGS -o STEM`; `// build: COMMAND` runs a shell command. A file that says neither is part of another
//! one's program. Programs are built once per content of their folder's sources.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Builds every program of the folder `sources`; where they are.
pub fn build_folder(sources: &Path) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _building = ONE_AT_A_TIME.lock();
    let files = source_files(sources)?;
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let dir = super::scratch().join("targets").join(format!("{:016x}", hasher.finish()));
    let done = dir.join(".done");
    if !done.exists() {
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        for (name, text) in &files {
            fs::write(dir.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        for (name, text) in &files {
            build(&dir, name, text)?;
        }
        fs::write(done, "").map_err(|error| error.to_string())?;
    }
    dir.canonicalize().map_err(|error| error.to_string())
}

/// Name and text of each C, C++, Go and Rust file in a folder, by name.
fn source_files(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if is_source(&path) {
            let name = path.file_name().and_then(OsStr::to_str).ok_or("a source file's name is not UTF-8")?;
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            files.push((name.to_owned(), text));
        }
    }
    files.sort();
    Ok(files)
}

fn is_source(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| matches!(extension, "c" | "cc" | "f90" | "go" | "h" | "rs"))
}

fn build(dir: &Path, name: &str, text: &str) -> Result<(), String> {
    let first_line = text.lines().next().unwrap_or_default();
    let command = if let Some(flags) = first_line.strip_prefix("// cc:") {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "c"));
        let compiler = if extension == "cc" { "c++" } else { "cc" };
        format!("{compiler} {name} {flags} -o {stem}")
    } else if let Some(command) =
        ["// build:", "! build:"].iter().find_map(|start| first_line.strip_prefix(start))
    {
        command.to_owned()
    } else {
        return Ok(());
    };
    let output = Command::new("sh").args(["-c", &command]).current_dir(dir).output();
    let output = output.map_err(|error| format!("sh: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// Copies a program. By a process that does nothing else: a test beside this one may start a process at any moment, which
/// for that moment has whatever we have open, and a program that somebody may still write cannot be run (`ETXTBSY`).
pub fn copy(program: &Path, to: &Path) {
    let status = Command::new("cp").arg(program).arg(to).status().expect("cp runs");
    assert!(status.success(), "{} cannot be copied", program.display());
}
