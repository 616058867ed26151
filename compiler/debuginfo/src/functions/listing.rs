//! The functions of a module as a list shows them, each once however many instances it has, with their variables if
//! these are asked for. Nothing is kept of a unit once it has been read, so a list of a large program needs little more
//! memory than its own text.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::{HashMap, HashMapExt, HashSet};
use rstap_abi::address::LinkAddr;

use super::prologue::after_prologue;
use super::scan::{Inlined, Inlines, Subprogram, UnitFunctions, inlined_at, scan_unit_into};
use super::source::{Sources, file_matches};
use super::{Functions, exact_name};
use crate::dwarf::DieRef;
use crate::lines::{self, UnitLines};
use crate::location::{LocationError, Place};
use crate::pattern::Pattern;
use crate::scope::{Storage, Variable, in_order_of_lists, variables_in};
use crate::types::{TypeId, type_name};

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
    /// Name and type of the variables that have a place at the start of each of its instances, if these were wanted.
    pub variables: Vec<(&'d str, Arc<str>)>,
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

/// After so many bytes of entries, the memory that files are mapped to is given back.
const RELEASE_BYTES: usize = 16 << 20;

/// What a list shows besides names.
pub(crate) struct Details<'a, 'd> {
    /// The instances whose variables are looked at.
    pub wanted: Instances,
    /// Where a variable is.
    pub place: &'a (dyn Fn(&Variable<'d>, LinkAddr) -> Result<Place, LocationError> + Sync),
}

/// The variables that all places looked at so far have; `None` before the first.
type Common<'d> = Option<Vec<(&'d str, Arc<str>)>>;

/// Name, file and line.
type Key<'d> = (Cow<'d, str>, Option<Arc<str>>, u32);

#[derive(Default)]
struct Listing<'d> {
    found: HashMap<Key<'d>, (Instances, Common<'d>)>,
    /// Entries of the functions found.
    entries: Vec<LinkAddr>,
    /// Entries of functions that do not match.
    others: Vec<LinkAddr>,
    /// Functions of other units that have inlined instances.
    foreign: HashMap<DieRef, Common<'d>>,
    /// Each name of a type once.
    type_names: HashSet<Arc<str>>,
}

