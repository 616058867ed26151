//! Walks over the entries below one, in the order of the section, that can leave out subtrees.

use gimli::{AttributeValue, UnitOffset};

use super::{DebugData, Die, DieRef, DwarfError, Entry, Slice, Unit};

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
