//! A walk over all entries of a unit that passes over most of them (DWARF 5, 7.5.2 and 7.5.3). What the attributes of
//! an abbreviation take is worked out once for each unit, so that an entry of no interest costs a few additions. What
//! is of interest, and everything that is not sound, is left to gimli.

use gimli::{AttributeValue, UnitOffset};

use super::{DebugData, DieRef, DwarfError, Slice, Unit, Value};

/// The entries of a unit, in their order.
pub(crate) struct Entries<'m, 'd> {
    unit: &'m Unit<'d>,
    shapes: &'m Shapes,
    /// From the first entry to the end of the unit.
    bytes: &'d [u8],
    /// Offset of the first entry in the unit.
    start: usize,
    /// Index in `bytes` of what is read next.
    at: usize,
    depth: isize,
}

/// An entry of which nothing but the abbreviation has been read.
#[derive(Clone, Copy)]
pub(crate) struct Head<'m> {
    /// Offset in the unit.
    pub offset: usize,
    /// 0 for the first entry.
    pub depth: isize,
    pub tag: gimli::DwTag,
    pub has_children: bool,
    /// None for a code beyond a gap.
    shape: Option<&'m Shape>,
}

/// What a unit's abbreviations say of the bytes of entries.
#[derive(Default)]
pub(crate) struct Shapes {
    /// Of the codes from 1, which compilers give without gaps.
    by_code: Vec<Shape>,
    steps: Vec<Step>,
}

struct Shape {
    tag: gimli::DwTag,
    has_children: bool,
    /// Whether the rest is known; it is not for forms that are seldom used.
    is_known: bool,
    /// The form of DW_AT_abstract_origin, if it takes four bytes, and its distance from the first attribute.
    origin_form: gimli::DwForm,
    origin_at: u16,
    /// Bytes of the attributes up to the first one whose length differs.
    fixed: u16,
    /// The steps over the others in [`Shapes::steps`].
    first_step: u16,
    end_step: u16,
}

/// How some attributes are passed over.
#[derive(Clone, Copy)]
enum Step {
    Bytes(u16),
    Leb,
    Text,
    /// A length of so many bytes and what follows.
    Block(u8),
    /// A length as LEB128 and what follows.
    LebBlock,
}

impl<'m, 'd> Entries<'m, 'd> {
    /// All entries of a unit.
    pub fn of_unit(data: &'m DebugData<'d>, index: u32) -> Result<Self, DwarfError> {
        let root = data.unit(index)?.header.root_offset();
        Entries::from(data, DieRef { unit: index, offset: root.0 })
    }

    /// An entry and those after it. What is below it has depths from 1.
    pub fn from(data: &'m DebugData<'d>, first: DieRef) -> Result<Self, DwarfError> {
        let unit = data.unit(first.unit)?;
        let shapes = data.slot(first.unit)?.shapes.get_or_init(|| Shapes::read(unit));
        let rest = unit.header.range_from(UnitOffset(first.offset)..);
        let bytes = rest.map_err(|error| data.broken(first.unit, error))?.slice();
        Ok(Entries { unit, shapes, bytes, start: first.offset, at: 0, depth: 0 })
    }

    /// The next entry, whose attributes have to be read or passed over before the one after it.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Head<'m>>, gimli::Error> {
        while self.at < self.bytes.len() {
            let offset = self.start + self.at;
            let Some((code, end)) = leb_at(self.bytes, self.at) else { return Err(self.wrong(offset)) };
            if code == 0 {
                self.at = end;
                self.depth -= 1;
                continue;
            }
            let shape = self.shapes.of(code);
            let (tag, has_children) = match shape {
                Some(shape) => (shape.tag, shape.has_children),
                None => match self.unit.abbreviations.get(code) {
                    Some(abbreviation) => (abbreviation.tag(), abbreviation.has_children()),
                    None => return Err(self.wrong(offset)),
                },
            };
            self.at = end;
            let depth = self.depth;
            self.depth += isize::from(has_children);
            return Ok(Some(Head { offset, depth, tag, has_children, shape }));
        }
        Ok(None)
    }

    /// What is wrong with the code of an entry.
    fn wrong(&self, offset: usize) -> gimli::Error {
        let read = self
            .unit
            .entries_raw(Some(UnitOffset(offset)))
            .and_then(|mut raw| raw.read_abbreviation().map(drop));
        read.err().unwrap_or(gimli::Error::InvalidAbbreviationCode(0))
    }

    /// Passes over the attributes of `head`.
    #[inline]
    pub fn pass_over(&mut self, head: &Head<'_>) -> Result<(), gimli::Error> {
        match head.shape.and_then(|shape| self.end_of(shape)) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => self.read(head, |raw, abbreviation| raw.skip_attributes(abbreviation.attributes())),
        }
    }

    /// The value of DW_AT_abstract_origin, if it is in a form that can be had without reading the others.
    pub fn origin(&self, head: &Head<'_>) -> Option<Value<'d>> {
        let shape = head.shape.filter(|shape| shape.is_known)?;
        let start = self.at.checked_add(shape.origin_at.into())?;
        let bytes = self.bytes.get(start..start.checked_add(4)?)?.try_into().ok()?;
        let offset = u32::from_le_bytes(bytes) as usize;
        match shape.origin_form {
            gimli::DW_FORM_ref4 => Some(AttributeValue::UnitRef(UnitOffset(offset))),
            gimli::DW_FORM_ref_addr => Some(AttributeValue::DebugInfoRef(gimli::DebugInfoOffset(offset))),
            _ => None,
        }
    }

    /// Reads the attributes of `head`, all of them.
    pub fn read<T>(
        &mut self,
        head: &Head<'_>,
        read: impl FnOnce(&mut gimli::EntriesRaw<'_, Slice<'d>>, &gimli::Abbreviation) -> Result<T, gimli::Error>,
    ) -> Result<T, gimli::Error> {
        let mut raw = self.unit.entries_raw(Some(UnitOffset(head.offset)))?;
        let abbreviation = raw.read_abbreviation()?.ok_or(gimli::Error::InvalidAbbreviationCode(0))?;
        let value = read(&mut raw, abbreviation)?;
        self.at = raw.next_offset().0 - self.start;
        Ok(value)
    }

    /// Index of what follows an entry whose attributes begin here.
    #[inline]
    fn end_of(&self, shape: &Shape) -> Option<usize> {
        if !shape.is_known {
            return None;
        }
        let mut at = self.at.checked_add(shape.fixed.into())?;
        for step in &self.shapes.steps[shape.first_step.into()..shape.end_step.into()] {
            at = match *step {
                Step::Bytes(bytes) => at.checked_add(bytes.into())?,
                Step::Leb => leb_at(self.bytes, at)?.1,
                Step::LebBlock => {
                    let (len, start) = leb_at(self.bytes, at)?;
                    start.checked_add(usize::try_from(len).ok()?)?
                }
                Step::Block(width) => {
                    let start = at.checked_add(width.into())?;
                    let len =
                        self.bytes.get(at..start)?.iter().rev().fold(0, |len, &b| len << 8 | usize::from(b));
                    start.checked_add(len)?
                }
                Step::Text => at + self.bytes.get(at..)?.iter().position(|&byte| byte == 0)? + 1,
            };
        }
        (at <= self.bytes.len()).then_some(at)
    }
}

