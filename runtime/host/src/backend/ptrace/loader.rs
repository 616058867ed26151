//! Where the dynamic loader tells debuggers about libraries: `_dl_debug_state` in the dynamic symbols of the program
//! interpreter (glibc and musl), read from the target's memory, so that namespaces do not matter.
//! Source: System V ABI, "Dynamic Linking"; glibc elf/link.h, `struct r_debug`.

use super::space::Space;
use crate::process::Mapping;

const AT_BASE: u64 = 7;
const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const MAX_SYMBOLS: usize = 1 << 16;
const SYMBOL_SIZE: usize = 24;
const NAME: &[u8] = b"_dl_debug_state\0";
/// Bytes of names that are looked at.
const MAX_NAMES: usize = 256 << 10;

/// The function the loader of a process calls before and after it changes what is mapped. `None` for statically
/// linked programs and loaders that have none.
pub fn debug_state(pid: i32, space: &Space) -> Option<u64> {
    symbol(space, interpreter(pid)?, NAME)
}

/// Whether the loader of a process says that all it has mapped is ready, or does not say. At the start of a program
/// glibc says so only once it has run the resolvers of indirect functions.
pub fn is_consistent(pid: i32, space: &Space) -> bool {
    const STATE: u64 = 24;
    let debug = interpreter(pid).and_then(|base| symbol(space, base, b"_r_debug\0"));
    // An int, RT_CONSISTENT being 0.
    debug.and_then(|debug| space.memory.word(debug + STATE)).is_none_or(|state| state as u32 == 0)
}

/// The functions by which a program maps files itself: `mmap` of the C libraries that it has mapped. The loader has one
/// of its own.
pub fn mappers(space: &mut Space, mappings: &[Mapping]) -> Vec<u64> {
    let is_first = |m: &&Mapping| m.offset == 0 && is_c_library(&m.path);
    let bases: Vec<u64> = mappings.iter().filter(is_first).map(|m| m.start).collect();
    let find = |base| match space.mappers.get(&base) {
        Some(known) => *known,
        None => {
            let found = symbol(space, base, b"mmap\0");
            space.mappers.insert(base, found);
            found
        }
    };
    bases.into_iter().filter_map(find).collect()
}

/// Whether a file is a C library, by its name.
pub fn is_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["libc.so", "libc-", "ld-musl"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a process runs a dynamically linked program.
pub fn has_interpreter(pid: i32) -> bool {
    interpreter(pid).is_some()
}

/// Address of a dynamic symbol of the file mapped at `base`; `wanted` is its name with a NUL behind it.
pub fn symbol(space: &Space, base: u64, wanted: &[u8]) -> Option<u64> {
    let (symbols, strings) = tables(space, base)?;
    // The string table follows the symbols, which nothing else gives the number of.
    let len = usize::try_from(strings.checked_sub(symbols)?).ok()?.min(MAX_SYMBOLS * SYMBOL_SIZE);
    let mut table = vec![0; len];
    let read = space.memory.read_raw(symbols, &mut table);
    let mut names = vec![0; MAX_NAMES];
    let known = space.memory.read_raw(strings, &mut names);
    table[..read].chunks_exact(SYMBOL_SIZE).find_map(|symbol| {
        let name = u32::from_le_bytes(symbol[..4].try_into().ok()?);
        let value = u64::from_le_bytes(symbol[8..16].try_into().ok()?);
        let is_it = names[..known].get(name as usize..)?.starts_with(wanted);
        (value != 0 && is_it).then(|| base.wrapping_add(value))
    })
}

/// Where the program interpreter is mapped.
fn interpreter(pid: i32) -> Option<u64> {
    let vector = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let mut entries = vector.chunks_exact(16);
    entries
        .find_map(|entry| (word(&entry[..8]) == Some(AT_BASE)).then(|| word(&entry[8..]))?)
        .filter(|b| *b != 0)
}

/// Addresses of dynamic symbols and their names.
fn tables(space: &Space, base: u64) -> Option<(u64, u64)> {
    let mut header = [0; 64];
    if space.memory.read_raw(base, &mut header) != 64 || &header[..4] != b"\x7fELF" {
        return None;
    }
    let offset = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let count = u16::from_le_bytes(header[56..58].try_into().ok()?);
    let dynamic = (0..u64::from(count)).find_map(|i| {
        let mut entry = [0; 56];
        let at = base.checked_add(offset)?.checked_add(i * 56)?;
        let all = space.memory.read_raw(at, &mut entry) == 56;
        (all && u32::from_le_bytes(entry[..4].try_into().ok()?) == PT_DYNAMIC)
            .then(|| u64::from_le_bytes(entry[16..24].try_into().unwrap_or_default()))
    })?;
    // Before the loader has relocated itself these are relative to its base; afterwards glibc's are absolute.
    let absolute = |value: u64| if value < base { base.wrapping_add(value) } else { value };
    let (mut symbols, mut strings) = (None, None);
    for i in 0..256 {
        let at = base.wrapping_add(dynamic).wrapping_add(i * 16);
        match space.memory.word(at)? {
            0 => break,
            DT_SYMTAB => symbols = space.memory.word(at + 8).map(absolute),
            DT_STRTAB => strings = space.memory.word(at + 8).map(absolute),
            _ => {}
        }
    }
    Some((symbols?, strings?))
}