impl<'d> Functions<'_, 'd> {
    /// Functions that match, in no order.
    pub fn listing(
        &self,
        pattern: &Pattern,
        details: Option<&Details<'_, 'd>>,
    ) -> impl Iterator<Item = Listed<'d>> + use<'d> {
        // What has been read of the files up to here, all symbols, is not needed at once again; so below.
        let release = || self.release.iter().for_each(|release| release());
        release();
        let mut listing = self.listing_of_units(pattern, details);
        release();
        for (root, common) in std::mem::take(&mut listing.foreign) {
            self.list_inlined(root, common, pattern, &mut listing);
        }
        if pattern.file.is_none() {
            self.list_symbols(pattern, details, &mut listing);
            release();
        }
        let listed = |((name, decl_file, decl_line), (has, variables)): (Key<'d>, (_, Common<'d>))| {
            let variables = variables.unwrap_or_default();
            Listed { name, decl_file, decl_line, has, variables }
        };
        listing.found.into_iter().map(listed)
    }

    /// Units differ much in size, so each thread takes the next one when it is done with one.
    fn listing_of_units(&self, pattern: &Pattern, details: Option<&Details<'_, 'd>>) -> Listing<'d> {
        let (next, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = self.data.slots().len();
        let work = || {
            let mut listing = Listing::default();
            let mut scanned = UnitFunctions::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return listing;
                }
                self.list_unit(index as u32, pattern, details, &mut scanned, &mut listing);
                let len = self.data.slots().get(index).map_or(0, |slot| slot.len());
                let before = read.fetch_add(len, Ordering::Relaxed);
                if let Some(release) = self.release
                    && before / RELEASE_BYTES != (before + len) / RELEASE_BYTES
                {
                    release();
                }
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
        details: Option<&Details<'_, 'd>>,
        scanned: &mut UnitFunctions<'d>,
        listing: &mut Listing<'d>,
    ) {
        if exact_name(pattern).is_some_and(|name| self.lacks_function(index, name)) {
            return;
        }
        let functions = match self.data.slot(index).ok().and_then(|slot| slot.functions.get()) {
            Some(kept) => kept,
            None => {
                let inlines = if details.is_some() { Inlines::Whole } else { Inlines::Origins };
                scan_unit_into(self.data, index, inlines, scanned);
                scanned
            }
        };
        let sources = Sources { view: self, index, functions: Some(functions) };
        let files = pattern.file.as_ref().map(|file| lines::matching_files(self.data, index, file));
        let inlined = self.inlined_roots(index, functions, &mut listing.foreign);
        let variables = UnitVariables {
            view: self,
            index,
            functions,
            details,
            lines: OnceCell::new(),
            type_names: HashMap::new(),
        };
        let mut variables = details.map(|_| variables);
        for subprogram in &functions.subprograms {
            let entry = self.first_address(index, subprogram.code);
            if entry.is_none() && !subprogram.inlined {
                continue;
            }
            let Some((key, external)) = matched(&sources, subprogram, pattern, files.as_deref()) else {
                listing.others.extend(entry);
                continue;
            };
            let first = inlined.partition_point(|i| i.0 < subprogram.offset);
            let mut instances = inlined[first..].iter().take_while(|i| i.0 == subprogram.offset).map(|i| i.1);
            let has = Instances {
                code: entry.is_some(),
                external: entry.is_some() && external,
                inlined: subprogram.inlined
                    && instances.clone().any(|instance| self.has_place(index, &functions.inlined[instance])),
            };
            if !has.code && !has.inlined {
                continue;
            }
            listing.insert(key.clone(), has);
            listing.entries.extend(entry);
            if let Some(variables) = &mut variables {
                let external = listing.found.get(&key).is_some_and(|found| found.0.external);
                if variables.wants_code(external)
                    && let Some(entry) = entry
                {
                    let here = variables.of_code(subprogram, entry, &mut listing.type_names);
                    listing.narrow(&key, here);
                }
                let wanted = variables.wants_inlined();
                for instance in instances.by_ref().filter(|_| wanted) {
                    if self.inline_entry(index, &functions.inlined[instance]).is_none() {
                        continue;
                    }
                    let here = variables.of_inlined(&functions.inlined[instance], &mut listing.type_names);
                    listing.narrow(&key, here);
                }
            }
        }
        if let Some(variables) = variables.as_mut().filter(|variables| variables.wants_inlined()) {
            for instance in &functions.inlined {
                let Some(root) = instance.origin.die().filter(|root| root.unit != index) else { continue };
                if self.inline_entry(index, instance).is_none() {
                    continue;
                }
                let here = variables.of_inlined(instance, &mut listing.type_names);
                narrow(listing.foreign.entry(root).or_default(), here);
            }
        }
    }

    /// Offsets of the subprograms that have inlined instances in their unit, with the instance's index, sorted; those
    /// of other units are added to `foreign`.
    fn inlined_roots(
        &self,
        index: u32,
        functions: &UnitFunctions<'d>,
        foreign: &mut HashMap<DieRef, Common<'d>>,
    ) -> Vec<(usize, usize)> {
        let mut roots = Vec::new();
        for (instance, inlined) in functions.inlined.iter().enumerate() {
            let Some(root) = inlined.origin.die() else { continue };
            if root.unit == index {
                roots.push((root.offset, instance));
            } else if !foreign.contains_key(&root) && self.has_place(index, inlined) {
                foreign.insert(root, None);
            }
        }
        roots.sort_unstable();
        roots
    }

    /// Whether an instance, of which perhaps only the origin has been read, has code.
    fn has_place(&self, index: u32, inlined: &Inlined) -> bool {
        self.inline_entry(index, inlined).is_some()
            || inlined_at(self.data, index, inlined.offset)
                .is_some_and(|whole| self.inline_entry(index, &whole).is_some())
    }

    fn list_inlined(
        &self,
        root: DieRef,
        common: Common<'d>,
        pattern: &Pattern,
        listing: &mut Listing<'d>,
    ) -> Option<()> {
        let sources = Sources { view: self, index: root.unit, functions: None };
        let files = pattern.file.as_ref().map(|file| lines::matching_files(self.data, root.unit, file));
        let subprogram = sources.subprogram(root).filter(|s| s.inlined)?;
        let (key, _) = matched(&sources, &subprogram, pattern, files.as_deref())?;
        listing.insert(key.clone(), Instances { inlined: true, ..Instances::default() });
        common.into_iter().for_each(|common| listing.narrow(&key, common));
        Some(())
    }

    /// Adds what [`Functions::matching`] has from the symbol table only.
    fn list_symbols(&self, pattern: &Pattern, details: Option<&Details<'_, 'd>>, listing: &mut Listing<'d>) {
        let mut known: HashSet<LinkAddr> = listing.entries.drain(..).collect();
        let others: HashSet<LinkAddr> = listing.others.drain(..).collect();
        let asks_for_mangled = pattern.name().as_str().starts_with('_');
        for symbol in self.symbols {
            // A mangled name says nothing that the debug information has not said of the function.
            if !asks_for_mangled && symbol.name.starts_with("_Z") && others.contains(&symbol.address) {
                continue;
            }
            let Some(function) = self.function_of_new_symbol(symbol, pattern, &mut known) else { continue };
            let has = Instances { code: true, external: function.external, inlined: false };
            let key = (function.name.clone(), function.decl_file.clone(), function.decl_line);
            listing.insert(key.clone(), has);
            if let Some((details, die)) = details.zip(function.die)
                && let Some(at) = super::probe_address(self.data, &function)
            {
                let variables = crate::scope::variables_at(self, die, at.0).unwrap_or_default();
                let here = details.shown(variables, at, |ty| type_name(self.data, ty).into());
                listing.narrow(&key, here);
            }
        }
    }
}

