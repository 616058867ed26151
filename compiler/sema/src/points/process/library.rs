//! Finds the shared libraries that `.library("GLOB")` names: those that the program needs, found as ld.so(8) finds
//! them; those that a running target has mapped; else files of that name where libraries are, for a program that
//! loads them later.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rstap_debuginfo::{Glob, Kind};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::program::{cannot_open, expand};
use crate::modules::{Binary, Modules};
use rstap_syntax::near;

/// Directories that ld.so searches without being told to.
const DEFAULT_DIRECTORIES: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];

/// Configuration files may include each other; this many are read.
const CONFIGURATION_FILES: usize = 200;

/// A library under one of the names it is known by.
struct Candidate<'d> {
    binary: Rc<Binary<'d>>,
    /// As DT_NEEDED has it, or the path it is mapped from.
    name: String,
}

impl Candidate<'_> {
    /// The last component of its name.
    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    fn matches(&self, glob: &Glob) -> bool {
        let path = self.binary.path();
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let soname = self.binary.elf().soname().unwrap_or_default();
        [self.name.as_str(), self.file_name(), file_name, soname, &path.to_string_lossy()]
            .iter()
            .any(|name| glob.matches(name))
    }
}

/// The libraries that match `text`, each once.
pub fn find<'d>(
    modules: &Modules<'d>,
    program: &Rc<Binary<'d>>,
    running: Option<u32>,
    text: &str,
    span: Span,
) -> Result<Vec<Rc<Binary<'d>>>, Box<Diagnostic>> {
    let glob = Glob::new(text);
    let mut known = needed(modules, program);
    if let Some(pid) = running {
        known.extend(mapped(modules, program, pid));
    }
    let mut found: Vec<Rc<Binary<'d>>> = Vec::new();
    let mut take = |binary: &Rc<Binary<'d>>| {
        if !found.iter().any(|other| other.path() == binary.path()) {
            found.push(Rc::clone(binary));
        }
    };
    known.iter().filter(|candidate| candidate.matches(&glob)).for_each(|candidate| take(&candidate.binary));
    if found.is_empty() && glob.is_exact() && text.contains('/') {
        let binary = modules.open(Path::new(text)).map_err(|error| cannot_open(&error, span))?;
        return Ok(vec![binary]);
    }
    if found.is_empty() && !glob.is_any() {
        found = on_disk(modules, text);
    }
    if found.is_empty() { Err(no_library(modules, program, text, &known, span)) } else { Ok(found) }
}

/// The closure over DT_NEEDED, breadth first as ld.so loads it, and the program interpreter.
fn needed<'d>(modules: &Modules<'d>, program: &Rc<Binary<'d>>) -> Vec<Candidate<'d>> {
    let mut found: Vec<Candidate<'d>> = Vec::new();
    let mut queue = VecDeque::from([Rc::clone(program)]);
    let mut directories = None;
    if let Some(interpreter) = program.elf().interpreter()
        && let Ok(binary) = modules.open(Path::new(interpreter))
    {
        found.push(Candidate { binary, name: interpreter.to_owned() });
    }
    while let Some(holder) = queue.pop_front() {
        for name in holder.elf().needed() {
            // The interpreter, known by its path, is also needed by its name.
            if found.iter().any(|candidate| candidate.name == name || candidate.file_name() == name) {
                continue;
            }
            let system = directories.get_or_insert_with(|| system_directories(modules));
            if let Some(binary) = locate(modules, &holder, program, name, system) {
                queue.push_back(Rc::clone(&binary));
                found.push(Candidate { binary, name: name.to_owned() });
            }
        }
    }
    found
}

/// The file that a DT_NEEDED name of `holder` stands for: the search path of the holder, that of the program, then
/// the directories of the system (ld.so(8)).
fn locate<'d>(
    modules: &Modules<'d>,
    holder: &Rc<Binary<'d>>,
    program: &Rc<Binary<'d>>,
    name: &str,
    system: &[PathBuf],
) -> Option<Rc<Binary<'d>>> {
    if name.contains('/') {
        return modules.open(Path::new(name)).ok();
    }
    let own = [holder, program].into_iter().flat_map(|binary| run_path(binary));
    let directories: Vec<PathBuf> = own.chain(system.iter().cloned()).collect();
    directories.iter().find_map(|directory| modules.open(&directory.join(name)).ok())
}

