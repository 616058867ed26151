//! Units and entries of a module's DWARF (DWARF 5, chapters 2, 3 and 7), read when they are asked for. Everything
//! else in this crate reaches an entry through [`DieRef`] and [`Die`].

mod die;
mod entries;
mod split;
mod units;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::{AbbreviationsCacheStrategy, AttributeValue, EndianSlice, LittleEndian, Section, UnitOffset};

use crate::elf::Elf;
use die::MAX_RANGES;
pub(crate) use die::{Die, ranges_at, ranges_value, string_value};
pub(crate) use entries::{Entries, Head};
use split::Split;
pub use split::SplitUnit;
pub(crate) use units::UnitSlot;
use units::{Source, Units};
pub(crate) use walk::Walk;

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
        self.units.get_or_init(|| Units::read(&self.main, &self.split, |error| self.note_problem(error)))
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

    /// The same by the unit's number; those of the main file if there is no such unit.
    pub fn dwarf_of_unit(&self, index: u32) -> &Dwarf<'d> {
        self.slot(index).map_or(&self.main, |slot| self.dwarf_of(slot))
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
