//! Where a probe on a function's entry is planted. Code that was compiled without optimisation stores its parameters
//! to the frame first, and DWARF describes them there only: the probe must come after that.

use gimli::AttributeValue;
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use rstap_abi::address::LinkAddr;

use super::{Function, Range};
use crate::DwarfError;
use crate::dwarf::{DebugData, Die, Slice};
use crate::lines::{self, Row};

/// The address after the prologue if one has to be skipped, else the entry.
pub(crate) fn probe_address(data: &DebugData<'_>, function: &Function<'_>) -> Option<LinkAddr> {
    let entry = function.entry?;
    let after = || {
        let die = data.die(function.die?).ok()?;
        let body = function.ranges.iter().find(|r| r.contains(entry))?;
        after_prologue(&die, *body, || lines::rows_in(data, die.id.unit, entry.0, body.end.0))
    };
    Some(after().unwrap_or(entry))
}

/// The address behind the check of the stack that a function of Go begins with, if this is one. Where the stack is too
/// small, or the scheduler wants the thread, the function begins anew from its first instruction, with the same registers
/// and another stack: a probe there would be hit once more. Behind the check all is as at the entry.
///
/// ```text
/// cmp rsp, [r14 + 16]; jbe …
/// lea r12, [rsp - N]; cmp r12, [r14 + 16]; jbe …
/// mov r12, rsp; sub r12, N; jb …; cmp r12, [r14 + 16]; jbe …
/// ```
///
/// Before Go 1.17 what is r14 here was read from the thread's own memory first. Source: Go, cmd/internal/obj/x86, `stacksplit`.
pub(crate) fn after_stack_check(entry: LinkAddr, code: &[u8]) -> Option<LinkAddr> {
    const LIMIT: u64 = 16;
    const MOST: usize = 6;
    let is_scratch =
        |register| !matches!(register, Register::RSP | Register::RBP | Register::R14 | Register::None);
    let mut decoder = Decoder::with_ip(64, code, entry.0, DecoderOptions::NONE);
    let mut has_compared = false;
    for instruction in decoder.iter().take(MOST) {
        let to = instruction.op0_register();
        match instruction.mnemonic() {
            Mnemonic::Jbe if has_compared => return Some(LinkAddr(instruction.next_ip())),
            Mnemonic::Cmp => {
                has_compared = instruction.op1_kind() == OpKind::Memory
                    && instruction.memory_base() != Register::RSP
                    && instruction.memory_displacement64() == LIMIT
                    && (to == Register::RSP || is_scratch(to));
            }
            Mnemonic::Jb => {}
            Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Sub if is_scratch(to) => {}
            _ => return None,
        }
    }
    None
}

/// The address after the prologue of the function at the start of `body`, if it has to be skipped; `rows` are those of
/// the line table in the body.
pub(super) fn after_prologue<'r>(
    die: &Die<'_, '_>,
    body: Range,
    rows: impl FnOnce() -> &'r [Row],
) -> Option<LinkAddr> {
    needs_skip(die).ok()?.then(|| end_of_prologue(rows(), body.start)).flatten()
}

/// Whether parameters are not yet in place at the entry. gcc tells its options, and without -O has a frame for
/// everything; for others it is a sign when a parameter (or the first variable, if none has a place) has one fixed
/// place in the frame. LLVM gives such a place also to single parameters of optimised code, whose address is taken.
fn needs_skip(die: &Die<'_, '_>) -> Result<bool, DwarfError> {
    let root = die.data.root(die.id.unit)?;
    let producer = root.string(gimli::DW_AT_producer).unwrap_or_default();
    if producer.starts_with("GNU") {
        return Ok(!is_optimised(producer));
    }
    let children = die.children()?;
    let places = |tag| {
        let entries = children.iter().filter(move |child| child.tag() == tag);
        entries.filter_map(|child| child.attr(gimli::DW_AT_location))
    };
    let in_frame = |place: AttributeValue<_>| {
        place
            .exprloc_value()
            .is_some_and(|e: gimli::Expression<Slice<'_>>| e.0.slice().first() == Some(&gimli::DW_OP_fbreg.0))
    };
    let mut parameters = places(gimli::DW_TAG_formal_parameter).peekable();
    Ok(match parameters.peek() {
        Some(_) => parameters.any(in_frame),
        None => places(gimli::DW_TAG_variable).next().is_some_and(in_frame),
    })
}

/// The last -O option counts; -Og optimises too.
fn is_optimised(producer: &str) -> bool {
    let mut words = producer.split_ascii_whitespace();
    words.rfind(|word| word.starts_with("-O")).is_some_and(|option| option != "-O0")
}

/// The row that is marked as the end of the prologue, else the second address of the line table: compilers without
/// the mark begin a new row there, even for the same line.
fn end_of_prologue(rows: &[Row], entry: LinkAddr) -> Option<LinkAddr> {
    let marked = rows.iter().find(|row| row.prologue_end);
    let second = || rows.iter().find(|row| row.address > entry.0 && row.is_stmt && row.line != 0);
    marked.or_else(second).map(|row| LinkAddr(row.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_optimisation_option_counts() {
        assert!(is_optimised("GNU C17 12.2.0 -mtune=generic -g -O2 -fPIE"));
        assert!(is_optimised("GNU C17 12.2.0 -Og -g"));
        assert!(!is_optimised("GNU C17 12.2.0 -g -fPIE"));
        assert!(!is_optimised("GNU C17 12.2.0 -O2 -g -O0"));
    }

    #[test]
    fn checks_of_the_stack_are_known_and_nothing_else_is_one() {
        let behind = |code: &[u8]| after_stack_check(LinkAddr(0x1000), code).map(|at| at.0 - 0x1000);
        assert_eq!(behind(b"\x49\x3b\x66\x10\x76\x20\x90"), Some(6));
        assert_eq!(behind(b"\x4c\x8d\x64\x24\xe8\x4d\x3b\x66\x10\x76\x20"), Some(11));
        let large = b"\x49\x89\xe4\x49\x81\xec\0\0\x01\0\x72\x20\x4d\x3b\x66\x10\x0f\x86\0\x01\0\0";
        assert_eq!(behind(large), Some(large.len() as u64));
        // mov rcx, fs:[-8]
        assert_eq!(behind(b"\x64\x48\x8b\x0c\x25\xf8\xff\xff\xff\x48\x3b\x61\x10\x76\x20"), Some(15));
        // push rbp; another comparison; nothing
        assert_eq!(behind(b"\x55\x49\x3b\x66\x10\x76\x20"), None);
        assert_eq!(behind(b"\x48\x83\xf8\x10\x76\x20"), None);
        assert_eq!(behind(b""), None);
    }
}
