//! Units and entries of a module's DWARF (DWARF 5, chapters 2, 3 and 7), read when they are asked for. Everything
//! else in this crate reaches an entry through [`DieRef`] and [`Die`].

mod split;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{
    AbbreviationsCacheStrategy, AttributeValue, EndianSlice, LittleEndian, Section, UnitOffset, UnitType,
};

use crate::elf::Elf;
use split::Split;
pub use split::SplitUnit;

pub(crate) type Slice<'d> = EndianSlice<'d, LittleEndian>;
pub(crate) type Value<'d> = AttributeValue<Slice<'d>>;
pub(crate) type Entry<'d> = gimli::DebuggingInformationEntry<Slice<'d>>;
pub(crate) type Unit<'d> = gimli::Unit<Slice<'d>>;
pub(crate) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;
type Header<'d> = gimli::UnitHeader<Slice<'d>>;

/// Longest chain of DW_AT_abstract_origin, DW_AT_specification or type references that is followed: real ones have
/// three or four links, circular ones no end.
pub(crate) const MAX_CHAIN: usize = 32;

/// Below this size of .debug_info, starting threads costs more than they save.
const PARALLEL_FROM_BYTES: usize = 1 << 20;

/// An entry of a module's DWARF. Only meaningful for the module it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DieRef {
    pub(crate) unit: u32,
    pub(crate) offset: usize,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DwarfError {
    /// The DWARF breaks its own rules.
    #[error("broken debug information: {error} (unit at {unit:#x})")]
    Broken {
        /// What is wrong.
        error: gimli::Error,
        /// Offset of the unit in .debug_info.
        unit: usize,
    },
    /// A reference that leads nowhere.
    #[error("broken debug information: reference to an entry that does not exist (unit at {unit:#x})")]
    BadReference {
        /// Offset of the unit in .debug_info.
        unit: usize,
    },
    /// Entries that refer to each other in a circle, or too deeply.
    #[error("broken debug information: entries refer to each other in a circle (unit at {unit:#x})")]
    Circular {
        /// Offset of the unit in .debug_info.
        unit: usize,
    },
}

impl DwarfError {
    /// Offset of the unit in .debug_info.
    pub fn unit(&self) -> usize {
        match self {
            DwarfError::Broken { unit, .. }
            | DwarfError::BadReference { unit }
            | DwarfError::Circular { unit } => *unit,
        }
    }
}

/// Files that a module's DWARF is spread over, besides the one with its units.
#[derive(Default)]
pub(crate) struct Parts<'d> {
    /// The supplementary file (dwz).
    pub alt: Option<Elf<'d>>,
    /// .dwo files.
    pub split: Vec<Elf<'d>>,
    /// The .dwp package.
    pub package: Option<Elf<'d>>,
}

/// Which file a unit is from.
#[derive(Clone, Copy, Debug)]
enum Source<'d> {
    /// The module or its debug file.
    Main,
    /// The supplementary (dwz) file.
    Supplementary,
    /// A file of split DWARF, by its index; with the skeleton that the main file has, unless it is a type unit.
    Split(u32, Option<Header<'d>>),
}

/// A unit and what has been read of it.
pub(crate) struct UnitSlot<'d> {
    header: Header<'d>,
    source: Source<'d>,
    unit: OnceLock<Result<Unit<'d>, DwarfError>>,
    pub functions: OnceLock<crate::functions::UnitFunctions<'d>>,
    pub lines: OnceLock<crate::lines::UnitLines>,
    pub files: OnceLock<crate::lines::Files>,
}

impl UnitSlot<'_> {
    /// Offset in its section, that of its skeleton if it has one.
    pub fn section_offset(&self) -> usize {
        match self.source {
            Source::Split(_, Some(skeleton)) => skeleton.offset().0,
            _ => self.header.offset().0,
        }
    }
}

/// The DWARF of a module.
pub(crate) struct DebugData<'d> {
    main: Dwarf<'d>,
    split: Split<'d>,
    units: OnceLock<Units<'d>>,
    /// What was wrong with units that were read, by their offset.
    problems: Mutex<BTreeMap<usize, DwarfError>>,
    /// Address ranges of units by rising start.
    addresses: OnceLock<Vec<UnitRange>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnitRange {
    start: u64,
    end: u64,
    unit: u32,
}

