//! Units and entries of a module's DWARF (DWARF 5, chapters 2, 3 and 7), read when they are asked for. Everything
//! else in this crate reaches an entry through [`DieRef`] and [`Die`].

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use gimli::{
    AbbreviationsCacheStrategy, AttributeValue, EndianSlice, LittleEndian, Section, UnitOffset, UnitType,
};

use crate::elf::Elf;

pub(crate) type Slice<'d> = EndianSlice<'d, LittleEndian>;
pub(crate) type Value<'d> = AttributeValue<Slice<'d>>;
pub(crate) type Entry<'d> = gimli::DebuggingInformationEntry<Slice<'d>>;
pub(crate) type Unit<'d> = gimli::Unit<Slice<'d>>;
pub(crate) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;

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

/// Which file a unit is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The module or its debug file.
    Main,
    /// The supplementary (dwz) file.
    Supplementary,
}

/// A unit and what has been read of it.
pub(crate) struct UnitSlot<'d> {
    header: gimli::UnitHeader<Slice<'d>>,
    source: Source,
    unit: OnceLock<Result<Unit<'d>, DwarfError>>,
    pub functions: OnceLock<crate::functions::UnitFunctions<'d>>,
    pub lines: OnceLock<crate::lines::UnitLines>,
    pub files: OnceLock<crate::lines::Files>,
}

impl UnitSlot<'_> {
    /// Offset in its section, for messages.
    pub fn section_offset(&self) -> usize {
        self.header.offset().0
    }
}

/// The DWARF of a module.
pub(crate) struct DebugData<'d> {
    main: Dwarf<'d>,
    units: OnceLock<Units<'d>>,
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
    /// The DWARF of `elf` with the supplementary file `alt`.
    pub fn new(elf: &Elf<'d>, alt: Option<&Elf<'d>>) -> Self {
        let mut main = load(elf);
        if let Some(alt) = alt {
            main.set_sup(load(alt));
        }
        DebugData { main, units: OnceLock::new(), addresses: OnceLock::new() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.main.debug_info.reader().is_empty()
    }

    /// Whether it is worth while to work on units in parallel.
    pub fn is_large(&self) -> bool {
        self.main.debug_info.reader().len() > PARALLEL_FROM_BYTES
    }

    fn units(&self) -> &Units<'d> {
        self.units.get_or_init(|| read_units(&self.main))
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
        }
    }

    /// The unit with its abbreviations and root attributes read.
    pub fn unit(&self, index: u32) -> Result<&Unit<'d>, DwarfError> {
        let slot = self.slot(index)?;
        let read = || {
            let unit = self.dwarf_of(slot).unit(slot.header);
            unit.map_err(|error| DwarfError::Broken { error, unit: slot.section_offset() })
        };
        slot.unit.get_or_init(read).as_ref().map_err(Clone::clone)
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
            let of_root = self.root(unit).map(|root| root.ranges()).unwrap_or_default();
            ranges.extend(of_root.into_iter().map(|(start, end)| UnitRange { start, end, unit }));
        }
        // Discarded functions are left at address 0.
        ranges.retain(|r| r.start != 0 && r.start < r.end);
        ranges.sort_unstable();
        ranges
    }

    /// The entry at an offset of .debug_info in the file that `unit` is from.
    pub fn at_section_offset(&self, unit: u32, offset: usize) -> Option<DieRef> {
        self.reference(unit, AttributeValue::DebugInfoRef(gimli::DebugInfoOffset(offset)))
    }
}

impl<'d> Units<'d> {
    /// The unit of the main file whose header is at this offset.
    fn starting_at(&self, offset: usize) -> Option<usize> {
        self.slots[..self.main].binary_search_by_key(&offset, |s| s.header.offset().0).ok()
    }

    fn at(&self, among: std::ops::Range<usize>, offset: usize) -> Option<DieRef> {
        let slots = self.slots.get(among.clone())?;
        let index = slots.partition_point(|s| s.header.offset().0 <= offset).checked_sub(1)?;
        let in_unit = gimli::DebugInfoOffset(offset).to_unit_offset(&slots[index].header)?;
        Some(DieRef { unit: u32::try_from(among.start + index).ok()?, offset: in_unit.0 })
    }
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

/// Reads the headers of all units. One that is broken ends the list: there is no telling where the next begins.
fn read_units<'d>(dwarf: &Dwarf<'d>) -> Units<'d> {
    let mut slots = Vec::new();
    let mut push = |header, source| {
        slots.push(UnitSlot {
            header,
            source,
            unit: OnceLock::new(),
            functions: OnceLock::new(),
            lines: OnceLock::new(),
            files: OnceLock::new(),
        });
        slots.len()
    };
    let (mut main, mut supplementary) = (0, 0);
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        main = push(header, Source::Main);
    }
    supplementary = supplementary.max(main);
    if let Some(sup) = dwarf.sup() {
        let mut headers = sup.units();
        while let Ok(Some(header)) = headers.next() {
            supplementary = push(header, Source::Supplementary);
        }
    }
    let mut headers = dwarf.type_units();
    while let Ok(Some(header)) = headers.next() {
        push(header, Source::Main);
    }
    let type_signatures = slots.iter().enumerate().filter_map(|(index, slot)| match slot.header.type_() {
        UnitType::Type { type_signature, type_offset }
        | UnitType::SplitType { type_signature, type_offset } => {
            Some((type_signature.0, DieRef { unit: u32::try_from(index).ok()?, offset: type_offset.0 }))
        }
        _ => None,
    });
    let type_signatures = type_signatures.collect();
    Units { slots, main, supplementary, type_signatures }
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
