//! One pass over a unit's entries that notes its functions and inlined instances and skips all else. This is where
//! the time of a listing goes, so attributes are read raw and nothing is allocated per entry.

use std::ffi::CStr;

use gimli::AttributeValue;

use crate::dwarf::{DebugData, DieRef, Dwarf, Entries, Head, Slice, Unit, Value};

/// A string that is not read before it is asked for: most names of a large program never are, and mangled ones are
/// long. It ends at the first NUL or with the slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'d>(&'d [u8]);

impl<'d> Text<'d> {
    fn new(dwarf: &Dwarf<'d>, unit: &Unit<'d>, value: Value<'d>) -> Option<Self> {
        match value {
            AttributeValue::DebugStrRef(offset) => {
                gimli::Section::reader(&dwarf.debug_str).slice().get(offset.0..).map(Text)
            }
            other => dwarf.attr_string(unit, other).ok().map(|string| Text(string.slice())),
        }
    }

    /// The text; `None` if it is not UTF-8.
    pub fn get(self) -> Option<&'d str> {
        let bytes = CStr::from_bytes_until_nul(self.0).map_or(self.0, CStr::to_bytes);
        std::str::from_utf8(bytes).ok()
    }

    fn is(self, text: &[u8]) -> bool {
        self.0.starts_with(text) && matches!(self.0.get(text.len()), None | Some(0))
    }
}

/// A scope that gives names a prefix: namespace, struct, class …
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeEntry {
    pub offset: usize,
    pub parent: Option<u32>,
}

/// Where code is, not yet looked up in the range lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Code {
    None,
    Contiguous {
        low: u64,
        high: u64,
    },
    /// Offset in .debug_ranges or .debug_rnglists.
    List(usize),
}

/// A reference to another entry, kept small because there are hundreds of thousands in a large program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    unit: u32,
    offset: u32,
}

impl Origin {
    const NONE: Origin = Origin { unit: u32::MAX, offset: 0 };

    fn new<'d>(data: &DebugData<'d>, unit: u32, value: Value<'d>) -> Self {
        let die = match value {
            AttributeValue::UnitRef(offset) => Some(DieRef { unit, offset: offset.0 }),
            other => data.reference(unit, other),
        };
        // Units of 4 GB and more are not followed into.
        let compact = die.and_then(|d| Some(Origin { unit: d.unit, offset: u32::try_from(d.offset).ok()? }));
        compact.unwrap_or(Origin::NONE)
    }

    /// The entry.
    pub fn die(self) -> Option<DieRef> {
        (self != Origin::NONE).then_some(DieRef { unit: self.unit, offset: self.offset as usize })
    }
}

/// A DW_TAG_subprogram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subprogram<'d> {
    pub offset: usize,
    pub name: Option<Text<'d>>,
    pub linkage_name: Option<Text<'d>>,
    pub scope: Option<u32>,
    pub code: Code,
    pub abstract_origin: Origin,
    pub specification: Origin,
    pub decl_file: Option<u32>,
    pub decl_line: u32,
    pub external: bool,
    pub declaration: bool,
    /// An abstract instance, which may have been inlined. gcc says of destructors that are that they are not.
    pub inlined: bool,
}

/// A DW_TAG_inlined_subroutine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inlined {
    pub offset: usize,
    pub origin: Origin,
    pub code: Code,
    /// DW_AT_entry_pc, 0 if there is none.
    pub entry: u64,
    pub call_line: u32,
    /// Index of the subprogram whose code it is part of.
    pub owner: u32,
}

/// Functions of a unit, each list by rising offset.
#[derive(Debug, Default)]
pub(crate) struct UnitFunctions<'d> {
    pub subprograms: Vec<Subprogram<'d>>,
    pub inlined: Vec<Inlined>,
    pub scopes: Vec<ScopeEntry>,
}

impl<'d> UnitFunctions<'d> {
    /// The subprogram at an offset.
    pub fn subprogram_at(&self, offset: usize) -> Option<&Subprogram<'d>> {
        let index = self.subprograms.binary_search_by_key(&offset, |s| s.offset).ok()?;
        Some(&self.subprograms[index])
    }

    /// The inlined instance at an offset.
    pub fn inlined_at(&self, offset: usize) -> Option<&Inlined> {
        let index = self.inlined.binary_search_by_key(&offset, |s| s.offset).ok()?;
        Some(&self.inlined[index])
    }
}

