//! Call frame information: the rules at a pc, that for the CFA above all (DWARF 5, 6.4; LSB, "Exception Frames"), from .eh_frame and
//! .debug_frame.

use gimli::{
    BaseAddresses, CfaRule, FrameDescriptionEntry, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindSection, UnwindTableRow,
};
use rstap_abi::address::LinkAddr;

use crate::dwarf::Slice;
use crate::elf::Elf;

/// How the CFA is computed at a pc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cfa<'d> {
    /// A register plus an offset.
    Register {
        /// DWARF number.
        register: u16,
        /// Bytes.
        offset: i64,
    },
    /// An expression with no operand; registers are those of the frame.
    Expression(gimli::Expression<Slice<'d>>, gimli::Encoding),
}

/// The rule at `pc`, from the module's .eh_frame, else from .debug_frame of the module or its debug file.
pub(crate) fn cfa_at<'d>(elf: &Elf<'d>, debug: Option<&Elf<'d>>, pc: LinkAddr) -> Option<Cfa<'d>> {
    with_row(elf, debug, pc, &mut CfaOfRow)
}

/// What is done with the rules at a pc. The two kinds of sections are different types, hence no closure.
pub(crate) trait RowUser<'d> {
    /// What comes of it.
    type Answer;

    /// Answers from the row of the table that applies.
    fn use_row<S: UnwindSection<Slice<'d>>>(
        &mut self,
        section: &S,
        fde: &FrameDescriptionEntry<Slice<'d>>,
        row: &UnwindTableRow<usize>,
    ) -> Option<Self::Answer>;
}

/// Finds the rules at `pc`, in .eh_frame, else in .debug_frame of the module or its debug file.
pub(crate) fn with_row<'d, U: RowUser<'d>>(
    elf: &Elf<'d>,
    debug: Option<&Elf<'d>>,
    pc: LinkAddr,
    user: &mut U,
) -> Option<U::Answer> {
    if let Some(answer) = from_eh_frame(elf, pc, user) {
        return Some(answer);
    }
    let section = elf.section(".debug_frame").or_else(|| debug?.section(".debug_frame"))?;
    let mut frame = gimli::DebugFrame::new(section, LittleEndian);
    frame.set_address_size(8);
    let bases = BaseAddresses::default();
    let fde = frame.fde_for_address(&bases, pc.0, gimli::DebugFrame::cie_from_offset).ok()?;
    use_rules(&frame, &bases, &fde, pc, user)
}

fn from_eh_frame<'d, U: RowUser<'d>>(elf: &Elf<'d>, pc: LinkAddr, user: &mut U) -> Option<U::Answer> {
    let section = elf.section(".eh_frame")?;
    let mut frame = gimli::EhFrame::new(section, LittleEndian);
    frame.set_address_size(8);
    let mut bases = BaseAddresses::default().set_eh_frame(elf.section_address(".eh_frame")?);
    for (name, set) in [(".text", BaseAddresses::set_text as fn(_, _) -> _), (".got", BaseAddresses::set_got)]
    {
        if let Some(address) = elf.section_address(name) {
            bases = set(bases, address);
        }
    }
    let fde = match from_search_table(elf, &frame, &bases, pc) {
        Search::Found(fde) => fde,
        Search::Absent => return None,
        Search::NoTable => frame.fde_for_address(&bases, pc.0, gimli::EhFrame::cie_from_offset).ok()?,
    };
    use_rules(&frame, &bases, &fde, pc, user)
}

enum Search<'d> {
    Found(FrameDescriptionEntry<Slice<'d>>),
    /// The table lists all entries, and none is for the address.
    Absent,
    NoTable,
}

/// .eh_frame_hdr has a table to find the entry by bisection.
fn from_search_table<'d>(
    elf: &Elf<'d>,
    frame: &gimli::EhFrame<Slice<'d>>,
    bases: &BaseAddresses,
    pc: LinkAddr,
) -> Search<'d> {
    let (Some(section), Some(address)) = (elf.section(".eh_frame_hdr"), elf.section_address(".eh_frame_hdr"))
    else {
        return Search::NoTable;
    };
    if !has_sound_count(section) {
        return Search::NoTable;
    }
    let bases = bases.clone().set_eh_frame_hdr(address);
    let Ok(header) = gimli::EhFrameHdr::new(section, LittleEndian).parse(&bases, 8) else {
        return Search::NoTable;
    };
    let Some(table) = header.table() else { return Search::NoTable };
    match table.fde_for_address(frame, &bases, pc.0, gimli::EhFrame::cie_from_offset) {
        Ok(fde) => Search::Found(fde),
        Err(gimli::Error::NoUnwindInfoForAddress) => Search::Absent,
        Err(_) => Search::NoTable,
    }
}

