//! Functions of a module: subprograms of the DWARF with their inlined instances, and symbols.

use std::borrow::Cow;
use std::sync::Arc;

use rstap_abi::address::LinkAddr;

use crate::dwarf::DieRef;

/// Addresses from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Range {
    pub start: LinkAddr,
    pub end: LinkAddr,
}

impl Range {
    /// Whether `address` is in it.
    pub fn contains(&self, address: LinkAddr) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function<'d> {
    /// Its name as `ppfunc()` and `pp()` show it: as many components of its qualified name as the pattern has.
    pub name: Cow<'d, str>,
    /// Its symbol name, where DWARF or the symbol table has one.
    pub linkage_name: Option<&'d str>,
    /// Where calls enter it; `None` if it exists inlined only.
    pub entry: Option<LinkAddr>,
    /// Its code, first the part with the entry; empty if it exists inlined only or its size is unknown.
    pub ranges: Vec<Range>,
    /// Source file, as DWARF composes it (compilation directory, directory, name).
    pub decl_file: Option<Arc<str>>,
    /// Line of its declaration, 0 if unknown.
    pub decl_line: u32,
    /// Callable from other units (DW_AT_external; a global symbol).
    pub external: bool,
    /// Exported to other modules (.dynsym).
    pub exported: bool,
    /// An indirect function: the entry is its resolver.
    pub ifunc: bool,
    /// Places where it was inlined, by rising address.
    pub inlines: Vec<Inline>,
    /// Its entry in the DWARF: the concrete instance, else the abstract one; `None` if known as symbol only.
    pub die: Option<DieRef>,
}

/// A place where a function was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    /// Where a probe is planted: DW_AT_entry_pc, else the lowest address.
    pub entry: LinkAddr,
    /// Its code.
    pub ranges: Vec<Range>,
    /// Its entry in the DWARF.
    pub die: DieRef,
}