/// How much is read of inlined instances, of which there are more than of anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inlines {
    /// All that [`Inlined`] has.
    Whole,
    /// Where they are and what their function is, and more only where that is not harder; [`inlined_at`] has the rest.
    Origins,
}

/// Scans a unit. What was found before an error is kept.
pub(crate) fn scan_unit<'d>(data: &DebugData<'d>, index: u32) -> UnitFunctions<'d> {
    let mut found = UnitFunctions::default();
    scan_unit_into(data, index, Inlines::Whole, &mut found);
    found
}

/// The inlined instance at an offset, without its owner.
pub(crate) fn inlined_at(data: &DebugData<'_>, index: u32, offset: usize) -> Option<Inlined> {
    let scanner = Scanner::new(data, index, Inlines::Whole)?;
    let mut raw = scanner.unit.entries_raw(Some(gimli::UnitOffset(offset))).ok()?;
    let abbreviation = raw.read_abbreviation().ok()??;
    scanner.read_inlined(&mut raw, abbreviation, offset).ok()
}

/// The subprogram at an offset, without its scope. The unit is not scanned for it.
pub(crate) fn subprogram_at<'d>(data: &DebugData<'d>, die: DieRef) -> Option<Subprogram<'d>> {
    let scanner = Scanner::new(data, die.unit, Inlines::Whole)?;
    let mut raw = scanner.unit.entries_raw(Some(gimli::UnitOffset(die.offset))).ok()?;
    let abbreviation = raw.read_abbreviation().ok()??;
    let is_subprogram = abbreviation.tag() == gimli::DW_TAG_subprogram;
    is_subprogram.then(|| scanner.read_subprogram(&mut raw, abbreviation, die.offset).ok())?
}

/// The same, in place of what is in `found`, whose memory is used again.
pub(crate) fn scan_unit_into<'d>(
    data: &DebugData<'d>,
    index: u32,
    inlines: Inlines,
    found: &mut UnitFunctions<'d>,
) {
    found.subprograms.clear();
    found.inlined.clear();
    found.scopes.clear();
    if let Some(scanner) = Scanner::new(data, index, inlines) {
        // An error ends the scan of this unit only; the rest of the module can still be used.
        if let Err(error) = scanner.run(found) {
            data.note_problem(error);
        }
    }
}

struct Scanner<'m, 'd> {
    data: &'m DebugData<'d>,
    index: u32,
    dwarf: &'m Dwarf<'d>,
    unit: &'m Unit<'d>,
    inlines: Inlines,
    /// Entries whose children are being read.
    open: Vec<Open>,
}

#[derive(Clone, Copy)]
struct Open {
    depth: isize,
    scope: Option<u32>,
    owner: u32,
}

impl<'m, 'd> Scanner<'m, 'd> {
    fn new(data: &'m DebugData<'d>, index: u32, inlines: Inlines) -> Option<Self> {
        let (unit, slot) = (data.unit(index).ok()?, data.slot(index).ok()?);
        Some(Scanner { data, index, dwarf: data.dwarf_of(slot), unit, inlines, open: Vec::new() })
    }

    fn run(mut self, found: &mut UnitFunctions<'d>) -> Result<(), crate::DwarfError> {
        let mut entries = Entries::of_unit(self.data, self.index)?;
        let broken = |error| self.data.broken(self.index, error);
        while let Some(head) = entries.next().map_err(broken)? {
            while self.open.last().is_some_and(|open| open.depth >= head.depth) {
                self.open.pop();
            }
            let outer = self.open.last().copied().unwrap_or(Open { depth: -1, scope: None, owner: u32::MAX });
            let opened = match head.tag {
                gimli::DW_TAG_subprogram => {
                    let read = entries.read(&head, |raw, abbreviation| {
                        self.read_subprogram(raw, abbreviation, head.offset)
                    });
                    let mut subprogram = read.map_err(broken)?;
                    subprogram.scope = outer.scope;
                    found.subprograms.push(subprogram);
                    // Types and functions inside a function have its scope's names.
                    Open { owner: found.subprograms.len() as u32 - 1, ..outer }
                }
                gimli::DW_TAG_inlined_subroutine => {
                    let mut inlined = self.inlined(&mut entries, &head).map_err(broken)?;
                    inlined.owner = outer.owner;
                    found.inlined.push(inlined);
                    continue;
                }
                gimli::DW_TAG_namespace
                | gimli::DW_TAG_module
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_interface_type
                | gimli::DW_TAG_enumeration_type
                    if head.has_children =>
                {
                    entries.pass_over(&head).map_err(broken)?;
                    found.scopes.push(ScopeEntry { offset: head.offset, parent: outer.scope });
                    Open { scope: Some(found.scopes.len() as u32 - 1), ..outer }
                }
                _ => {
                    entries.pass_over(&head).map_err(broken)?;
                    continue;
                }
            };
            if head.has_children {
                self.open.push(Open { depth: head.depth, ..opened });
            }
        }
        Ok(())
    }

