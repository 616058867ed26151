//! An entry of which only that is read what a variable or a block has. There are hundreds of thousands of them in the
//! list of a large program, so no memory is allocated for one.

use gimli::{AttributeValue, UnitOffset};

use super::Storage;
use crate::DwarfError;
use crate::dwarf::{DebugData, DieRef, Entries, Head, Slice, Unit, Value, ranges_value, string_value};

/// What is read of an entry.
pub(super) struct Brief<'m, 'd> {
    data: &'m DebugData<'d>,
    unit: &'m Unit<'d>,
    pub id: DieRef,
    pub tag: gimli::DwTag,
    pub decl_line: u64,
    pub artificial: bool,
    pub external: bool,
    pub location: Option<Value<'d>>,
    name: Option<Value<'d>>,
    ty: Option<Value<'d>>,
    abstract_origin: Option<Value<'d>>,
    specification: Option<Value<'d>>,
    ranges: Option<Value<'d>>,
    low: Option<Value<'d>>,
    high: Option<Value<'d>>,
}

impl<'m, 'd> Brief<'m, 'd> {
    /// The entry at a place.
    pub fn at(data: &'m DebugData<'d>, id: DieRef) -> Result<Self, DwarfError> {
        let unit = data.unit(id.unit)?;
        let read = || {
            let mut raw = unit.entries_raw(Some(UnitOffset(id.offset)))?;
            let abbreviation = raw.read_abbreviation()?;
            let mut brief = Brief::new(data, unit, id, gimli::DW_TAG_null);
            if let Some(abbreviation) = abbreviation {
                brief.tag = abbreviation.tag();
                brief.read(&mut raw, abbreviation)?;
            }
            Ok(brief)
        };
        read().map_err(|error| data.broken(id.unit, error))
    }

    /// The entry of which `entries` has read the head.
    pub fn next(
        data: &'m DebugData<'d>,
        unit: u32,
        entries: &mut Entries<'m, 'd>,
        head: &Head<'_>,
    ) -> Result<Self, DwarfError> {
        let id = DieRef { unit, offset: head.offset };
        let mut brief = Brief::new(data, data.unit(unit)?, id, head.tag);
        let read = entries.read(head, |raw, abbreviation| brief.read(raw, abbreviation));
        read.map_err(|error| data.broken(unit, error))?;
        Ok(brief)
    }

    fn new(data: &'m DebugData<'d>, unit: &'m Unit<'d>, id: DieRef, tag: gimli::DwTag) -> Self {
        Brief {
            data,
            unit,
            id,
            tag,
            decl_line: 0,
            artificial: false,
            external: false,
            location: None,
            name: None,
            ty: None,
            abstract_origin: None,
            specification: None,
            ranges: None,
            low: None,
            high: None,
        }
    }

    fn read(
        &mut self,
        raw: &mut gimli::EntriesRaw<'_, Slice<'d>>,
        abbreviation: &gimli::Abbreviation,
    ) -> Result<(), gimli::Error> {
        for &spec in abbreviation.attributes() {
            let value = raw.read_attribute_inline(spec)?.value();
            match spec.name() {
                gimli::DW_AT_name => self.name = Some(value),
                gimli::DW_AT_type => self.ty = Some(value),
                gimli::DW_AT_location => self.location = Some(value),
                gimli::DW_AT_abstract_origin => self.abstract_origin = Some(value),
                gimli::DW_AT_specification => self.specification = Some(value),
                gimli::DW_AT_decl_line => self.decl_line = value.udata_value().unwrap_or(0),
                gimli::DW_AT_artificial => self.artificial = value == AttributeValue::Flag(true),
                gimli::DW_AT_external => self.external = value == AttributeValue::Flag(true),
                gimli::DW_AT_ranges => self.ranges = Some(value),
                gimli::DW_AT_low_pc => self.low = Some(value),
                gimli::DW_AT_high_pc => self.high = Some(value),
                _ => {}
            }
        }
        Ok(())
    }

    /// DW_AT_name.
    pub fn name(&self) -> Option<&'d str> {
        string_value(self.data.dwarf_of_unit(self.id.unit), self.unit, self.name?)
    }

    /// DW_AT_type.
    pub fn ty(&self) -> Option<DieRef> {
        self.data.reference(self.id.unit, self.ty?)
    }

    /// DW_AT_abstract_origin.
    pub fn abstract_origin(&self) -> Option<DieRef> {
        self.data.reference(self.id.unit, self.abstract_origin?)
    }

    /// The entry that has the attributes this one leaves out.
    pub fn origin(&self) -> Option<DieRef> {
        let specification = || self.data.reference(self.id.unit, self.specification?);
        self.abstract_origin().or_else(specification)
    }

    /// What its location says everywhere.
    pub fn storage(&self) -> Storage {
        let Some(expression) = self.location.as_ref().and_then(Value::exprloc_value) else {
            return Storage::Other;
        };
        let mut operations = expression.operations(self.unit.encoding());
        match (operations.next(), operations.next()) {
            (Ok(Some(gimli::Operation::FrameOffset { .. })), Ok(None)) => Storage::Frame,
            (Ok(Some(gimli::Operation::FrameOffset { .. })), _) => Storage::ThroughFrame,
            _ => Storage::Other,
        }
    }

    /// Whether its code has `pc`. A block without addresses, all of it optimised away, has none.
    pub fn contains(&self, pc: u64) -> bool {
        let dwarf = self.data.dwarf_of_unit(self.id.unit);
        if let Some(ranges) = self.ranges {
            let ranges = ranges_value(dwarf, self.unit, ranges);
            return ranges.iter().any(|&(start, end)| (start..end).contains(&pc));
        }
        let address = |value: Value<'d>| dwarf.attr_address(self.unit, value).ok().flatten();
        let Some(low) = self.low.and_then(address) else { return false };
        let high = match self.high {
            Some(AttributeValue::Udata(size)) => low.checked_add(size),
            high => high.and_then(address),
        };
        high.is_some_and(|high| (low..high).contains(&pc))
    }
}
