//! Functions of a module: subprograms of the DWARF with their inlined instances, and symbols.

mod indirect;
mod listing;
mod matching;
mod prologue;
mod scan;
mod source;

use foldhash::{HashMap, HashMapExt, HashSet};
use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;
use rstap_abi::address::LinkAddr;

use crate::dwarf::{DebugData, DieRef, ranges_at};
use crate::elf::{Elf, Symbol};
use crate::lines::{self, Line};
use crate::names::{demangle, is_cold, is_part};
use crate::pattern::Pattern;

pub(crate) use listing::Details;
pub use listing::{Instances, Listed};
use matching::match_symbol;
pub(crate) use prologue::{after_stack_check, probe_address};
pub(crate) use scan::UnitFunctions;
use scan::{Code, Inlined, Subprogram};
use source::{Sources, file_matches};

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
    /// An indirect function whose implementations are not known: the entry is its resolver.
    pub ifunc: bool,
    /// Not a whole function but a part that was moved out of its way: the entry is where jumps enter it.
    pub cold: bool,
    /// Places where it was inlined, by rising address.
    pub inlines: Vec<Inline>,
    /// Its entry in the DWARF: the concrete instance, else the abstract one; `None` if known as symbol only.
    pub die: Option<DieRef>,
}

/// A place where a function was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    /// Where a probe is planted: DW_AT_entry_pc, else the first address of its code.
    pub entry: LinkAddr,
    /// Its entry in the DWARF.
    pub die: DieRef,
}

/// A call that was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinedCall<'d> {
    /// The function, with its scopes where its symbol name tells them.
    pub name: Cow<'d, str>,
    /// Where the call stands in the source.
    pub call: Option<Line>,
}

/// Functions of a unit that match, and instances of functions of other units.
#[derive(Default)]
struct UnitMatches<'d> {
    functions: Vec<Match<'d>>,
    /// Inlined instances whose function is in another unit.
    foreign: Vec<(DieRef, Inline)>,
}

struct Match<'d> {
    /// The abstract instance, if there is one, else the concrete one.
    root: DieRef,
    function: Function<'d>,
}

/// The questions about functions, with all they need of the module.
pub(crate) struct Functions<'m, 'd> {
    pub data: &'m DebugData<'d>,
    pub elf: &'m Elf<'d>,
    pub symbols: &'m [Symbol<'d>],
    /// Gives back the memory that files are mapped to.
    pub release: Option<&'m (dyn Fn() + Send + Sync)>,
}