/// DT_RUNPATH or DT_RPATH with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced.
fn run_path(binary: &Binary<'_>) -> Vec<PathBuf> {
    let origin = binary.path().parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let expand = |directory: &str| {
        let mut directory = directory.to_owned();
        for (token, value) in
            [("ORIGIN", origin.as_str()), ("LIB", "lib/x86_64-linux-gnu"), ("PLATFORM", "x86_64")]
        {
            directory =
                directory.replace(&format!("${{{token}}}"), value).replace(&format!("${token}"), value);
        }
        PathBuf::from(directory)
    };
    let path = binary.elf().runpath().unwrap_or_default();
    path.split(':').filter(|directory| !directory.is_empty()).map(expand).collect()
}

/// The directories of /etc/ld.so.conf, then the default ones.
fn system_directories(modules: &Modules<'_>) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut pending = VecDeque::from([PathBuf::from("/etc/ld.so.conf")]);
    for _ in 0..CONFIGURATION_FILES {
        let Some(file) = pending.pop_front() else { break };
        let Ok(bytes) = modules.files().read(&file) else { continue };
        for line in String::from_utf8_lossy(bytes).lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(pattern) = line.strip_prefix("include ") {
                pending.extend(expand(&**modules.files(), pattern.trim()));
            } else if line.starts_with('/') {
                directories.push(PathBuf::from(line));
            }
        }
    }
    directories.extend(DEFAULT_DIRECTORIES.iter().map(PathBuf::from));
    let mut seen = HashSet::new();
    directories.retain(|directory| seen.insert(directory.clone()));
    directories
}

/// What a running process has mapped.
fn mapped<'d>(modules: &Modules<'d>, program: &Binary<'d>, pid: u32) -> Vec<Candidate<'d>> {
    let paths = modules.files().process_libraries(pid).unwrap_or_default();
    paths
        .into_iter()
        .filter(|path| path != program.path())
        .filter_map(|path| {
            let binary = modules.open(&path).ok()?;
            Some(Candidate { binary, name: path.to_string_lossy().into_owned() })
        })
        .collect()
}

/// Files of this name in the library directories, for dlopen(3).
fn on_disk<'d>(modules: &Modules<'d>, text: &str) -> Vec<Rc<Binary<'d>>> {
    let patterns: Vec<String> = if text.contains('/') {
        vec![text.to_owned()]
    } else {
        let directories = system_directories(modules);
        directories.iter().map(|directory| format!("{}/{text}", directory.display())).collect()
    };
    let mut found: Vec<Rc<Binary<'d>>> = Vec::new();
    for path in patterns.iter().flat_map(|pattern| expand(&**modules.files(), pattern)) {
        if let Ok(binary) = modules.open(&path)
            && binary.elf().kind() == Kind::SharedObject
            && !found.iter().any(|other| other.path() == binary.path())
        {
            found.push(binary);
        }
    }
    found
}

fn no_library(
    modules: &Modules<'_>,
    program: &Binary<'_>,
    text: &str,
    known: &[Candidate<'_>],
    span: Span,
) -> Box<Diagnostic> {
    let names: Vec<&str> = known.iter().map(Candidate::file_name).collect();
    let mut diagnostic =
        Diagnostic::error(format!("no match (no library is named like '{text}')")).at(span, "");
    if let Some(similar) = near::best(text, names.iter().copied()) {
        diagnostic = diagnostic.note(format!("did you mean '{similar}'?"));
    }
    let needed = program.elf().needed();
    let program = program.path().display();
    diagnostic = if names.is_empty() && needed.is_empty() {
        diagnostic.note(format!("{program} needs no libraries: it is statically linked"))
    } else if names.is_empty() {
        diagnostic.note(format!("{program} needs {}, and none of these was found", needed.join(", ")))
    } else {
        diagnostic.note(format!("libraries of {program}: {}", names.join(", ")))
    };
    let directories: Vec<String> =
        system_directories(modules).iter().map(|directory| directory.display().to_string()).collect();
    Box::new(diagnostic.note(format!("also looked in {}", directories.join(", "))))
}
