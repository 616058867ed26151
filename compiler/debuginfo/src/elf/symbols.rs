//! Symbols of functions and data of .symtab and .dynsym (System V gABI, "Symbol Table").

use std::collections::HashSet;

use goblin::elf::section_header::{SHT_DYNSYM, SHT_SYMTAB};
use goblin::elf::sym::{STB_LOCAL, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT, Symtab};
use rstap_abi::address::LinkAddr;

use super::{CTX, Elf, c_string, to_usize};

/// A symbol of a function or of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symbol<'d> {
    /// Its name, without version.
    pub name: &'d str,
    /// Where it is.
    pub address: LinkAddr,
    /// Its bytes, 0 if unknown.
    pub size: u64,
    /// Visible to other object files (global or weak binding).
    pub global: bool,
    /// In .dynsym: visible to other modules.
    pub exported: bool,
    /// An indirect function: the address is that of its resolver.
    pub ifunc: bool,
}

/// The functions of `elf`'s .dynsym and of the first .symtab that `others` or the file itself have, by rising address,
/// each name once at each address.
pub(crate) fn read_symbols<'d>(elf: &Elf<'d>, others: &[Option<&Elf<'d>>]) -> Vec<Symbol<'d>> {
    let functions = |file, table| read_table(file, table, &[STT_FUNC, STT_GNU_IFUNC]);
    let mut symbols = functions(elf, SHT_DYNSYM);
    let tables = others.iter().copied().flatten().chain([elf]).map(|file| functions(file, SHT_SYMTAB));
    let full = tables.into_iter().find(|table| !table.is_empty()).unwrap_or_default();
    let known: HashSet<(&str, u64)> = symbols.iter().map(|s| (s.name, s.address.0)).collect();
    symbols.extend(full.into_iter().filter(|s| !known.contains(&(s.name, s.address.0))));
    symbols.retain(|s| elf.is_executable(s.address));
    symbols.sort_by_key(|s| (s.address, s.name, !s.exported));
    symbols.dedup_by_key(|s| (s.address, s.name));
    symbols
}

/// The variables of `elf`'s .dynsym, and of the .symtab that `others` or the file itself have; in no order.
pub(crate) fn read_data_symbols<'d>(elf: &Elf<'d>, others: &[Option<&Elf<'d>>]) -> Vec<Symbol<'d>> {
    let data = |file, table| read_table(file, table, &[STT_OBJECT]);
    let full = others.iter().copied().flatten().chain([elf]).flat_map(|file| data(file, SHT_SYMTAB));
    data(elf, SHT_DYNSYM).into_iter().chain(full).collect()
}

/// The symbol whose code contains `address`; one without size reaches to the next.
pub(crate) fn symbol_containing<'s, 'd>(
    symbols: &'s [Symbol<'d>],
    address: LinkAddr,
) -> Option<&'s Symbol<'d>> {
    let after = symbols.partition_point(|s| s.address <= address);
    let start = symbols.get(after.checked_sub(1)?)?.address;
    let first = symbols.partition_point(|s| s.address < start);
    let mut candidates = symbols[first..after].iter();
    candidates.find(|s| s.size == 0 || address.0 - s.address.0 < s.size)
}

fn read_table<'d>(elf: &Elf<'d>, sh_type: u32, kinds: &[u8]) -> Vec<Symbol<'d>> {
    let Some(section) = elf.section_of_type(sh_type) else { return Vec::new() };
    let Some(bytes) = elf.section_bytes(section) else { return Vec::new() };
    let strings = elf.sections.get(section.sh_link as usize).and_then(|s| elf.section_bytes(s));
    let Some(strings) = strings else { return Vec::new() };
    let count = bytes.len() / goblin::elf::sym::sym64::SIZEOF_SYM;
    let Ok(table) = Symtab::parse(elf.bytes, to_usize(section.sh_offset), count, CTX) else {
        return Vec::new();
    };
    let defined = table.iter().filter(|s| kinds.contains(&s.st_type()) && s.st_shndx != 0 && s.st_value != 0);
    let mut symbols = Vec::new();
    for symbol in defined {
        let Some(name) = c_string(strings, symbol.st_name as u64) else { continue };
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        if name.is_empty() {
            continue;
        }
        symbols.push(Symbol {
            name,
            address: LinkAddr(symbol.st_value),
            size: symbol.st_size,
            global: symbol.st_bind() != STB_LOCAL,
            exported: sh_type == SHT_DYNSYM,
            ifunc: symbol.st_type() == STT_GNU_IFUNC,
        });
    }
    symbols
}