struct Units<'d> {
    slots: Vec<UnitSlot<'d>>,
    /// The first so many are from .debug_info of the main file, by rising offset.
    main: usize,
    /// Those after them, up to this, are from .debug_info of the supplementary file.
    supplementary: usize,
    type_signatures: HashMap<u64, DieRef>,
}

impl<'d> DebugData<'d> {
    /// The DWARF of `elf` with that of other files.
    pub fn new(elf: &Elf<'d>, parts: &Parts<'d>) -> Self {
        let mut main = load(elf);
        if let Some(alt) = &parts.alt {
            main.set_sup(load(alt));
        }
        let split = if parts.split.is_empty() && parts.package.is_none() {
            Split::default()
        } else {
            Split::read(&parts.split, parts.package.as_ref(), &main)
        };
        let (units, problems, addresses) = (OnceLock::new(), Mutex::default(), OnceLock::new());
        DebugData { main, split, units, problems, addresses }
    }

    /// Units whose entries are in other files, none of which is attached.
    pub fn skeletons(&self) -> Vec<SplitUnit<'d>> {
        let mut skeletons = split::skeletons(&self.main);
        skeletons.retain(|skeleton| !self.split.has(skeleton.id));
        skeletons
    }

    /// Remembers that a unit could not be read to its end.
    pub fn note_problem(&self, error: DwarfError) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.entry(error.unit()).or_insert(error);
    }

    /// What was wrong with the units that have been read so far, one error for each.
    pub fn problems(&self) -> Vec<DwarfError> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.main.debug_info.reader().is_empty()
    }

    /// Whether it is worth while to work on units in parallel.
    pub fn is_large(&self) -> bool {
        let files = std::iter::once(&self.main).chain(&self.split.files);
        files.map(|dwarf| dwarf.debug_info.reader().len()).sum::<usize>() > PARALLEL_FROM_BYTES
    }

    fn units(&self) -> &Units<'d> {
        self.units.get_or_init(|| self.read_units())
    }

    /// All units.
    pub fn slots(&self) -> &[UnitSlot<'d>] {
        &self.units().slots
    }

    /// The unit with this number.
    pub fn slot(&self, index: u32) -> Result<&UnitSlot<'d>, DwarfError> {
        self.slots().get(index as usize).ok_or(DwarfError::BadReference { unit: 0 })
    }

    /// The sections that a unit refers to.
    pub fn dwarf_of(&self, slot: &UnitSlot<'d>) -> &Dwarf<'d> {
        match slot.source {
            Source::Main => &self.main,
            Source::Supplementary => self.main.sup().unwrap_or(&self.main),
            Source::Split(file, _) => self.split.files.get(file as usize).unwrap_or(&self.main),
        }
    }

    /// The sections that the line table of a unit refers to: that of a skeleton is the table of its unit too.
    pub fn lines_of(&self, slot: &UnitSlot<'d>) -> &Dwarf<'d> {
        match slot.source {
            Source::Split(_, Some(_)) => &self.main,
            _ => self.dwarf_of(slot),
        }
    }

    /// The unit with its abbreviations and root attributes read.
    pub fn unit(&self, index: u32) -> Result<&Unit<'d>, DwarfError> {
        let slot = self.slot(index)?;
        let read = || {
            self.read_unit(slot).map_err(|error| {
                let error = DwarfError::Broken { error, unit: slot.section_offset() };
                self.note_problem(error.clone());
                error
            })
        };
        slot.unit.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    fn read_unit(&self, slot: &UnitSlot<'d>) -> gimli::Result<Unit<'d>> {
        match slot.source {
            Source::Split(file, Some(skeleton)) => {
                self.split.parse(file, slot.header, &self.main.unit(skeleton)?)
            }
            _ => self.dwarf_of(slot).unit(slot.header),
        }
    }

    /// The entry.
    pub fn die(&self, id: DieRef) -> Result<Die<'_, 'd>, DwarfError> {
        let unit = self.unit(id.unit)?;
        let entry = unit.entry(UnitOffset(id.offset)).map_err(|e| self.broken(id.unit, e))?;
        Ok(Die { data: self, unit, id, entry })
    }

    /// The root entry of a unit.
    pub fn root(&self, index: u32) -> Result<Die<'_, 'd>, DwarfError> {
        self.die(DieRef { unit: index, offset: self.unit(index)?.header.root_offset().0 })
    }

    /// The error with the unit it happened in.
    pub fn broken(&self, unit: u32, error: gimli::Error) -> DwarfError {
        DwarfError::Broken { error, unit: self.slot(unit).map_or(0, UnitSlot::section_offset) }
    }

    /// The entry that a reference attribute of `unit` leads to.
    pub fn reference(&self, unit: u32, value: Value<'d>) -> Option<DieRef> {
        let units = self.units();
        let slot = units.slots.get(unit as usize)?;
        match value {
            AttributeValue::UnitRef(offset) => Some(DieRef { unit, offset: offset.0 }),
            AttributeValue::DebugInfoRef(offset) => match slot.source {
                Source::Main => units.at(0..units.main, offset.0),
                Source::Supplementary => units.at(units.main..units.supplementary, offset.0),
                // No entry of another unit is at a known offset in it.
                Source::Split(..) => None,
            },
            AttributeValue::DebugInfoRefSup(offset) => units.at(units.main..units.supplementary, offset.0),
            AttributeValue::DebugTypesRef(signature) => units.type_signatures.get(&signature.0).copied(),
            _ => None,
        }
    }

    /// Units that say they have code at `address`: one, unless they contradict each other.
    pub fn units_at(&self, address: u64) -> Vec<u32> {
        let ranges = self.addresses.get_or_init(|| self.read_addresses());
        let before = &ranges[..ranges.partition_point(|r| r.start <= address)];
        // Ranges do not overlap in sound files; looking back a little finds the unit in others too.
        let near = before.iter().rev().take(16);
        let mut units: Vec<u32> = near.filter(|r| address < r.end).map(|r| r.unit).collect();
        units.dedup();
        units
    }

    /// From .debug_aranges, and from the root entries of units that are not in it.
    fn read_addresses(&self) -> Vec<UnitRange> {
        let mut ranges = Vec::new();
        let mut listed = vec![false; self.slots().len()];
        let mut headers = self.main.debug_aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            let Some(unit) = self.units().starting_at(header.debug_info_offset().0) else { continue };
            listed[unit] = true;
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                let range = entry.range();
                ranges.push(UnitRange { start: range.begin, end: range.end, unit: unit as u32 });
            }
        }
        for (index, _) in listed.iter().enumerate().filter(|(_, listed)| !**listed) {
            let unit = index as u32;
            let of_root = self.ranges_of_unit(unit).unwrap_or_default();
            ranges.extend(of_root.into_iter().map(|(start, end)| UnitRange { start, end, unit }));
        }
        // Discarded functions are left at address 0.
        ranges.retain(|r| r.start != 0 && r.start < r.end);
        ranges.sort_unstable();
        ranges
    }

    /// Those in the root entry, for a split unit in that of its skeleton.
    fn ranges_of_unit(&self, index: u32) -> Option<Vec<(u64, u64)>> {
        let Source::Split(_, skeleton) = self.slot(index).ok()?.source else {
            return Some(self.root(index).ok()?.ranges());
        };
        let unit = self.main.unit(skeleton?).ok()?;
        let mut list = self.main.unit_ranges(&unit).ok()?;
        let mut ranges = Vec::new();
        while let Ok(Some(range)) = list.next()
            && ranges.len() < MAX_RANGES
        {
            ranges.push((range.begin, range.end));
        }
        Some(ranges)
    }

    /// The entry at an offset of .debug_info in the file that `unit` is from.
    pub fn at_section_offset(&self, unit: u32, offset: usize) -> Option<DieRef> {
        self.reference(unit, AttributeValue::DebugInfoRef(gimli::DebugInfoOffset(offset)))
    }
}

