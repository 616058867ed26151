//! The functions of a module as a list shows them, each once however many instances it has. Nothing is kept of a unit
//! once it has been read, so a list of a large program needs little more memory than its own text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rstap_abi::address::LinkAddr;

use super::scan::{Subprogram, UnitFunctions, scan_unit_into};
use super::source::{Sources, file_matches};
use super::{Functions, exact_name};
use crate::dwarf::DieRef;
use crate::lines;
use crate::pattern::Pattern;

/// All functions of one name and declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'d> {
    /// The name, as [`crate::Function::name`].
    pub name: Cow<'d, str>,
    /// Source file, as DWARF composes it.
    pub decl_file: Option<Arc<str>>,
    /// Line of the declaration, 0 if unknown.
    pub decl_line: u32,
    /// What there is of it.
    pub has: Instances,
}

/// What there is of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// Code that can be called.
    pub code: bool,
    /// Code that can be called from other units.
    pub external: bool,
    /// Places where it was inlined.
    pub inlined: bool,
}

impl Instances {
    fn add(&mut self, other: Instances) {
        self.code |= other.code;
        self.external |= other.external;
        self.inlined |= other.inlined;
    }
}

/// Name, file and line.
type Key<'d> = (Cow<'d, str>, Option<Arc<str>>, u32);

#[derive(Default)]
struct Listing<'d> {
    found: HashMap<Key<'d>, Instances>,
    /// Entries of the functions found.
    entries: Vec<LinkAddr>,
    /// Functions of other units that have inlined instances.
    foreign: HashSet<DieRef>,
}

impl<'d> Functions<'_, 'd> {
    /// Functions that match, in no order.
    pub fn listing(&self, pattern: &Pattern) -> Vec<Listed<'d>> {
        let mut listing = self.listing_of_units(pattern);
        for root in std::mem::take(&mut listing.foreign) {
            self.list_inlined(root, pattern, &mut listing);
        }
        if pattern.file.is_none() {
            self.list_symbols(pattern, &mut listing);
        }
        let listed = |((name, decl_file, decl_line), has)| Listed { name, decl_file, decl_line, has };
        listing.found.into_iter().map(listed).collect()
    }

    /// Units differ much in size, so each thread takes the next one when it is done with one.
    fn listing_of_units(&self, pattern: &Pattern) -> Listing<'d> {
        let next = AtomicUsize::new(0);
        let count = self.data.slots().len();
        let work = || {
            let mut listing = Listing::default();
            let mut scanned = UnitFunctions::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return listing;
                }
                self.list_unit(index as u32, pattern, &mut scanned, &mut listing);
            }
        };
        if !self.data.is_large() {
            return work();
        }
        let listings = rayon::broadcast(|_| work());
        listings.into_iter().reduce(Listing::merge).unwrap_or_default()
    }

    fn list_unit(
        &self,
        index: u32,
        pattern: &Pattern,
        scanned: &mut UnitFunctions<'d>,
        listing: &mut Listing<'d>,
    ) {
        if exact_name(pattern).is_some_and(|name| self.lacks_function(index, name)) {
            return;
        }
        let functions = match self.data.slot(index).ok().and_then(|slot| slot.functions.get()) {
            Some(kept) => kept,
            None => {
                scan_unit_into(self.data, index, scanned);
                scanned
            }
        };
        let sources = Sources { view: self, index, functions };
        let files = pattern.file.as_ref().map(|file| lines::matching_files(self.data, index, file));
        let inlined = self.inlined_roots(index, functions, &mut listing.foreign);
        for subprogram in &functions.subprograms {
            let entry = self.first_address(index, subprogram.code);
            let has = Instances {
                code: entry.is_some(),
                external: false,
                inlined: subprogram.inlined && inlined.binary_search(&subprogram.offset).is_ok(),
            };
            if (has.code || has.inlined)
                && listing.add(&sources, subprogram, pattern, files.as_deref(), has).is_some()
            {
                listing.entries.extend(entry);
            }
        }
    }

    /// Offsets of the subprograms that have inlined instances in their unit, sorted; those of other units are added
    /// to `foreign`.
    fn inlined_roots(
        &self,
        index: u32,
        functions: &UnitFunctions<'d>,
        foreign: &mut HashSet<DieRef>,
    ) -> Vec<usize> {
        let mut roots = Vec::new();
        for inlined in &functions.inlined {
            let Some(root) = inlined.origin.die() else { continue };
            if self.inline_entry(index, inlined).is_none() {
                continue;
            }
            if root.unit == index {
                roots.push(root.offset);
            } else {
                foreign.insert(root);
            }
        }
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    fn list_inlined(&self, root: DieRef, pattern: &Pattern, listing: &mut Listing<'d>) -> Option<()> {
        let functions = self.of_unit(root.unit)?;
        let sources = Sources { view: self, index: root.unit, functions };
        let files = pattern.file.as_ref().map(|file| lines::matching_files(self.data, root.unit, file));
        let subprogram = functions.subprogram_at(root.offset).filter(|s| s.inlined)?;
        let has = Instances { inlined: true, ..Instances::default() };
        listing.add(&sources, subprogram, pattern, files.as_deref(), has)
    }

    /// Adds what [`Functions::matching`] has from the symbol table only.
    fn list_symbols(&self, pattern: &Pattern, listing: &mut Listing<'d>) {
        let mut known: HashSet<LinkAddr> = listing.entries.drain(..).collect();
        for symbol in self.symbols {
            let Some(function) = self.function_of_new_symbol(symbol, pattern, &mut known) else { continue };
            let has = Instances { code: true, external: function.external, inlined: false };
            listing.insert((function.name, function.decl_file, function.decl_line), has);
        }
    }
}

impl<'d> Listing<'d> {
    /// Adds a function if it matches.
    fn add(
        &mut self,
        sources: &Sources<'_, '_, 'd>,
        subprogram: &Subprogram<'d>,
        pattern: &Pattern,
        files: Option<&[bool]>,
        has: Instances,
    ) -> Option<()> {
        let source = sources.describe(subprogram);
        let name = sources.matched_name(&source, pattern)?;
        let data = sources.view.data;
        if !file_matches(data, sources.index, source.decl_file, pattern, files) {
            return None;
        }
        let decl_file = source.decl_file.and_then(|(unit, file)| lines::file_name(data, unit, file.into()));
        let external = has.code && source.external;
        self.insert((name, decl_file, source.decl_line), Instances { external, ..has });
        Some(())
    }

    fn insert(&mut self, key: Key<'d>, has: Instances) {
        self.found.entry(key).or_default().add(has);
    }

    fn merge(mut self, other: Self) -> Self {
        for (key, has) in other.found {
            self.insert(key, has);
        }
        self.entries.extend(other.entries);
        self.foreign.extend(other.foreign);
        self
    }
}