    fn inlined(&self, entries: &mut Entries<'m, 'd>, head: &Head<'_>) -> Result<Inlined, gimli::Error> {
        if self.inlines == Inlines::Origins
            && let Some(origin) = entries.origin(head)
        {
            let (offset, origin) = (head.offset, self.origin(origin));
            entries.pass_over(head)?;
            return Ok(Inlined { offset, origin, code: Code::None, entry: 0, call_line: 0, owner: u32::MAX });
        }
        entries.read(head, |raw, abbreviation| self.read_inlined(raw, abbreviation, head.offset))
    }

    fn read_subprogram(
        &self,
        raw: &mut gimli::EntriesRaw<'_, Slice<'d>>,
        abbreviation: &gimli::Abbreviation,
        offset: usize,
    ) -> Result<Subprogram<'d>, gimli::Error> {
        let mut subprogram = Subprogram {
            offset,
            name: None,
            linkage_name: None,
            scope: None,
            code: Code::None,
            abstract_origin: Origin::NONE,
            specification: Origin::NONE,
            decl_file: None,
            decl_line: 0,
            external: false,
            declaration: false,
            inlined: false,
        };
        let mut code = CodeAttributes::default();
        for &spec in abbreviation.attributes() {
            let attribute = raw.read_attribute_inline(spec)?;
            let value = attribute.value();
            match spec.name() {
                gimli::DW_AT_name => subprogram.name = Text::new(self.dwarf, self.unit, value),
                gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                    subprogram.linkage_name = Text::new(self.dwarf, self.unit, value);
                }
                gimli::DW_AT_abstract_origin => subprogram.abstract_origin = self.origin(value),
                gimli::DW_AT_specification => subprogram.specification = self.origin(value),
                gimli::DW_AT_decl_file => {
                    subprogram.decl_file = match value {
                        AttributeValue::FileIndex(index) => u32::try_from(index).ok(),
                        other => other.udata_value().and_then(|index| u32::try_from(index).ok()),
                    }
                }
                gimli::DW_AT_decl_line => subprogram.decl_line = line_number(value),
                gimli::DW_AT_external => subprogram.external = value == AttributeValue::Flag(true),
                gimli::DW_AT_declaration => subprogram.declaration = value == AttributeValue::Flag(true),
                gimli::DW_AT_inline => {
                    subprogram.inlined = value != AttributeValue::Inline(gimli::DW_INL_not_inlined);
                }
                name => self.note_code(&mut code, name, value),
            }
        }
        subprogram.code = code.finish();
        Ok(subprogram)
    }

    fn read_inlined(
        &self,
        raw: &mut gimli::EntriesRaw<'_, Slice<'d>>,
        abbreviation: &gimli::Abbreviation,
        offset: usize,
    ) -> Result<Inlined, gimli::Error> {
        let (mut found, mut call_line) = (Origin::NONE, 0);
        let mut code = CodeAttributes::default();
        for &spec in abbreviation.attributes() {
            let value = raw.read_attribute_inline(spec)?.value();
            match spec.name() {
                gimli::DW_AT_abstract_origin => found = self.origin(value),
                gimli::DW_AT_call_line => call_line = line_number(value),
                name => self.note_code(&mut code, name, value),
            }
        }
        let entry = match code.entry_offset {
            Some(distance) => code.low.and_then(|low| low.checked_add(distance)),
            None => code.entry,
        };
        Ok(Inlined {
            offset,
            origin: found,
            entry: entry.unwrap_or(0),
            code: code.finish(),
            call_line,
            owner: u32::MAX,
        })
    }

    fn origin(&self, value: Value<'d>) -> Origin {
        Origin::new(self.data, self.index, value)
    }

    fn note_code(&self, code: &mut CodeAttributes, name: gimli::DwAt, value: Value<'d>) {
        let address = || self.dwarf.attr_address(self.unit, value).ok().flatten();
        match (name, value) {
            (gimli::DW_AT_low_pc, _) => code.low = address(),
            (gimli::DW_AT_high_pc, AttributeValue::Udata(size)) => code.size = Some(size),
            (gimli::DW_AT_high_pc, _) => code.high = address(),
            (gimli::DW_AT_ranges, _) => {
                let offset = self.dwarf.attr_ranges_offset(self.unit, value);
                code.list = offset.ok().flatten().map(|offset| offset.0);
            }
            // DWARF 5, 2.18: a constant is relative to the base address.
            (gimli::DW_AT_entry_pc, AttributeValue::Udata(distance)) => code.entry_offset = Some(distance),
            (gimli::DW_AT_entry_pc, _) => code.entry = address(),
            _ => {}
        }
    }
}