impl<'d> Units<'d> {
    /// The unit of the main file whose header is at this offset.
    fn starting_at(&self, offset: usize) -> Option<usize> {
        self.slots[..self.main].binary_search_by_key(&offset, UnitSlot::section_offset).ok()
    }

    fn at(&self, among: std::ops::Range<usize>, offset: usize) -> Option<DieRef> {
        let slots = self.slots.get(among.clone())?;
        let index = slots.partition_point(|s| s.section_offset() <= offset).checked_sub(1)?;
        if matches!(slots[index].source, Source::Split(..)) {
            return None;
        }
        let in_unit = gimli::DebugInfoOffset(offset).to_unit_offset(&slots[index].header)?;
        Some(DieRef { unit: u32::try_from(among.start + index).ok()?, offset: in_unit.0 })
    }
}

/// What stands for a section that is not there.
fn no_section<'d>() -> Slice<'d> {
    Slice::new(&[], LittleEndian)
}

fn load<'d>(elf: &Elf<'d>) -> Dwarf<'d> {
    let section = |id: gimli::SectionId| {
        Ok::<_, std::convert::Infallible>(Slice::new(
            elf.section(id.name()).unwrap_or_default(),
            LittleEndian,
        ))
    };
    let Ok(mut dwarf) = Dwarf::load(section);
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    dwarf
}

