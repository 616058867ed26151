//! What is at an address of a process: the module and the place in it. Mappings are remembered as they are made, so
//! that the addresses of a process that has ended keep their names; files are read when a handler asks.

mod module;
mod stack;
mod wording;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rstap_debuginfo::{FileOffset, LinkAddr};

pub use self::module::{DebugPlaces, ModuleFile};
pub use self::stack::Stack;
pub use self::wording::{put, word};
use crate::backend::TargetMemory;
use crate::process::FileId;
use crate::process::maps::{self, Mapping};

/// Processes whose mappings are remembered; the one that nobody asked about for longest is forgotten.
const MAX_PROCESSES: usize = 256;
/// Bytes of a vDSO, which has a few pages.
const MAX_VDSO: u64 = 64 * 1024;

/// Mappings and modules of a session.
#[derive(Default)]
pub struct Symbols {
    places: Arc<DebugPlaces>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The one asked about last is at the end.
    processes: Vec<Process>,
    modules: HashMap<FileId, Option<Arc<ModuleFile>>>,
    vdso: Option<Arc<ModuleFile>>,
}

struct Process {
    pid: i32,
    /// What the kernel said; empty if the mappings come from elsewhere.
    text: Vec<u8>,
    mappings: Vec<Mapped>,
}

struct Mapped {
    mapping: Mapping,
    /// Looked for when first asked about.
    module: Option<Option<Arc<ModuleFile>>>,
}

/// What is at an address.
#[derive(Clone)]
pub struct Place {
    /// What is mapped, as the process sees its path, `[vdso]` and the like; empty for memory that is nobody's file.
    pub path: String,
    /// Address of the module's first byte.
    pub start: u64,
    /// Behind its last one.
    pub end: u64,
    /// Whether this is code.
    pub executable: bool,
    /// The module with the position in it, if its file can be read.
    pub code: Option<Code>,
}

/// A place in a module.
#[derive(Clone)]
pub struct Code {
    /// The module.
    pub module: Arc<ModuleFile>,
    /// The address in its file.
    pub link: LinkAddr,
    /// The address that the file's 0 is at.
    pub bias: u64,
}

impl Symbols {
    /// Nothing yet; debug files are looked for in these places.
    pub fn new(places: DebugPlaces) -> Symbols {
        Symbols { places: Arc::new(places), known: Mutex::default() }
    }

    /// Remembers what a process has mapped.
    pub fn remember(&self, pid: i32, mappings: &[Mapping]) {
        self.lock().replace(Process::new(pid, Vec::new(), mappings.to_vec()));
    }

    /// Reads what a process has mapped now. If it has ended, what was known last stays.
    pub fn refresh(&self, pid: i32) {
        let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mut known = self.lock();
        let same = known.processes.iter().any(|p| p.pid == pid && p.text == text);
        // A process that is about to end has no mappings any more.
        if !text.is_empty() && !same {
            let mappings = maps::parse_all(&text);
            known.replace(Process::new(pid, text, mappings));
        }
    }

    /// What is at an address of a process. Without a process: at that address of the process asked about last that
    /// has something there. `memory` is that of the process, if it can be read.
    pub fn find(&self, pid: Option<i32>, address: u64, memory: Option<&dyn TargetMemory>) -> Option<Place> {
        let mut known = self.lock();
        let known = &mut *known;
        let process = known.processes.iter_mut().rev().find(|process| match pid {
            Some(pid) => process.pid == pid,
            None => process.index_of(address).is_some(),
        })?;
        let index = process.index_of(address)?;
        let module = process.module(index, &mut known.vdso, &mut known.modules, &self.places, memory);
        Some(process.place(index, address, module))
    }

    /// Address in memory minus address in the file, of the file with this path in a process.
    pub fn load_bias(&self, pid: i32, path: &[u8], memory: Option<&dyn TargetMemory>) -> Option<u64> {
        let mut known = self.lock();
        let known = &mut *known;
        let process = known.processes.iter_mut().find(|process| process.pid == pid)?;
        let index = process.mappings.iter().position(|m| m.mapping.path.as_bytes() == path)?;
        let address = process.mappings[index].mapping.start;
        let module = process.module(index, &mut known.vdso, &mut known.modules, &self.places, memory);
        process.place(index, address, module).code.map(|code| code.bias)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What is in it is replaced as a whole, so a panic meanwhile leaves it as it was.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn replace(&mut self, process: Process) {
        self.processes.retain(|old| old.pid != process.pid);
        if self.processes.len() == MAX_PROCESSES {
            self.processes.remove(0);
        }
        self.processes.push(process);
    }
}

impl Process {
    fn new(pid: i32, text: Vec<u8>, mappings: Vec<Mapping>) -> Process {
        let mappings = mappings.into_iter().map(|mapping| Mapped { mapping, module: None }).collect();
        Process { pid, text, mappings }
    }

