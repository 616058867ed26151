//! The units of all files that a module's DWARF is spread over, as their headers tell; what is read of one is kept with it.

use std::collections::HashMap;
use std::sync::OnceLock;

use gimli::UnitType;

use super::entries::Shapes;
use super::split::Split;
use super::{DieRef, Dwarf, DwarfError, Header, Slice, Unit};

/// Which file a unit is from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'d> {
    /// The module or its debug file.
    Main,
    /// The supplementary (dwz) file.
    Supplementary,
    /// A file of split DWARF, by its index; with the skeleton that the main file has, unless it is a type unit.
    Split(u32, Option<Header<'d>>),
}

/// A unit and what has been read of it.
pub(crate) struct UnitSlot<'d> {
    pub(super) header: Header<'d>,
    pub(super) source: Source<'d>,
    pub(super) unit: OnceLock<Result<Unit<'d>, DwarfError>>,
    pub(super) shapes: OnceLock<Shapes>,
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

    /// Bytes of it in its section.
    pub fn len(&self) -> usize {
        self.header.length_including_self()
    }
}

/// The units of a module.
pub(super) struct Units<'d> {
    pub slots: Vec<UnitSlot<'d>>,
    /// The first so many are from .debug_info of the main file, by rising offset.
    pub main: usize,
    /// Those after them, up to this, are from .debug_info of the supplementary file.
    pub supplementary: usize,
    pub type_signatures: HashMap<u64, DieRef>,
}

impl<'d> Units<'d> {
    /// Reads the headers of all units; `problem` gets what is wrong. A broken header ends the list of its file: there is
    /// no telling where the next one begins.
    pub fn read(main: &Dwarf<'d>, split: &Split<'d>, mut problem: impl FnMut(DwarfError)) -> Self {
        let mut slots = Vec::new();
        read_headers(main.units(), &mut problem, |header| match split.unit_of(main, header) {
            Some((file, split)) => slots.push(UnitSlot::new(split, Source::Split(file, Some(header)))),
            None => slots.push(UnitSlot::new(header, Source::Main)),
        });
        let of_main = slots.len();
        if let Some(sup) = main.sup() {
            read_headers(sup.units(), &mut problem, |header| {
                slots.push(UnitSlot::new(header, Source::Supplementary));
            });
        }
        let supplementary = slots.len();
        let mut headers = main.type_units();
        while let Ok(Some(header)) = headers.next() {
            slots.push(UnitSlot::new(header, Source::Main));
        }
        let split_types = split.types.iter();
        slots.extend(split_types.map(|&(file, header)| UnitSlot::new(header, Source::Split(file, None))));
        let signatures = slots.iter().enumerate().filter_map(|(index, slot)| match slot.header.type_() {
            UnitType::Type { type_signature, type_offset }
            | UnitType::SplitType { type_signature, type_offset } => {
                Some((type_signature.0, DieRef { unit: u32::try_from(index).ok()?, offset: type_offset.0 }))
            }
            _ => None,
        });
        let type_signatures = signatures.collect();
        Units { slots, main: of_main, supplementary, type_signatures }
    }

    /// The unit of the main file whose header is at this offset.
    pub fn starting_at(&self, offset: usize) -> Option<usize> {
        self.slots[..self.main].binary_search_by_key(&offset, UnitSlot::section_offset).ok()
    }

    /// The entry at an offset of the section that these units are from.
    pub fn at(&self, among: std::ops::Range<usize>, offset: usize) -> Option<DieRef> {
        let slots = self.slots.get(among.clone())?;
        let index = slots.partition_point(|s| s.section_offset() <= offset).checked_sub(1)?;
        if matches!(slots[index].source, Source::Split(..)) {
            return None;
        }
        let in_unit = gimli::DebugInfoOffset(offset).to_unit_offset(&slots[index].header)?;
        Some(DieRef { unit: u32::try_from(among.start + index).ok()?, offset: in_unit.0 })
    }
}

fn read_headers<'d>(
    mut headers: gimli::DebugInfoUnitHeadersIter<Slice<'d>>,
    problem: &mut impl FnMut(DwarfError),
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
            Err(error) => return problem(DwarfError::Broken { error, unit: end }),
        }
    }
}

impl<'d> UnitSlot<'d> {
    fn new(header: Header<'d>, source: Source<'d>) -> Self {
        UnitSlot {
            header,
            source,
            unit: OnceLock::new(),
            shapes: OnceLock::new(),
            functions: OnceLock::new(),
            lines: OnceLock::new(),
            files: OnceLock::new(),
        }
    }
}
