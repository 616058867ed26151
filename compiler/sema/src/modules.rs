//! The ELF files of a run with their debug information: found, read once, and numbered when a probe is in them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rstap_debuginfo::ElfError;
use rstap_debuginfo::sources::{self, DebugSearch, Extent};
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
        // What is reached through a process, `/proc/PID/exe` or what is below its root, may have a path that is another
        // file's here, or nobody's.
        let resolved =
            if path.starts_with("/proc") { Ok(path.to_owned()) } else { self.files.canonicalize(path) };
        let real = resolved.map_err(|error| OpenError::Unreadable(path.to_owned(), error))?;
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

    /// The files whose debug information has been asked for.
    pub fn with_debug(&self) -> Vec<Rc<Binary<'d>>> {
        let binaries = self.binaries.borrow();
        let mut found: Vec<_> =
            binaries.values().filter(|binary| binary.full.get().is_some()).map(Rc::clone).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
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
            let loaded = sources::load(&*self.files, &self.path, self.bytes, Extent::Full);
            let (module, search) = loaded.expect(
                "the same bytes were parsed when the file was opened, only their sections are inflated",
            );
            Full { module, search }
        })
    }
}

/// Places that were looked at, as lines of a note.
pub fn describe_places(tried: &[(String, Option<String>)]) -> String {
    let mut text = String::new();
    for (place, problem) in tried {
        let problem = problem.as_deref().unwrap_or("not there");
        let _ = write!(text, "\n  {place} ({problem})");
    }
    text
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
