//! One entry with its attributes, and what their values mean: strings, addresses, ranges, references.

use std::fmt;

use gimli::AttributeValue;

use super::{DebugData, DieRef, Dwarf, DwarfError, Entry, MAX_CHAIN, Unit, UnitSlot, Value, Walk};

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
        self.data.dwarf_of_unit(self.id.unit)
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

    /// The first that `see` finds in this entry or one it takes attributes from, nearest first.
    pub fn find<T>(&self, mut see: impl FnMut(&Die<'m, 'd>) -> Option<T>) -> Result<Option<T>, DwarfError> {
        if let Some(found) = see(self) {
            return Ok(Some(found));
        }
        let mut next = self.origin();
        for _ in 1..MAX_CHAIN {
            let Some(id) = next else { return Ok(None) };
            let die = self.data.die(id)?;
            if let Some(found) = see(&die) {
                return Ok(Some(found));
            }
            next = die.origin();
        }
        Err(DwarfError::Circular { unit: self.section_offset_of_unit() })
    }

    /// The entry's type, also through its origin; `None` if it has none.
    pub fn inherited_type(&self) -> Result<Option<DieRef>, DwarfError> {
        self.find(|die| die.reference(gimli::DW_AT_type))
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
pub(super) const MAX_RANGES: usize = 1 << 16;

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
