//! Relocations with the names of their symbols, and addresses of symbols of any kind (System V gABI, "Relocation" and
//! "Symbol Table").

use std::collections::HashSet;

use goblin::elf::section_header::{SHT_DYNSYM, SHT_SYMTAB};
use rstap_abi::address::LinkAddr;

use super::{Elf, TlsSlot, c_string};

const R_X86_64_64: u32 = 1;
const R_X86_64_GLOB_DAT: u32 = 6;
const R_X86_64_RELATIVE: u32 = 8;

const R_X86_64_DTPMOD64: u32 = 16;
const R_X86_64_TPOFF64: u32 = 18;

const RELA_SIZE: usize = 24;
const SYMBOL_SIZE: usize = 24;

/// One entry of a table of relocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relocation<'d> {
    /// What is relocated.
    pub at: u64,
    /// R_X86_64_…
    pub kind: u32,
    /// The name of its symbol, without version.
    pub symbol: Option<&'d str>,
    /// What is added.
    pub addend: u64,
}

impl<'d> Elf<'d> {
    /// The relocations of a section of SHT_RELA; none if there is no such section.
    pub(crate) fn relocations(&self, section: &str) -> Vec<Relocation<'d>> {
        let Some(header) = self.section_header(section) else { return Vec::new() };
        let Some(bytes) = self.section_bytes(header) else { return Vec::new() };
        let (symbols, strings) = self.symbol_table(header.sh_link as usize).unwrap_or_default();
        let relocation = |entry: &'d [u8]| {
            let info = word(entry, 8)?;
            Some(Relocation {
                at: word(entry, 0)?,
                kind: info as u32,
                symbol: symbol_name(symbols, strings, (info >> 32) as usize),
                addend: word(entry, 16)?,
            })
        };
        bytes.chunks_exact(RELA_SIZE).filter_map(relocation).collect()
    }

    /// The addresses of this file that the dynamic linker puts into these slots.
    pub(crate) fn addresses_in_slots(&self, slots: &HashSet<u64>) -> Vec<LinkAddr> {
        if slots.is_empty() {
            return Vec::new();
        }
        let relocations = self.relocations(".rela.dyn").into_iter().filter(|found| slots.contains(&found.at));
        let address = |relocation: Relocation<'_>| match relocation.kind {
            R_X86_64_RELATIVE => Some(LinkAddr(relocation.addend)),
            R_X86_64_GLOB_DAT | R_X86_64_64 => {
                let symbol = self.symbol_address(relocation.symbol?)?;
                Some(LinkAddr(symbol.0.wrapping_add(relocation.addend)))
            }
            _ => None,
        };
        relocations.filter_map(address).collect()
    }

    /// The slot through which a library finds its own thread-local storage.
    pub(crate) fn tls_slot(&self) -> Option<TlsSlot> {
        let relocations =
            [".rela.dyn", ".rela.plt"].into_iter().flat_map(|section| self.relocations(section));
        let slot = |found: Relocation<'_>| {
            // Of a symbol that is not defined here, another library has the storage.
            let of = match found.symbol {
                Some(name) => self.symbol_address(name)?.0,
                None => 0,
            };
            match found.kind {
                R_X86_64_DTPMOD64 => Some(TlsSlot::Module(LinkAddr(found.at))),
                R_X86_64_TPOFF64 => {
                    Some(TlsSlot::Offset { slot: LinkAddr(found.at), of: of.wrapping_add(found.addend) })
                }
                _ => None,
            }
        };
        relocations.into_iter().find_map(slot)
    }

    /// The address of a defined symbol, be it of a function or of data.
    pub(crate) fn symbol_address(&self, name: &str) -> Option<LinkAddr> {
        [SHT_SYMTAB, SHT_DYNSYM].into_iter().find_map(|kind| {
            let index = self.sections.iter().position(|section| section.sh_type == kind)?;
            let (symbols, strings) = self.symbol_table(index)?;
            let mut defined = symbols.chunks_exact(SYMBOL_SIZE).filter(|symbol| symbol[6..8] != [0, 0]);
            let found = defined.find(|symbol| string(strings, symbol) == Some(name))?;
            word(found, 8).map(LinkAddr)
        })
    }

    /// The defined symbols of .symtab whose name begins so, be they of functions or of data.
    pub(crate) fn symbols_beginning_with(&self, prefix: &str) -> Vec<(&'d str, LinkAddr)> {
        let table = self.sections.iter().position(|section| section.sh_type == SHT_SYMTAB);
        let Some((symbols, strings)) = table.and_then(|index| self.symbol_table(index)) else {
            return Vec::new();
        };
        let defined = symbols.chunks_exact(SYMBOL_SIZE).filter(|symbol| symbol[6..8] != [0, 0]);
        let named = defined.filter_map(|symbol| Some((string(strings, symbol)?, LinkAddr(word(symbol, 8)?))));
        named.filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    /// The bytes of a table of symbols and of its strings.
    fn symbol_table(&self, index: usize) -> Option<(&'d [u8], &'d [u8])> {
        let section = self.sections.get(index)?;
        let strings = self.sections.get(section.sh_link as usize)?;
        Some((self.section_bytes(section)?, self.section_bytes(strings)?))
    }
}

fn symbol_name<'d>(symbols: &'d [u8], strings: &'d [u8], index: usize) -> Option<&'d str> {
    let start = index.checked_mul(SYMBOL_SIZE)?;
    let name = string(strings, symbols.get(start..start.checked_add(SYMBOL_SIZE)?)?)?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    (!name.is_empty()).then_some(name)
}

fn string<'d>(strings: &'d [u8], symbol: &[u8]) -> Option<&'d str> {
    let offset = u32::from_le_bytes(*symbol.first_chunk()?);
    c_string(strings, offset.into())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
