//! Where the debug information of a file is, and how the parts of it come together: separate debug files by build-id and
//! .gnu_debuglink (GDB manual, "Separate Debug Files"), what dwz(1) moved elsewhere, split DWARF, and the symbols in
//! .gnu_debugdata. Files are read through [`DebugFiles`]; this module knows their names only.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf::{inflate, unpack_symbols};
use crate::{AltLink, AttachError, ElfError, Module, SplitUnit};

/// Where distributions put separate debug files.
pub const DEBUG_ROOT: &str = "/usr/lib/debug";

/// The files that debug information is looked for in. `'d` is how long their contents stay valid.
pub trait DebugFiles<'d> {
    /// The contents of a file.
    fn read(&self, path: &Path) -> io::Result<&'d [u8]>;

    /// Keeps bytes that were made of a file's contents for as long as those.
    fn keep(&self, bytes: Vec<u8>) -> &'d [u8];

    /// What gives back the memory that the files read so far are mapped to, which is filled from them again where it is
    /// looked at.
    fn release(&self) -> Option<Release> {
        None
    }

    /// The path with all symbolic links resolved.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Directories with separate debug files, in the order to look in; normally [`DEBUG_ROOT`] is the last.
    fn debug_roots(&self) -> Vec<PathBuf>;

    /// The debug file for a build-id from elsewhere than a debug root: a cache, a server. `None` if there is no such
    /// place, else the file's path or what was asked in vain.
    fn fetch(&self, build_id: &str) -> Option<Result<PathBuf, Unfetched>>;
}

/// Gives back memory: see [`DebugFiles::release`].
pub type Release = Arc<dyn Fn() + Send + Sync>;

/// A debug file that was not had from the place it was asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfetched {
    /// Whom was asked.
    pub asked: String,
    /// What came of it.
    pub problem: String,
}

/// How much of the debug information is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Symbols and call frames, nothing of which is compressed.
    Symbols,
    /// Everything.
    Full,
}

/// Where debug information was looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugSearch {
    /// The separate debug file that is used.
    pub found: Option<PathBuf>,
    /// Places that were looked at in vain, with what was wrong with what is there.
    pub tried: Vec<(String, Option<String>)>,
    /// A part that the debug information refers to and that was not found.
    pub missing: Option<MissingPart>,
}

/// A file that the debug information refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// As it is named there.
    pub name: String,
    /// What it has.
    pub kind: PartKind,
    /// Where it was looked for, with what was wrong with what is there.
    pub tried: Vec<(String, Option<String>)>,
}

/// What a part of the debug information has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// What dwz found in more than one file.
    Common,
    /// So many units of split DWARF.
    Units(usize),
}

/// The file at `path`, whose contents are `bytes`, with its debug information as far as it was found.
pub fn load<'d>(
    files: &dyn DebugFiles<'d>,
    path: &Path,
    bytes: &'d [u8],
    extent: Extent,
) -> Result<(Module<'d>, DebugSearch), ElfError> {
    let mut loader = Loader { files, path, extent, search: DebugSearch::default() };
    let mut module = Module::parse(loader.prepared(bytes))?;
    if !module.has_dwarf() {
        loader.attach_debug(&mut module);
    }
    if extent == Extent::Full && module.has_dwarf() {
        loader.attach_alt(&mut module);
        loader.attach_split(&mut module);
    }
    if !module.has_symbol_table()
        && let Some(symbols) = module.packed_symbols().and_then(|packed| unpack_symbols(packed).ok())
    {
        // What is unpacked wrongly leaves the module as it was.
        let _ = module.attach_symbols(files.keep(symbols));
    }
    if let Some(release) = files.release() {
        module.release_with(release);
    }
    Ok((module, loader.search))
}

struct Loader<'f, 'd> {
    files: &'f dyn DebugFiles<'d>,
    path: &'f Path,
    extent: Extent,
    search: DebugSearch,
}