impl<'d> DebugData<'d> {
    /// Reads the headers of all units. One that is broken ends the list: there is no telling where the next begins.
    fn read_units(&self) -> Units<'d> {
        let mut slots = Vec::new();
        self.read_headers(self.main.units(), |header| match self.split.unit_of(&self.main, header) {
            Some((file, split)) => slots.push(UnitSlot::new(split, Source::Split(file, Some(header)))),
            None => slots.push(UnitSlot::new(header, Source::Main)),
        });
        let main = slots.len();
        if let Some(sup) = self.main.sup() {
            self.read_headers(sup.units(), |header| slots.push(UnitSlot::new(header, Source::Supplementary)));
        }
        let supplementary = slots.len();
        let mut headers = self.main.type_units();
        while let Ok(Some(header)) = headers.next() {
            slots.push(UnitSlot::new(header, Source::Main));
        }
        let split_types = self.split.types.iter();
        slots.extend(split_types.map(|&(file, header)| UnitSlot::new(header, Source::Split(file, None))));
        let type_signatures =
            slots.iter().enumerate().filter_map(|(index, slot)| match slot.header.type_() {
                UnitType::Type { type_signature, type_offset }
                | UnitType::SplitType { type_signature, type_offset } => Some((
                    type_signature.0,
                    DieRef { unit: u32::try_from(index).ok()?, offset: type_offset.0 },
                )),
                _ => None,
            });
        let type_signatures = type_signatures.collect();
        Units { slots, main, supplementary, type_signatures }
    }

    fn read_headers(
        &self,
        mut headers: gimli::DebugInfoUnitHeadersIter<Slice<'d>>,
        mut found: impl FnMut(Header<'d>),
    ) {
        let mut end = 0;
        loop {
            match headers.next() {
                Ok(Some(header)) => {
                    end = header.offset().0.saturating_add(header.length_including_self());
                    found(header);
                }
                Ok(None) => return,
                Err(error) => return self.note_problem(DwarfError::Broken { error, unit: end }),
            }
        }
    }
}

impl<'d> UnitSlot<'d> {
    fn new(header: Header<'d>, source: Source<'d>) -> Self {
        UnitSlot {
            header,
            source,
            unit: OnceLock::new(),
            functions: OnceLock::new(),
            lines: OnceLock::new(),
            files: OnceLock::new(),
        }
    }
}

/// An entry with its attributes.
#[derive(Clone)]
pub(crate) struct Die<'m, 'd> {
    pub data: &'m DebugData<'d>,
    pub unit: &'m Unit<'d>,
    pub id: DieRef,
    pub entry: Entry<'d>,
}

impl<'m, 'd> Die<'m, 'd> {
    /// Its tag.
    pub fn tag(&self) -> gimli::DwTag {
        self.entry.tag()
    }

    /// The sections its unit refers to.
    pub fn dwarf(&self) -> &'m Dwarf<'d> {
        self.data.slot(self.id.unit).map_or(&self.data.main, |slot| self.data.dwarf_of(slot))
    }