#[derive(Default)]
struct CodeAttributes {
    low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    list: Option<usize>,
    entry: Option<u64>,
    entry_offset: Option<u64>,
}

impl CodeAttributes {
    fn finish(self) -> Code {
        if let Some(list) = self.list {
            return Code::List(list);
        }
        let high = self.size.and_then(|size| self.low?.checked_add(size)).or(self.high);
        match (self.low, high) {
            (Some(low), Some(high)) if low < high => Code::Contiguous { low, high },
            _ => Code::None,
        }
    }
}

fn line_number(value: Value<'_>) -> u32 {
    value.udata_value().and_then(|line| u32::try_from(line).ok()).unwrap_or(0)
}

/// Whether the unit may have a function with this name: looks at the entries directly below the root only, and at all
/// if their subtrees can be jumped over (gcc writes DW_AT_sibling, LLVM does not) and no function can be nested in a
/// scope. An unsure answer is yes.
pub(crate) fn may_have_function(data: &DebugData<'_>, index: u32, name: &[u8]) -> bool {
    look_for_function(data, index, name).unwrap_or(true)
}

fn look_for_function(data: &DebugData<'_>, index: u32, name: &[u8]) -> Result<bool, crate::DwarfError> {
    let unit = data.unit(index)?;
    let slot = data.slot(index)?;
    let dwarf = data.dwarf_of(slot);
    let broken = |e| data.broken(index, e);
    let is = |value| Text::new(dwarf, unit, value).is_some_and(|text| text.is(name));
    let root = unit.header.root_offset();
    let mut raw = unit.entries_raw(Some(root)).map_err(broken)?;
    match raw.read_abbreviation().map_err(broken)? {
        Some(abbreviation) => raw.skip_attributes(abbreviation.attributes()).map_err(broken)?,
        None => return Ok(false),
    }
    let mut base = 0;
    let mut has_siblings = false;
    while !raw.is_empty() && base + raw.next_depth() >= 1 {
        let Some(abbreviation) = raw.read_abbreviation().map_err(broken)? else { continue };
        let is_function = abbreviation.tag() == gimli::DW_TAG_subprogram;
        let mut sibling = None;
        for &spec in abbreviation.attributes() {
            let attribute = raw.read_attribute_inline(spec).map_err(broken)?;
            match spec.name() {
                gimli::DW_AT_sibling => {
                    if let AttributeValue::UnitRef(offset) = attribute.value() {
                        sibling = Some(offset);
                    }
                }
                gimli::DW_AT_name if is_function && is(attribute.value()) => {
                    return Ok(true);
                }
                // The name is in a class, or in another unit (link-time optimisation).
                gimli::DW_AT_specification if is_function => return Ok(true),
                gimli::DW_AT_abstract_origin
                    if is_function && !matches!(attribute.value(), AttributeValue::UnitRef(_)) =>
                {
                    return Ok(true);
                }
                _ => {}
            }
        }
        if !abbreviation.has_children() {
            continue;
        }
        let scope = matches!(
            abbreviation.tag(),
            gimli::DW_TAG_namespace
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_module
                | gimli::DW_TAG_imported_unit
        );
        match sibling {
            Some(next) if !scope && next.0 > raw.next_offset().0 => {
                raw = unit.entries_raw(Some(next)).map_err(broken)?;
                base = 1;
                has_siblings = true;
            }
            // Where others have the attribute, only the last entry of its parent lacks it.
            None if !scope && has_siblings => return Ok(false),
            _ => return Ok(true),
        }
    }
    Ok(false)
}
