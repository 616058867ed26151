//! An ELF file that some process has mapped, read as far as was asked for: headers, then symbols, then lines.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use memmap2::Mmap;
use rstap_debuginfo::Module;
use rstap_debuginfo::sources::{self, DebugFiles, Extent, Unfetched};

/// Where debug files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugPlaces {
    /// Directories like /usr/lib/debug, in the order to look in.
    pub roots: Vec<PathBuf>,
    /// The cache of debuginfod's clients. It is looked in only: servers are not waited for while a target is.
    pub cache: Option<PathBuf>,
}

impl Default for DebugPlaces {
    fn default() -> DebugPlaces {
        DebugPlaces { roots: vec![sources::DEBUG_ROOT.into()], cache: None }
    }
}

/// A module. What it is read from stays in memory until rstap ends, which is when the session does: end probes ask
/// for symbols too.
pub struct ModuleFile {
    path: PathBuf,
    bytes: &'static [u8],
    places: Arc<DebugPlaces>,
    headers: Module<'static>,
    symbols: OnceLock<Module<'static>>,
    lines: OnceLock<Module<'static>>,
}

impl ModuleFile {
    /// Reads the file at `place`, which is found at `path` as long as it has that name. `None` if it is no ELF file.
    pub fn open(place: &Path, path: &Path, places: &Arc<DebugPlaces>) -> Option<ModuleFile> {
        ModuleFile::new(map(place).ok()?, path, places)
    }

    /// A module that is in no file.
    pub fn of_bytes(bytes: Vec<u8>, path: &Path) -> Option<ModuleFile> {
        ModuleFile::new(Vec::leak(bytes), path, &Arc::default())
    }

    fn new(bytes: &'static [u8], path: &Path, places: &Arc<DebugPlaces>) -> Option<ModuleFile> {
        let headers = Module::parse(bytes).ok()?;
        let (symbols, lines) = (OnceLock::new(), OnceLock::new());
        let (path, places) = (path.to_owned(), Arc::clone(places));
        Some(ModuleFile { path, bytes, places, headers, symbols, lines })
    }

    /// For questions about the file itself.
    pub fn headers(&self) -> &Module<'static> {
        &self.headers
    }

    /// For symbols and frames: with the separate debug file, nothing of which is decompressed.
    pub fn symbols(&self) -> &Module<'static> {
        self.symbols.get_or_init(|| self.read(Extent::Symbols))
    }

    /// For lines: with all debug information.
    pub fn lines(&self) -> &Module<'static> {
        self.lines.get_or_init(|| self.read(Extent::Full))
    }

    fn read(&self, extent: Extent) -> Module<'static> {
        let loaded = sources::load(&*self.places, &self.path, self.bytes, extent);
        loaded.expect("the same bytes were parsed before, only sections are inflated").0
    }
}

impl DebugFiles<'static> for DebugPlaces {
    fn read(&self, path: &Path) -> io::Result<&'static [u8]> {
        map(path)
    }

    fn keep(&self, bytes: Vec<u8>) -> &'static [u8] {
        Vec::leak(bytes)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn debug_roots(&self) -> Vec<PathBuf> {
        self.roots.clone()
    }

    fn fetch(&self, build_id: &str) -> Option<Result<PathBuf, Unfetched>> {
        let cached = self.cache.as_ref()?.join(build_id).join("debuginfo");
        // An empty one says that the servers had none.
        let there = cached.metadata().is_ok_and(|metadata| metadata.len() > 0);
        there.then_some(Ok(cached))
    }
}

fn map(path: &Path) -> io::Result<&'static [u8]> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the mapping is private and read-only. The bytes are foreign and treated as such: no reader assumes that
    // they are valid ELF or that two reads agree. A file that shrinks while it is read ends rstap by SIGBUS; files
    // that run cannot be written, and package managers replace debug files by new ones.
    let map = unsafe { Mmap::map(&file) }?;
    Ok(Box::leak(Box::new(map)))
}