impl Shape {
    /// Of which nothing but the beginning is known.
    fn new(abbreviation: &gimli::Abbreviation) -> Self {
        Shape {
            tag: abbreviation.tag(),
            has_children: abbreviation.has_children(),
            is_known: false,
            origin_form: gimli::DW_FORM_null,
            origin_at: 0,
            fixed: 0,
            first_step: 0,
            end_step: 0,
        }
    }
}

impl Shapes {
    #[inline]
    fn of(&self, code: u64) -> Option<&Shape> {
        self.by_code.get(usize::try_from(code).ok()?.checked_sub(1)?)
    }

    fn read(unit: &Unit<'_>) -> Self {
        let mut shapes = Shapes::default();
        while let Some(abbreviation) = unit.abbreviations.get(shapes.by_code.len() as u64 + 1) {
            let first = shapes.steps.len();
            let shape = shapes.add_steps(unit, abbreviation);
            if shape.is_none() {
                shapes.steps.truncate(first);
            }
            shapes.by_code.push(shape.unwrap_or_else(|| Shape::new(abbreviation)));
        }
        shapes
    }

    /// `None` if it has a form that is seldom used.
    fn add_steps(&mut self, unit: &Unit<'_>, abbreviation: &gimli::Abbreviation) -> Option<Shape> {
        let first = self.steps.len();
        let mut shape = Shape::new(abbreviation);
        for spec in abbreviation.attributes() {
            let form = spec.form();
            if let Some(size) = spec.size(&unit.header) {
                let size = u16::try_from(size).ok()?;
                if self.steps.len() == first {
                    if spec.name() == gimli::DW_AT_abstract_origin && size == 4 {
                        (shape.origin_form, shape.origin_at) = (form, shape.fixed);
                    }
                    shape.fixed = shape.fixed.checked_add(size)?;
                } else if let Some(Step::Bytes(bytes)) = self.steps.last_mut() {
                    *bytes = bytes.checked_add(size)?;
                } else {
                    self.steps.push(Step::Bytes(size));
                }
                continue;
            }
            self.steps.push(match form {
                gimli::DW_FORM_block1 => Step::Block(1),
                gimli::DW_FORM_block2 => Step::Block(2),
                gimli::DW_FORM_block4 => Step::Block(4),
                gimli::DW_FORM_block | gimli::DW_FORM_exprloc => Step::LebBlock,
                gimli::DW_FORM_string => Step::Text,
                gimli::DW_FORM_udata
                | gimli::DW_FORM_sdata
                | gimli::DW_FORM_ref_udata
                | gimli::DW_FORM_strx
                | gimli::DW_FORM_addrx
                | gimli::DW_FORM_loclistx
                | gimli::DW_FORM_rnglistx
                | gimli::DW_FORM_GNU_str_index
                | gimli::DW_FORM_GNU_addr_index => Step::Leb,
                _ => return None,
            });
        }
        let (first_step, end_step) = (u16::try_from(first).ok()?, u16::try_from(self.steps.len()).ok()?);
        Some(Shape { is_known: true, first_step, end_step, ..shape })
    }
}

/// An unsigned number as LEB128, and the index of what follows. None if it is longer than a sound one of 63 bits.
fn leb_at(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_their_last_byte() {
        assert_eq!(leb_at(&[0x7f, 9], 0), Some((0x7f, 1)));
        assert_eq!(leb_at(&[9, 0x80, 0x01], 1), Some((0x80, 3)));
        assert_eq!(leb_at(&[0x80], 0), None);
        assert_eq!(leb_at(&[0x80; 16], 0), None);
    }
}