    fn index_of(&self, address: u64) -> Option<usize> {
        let index = self.mappings.partition_point(|m| m.mapping.end <= address);
        self.mappings.get(index).filter(|m| m.mapping.start <= address).map(|_| index)
    }

    /// The file of a mapping, if it can be read.
    fn module(
        &mut self,
        index: usize,
        known_vdso: &mut Option<Arc<ModuleFile>>,
        modules: &mut HashMap<FileId, Option<Arc<ModuleFile>>>,
        places: &Arc<DebugPlaces>,
        memory: Option<&dyn TargetMemory>,
    ) -> Option<Arc<ModuleFile>> {
        let mapped = &mut self.mappings[index];
        let (pid, mapping) = (self.pid, &mapped.mapping);
        let module = mapped.module.get_or_insert_with(|| match &*mapping.path {
            "[vdso]" => vdso(known_vdso, mapping, memory),
            _ => open(modules, pid, mapping, places),
        });
        module.clone()
    }

    fn place(&self, index: usize, address: u64, module: Option<Arc<ModuleFile>>) -> Place {
        let mapping = &self.mappings[index].mapping;
        let same = |m: &&Mapped| m.mapping.path == mapping.path;
        // A file may be mapped more than once; each time it begins with its first byte.
        let mut before = self.mappings[..=index]
            .iter()
            .rev()
            .take_while(|m| mapping.is_file() && (same(m) || m.mapping.path.is_empty()));
        let start =
            before.find(|m| same(m) && m.mapping.offset == 0).map_or(mapping.start, |m| m.mapping.start);
        let behind = self.mappings[index..].iter().take_while(same);
        let end = behind.map(|m| m.mapping.end).take(if mapping.is_file() { usize::MAX } else { 1 }).last();
        let code = module.and_then(|module| {
            let offset = FileOffset(address - mapping.start + mapping.offset);
            let link = module.headers().link_addr(offset)?;
            Some(Code { module, link, bias: address.wrapping_sub(link.0) })
        });
        let (path, executable) = (mapping.path.clone(), mapping.executable);
        Place { path, start, end: end.unwrap_or(mapping.end), executable, code }
    }
}

/// The file of a mapping, opened once for all processes that map it.
pub(crate) fn open(
    modules: &mut HashMap<FileId, Option<Arc<ModuleFile>>>,
    pid: i32,
    mapping: &Mapping,
    debug_places: &Arc<DebugPlaces>,
) -> Option<Arc<ModuleFile>> {
    if !mapping.is_file() {
        return None;
    }
    let places = [
        PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end)),
        PathBuf::from(format!("/proc/{pid}/root{}", mapping.path)),
        // When the process has ended.
        PathBuf::from(&mapping.path),
    ];
    let (place, id) = places.iter().find_map(|place| Some((place, FileId::of_path(place).ok()?)))?;
    // The debug files are those of the place where the path leads to this file.
    let own = FileId::of_path(mapping.path.as_ref()).is_ok_and(|own| own == id);
    let path = if own { &places[2] } else { &places[1] };
    let load = || ModuleFile::open(place, path, debug_places).map(Arc::new);
    modules.entry(id).or_insert_with(load).clone()
}

/// The kernel's code in each process, which is in no file. It is the same in all of them.
fn vdso(
    known: &mut Option<Arc<ModuleFile>>,
    mapping: &Mapping,
    memory: Option<&dyn TargetMemory>,
) -> Option<Arc<ModuleFile>> {
    if known.is_none() {
        let mut bytes = vec![0; (mapping.end - mapping.start).min(MAX_VDSO) as usize];
        if memory?.read(mapping.start, &mut bytes) {
            *known = ModuleFile::of_bytes(bytes, "[vdso]".as_ref()).map(Arc::new);
        }
    }
    known.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_code_has_a_name_also_when_its_process_is_not_named() {
        let own = std::process::id() as i32;
        let symbols = Symbols::default();
        symbols.refresh(own);
        let here = vdso as fn(_, _, _) -> _ as usize as u64;
        for pid in [Some(own), None] {
            let place = symbols.find(pid, here, None).expect("own code is mapped");
            assert!(place.executable && (place.start..place.end).contains(&here));
            let code = place.code.expect("own file is an ELF file");
            let symbol = code.module.symbols().symbol_at(code.link).expect("tests are not stripped");
            assert!(symbol.name.contains("vdso"), "{}", symbol.name);
            assert_eq!(code.bias.wrapping_add(symbol.address.0), here);
        }
        assert!(symbols.find(Some(own), 8, None).is_none());
    }

    #[test]
    fn mappings_outlive_their_process() {
        let symbols = Symbols::default();
        let own = maps::read(std::process::id() as i32).expect("own maps");
        // No process has this number: it is above the largest there can be.
        let gone = 1 << 30;
        symbols.remember(gone, &own);
        symbols.refresh(gone);
        let here = vdso as fn(_, _, _) -> _ as usize as u64;
        assert!(symbols.find(Some(gone), here, None).is_some_and(|place| place.code.is_some()));
    }
}
