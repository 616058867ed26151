//! The procedure linkage table: stubs through which a file calls functions of others (System V psABI for x86-64, 5.2).
//! A stub is recognised by what it does, a jump through a slot of the GOT that the dynamic linker fills with the
//! address of a named function, so it does not matter which linker has laid out the table, and how. Code that was
//! compiled with -fno-plt calls through such slots itself; its calls stand for the stubs that are not there.

use std::collections::{HashMap, HashSet};

use rstap_abi::address::LinkAddr;

use crate::calls::{ThroughKind, branch_through};
use crate::cfi;
use crate::elf::{Elf, Symbol, symbol_containing};

/// Sections with stubs. With IBT the stubs that are called are in .plt.sec, those whose slot needs no lazy binding in
/// .plt.got.
const SECTIONS: [&str; 3] = [".plt", ".plt.sec", ".plt.got"];

const R_X86_64_GLOB_DAT: u32 = 6;
const R_X86_64_JUMP_SLOT: u32 = 7;
const R_X86_64_IRELATIVE: u32 = 37;

/// Stubs are aligned to this.
const ALIGNMENT: usize = 8;

/// A stub, or a call that needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PltEntry<'d> {
    /// The function it calls, without version.
    pub name: &'d str,
    /// Its first instruction.
    pub address: LinkAddr,
    /// What is there.
    pub stub: Stub,
}

/// What is at a [`PltEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stub {
    /// The return address is on top of the stack: a stub, or a jump that ends a function.
    Entered,
    /// A call instruction, which has not pushed its return address yet.
    Call,
}

/// The stubs of a file by rising address, and the calls of functions that have no stub.
pub(crate) fn read_plt<'d>(elf: &Elf<'d>, symbols: &[Symbol<'d>]) -> Vec<PltEntry<'d>> {
    let slots = slots(elf, symbols);
    let mut entries = Vec::new();
    for section in SECTIONS {
        let (Some(bytes), Some(start)) = (elf.section(section), elf.section_address(section)) else {
            continue;
        };
        for at in (0..bytes.len()).step_by(ALIGNMENT) {
            let stub = &bytes[at..];
            let Some((len, displacement)) = jump_through(stub) else { continue };
            let address = start.wrapping_add(at as u64);
            let slot = address.wrapping_add(len as u64).wrapping_add_signed(displacement.into());
            if let Some(name) = slots.get(&slot) {
                entries.push(PltEntry { name, address: LinkAddr(address), stub: Stub::Entered });
            }
        }
    }
    let with_stub: HashSet<&str> = entries.iter().map(|entry| entry.name).collect();
    let calls = calls_through(elf, symbols, &slots);
    entries.extend(calls.into_iter().filter(|entry| !with_stub.contains(entry.name)));
    entries.sort_by_key(|entry| entry.address);
    entries.dedup_by_key(|entry| entry.address);
    entries
}

/// Slots of the GOT that hold addresses of functions, with their names.
fn slots<'d>(elf: &Elf<'d>, symbols: &[Symbol<'d>]) -> HashMap<u64, &'d str> {
    let mut slots = HashMap::new();
    let mut indirect = Vec::new();
    for section in [".rela.plt", ".rela.dyn"] {
        for relocation in elf.relocations(section) {
            match relocation.kind {
                R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT => {
                    slots.extend(relocation.symbol.map(|name| (relocation.at, name)));
                }
                // In a static program: the address of a resolver instead of a name.
                R_X86_64_IRELATIVE => indirect.push((relocation.at, relocation.addend)),
                _ => {}
            }
        }
    }
    if !indirect.is_empty() {
        let names: HashMap<u64, &str> =
            symbols.iter().map(|symbol| (symbol.address.0, symbol.name)).collect();
        slots.extend(indirect.into_iter().filter_map(|(at, resolver)| Some((at, *names.get(&resolver)?))));
    }
    slots
}

/// Calls and jumps of .text through slots of named functions. Bytes that look like one count only if decoding their
/// function from its start ends there.
fn calls_through<'d>(
    elf: &Elf<'d>,
    symbols: &[Symbol<'d>],
    slots: &HashMap<u64, &'d str>,
) -> Vec<PltEntry<'d>> {
    let (Some(text), Some(start)) = (elf.section(".text"), elf.section_address(".text")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, window) in text.windows(6).enumerate() {
        // ff /2 and ff /4 with a displacement from rip.
        let &[0xff, 0x15 | 0x25, ref displacement @ ..] = window else { continue };
        let Some(displacement) = displacement.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes))
        else {
            continue;
        };
        let end = start.wrapping_add(at as u64 + 6);
        let slot = end.wrapping_add_signed(displacement.into());
        let Some(name) = slots.get(&slot) else { continue };
        let inside = LinkAddr(end.wrapping_sub(1));
        let function = match symbol_containing(symbols, inside) {
            Some(symbol) => Some(symbol.address),
            None => cfi::extent_at(elf, None, inside).map(|(start, _)| LinkAddr(start)),
        };
        // What calls main is the C library's, in every program.
        let Some(function) = function.filter(|&function| function != elf.entry()) else { continue };
        let Some(through) = branch_through(elf, function, LinkAddr(end)) else { continue };
        if through.slot == slot {
            let stub = match through.kind {
                ThroughKind::Call => Stub::Call,
                ThroughKind::Jump => Stub::Entered,
            };
            found.push(PltEntry { name, address: through.at, stub });
        }
    }
    found
}

/// The length up to the end of the jump, and its displacement: `[endbr64] [bnd] jmp *displacement(%rip)`.
fn jump_through(stub: &[u8]) -> Option<(usize, i32)> {
    let after_endbr = stub.strip_prefix(&[0xf3, 0x0f, 0x1e, 0xfa]).unwrap_or(stub);
    let after_bnd = after_endbr.strip_prefix(&[0xf2]).unwrap_or(after_endbr);
    let displacement = after_bnd.strip_prefix(&[0xff, 0x25])?.first_chunk::<4>()?;
    Some((stub.len() - after_bnd.len() + 6, i32::from_le_bytes(*displacement)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_of_all_linkers_jump_through_a_slot() {
        let lazy = [0xff, 0x25, 0x10, 0, 0, 0, 0x68, 0, 0, 0, 0];
        assert_eq!(jump_through(&lazy), Some((6, 0x10)));
        assert_eq!(
            jump_through(&[0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0xf0, 0xff, 0xff, 0xff]),
            Some((10, -16))
        );
        assert_eq!(jump_through(&[0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 1, 0, 0, 0]), Some((11, 1)));
        // What binds lazily under IBT is not called by the program.
        assert_eq!(jump_through(&[0xf3, 0x0f, 0x1e, 0xfa, 0x68, 0, 0, 0, 0]), None);
        assert_eq!(jump_through(&lazy[..5]), None);
    }
}
