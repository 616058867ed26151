//! An ELF file that some process has mapped, read as far as was asked for: headers, then symbols, then lines.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use rstap_debuginfo::{Module, alt_file_candidates, debug_file_candidates, inflate};

/// A module. What it is read from stays in memory until rstap ends, which is when the session does: end probes ask
/// for symbols too.
pub struct ModuleFile {
    path: PathBuf,
    bytes: &'static [u8],
    headers: Module<'static>,
    symbols: OnceLock<Module<'static>>,
    lines: OnceLock<Module<'static>>,
}

impl ModuleFile {
    /// Reads the file at `place`, which its process knows as `path`. `None` if it is no ELF file.
    pub fn open(place: &Path, path: &Path) -> Option<ModuleFile> {
        ModuleFile::new(map(place)?, path)
    }

    /// A module that is in no file.
    pub fn of_bytes(bytes: Vec<u8>, path: &Path) -> Option<ModuleFile> {
        ModuleFile::new(Vec::leak(bytes), path)
    }

    fn new(bytes: &'static [u8], path: &Path) -> Option<ModuleFile> {
        let headers = Module::parse(bytes).ok()?;
        let (symbols, lines) = (OnceLock::new(), OnceLock::new());
        Some(ModuleFile { path: path.to_owned(), bytes, headers, symbols, lines })
    }

    /// For questions about the file itself.
    pub fn headers(&self) -> &Module<'static> {
        &self.headers
    }

    /// For symbols and frames: with the separate debug file, nothing of which is decompressed.
    pub fn symbols(&self) -> &Module<'static> {
        self.symbols.get_or_init(|| self.read(|bytes| bytes))
    }

    /// For lines: with all debug information.
    pub fn lines(&self) -> &Module<'static> {
        self.lines.get_or_init(|| self.read(inflated))
    }

    fn read(&self, prepare: fn(&'static [u8]) -> &'static [u8]) -> Module<'static> {
        let prepared = Module::parse(prepare(self.bytes));
        let mut module = prepared.expect("the same bytes were parsed before, only sections are inflated");
        let mut holder = self.path.clone();
        if !module.has_dwarf() {
            let mut candidates = debug_file_candidates(&self.path, &module).into_iter();
            let attached = candidates.find(|candidate| {
                map(candidate).is_some_and(|bytes| module.attach_debug(prepare(bytes)).is_ok())
            });
            holder = attached.unwrap_or(holder);
        }
        if let Some(link) = module.debug_alt_link() {
            let holder = holder.canonicalize().unwrap_or(holder);
            alt_file_candidates(&holder, &link)
                .iter()
                .any(|path| map(path).is_some_and(|bytes| module.attach_alt(prepare(bytes)).is_ok()));
        }
        module
    }
}

fn inflated(bytes: &'static [u8]) -> &'static [u8] {
    match inflate(bytes) {
        Ok(Some(inflated)) => Vec::leak(inflated),
        Ok(None) | Err(_) => bytes,
    }
}

fn map(path: &Path) -> Option<&'static [u8]> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    // SAFETY: the mapping is private and read-only. The bytes are foreign and treated as such: no reader assumes that
    // they are valid ELF or that two reads agree. A file that shrinks while it is read ends rstap by SIGBUS; files
    // that run cannot be written, and package managers replace debug files by new ones.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    Some(Box::leak(Box::new(map)))
}
