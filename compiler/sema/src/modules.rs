//! The ELF files of a run with their debug information: found, read once, and numbered when a probe is in them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rstap_debuginfo::{ElfError, alt_file_candidates, debug_file_candidates, inflate};
use rstap_program::ModuleId;

use crate::files::Files;

/// Why a file can not be probed.
#[derive(Debug)]
pub enum OpenError {
    /// It can not be read.
    Unreadable(PathBuf, std::io::Error),
    /// It is a script; the interpreter's path.
    Script(PathBuf, String),
    /// It is no ELF file for this machine.
    Elf(PathBuf, ElfError),
}

/// All ELF files that were looked at.
pub struct Modules<'d> {
    files: Rc<dyn Files<'d> + 'd>,
    binaries: RefCell<HashMap<PathBuf, Rc<Binary<'d>>>>,
    numbered: RefCell<Vec<rstap_program::Module>>,
}

/// An ELF file.
pub struct Binary<'d> {
    files: Rc<dyn Files<'d> + 'd>,
    path: PathBuf,
    bytes: &'d [u8],
    plain: rstap_debuginfo::Module<'d>,
    full: OnceCell<Full<'d>>,
    package: OnceCell<Option<String>>,
    id: Cell<Option<ModuleId>>,
}

struct Full<'d> {
    module: rstap_debuginfo::Module<'d>,
    search: DebugSearch,
}

/// Where debug information was looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugSearch {
    /// The separate debug file that is used.
    pub found: Option<PathBuf>,
    /// Files that were looked for, with what was wrong with those that exist.
    pub tried: Vec<(PathBuf, Option<String>)>,
}

impl<'d> Modules<'d> {
    /// None yet.
    pub fn new(files: Rc<dyn Files<'d> + 'd>) -> Self {
        Modules { files, binaries: RefCell::default(), numbered: RefCell::default() }
    }

    /// The files they are read from.
    pub fn files(&self) -> &Rc<dyn Files<'d> + 'd> {
        &self.files
    }

    /// The ELF file at a path; symbolic links are followed.
    pub fn open(&self, path: &Path) -> Result<Rc<Binary<'d>>, OpenError> {
        let real =
            self.files.canonicalize(path).map_err(|error| OpenError::Unreadable(path.to_owned(), error))?;
        // `/proc/PID/exe` may resolve to a path that exists here as another file, or not at all.
        let real = if path.starts_with("/proc") { path.to_owned() } else { real };
        if let Some(binary) = self.binaries.borrow().get(&real) {
            return Ok(Rc::clone(binary));
        }
        let bytes = self.files.read(&real).map_err(|error| OpenError::Unreadable(real.clone(), error))?;
        if let Some(interpreter) = interpreter_of_script(bytes) {
            return Err(OpenError::Script(real, interpreter));
        }
        let plain =
            rstap_debuginfo::Module::parse(bytes).map_err(|error| OpenError::Elf(real.clone(), error))?;
        let binary = Rc::new(Binary {
            files: Rc::clone(&self.files),
            path: real.clone(),
            bytes,
            plain,
            full: OnceCell::new(),
            package: OnceCell::new(),
            id: Cell::new(None),
        });
        self.binaries.borrow_mut().insert(real, Rc::clone(&binary));
        Ok(binary)
    }

    /// The number of a file, which it gets now if it has none.
    pub fn number(&self, binary: &Binary<'d>) -> ModuleId {
        if let Some(id) = binary.id.get() {
            return id;
        }
        let mut numbered = self.numbered.borrow_mut();
        let id = ModuleId(u32::try_from(numbered.len()).expect("fewer than 2^32 files are open"));
        numbered.push(rstap_program::Module {
            path: binary.path.clone(),
            build_id: binary.plain.build_id().unwrap_or_default().to_vec(),
        });
        binary.id.set(Some(id));
        id
    }

    /// The numbered files, by number.
    pub fn numbered(&self) -> Vec<rstap_program::Module> {
        self.numbered.borrow().clone()
    }
}

