//! Calls in a function's code, found by decoding it (Intel SDM vol. 2, CALL and JMP). Debug information has call sites
//! of optimised code only (DWARF 5, 3.4), the code itself has them all.

use std::collections::HashSet;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use rstap_abi::address::LinkAddr;

use crate::elf::Elf;
use crate::functions::Range;

/// A call of a function whose address is in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function, or the stub of the PLT that leads to it.
    pub to: LinkAddr,
    /// Where it returns to.
    pub return_address: LinkAddr,
}

/// The calls in these ranges by rising address. Jumps at a function's end are none: they do not return there.
pub(crate) fn calls_in(elf: &Elf<'_>, ranges: &[Range]) -> Vec<Call> {
    let calls = ranges.iter().flat_map(|range| instructions(elf, *range)).filter_map(|instruction| {
        let is_call =
            instruction.flow_control() == FlowControl::Call && instruction.op0_kind() == OpKind::NearBranch64;
        let (to, next) = (instruction.near_branch_target(), instruction.next_ip());
        is_call.then_some(Call { to: LinkAddr(to), return_address: LinkAddr(next) })
    });
    calls.collect()
}

/// The addresses that the code in a range has: loaded as such, or from a slot that the dynamic linker fills.
pub(crate) fn addresses_in(elf: &Elf<'_>, range: Range) -> Vec<LinkAddr> {
    let mut addresses = Vec::new();
    let mut slots = HashSet::new();
    for instruction in instructions(elf, range) {
        let relative = instruction.memory_base() == Register::RIP;
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Lea, _) if relative => addresses.push(LinkAddr(instruction.memory_displacement64())),
            (_, OpKind::Memory) if relative => slots.extend([instruction.memory_displacement64()]),
            // In programs at fixed addresses.
            (Mnemonic::Mov, OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64) => {
                addresses.push(LinkAddr(instruction.immediate(1)));
            }
            _ => {}
        }
    }
    addresses.extend(elf.addresses_in_slots(&slots));
    addresses
}

/// The instruction that ends at `end`, if code that starts at `start` has one that does, with the slot that it calls
/// or jumps through.
pub(crate) fn branch_through(elf: &Elf<'_>, start: LinkAddr, end: LinkAddr) -> Option<Through> {
    let range = Range { start, end };
    let last = instructions(elf, range).last().filter(|last| last.next_ip() == end.0)?;
    let through = last.op0_kind() == OpKind::Memory && last.memory_base() == Register::RIP;
    let kind = match last.flow_control() {
        FlowControl::IndirectCall => ThroughKind::Call,
        FlowControl::IndirectBranch => ThroughKind::Jump,
        _ => return None,
    };
    through.then(|| Through { at: LinkAddr(last.ip()), slot: last.memory_displacement64(), kind })
}

/// A call or jump to the address that is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Through {
    pub at: LinkAddr,
    pub slot: u64,
    pub kind: ThroughKind,
}

/// How it goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThroughKind {
    Call,
    Jump,
}

/// The instructions of a range, up to one that is none. No function is larger than [`MAX_BYTES`].
fn instructions(elf: &Elf<'_>, range: Range) -> impl Iterator<Item = Instruction> {
    let len = usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(0).min(MAX_BYTES);
    let bytes = elf.bytes_at(range.start, len).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, bytes, range.start.0, DecoderOptions::NONE);
    std::iter::from_fn(move || {
        let instruction = decoder.can_decode().then(|| decoder.decode())?;
        (!instruction.is_invalid()).then_some(instruction)
    })
}

const MAX_BYTES: usize = 16 << 20;