    /// An attribute of its own.
    pub fn attr(&self, name: gimli::DwAt) -> Option<Value<'d>> {
        self.entry.attr_value(name)
    }

    /// Whether a flag is set on it.
    pub fn flag(&self, name: gimli::DwAt) -> bool {
        matches!(self.attr(name), Some(AttributeValue::Flag(true)))
    }

    /// A number.
    pub fn number(&self, name: gimli::DwAt) -> Option<u64> {
        self.attr(name).and_then(|v| v.udata_value())
    }

    /// A string.
    pub fn string(&self, name: gimli::DwAt) -> Option<&'d str> {
        string_value(self.dwarf(), self.unit, self.attr(name)?)
    }

    /// DW_AT_name.
    pub fn name(&self) -> Option<&'d str> {
        self.string(gimli::DW_AT_name)
    }

    /// An address.
    pub fn address(&self, name: gimli::DwAt) -> Option<u64> {
        self.dwarf().attr_address(self.unit, self.attr(name)?).ok().flatten()
    }

    /// The entry an attribute refers to.
    pub fn reference(&self, name: gimli::DwAt) -> Option<DieRef> {
        self.data.reference(self.id.unit, self.attr(name)?)
    }

    /// The entry that has the attributes this one leaves out.
    pub fn origin(&self) -> Option<DieRef> {
        self.reference(gimli::DW_AT_abstract_origin).or_else(|| self.reference(gimli::DW_AT_specification))
    }

    /// This entry and those it takes attributes from, nearest first.
    pub fn chain(&self) -> Result<Vec<Die<'m, 'd>>, DwarfError> {
        let mut chain = vec![self.clone()];
        while let Some(next) = chain[chain.len() - 1].origin() {
            if chain.len() == MAX_CHAIN {
                return Err(DwarfError::Circular { unit: self.section_offset_of_unit() });
            }
            chain.push(self.data.die(next)?);
        }
        Ok(chain)
    }

    /// The entry's type, also through its origin; `None` if it has none.
    pub fn inherited_type(&self) -> Result<Option<DieRef>, DwarfError> {
        Ok(self.chain()?.iter().find_map(|die| die.reference(gimli::DW_AT_type)))
    }

    /// Entries directly below.
    pub fn children(&self) -> Result<Vec<Die<'m, 'd>>, DwarfError> {
        let mut children = Vec::new();
        let mut walk = Walk::below(self)?;
        while let Some(die) = walk.next_entry()? {
            children.push(die);
            walk.skip_children();
        }
        Ok(children)
    }

    /// Address ranges of its code: DW_AT_ranges, or DW_AT_low_pc and DW_AT_high_pc.
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        if let Some(value) = self.attr(gimli::DW_AT_ranges) {
            return ranges_value(self.dwarf(), self.unit, value);
        }
        let Some(low) = self.address(gimli::DW_AT_low_pc) else { return Vec::new() };
        let high = match self.attr(gimli::DW_AT_high_pc) {
            Some(AttributeValue::Udata(size)) => low.checked_add(size),
            _ => self.address(gimli::DW_AT_high_pc),
        };
        high.filter(|&high| high > low).map(|high| (low, high)).into_iter().collect()
    }

    fn section_offset_of_unit(&self) -> usize {
        self.data.slot(self.id.unit).map_or(0, UnitSlot::section_offset)
    }
}

impl fmt::Debug for Die<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.tag(), self.id)
    }
}

/// The text of a string attribute; `None` if it is broken or not UTF-8.
pub(crate) fn string_value<'d>(dwarf: &Dwarf<'d>, unit: &Unit<'d>, value: Value<'d>) -> Option<&'d str> {
    let bytes = dwarf.attr_string(unit, value).ok()?;
    std::str::from_utf8(bytes.slice()).ok()
}

/// More ranges than a function or block can have: the rest of such a list is not read.
const MAX_RANGES: usize = 1 << 16;