impl<'d> Binary<'d> {
    /// Its path, symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files it was read from.
    pub fn files(&self) -> &(dyn Files<'d> + 'd) {
        &*self.files
    }

    /// What the file itself says: headers, dynamic section. Its debug information may be missing.
    pub fn elf(&self) -> &rstap_debuginfo::Module<'d> {
        &self.plain
    }

    /// The file with the debug information that was found for it.
    pub fn module(&self) -> &rstap_debuginfo::Module<'d> {
        &self.full().module
    }

    /// Where debug information was looked for.
    pub fn debug_search(&self) -> &DebugSearch {
        &self.full().search
    }

    /// What `look_up` says of the package that installed it, asked once: that takes a while.
    pub fn package(&self, look_up: impl FnOnce() -> Option<String>) -> Option<&str> {
        self.package.get_or_init(look_up).as_deref()
    }

    fn full(&self) -> &Full<'d> {
        self.full.get_or_init(|| {
            let files = &*self.files;
            let mut search = DebugSearch::default();
            let bytes = inflated(files, self.bytes);
            let mut module = rstap_debuginfo::Module::parse(bytes).expect(
                "the same bytes were parsed when the file was opened, only their sections are inflated",
            );
            if !module.has_dwarf() {
                attach_debug(files, &self.path, &mut module, &mut search);
            }
            if module.has_dwarf() {
                attach_alt(files, &self.path, &mut module, &mut search);
            }
            Full { module, search }
        })
    }
}

impl DebugSearch {
    /// The places as lines of a note.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (path, problem) in &self.tried {
            let problem = problem.as_deref().unwrap_or("not there");
            let _ = write!(text, "\n  {} ({problem})", path.display());
        }
        text
    }
}

fn inflated<'d>(files: &(dyn Files<'d> + 'd), bytes: &'d [u8]) -> &'d [u8] {
    match inflate(bytes) {
        Ok(Some(inflated)) => files.keep(inflated),
        Ok(None) | Err(_) => bytes,
    }
}

/// Tries the places of a separate debug file in order.
fn attach_debug<'d>(
    files: &(dyn Files<'d> + 'd),
    path: &Path,
    module: &mut rstap_debuginfo::Module<'d>,
    search: &mut DebugSearch,
) {
    for candidate in debug_file_candidates(path, module) {
        let problem = match files.read(&candidate) {
            Ok(bytes) => match module.attach_debug(inflated(files, bytes)) {
                Ok(()) => {
                    search.found = Some(candidate);
                    return;
                }
                Err(error) => Some(error.to_string()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        };
        search.tried.push((candidate, problem));
    }
}

/// Tries the places of the file that dwz moved common parts to.
fn attach_alt<'d>(
    files: &(dyn Files<'d> + 'd),
    path: &Path,
    module: &mut rstap_debuginfo::Module<'d>,
    search: &mut DebugSearch,
) {
    let Some(link) = module.debug_alt_link() else { return };
    let holder = search.found.as_deref().unwrap_or(path);
    let holder = files.canonicalize(holder).unwrap_or_else(|_| holder.to_owned());
    let candidates = alt_file_candidates(&holder, &link);
    for candidate in candidates {
        let problem = match files.read(&candidate) {
            Ok(bytes) => match module.attach_alt(inflated(files, bytes)) {
                Ok(()) => return,
                Err(error) => Some(error.to_string()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        };
        search.tried.push((candidate, problem));
    }
}

/// The program in the `#!` line (execve(2)).
fn interpreter_of_script(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(b"#!")?;
    let line = rest.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(&line[..line.len().min(255)]).trim().to_owned();
    let mut words = line.split_whitespace();
    let program = words.next()?;
    // `#!/usr/bin/env python3` names the real one as an argument.
    let named = if program.ends_with("/env") { words.find(|word| !word.starts_with('-')) } else { None };
    Some(named.unwrap_or(program).to_owned())
}
