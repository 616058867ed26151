//! Call frame information: the rule for the CFA at a pc (DWARF 5, 6.4; LSB, "Exception Frames"), from .eh_frame and
//! .debug_frame.

use gimli::{BaseAddresses, CfaRule, LittleEndian, UnwindContext, UnwindSection};
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
    from_eh_frame(elf, pc).or_else(|| {
        let section = elf.section(".debug_frame").or_else(|| debug?.section(".debug_frame"))?;
        let mut frame = gimli::DebugFrame::new(section, LittleEndian);
        frame.set_address_size(8);
        cfa_in(&frame, &BaseAddresses::default(), pc)
    })
}

fn from_eh_frame<'d>(elf: &Elf<'d>, pc: LinkAddr) -> Option<Cfa<'d>> {
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
    from_search_table(elf, &frame, &bases, pc).or_else(|| cfa_in(&frame, &bases, pc))
}

/// .eh_frame_hdr has a table to find the entry by bisection.
fn from_search_table<'d>(
    elf: &Elf<'d>,
    frame: &gimli::EhFrame<Slice<'d>>,
    bases: &BaseAddresses,
    pc: LinkAddr,
) -> Option<Cfa<'d>> {
    let header = gimli::EhFrameHdr::new(elf.section(".eh_frame_hdr")?, LittleEndian);
    let bases = bases.clone().set_eh_frame_hdr(elf.section_address(".eh_frame_hdr")?);
    let parsed = header.parse(&bases, 8).ok()?;
    let fde = parsed.table()?.fde_for_address(frame, &bases, pc.0, gimli::EhFrame::cie_from_offset).ok()?;
    rule(frame, &bases, &fde, pc)
}

fn cfa_in<'d, S>(section: &S, bases: &BaseAddresses, pc: LinkAddr) -> Option<Cfa<'d>>
where
    S: UnwindSection<Slice<'d>>,
{
    let fde = section.fde_for_address(bases, pc.0, S::cie_from_offset).ok()?;
    rule(section, bases, &fde, pc)
}

fn rule<'d, S>(
    section: &S,
    bases: &BaseAddresses,
    fde: &gimli::FrameDescriptionEntry<Slice<'d>>,
    pc: LinkAddr,
) -> Option<Cfa<'d>>
where
    S: UnwindSection<Slice<'d>>,
{
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(section, bases, &mut context, pc.0).ok()?;
    match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Some(Cfa::Register { register: register.0, offset: *offset })
        }
        CfaRule::Expression(expression) => {
            Some(Cfa::Expression(expression.get(section).ok()?, fde.cie().encoding()))
        }
    }
}