/// The ranges of a DW_AT_ranges attribute, without empty ones.
pub(crate) fn ranges_value<'d>(dwarf: &Dwarf<'d>, unit: &Unit<'d>, value: Value<'d>) -> Vec<(u64, u64)> {
    match dwarf.attr_ranges_offset(unit, value) {
        Ok(Some(offset)) => ranges_at(dwarf, unit, offset.0),
        _ => Vec::new(),
    }
}

/// The ranges of a range list, without empty ones.
pub(crate) fn ranges_at<'d>(dwarf: &Dwarf<'d>, unit: &Unit<'d>, offset: usize) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let Ok(mut list) = dwarf.ranges(unit, gimli::RangeListsOffset(offset)) else { return ranges };
    while let Ok(Some(range)) = list.next() {
        if range.begin < range.end {
            ranges.push((range.begin, range.end));
        }
        if ranges.len() == MAX_RANGES {
            break;
        }
    }
    ranges
}

/// A walk over the entries below one, in their order, that can leave out subtrees.
pub(crate) struct Walk<'m, 'd> {
    data: &'m DebugData<'d>,
    unit: &'m Unit<'d>,
    unit_index: u32,
    raw: gimli::EntriesRaw<'m, Slice<'d>>,
    /// Depth of `raw`'s depth 0, which is set anew when `raw` is.
    base: isize,
    /// Depth of the entry read last.
    depth: isize,
    /// Its DW_AT_sibling.
    sibling: Option<usize>,
    /// Entries deeper than this are passed over.
    deepest: isize,
}

impl<'m, 'd> Walk<'m, 'd> {
    /// A walk over everything below `die`; its children have depth 1.
    pub fn below(die: &Die<'m, 'd>) -> Result<Self, DwarfError> {
        let (data, unit, unit_index) = (die.data, die.unit, die.id.unit);
        let raw = unit.entries_raw(Some(UnitOffset(die.id.offset)));
        let mut raw = raw.map_err(|e| data.broken(unit_index, e))?;
        let mut top = Entry::null();
        raw.read_entry(&mut top).map_err(|e| data.broken(unit_index, e))?;
        let deepest = isize::MAX;
        Ok(Walk { data, unit, unit_index, raw, base: 0, depth: 0, sibling: None, deepest })
    }

    /// Depth of the entry returned last.
    pub fn depth(&self) -> isize {
        self.depth
    }

    /// Leaves out the entries below the one returned last.
    pub fn skip_children(&mut self) {
        if self.base + self.raw.next_depth() <= self.depth {
            return;
        }
        self.deepest = self.depth;
        if let Some(sibling) = self.sibling
            && sibling > self.raw.next_offset().0
            && let Ok(raw) = self.unit.entries_raw(Some(UnitOffset(sibling)))
        {
            self.raw = raw;
            self.base = self.depth;
        }
    }

    /// The next entry that is not left out; `None` at the end of the subtree.
    pub fn next_entry(&mut self) -> Result<Option<Die<'m, 'd>>, DwarfError> {
        let mut entry = Entry::null();
        loop {
            let depth = self.base + self.raw.next_depth();
            if depth <= 0 || self.raw.is_empty() {
                return Ok(None);
            }
            let id = DieRef { unit: self.unit_index, offset: self.raw.next_offset().0 };
            if depth > self.deepest {
                self.pass_over()?;
                continue;
            }
            self.deepest = isize::MAX;
            let some = self.raw.read_entry(&mut entry).map_err(|e| self.data.broken(self.unit_index, e))?;
            if !some {
                continue;
            }
            self.depth = depth;
            self.sibling = match entry.attr_value(gimli::DW_AT_sibling) {
                Some(AttributeValue::UnitRef(offset)) => Some(offset.0),
                _ => None,
            };
            return Ok(Some(Die { data: self.data, unit: self.unit, id, entry }));
        }
    }

    fn pass_over(&mut self) -> Result<(), DwarfError> {
        let skip = |raw: &mut gimli::EntriesRaw<'m, Slice<'d>>| match raw.read_abbreviation()? {
            Some(abbreviation) => raw.skip_attributes(abbreviation.attributes()),
            None => Ok(()),
        };
        skip(&mut self.raw).map_err(|e| self.data.broken(self.unit_index, e))
    }
}