impl<'d> Listing<'d> {
    /// Keeps of a function's variables those that are in one more place.
    fn narrow(&mut self, key: &Key<'d>, here: Vec<(&'d str, Arc<str>)>) {
        if let Some((_, common)) = self.found.get_mut(key) {
            narrow(common, here);
        }
    }

    fn insert(&mut self, key: Key<'d>, has: Instances) {
        self.found.entry(key).or_default().0.add(has);
    }

    fn merge(mut self, other: Self) -> Self {
        for (key, (has, common)) in other.found {
            let found = self.found.entry(key).or_default();
            found.0.add(has);
            common.into_iter().for_each(|common| narrow(&mut found.1, common));
        }
        self.entries.extend(other.entries);
        self.others.extend(other.others);
        for (root, common) in other.foreign {
            let known = self.foreign.entry(root).or_default();
            common.into_iter().for_each(|common| narrow(known, common));
        }
        self
    }
}

/// What a function is listed under if it matches, and whether it is visible in other units.
fn matched<'d>(
    sources: &Sources<'_, '_, 'd>,
    subprogram: &Subprogram<'d>,
    pattern: &Pattern,
    files: Option<&[bool]>,
) -> Option<(Key<'d>, bool)> {
    let source = sources.describe(subprogram);
    let name = sources.matched_name(&source, pattern)?;
    let data = sources.view.data;
    if !file_matches(data, sources.index, source.decl_file, pattern, files) {
        return None;
    }
    let decl_file = source.decl_file.and_then(|(unit, file)| lines::file_name(data, unit, file.into()));
    Some(((name, decl_file, source.decl_line), source.external))
}

fn narrow<'d>(common: &mut Common<'d>, here: Vec<(&'d str, Arc<str>)>) {
    match common {
        Some(common) => common.retain(|variable| here.contains(variable)),
        None => *common = Some(here),
    }
}