impl<'d> Loader<'_, 'd> {
    /// The bytes, with their compressed sections inflated where that is wanted.
    fn prepared(&self, bytes: &'d [u8]) -> &'d [u8] {
        match self.extent {
            Extent::Symbols => bytes,
            Extent::Full => match inflate(bytes) {
                Ok(Some(inflated)) => self.files.keep(inflated),
                Ok(None) | Err(_) => bytes,
            },
        }
    }

    /// Reads a file and takes it; what went wrong otherwise, which is nothing if there is no such file.
    fn take(
        &self,
        path: &Path,
        take: impl FnOnce(&'d [u8]) -> Result<(), AttachError>,
    ) -> Result<(), Option<String>> {
        match self.files.read(path) {
            Ok(bytes) => take(self.prepared(bytes)).map_err(|error| Some(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(None),
            Err(error) => Err(Some(error.to_string())),
        }
    }

    fn attach_debug(&mut self, module: &mut Module<'d>) {
        for candidate in debug_file_candidates(self.path, module, &self.files.debug_roots()) {
            match self.take(&candidate, |bytes| module.attach_debug(bytes)) {
                Ok(()) => {
                    self.search.found = Some(candidate);
                    return;
                }
                Err(problem) => self.search.tried.push((candidate.display().to_string(), problem)),
            }
        }
        let Some(id) = module.build_id().map(hex) else { return };
        let fetched = match self.files.fetch(&id) {
            None => return,
            Some(Ok(path)) => self.take(&path, |bytes| module.attach_debug(bytes)).map(|()| path),
            Some(Err(Unfetched { asked, problem })) => {
                self.search.tried.push((asked, Some(problem)));
                return;
            }
        };
        match fetched {
            Ok(path) => self.search.found = Some(path),
            Err(problem) => self.search.tried.push((format!("debuginfod's cache, {id}"), problem)),
        }
    }

    /// Tries the places of the file that dwz moved common parts to.
    fn attach_alt(&mut self, module: &mut Module<'d>) {
        let Some(link) = module.debug_alt_link() else { return };
        let holder = self.search.found.as_deref().unwrap_or(self.path);
        let holder = self.files.canonicalize(holder).unwrap_or_else(|_| holder.to_owned());
        let mut tried = Vec::new();
        for candidate in alt_file_candidates(&holder, &link, &self.files.debug_roots()) {
            match self.take(&candidate, |bytes| module.attach_alt(bytes)) {
                Ok(()) => return,
                Err(problem) => tried.push((candidate.display().to_string(), problem)),
            }
        }
        if let Some(Ok(path)) = self.files.fetch(&hex(link.build_id))
            && self.take(&path, |bytes| module.attach_alt(bytes)).is_ok()
        {
            return;
        }
        let name = link.path.to_owned();
        self.search.missing = Some(MissingPart { name, kind: PartKind::Common, tried });
    }

    /// Adds the package with the units that the file only has skeletons of, or the files of single units.
    fn attach_split(&mut self, module: &mut Module<'d>) {
        let units = module.split_units();
        if units.is_empty() {
            return;
        }
        let mut tried = Vec::new();
        for candidate in package_candidates(self.path, self.search.found.as_deref()) {
            match self.take(&candidate, |bytes| module.attach_package(bytes)) {
                Ok(()) => break,
                Err(problem) => tried.push((candidate.display().to_string(), problem)),
            }
        }
        let units = module.split_units();
        let files: Vec<&'d [u8]> =
            units.iter().filter_map(|unit| self.split_file(unit, &mut tried)).collect();
        if !files.is_empty()
            && let Err(error) = module.attach_split(&files)
        {
            tried.push((units[0].name.to_owned(), Some(error.to_string())));
        }
        let missing = module.split_units();
        if let Some(first) = missing.first() {
            tried.truncate(MAX_SHOWN);
            let (name, kind) = (first.name.to_owned(), PartKind::Units(missing.len()));
            self.search.missing = Some(MissingPart { name, kind, tried });
        }
    }

    fn split_file(
        &self,
        unit: &SplitUnit<'d>,
        tried: &mut Vec<(String, Option<String>)>,
    ) -> Option<&'d [u8]> {
        for candidate in split_file_candidates(self.path, unit) {
            match self.files.read(&candidate) {
                Ok(bytes) => return Some(self.prepared(bytes)),
                Err(error) => {
                    let problem = (error.kind() != ErrorKind::NotFound).then(|| error.to_string());
                    tried.push((candidate.display().to_string(), problem));
                }
            }
        }
        None
    }
}

/// A large program has thousands of .dwo files; where some of them were looked for says enough.
const MAX_SHOWN: usize = 6;

/// Places of the separate debug file of the module at `path`, in the order to try them. What is seen through
/// /proc/PID/root is looked for there first: it is in another mount namespace, which has its own debug files.
fn debug_file_candidates(path: &Path, module: &Module<'_>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let (outside, path_inside) = split_process_root(path);
    let mut all_roots: Vec<PathBuf> = Vec::new();
    if let Some(outside) = outside {
        all_roots.extend(roots.iter().map(|root| below(outside, root)));
    }
    all_roots.extend(roots.iter().cloned());
    let mut candidates = by_build_id(module.build_id().unwrap_or_default(), &all_roots);
    if let (Some(link), Some(directory)) = (module.debug_link(), path_inside.parent()) {
        let beside = outside.map_or_else(|| directory.to_owned(), |outside| below(outside, directory));
        candidates.push(beside.join(link.name));
        candidates.push(beside.join(".debug").join(link.name));
        candidates.extend(all_roots.iter().map(|root| below(root, directory).join(link.name)));
    }
    // A debug link may name the stripped file itself.
    candidates.retain(|candidate| candidate != path);
    candidates
}

/// Places of the file that dwz moved common parts to. `holder` is the file that has the link, symbolic links
/// resolved: a relative path is relative to it.
fn alt_file_candidates(holder: &Path, link: &AltLink<'_>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let mut candidates = vec![holder.parent().unwrap_or(Path::new("/")).join(link.path)];
    if let (Some(outside), _) = split_process_root(holder)
        && link.path.starts_with('/')
    {
        candidates.insert(0, below(outside, Path::new(link.path)));
    }
    candidates.extend(by_build_id(link.build_id, roots));
    candidates
}

/// `FILE.dwp`, of the program or of its debug file.
fn package_candidates(path: &Path, debug_file: Option<&Path>) -> Vec<PathBuf> {
    let with_suffix = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dwp");
        PathBuf::from(name)
    };
    [Some(path), debug_file].into_iter().flatten().map(with_suffix).collect()
}

/// Where the compiler wrote it; else beside the program, where it may have been moved with it.
fn split_file_candidates(path: &Path, unit: &SplitUnit<'_>) -> Vec<PathBuf> {
    let (outside, _) = split_process_root(path);
    let name = Path::new(unit.name);
    let written = Path::new(unit.directory).join(name);
    let mut candidates = vec![outside.map_or_else(|| written.clone(), |outside| below(outside, &written))];
    if let Some(directory) = path.parent() {
        if name.is_relative() {
            candidates.push(directory.join(name));
        }
        candidates.extend(name.file_name().map(|name| directory.join(name)));
    }
    candidates.dedup();
    candidates
}

fn by_build_id(id: &[u8], roots: &[PathBuf]) -> Vec<PathBuf> {
    let Some((first, rest)) = id.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let name = format!(".build-id/{first:02x}/{}.debug", hex(rest));
    roots.iter().map(|root| root.join(&name)).collect()
}

/// `/proc/PID/root` and the path in it, if that is where the path leads through.
fn split_process_root(path: &Path) -> (Option<&Path>, &Path) {
    let mut outside = path.ancestors().filter(|ancestor| {
        let mut components = ancestor.components().rev();
        components.next().is_some_and(|last| last.as_os_str() == "root")
            && components.nth(1).is_some_and(|proc| proc.as_os_str() == "proc")
            && ancestor.components().count() == 4
    });
    match outside.next() {
        Some(root) => (Some(root), path.strip_prefix(root).unwrap_or(path)),
        None => (None, path),
    }
}

/// An absolute path in a directory that is another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_process_is_told_from_other_paths() {
        let split = |path| {
            let (outside, inside) = split_process_root(Path::new(path));
            (outside.and_then(Path::to_str), inside.to_str().unwrap())
        };
        let other = Path::new("/proc/12/root").join("usr/bin/x");
        assert_eq!(split(other.to_str().unwrap()), (Some("/proc/12/root"), "usr/bin/x"));
        assert_eq!(split("/proc/12/exe"), (None, "/proc/12/exe"));
        assert_eq!(split("/usr/bin/root"), (None, "/usr/bin/root"));
        assert_eq!(split("x"), (None, "x"));
    }

    #[test]
    fn split_units_are_where_they_were_written_or_beside_the_program() {
        let places = |path, name| {
            let unit = SplitUnit { name, directory: "/build", id: 0 };
            let places = split_file_candidates(Path::new(path), &unit);
            places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places("/usr/bin/x", "o/a.dwo"), ["/build/o/a.dwo", "/usr/bin/o/a.dwo", "/usr/bin/a.dwo"]);
        assert_eq!(places("/build/x", "a.dwo"), ["/build/a.dwo"]);
        let root = Path::new("/proc/3/root");
        assert_eq!(
            places(root.join("opt/x").to_str().unwrap(), "/o/a.dwo"),
            [root.join("o/a.dwo").display().to_string(), root.join("opt/a.dwo").display().to_string()]
        );
    }
}