impl<'m, 'd> Functions<'m, 'd> {
    /// Functions that match, in the order of the units; those known as symbols only come last.
    pub fn matching(&self, pattern: &Pattern) -> Vec<Function<'d>> {
        let mut matches = self.matches_of_units(pattern);
        self.add_foreign_inlines(&mut matches);
        let mut functions: Vec<_> =
            matches.into_iter().flat_map(|m| m.functions).map(|m| m.function).collect();
        functions.iter_mut().for_each(|f| f.inlines.sort_by_key(|i| i.entry));
        self.note_symbols(&mut functions);
        let mut known: HashSet<LinkAddr> = functions.iter().filter_map(|f| f.entry).collect();
        for part in self.leave_out_parts(&mut functions) {
            if pattern.name().as_str().contains(".part") {
                known.remove(&part);
            }
        }
        if pattern.file.is_none() {
            self.add_symbols(&mut functions, pattern, &mut known);
        }
        self.resolve_indirect(&mut functions);
        functions
    }

    fn matches_of_units(&self, pattern: &Pattern) -> Vec<UnitMatches<'d>> {
        let exact = exact_name(pattern);
        let of_unit = |index: usize| {
            let index = index as u32;
            let skip = exact.is_some_and(|name| self.lacks_function(index, name));
            if skip { UnitMatches::default() } else { self.matches_of_unit(index, pattern) }
        };
        let units = 0..self.data.slots().len();
        if self.data.is_large() {
            units.into_par_iter().with_max_len(1).map(of_unit).collect()
        } else {
            units.map(of_unit).collect()
        }
    }

    /// Whether it is certain, without reading all of it, that the unit has no function with this name.
    fn lacks_function(&self, index: u32, name: &str) -> bool {
        let scanned = self.data.slot(index).is_ok_and(|s| s.functions.get().is_some());
        !scanned && !scan::may_have_function(self.data, index, name.as_bytes())
    }

    /// Where a probe on an inlined instance is planted.
    fn inline_entry(&self, unit: u32, inlined: &Inlined) -> Option<LinkAddr> {
        match inlined.entry {
            0 => self.first_address(unit, inlined.code),
            entry => Some(LinkAddr(entry)).filter(|&entry| self.elf.is_executable(entry)),
        }
    }

    /// The first address of code in executable segments.
    fn first_address(&self, unit: u32, code: Code) -> Option<LinkAddr> {
        match code {
            Code::Contiguous { low, .. } => Some(LinkAddr(low)).filter(|&low| self.elf.is_executable(low)),
            other => self.code_of(unit, other).first().map(|range| range.start),
        }
    }

    /// The functions of a unit, read when first asked for.
    pub fn of_unit(&self, index: u32) -> Option<&'m UnitFunctions<'d>> {
        let slot = self.data.slot(index).ok()?;
        Some(slot.functions.get_or_init(|| scan::scan_unit(self.data, index)))
    }

    fn matches_of_unit(&self, index: u32, pattern: &Pattern) -> UnitMatches<'d> {
        let mut matches = UnitMatches::default();
        let Some(unit) = self.of_unit(index) else { return matches };
        let files = pattern.file.as_ref().map(|file| lines::matching_files(self.data, index, file));
        let sources = Sources { view: self, index, functions: Some(unit) };
        // Index of the match whose root is at this offset of this unit.
        let mut by_root: HashMap<usize, usize> = HashMap::new();
        for subprogram in &unit.subprograms {
            let Some(found) = self.match_subprogram(&sources, subprogram, pattern, files.as_deref()) else {
                continue;
            };
            if found.root.unit == index {
                by_root.entry(found.root.offset).or_insert(matches.functions.len());
            }
            matches.functions.push(found);
        }
        self.drop_abstract_doubles(&mut matches.functions, &mut by_root);
        for inlined in &unit.inlined {
            let Some(root) = inlined.origin.die() else { continue };
            let target = if root.unit == index { by_root.get(&root.offset).copied() } else { None };
            if root.unit == index && target.is_none() {
                continue;
            }
            let Some(entry) = self.inline_entry(index, inlined) else { continue };
            let inline = Inline { entry, die: DieRef { unit: index, offset: inlined.offset } };
            match target {
                Some(at) => matches.functions[at].function.inlines.push(inline),
                None => matches.foreign.push((root, inline)),
            }
        }
        matches
            .functions
            .retain(|m| m.function.entry.is_some() || m.root.unit == index || !m.function.inlines.is_empty());
        matches
    }

    /// An abstract instance is listed by itself only if no concrete instance of it is.
    fn drop_abstract_doubles(&self, functions: &mut Vec<Match<'d>>, by_root: &mut HashMap<usize, usize>) {
        let concrete: HashSet<DieRef> =
            functions.iter().filter(|m| m.function.entry.is_some()).map(|m| m.root).collect();
        functions.retain(|m| m.function.entry.is_some() || !concrete.contains(&m.root));
        by_root.clear();
        for (at, found) in functions.iter().enumerate() {
            by_root.entry(found.root.offset).or_insert(at);
        }
    }

    fn match_subprogram(
        &self,
        sources: &Sources<'_, 'm, 'd>,
        subprogram: &Subprogram<'d>,
        pattern: &Pattern,
        files: Option<&[bool]>,
    ) -> Option<Match<'d>> {
        let unit = sources.index;
        let code = self.code_of(unit, subprogram.code);
        let entry = code.first().map(|r| r.start);
        if entry.is_none() && !subprogram.inlined {
            return None;
        }
        let source = sources.describe(subprogram);
        let name = sources.matched_name(&source, pattern)?;
        if !file_matches(self.data, unit, source.decl_file, pattern, files) {
            return None;
        }
        let decl_file =
            source.decl_file.and_then(|(unit, file)| lines::file_name(self.data, unit, file.into()));
        let function = Function {
            name,
            linkage_name: source.linkage_name(),
            entry,
            ranges: code,
            decl_file,
            decl_line: source.decl_line,
            external: source.external,
            exported: false,
            ifunc: false,
            cold: false,
            inlines: Vec::new(),
            die: Some(DieRef { unit, offset: subprogram.offset }),
        };
        Some(Match { root: source.root, function })
    }

    /// Ranges of code in executable segments: the linker leaves entries of discarded functions at address 0.
    fn code_of(&self, unit: u32, code: Code) -> Vec<Range> {
        let ranges = match code {
            Code::None => return Vec::new(),
            Code::Contiguous { low, high } => vec![(low, high)],
            Code::List(offset) => match (self.data.unit(unit), self.data.slot(unit)) {
                (Ok(parsed), Ok(slot)) => ranges_at(self.data.dwarf_of(slot), parsed, offset),
                _ => return Vec::new(),
            },
        };
        let ranges =
            ranges.into_iter().map(|(start, end)| Range { start: LinkAddr(start), end: LinkAddr(end) });
        ranges.filter(|r| self.elf.is_executable(r.start)).collect()
    }

    fn add_foreign_inlines(&self, matches: &mut [UnitMatches<'d>]) {
        let foreign: Vec<_> = matches.iter_mut().flat_map(|m| std::mem::take(&mut m.foreign)).collect();
        if foreign.is_empty() {
            return;
        }
        let mut at: HashMap<DieRef, (usize, usize)> = HashMap::new();
        for (unit, found) in matches.iter().enumerate() {
            for (index, function) in found.functions.iter().enumerate() {
                at.entry(function.root).or_insert((unit, index));
            }
        }
        for (root, inline) in foreign {
            if let Some(&(unit, index)) = at.get(&root) {
                matches[unit].functions[index].function.inlines.push(inline);
            }
        }
    }

    /// Marks what only the symbol table knows.
    fn note_symbols(&self, functions: &mut [Function<'d>]) {
        for function in functions {
            let Some(entry) = function.entry else { continue };
            for symbol in symbols_at(self.symbols, entry) {
                function.exported |= symbol.exported;
                function.ifunc |= symbol.ifunc;
                let own = symbol.name == function.name;
                if function.linkage_name.is_none() && !own && symbol.name.starts_with(&*function.name) {
                    function.linkage_name = Some(symbol.name);
                }
            }
        }
    }

    /// gcc moves the rest of a function to one of its own where the start is worth inlining. Who enters the function
    /// enters the start, so the rest is no place of it; where it was.
    fn leave_out_parts(&self, functions: &mut Vec<Function<'d>>) -> Vec<LinkAddr> {
        let is_rest = |function: &Function<'_>| {
            let symbols = symbols_at(self.symbols, function.entry?);
            (!symbols.is_empty() && symbols.iter().all(|symbol| is_part(symbol.name)))
                .then_some(function.entry?)
        };
        if !functions.iter().any(|function| is_rest(function).is_some()) {
            return Vec::new();
        }
        let place = |function: &Function<'d>| (function.decl_file.clone(), function.decl_line);
        let is_entered = |function: &&Function<'d>| {
            !function.inlines.is_empty() || function.entry.is_some() && is_rest(function).is_none()
        };
        let entered: HashSet<_> = functions.iter().filter(is_entered).map(place).collect();
        let mut parts = Vec::new();
        for function in functions.iter_mut().filter(|function| entered.contains(&place(function))) {
            if let Some(entry) = is_rest(function) {
                parts.push(entry);
                function.entry = None;
            }
        }
        functions.retain(|function| function.entry.is_some() || !function.inlines.is_empty());
        parts
    }

    /// Adds the functions that only the symbol table has, and aliases of functions whose own name does not match.
    fn add_symbols(
        &self,
        functions: &mut Vec<Function<'d>>,
        pattern: &Pattern,
        known: &mut HashSet<LinkAddr>,
    ) {
        let new = self.symbols.iter().filter_map(|s| self.function_of_new_symbol(s, pattern, known));
        functions.extend(new);
    }

    /// The function of a symbol that matches and is at none of the addresses that are known already.
    fn function_of_new_symbol(
        &self,
        symbol: &Symbol<'d>,
        pattern: &Pattern,
        known: &mut HashSet<LinkAddr>,
    ) -> Option<Function<'d>> {
        if known.contains(&symbol.address) {
            return None;
        }
        let name = match_symbol(symbol.name, pattern)?;
        let cold = is_cold(symbol.name);
        let function = match self.function_at(symbol.address) {
            Some(function) if function.entry == Some(symbol.address) => {
                Function { name, exported: symbol.exported, ifunc: symbol.ifunc, ..function }
            }
            Some(function) if cold => {
                let (entry, inlines) = (Some(symbol.address), Vec::new());
                Function { name, entry, cold, inlines, linkage_name: Some(symbol.name), ..function }
            }
            Some(_) => return None,
            None => Function { cold, ..self.function_of_symbol(symbol, name) },
        };
        known.insert(symbol.address);
        Some(function)
    }

    /// A function that is known by its symbol only.
    pub fn function_of_symbol(&self, symbol: &Symbol<'d>, name: Cow<'d, str>) -> Function<'d> {
        let end = symbol.address.0.checked_add(symbol.size).filter(|_| symbol.size > 0);
        let range = end.map(|end| Range { start: symbol.address, end: LinkAddr(end) });
        Function {
            linkage_name: (name != symbol.name).then_some(symbol.name),
            name,
            entry: Some(symbol.address),
            ranges: range.into_iter().collect(),
            decl_file: None,
            decl_line: 0,
            external: symbol.global,
            exported: symbol.exported,
            ifunc: symbol.ifunc,
            cold: false,
            inlines: Vec::new(),
            die: None,
        }
    }

    /// The function of the DWARF whose code contains `address`.
    pub fn function_at(&self, address: LinkAddr) -> Option<Function<'d>> {
        let any = Pattern::any();
        self.data.units_at(address.0).into_iter().find_map(|index| {
            let unit = self.of_unit(index)?;
            let subprogram = unit.subprograms.iter().find(|s| self.contains(index, s.code, address))?;
            let sources = Sources { view: self, index, functions: Some(unit) };
            Some(self.match_subprogram(&sources, subprogram, &any, None)?.function)
        })
    }

    /// Instances that are inlined in a function or instance, outer ones before those in them.
    pub fn inlined_in(&self, die: DieRef) -> Vec<Nested> {
        let Some(unit) = self.of_unit(die.unit) else { return Vec::new() };
        let owner = match unit.inlined_at(die.offset) {
            Some(inlined) => inlined.owner,
            None => match unit.subprograms.binary_search_by_key(&die.offset, |s| s.offset) {
                Ok(index) => index as u32,
                Err(_) => return Vec::new(),
            },
        };
        // What is inlined in an instance comes after it; later ones that are beside it have other addresses.
        let inside = unit.inlined.iter().filter(|i| i.owner == owner && i.offset > die.offset);
        let nested = inside.map(|inlined| Nested {
            ranges: self.code_of(die.unit, inlined.code),
            call_line: inlined.call_line,
        });
        nested.collect()
    }

    /// Calls at an address that were inlined, the innermost first.
    pub fn inlined_calls(&self, address: LinkAddr) -> Vec<InlinedCall<'d>> {
        let units = self.data.units_at(address.0).into_iter();
        let calls = units.map(|index| {
            let inlined = self.of_unit(index).map(|unit| unit.inlined.as_slice()).unwrap_or_default();
            // What is inlined in an instance comes after it.
            let here = inlined.iter().rev().filter(|inlined| self.contains(index, inlined.code, address));
            here.filter_map(|inlined| self.inlined_call(index, inlined)).collect::<Vec<_>>()
        });
        calls.into_iter().find(|calls| !calls.is_empty()).unwrap_or_default()
    }

    fn inlined_call(&self, index: u32, inlined: &Inlined) -> Option<InlinedCall<'d>> {
        let root = inlined.origin.die()?;
        let sources = Sources { view: self, index: root.unit, functions: None };
        let source = sources.describe(&sources.subprogram(root)?);
        let name = match source.linkage_name() {
            Some(symbol) => demangle(symbol),
            None => sources.matched_name(&source, &Pattern::any())?,
        };
        let die = self.data.die(DieRef { unit: index, offset: inlined.offset }).ok()?;
        let file = die.number(gimli::DW_AT_call_file).or(match die.attr(gimli::DW_AT_call_file) {
            Some(gimli::AttributeValue::FileIndex(file)) => Some(file),
            _ => None,
        });
        let file = file.and_then(|file| lines::file_name(self.data, index, file));
        let call = file.map(|file| Line { file, line: inlined.call_line, column: 0 });
        Some(InlinedCall { name, call })
    }

    fn contains(&self, unit: u32, code: Code, address: LinkAddr) -> bool {
        match code {
            Code::None => false,
            Code::Contiguous { low, high } => (low..high).contains(&address.0),
            Code::List(_) => self.code_of(unit, code).iter().any(|r| r.contains(address)),
        }
    }
}

/// The code of an instance inlined in another.
pub(crate) struct Nested {
    ranges: Vec<Range>,
    call_line: u32,
}

impl Nested {
    /// Whether a row of the line table belongs to it; that of the call, at its first address, does not.
    pub fn has_row(&self, address: u64, line: u32) -> bool {
        let of_call = line == self.call_line && self.ranges.iter().any(|r| r.start.0 == address);
        !of_call && self.ranges.iter().any(|r| r.contains(LinkAddr(address)))
    }
}

/// The name, if the pattern is nothing but one.
fn exact_name(pattern: &Pattern) -> Option<&str> {
    (pattern.path.len() == 1 && pattern.name().is_exact()).then(|| pattern.name().as_str())
}

/// Symbols at an address.
pub(crate) fn symbols_at<'s, 'd>(symbols: &'s [Symbol<'d>], address: LinkAddr) -> &'s [Symbol<'d>] {
    let first = symbols.partition_point(|s| s.address < address);
    let len = symbols[first..].iter().take_while(|s| s.address == address).count();
    &symbols[first..first + len]
}