/// Whether .eh_frame_hdr has the form that linkers write, and room for as many entries as it says (LSB, "The
/// .eh_frame_hdr section"): a reader multiplies that number before it looks.
fn has_sound_count(section: &[u8]) -> bool {
    const SDATA4_RELATIVE: u8 = 0x1b;
    const UDATA4: u8 = 0x03;
    const SDATA4_DATA_RELATIVE: u8 = 0x3b;
    const ENTRY_SIZE: usize = 8;
    let Some((&[1, SDATA4_RELATIVE, UDATA4, SDATA4_DATA_RELATIVE, _, _, _, _, a, b, c, d], table)) =
        section.split_first_chunk::<12>()
    else {
        return false;
    };
    u32::from_le_bytes([a, b, c, d]) as usize <= table.len() / ENTRY_SIZE
}

fn use_rules<'d, S, U>(
    section: &S,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Slice<'d>>,
    pc: LinkAddr,
    user: &mut U,
) -> Option<U::Answer>
where
    S: UnwindSection<Slice<'d>>,
    U: RowUser<'d>,
{
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(section, bases, &mut context, pc.0).ok()?;
    user.use_row(section, fde, row)
}

/// The code that the entry for `pc` describes: a function, or the part of one that the compiler put elsewhere.
pub(crate) fn extent_at(elf: &Elf<'_>, debug: Option<&Elf<'_>>, pc: LinkAddr) -> Option<(u64, u64)> {
    with_row(elf, debug, pc, &mut ExtentOfEntry)
}

struct ExtentOfEntry;

impl<'d> RowUser<'d> for ExtentOfEntry {
    type Answer = (u64, u64);

    fn use_row<S: UnwindSection<Slice<'d>>>(
        &mut self,
        _: &S,
        fde: &FrameDescriptionEntry<Slice<'d>>,
        _: &UnwindTableRow<usize>,
    ) -> Option<(u64, u64)> {
        let start = fde.initial_address();
        Some((start, start.checked_add(fde.len())?))
    }
}

struct CfaOfRow;

impl<'d> RowUser<'d> for CfaOfRow {
    type Answer = Cfa<'d>;

    fn use_row<S: UnwindSection<Slice<'d>>>(
        &mut self,
        section: &S,
        fde: &FrameDescriptionEntry<Slice<'d>>,
        row: &UnwindTableRow<usize>,
    ) -> Option<Cfa<'d>> {
        match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Some(Cfa::Register { register: register.0, offset: *offset })
            }
            CfaRule::Expression(expression) => {
                Some(Cfa::Expression(expression.get(section).ok()?, fde.cie().encoding()))
            }
        }
    }
}

/// Where a register of the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Still in the register.
    Same,
    /// In memory, so many bytes from the CFA.
    AtCfa(i64),
    /// In another register.
    Register(u16),
    /// Somewhere else, or nowhere.
    Other,
}

/// The rules of a frame, as far as code is made of them.
pub(crate) struct Rules<'d> {
    /// That for the CFA.
    pub cfa: Cfa<'d>,
    /// Those for the general registers, by DWARF number.
    pub registers: [Rule; 17],
}

/// The rules at `pc`.
pub(crate) fn rules_at<'d>(elf: &Elf<'d>, debug: Option<&Elf<'d>>, pc: LinkAddr) -> Option<Rules<'d>> {
    with_row(elf, debug, pc, &mut AllOfRow)
}

struct AllOfRow;

impl<'d> RowUser<'d> for AllOfRow {
    type Answer = Rules<'d>;

    fn use_row<S: UnwindSection<Slice<'d>>>(
        &mut self,
        section: &S,
        fde: &FrameDescriptionEntry<Slice<'d>>,
        row: &UnwindTableRow<usize>,
    ) -> Option<Rules<'d>> {
        let cfa = CfaOfRow.use_row(section, fde, row)?;
        let registers = std::array::from_fn(|number| match row.register(Register(number as u16)) {
            None | Some(RegisterRule::SameValue) => Rule::Same,
            Some(RegisterRule::Offset(offset)) => Rule::AtCfa(offset),
            Some(RegisterRule::Register(other)) => Rule::Register(other.0),
            Some(_) => Rule::Other,
        });
        Some(Rules { cfa, registers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_table_is_only_used_if_it_has_room_for_its_entries() {
        let header = |count: u32, entries: usize| {
            let mut section = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0];
            section.extend_from_slice(&count.to_le_bytes());
            section.resize(12 + 8 * entries, 0);
            section
        };
        assert!(has_sound_count(&header(2, 2)));
        assert!(!has_sound_count(&header(3, 2)));
        assert!(!has_sound_count(&header(u32::MAX, 2)));
        assert!(!has_sound_count(&header(0, 0)[..11]));
        // 64-bit counts, which overflow when they are multiplied.
        assert!(!has_sound_count(&[1, 0x1b, 0x0c, 0x3b, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]));
    }
}