impl<'d> Details<'_, 'd> {
    /// Those of the variables that have a place at `pc`.
    fn shown(
        &self,
        variables: Vec<Variable<'d>>,
        pc: LinkAddr,
        mut name: impl FnMut(TypeId) -> Arc<str>,
    ) -> Vec<(&'d str, Arc<str>)> {
        let variables = in_order_of_lists(variables).into_iter();
        let is_placed = |variable: &Variable<'d>| {
            (self.place)(variable, pc).is_ok_and(|place| place != Place::OptimizedOut)
        };
        // Either all variables in the frame have a place or none: what differs is a number.
        let mut in_frame = None;
        let placed = |variable: &Variable<'d>| match variable.storage {
            Storage::Frame => *in_frame.get_or_insert_with(|| is_placed(variable)),
            Storage::ThroughFrame | Storage::Other => is_placed(variable),
        };
        variables.filter(placed).map(|variable| (variable.name, name(variable.ty))).collect()
    }
}

/// The variables of a unit's functions, with what is read for them and not kept.
struct UnitVariables<'a, 'm, 'd> {
    view: &'a Functions<'m, 'd>,
    index: u32,
    functions: &'a UnitFunctions<'d>,
    details: Option<&'a Details<'a, 'd>>,
    lines: OnceCell<UnitLines>,
    type_names: HashMap<TypeId, Arc<str>>,
}

impl<'d> UnitVariables<'_, '_, 'd> {
    fn wants_code(&self, external: bool) -> bool {
        self.details.is_some_and(|details| details.wanted.code || details.wanted.external && external)
    }

    fn wants_inlined(&self) -> bool {
        self.details.is_some_and(|details| details.wanted.inlined)
    }

    /// Where a probe on its entry is.
    fn of_code(
        &mut self,
        subprogram: &Subprogram<'d>,
        entry: LinkAddr,
        shared: &mut HashSet<Arc<str>>,
    ) -> Vec<(&'d str, Arc<str>)> {
        let ranges = self.view.code_of(self.index, subprogram.code);
        let id = DieRef { unit: self.index, offset: subprogram.offset };
        let at = ranges.iter().find(|range| range.start == entry).and_then(|body| {
            let die = self.view.data.die(id).ok()?;
            let lines = || self.lines.get_or_init(|| UnitLines::read(self.view.data, self.index));
            after_prologue(&die, *body, || lines().between(entry.0, body.end.0))
        });
        self.at(id, Some(id), at.unwrap_or(entry), shared)
    }

    fn of_inlined(&mut self, inlined: &Inlined, shared: &mut HashSet<Arc<str>>) -> Vec<(&'d str, Arc<str>)> {
        let Some(entry) = self.view.inline_entry(self.index, inlined) else { return Vec::new() };
        let owner = self.functions.subprograms.get(inlined.owner as usize);
        let frame = owner.map(|owner| DieRef { unit: self.index, offset: owner.offset });
        self.at(DieRef { unit: self.index, offset: inlined.offset }, frame, entry, shared)
    }

    fn at(
        &mut self,
        id: DieRef,
        frame: Option<DieRef>,
        pc: LinkAddr,
        shared: &mut HashSet<Arc<str>>,
    ) -> Vec<(&'d str, Arc<str>)> {
        let (Some(details), data) = (self.details, self.view.data) else { return Vec::new() };
        let variables = variables_in(data, id, frame, pc.0).unwrap_or_default();
        let type_names = &mut self.type_names;
        details.shown(variables, pc, |ty| {
            let name = type_names.entry(ty).or_insert_with(|| {
                let name = type_name(data, ty);
                match shared.get(name.as_str()) {
                    Some(known) => Arc::clone(known),
                    None => {
                        let name: Arc<str> = name.into();
                        shared.insert(Arc::clone(&name));
                        name
                    }
                }
            });
            Arc::clone(name)
        })
    }
}
