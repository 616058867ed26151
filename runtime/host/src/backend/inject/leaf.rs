//! Quick forms of handlers for which a hit need not prepare anything: leaves. Told by their machine code, which is the
//! whole truth: some instructions that run to a return, call nothing, use general registers only and little stack. What
//! the image says of them must fit: no locks, no condition.

use std::mem::offset_of;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, Register,
};
use rstap_abi::image::{HandlerEntry, ImageHeader, ProbeEntry, needs};

/// A handler that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Where its quick form is in the image.
    pub code: u32,
    /// It looks at registers.
    pub looks: bool,
}

/// Most instructions of a leaf.
const MOST: usize = 160;
/// Most bytes of stack that it uses.
const STACK: u32 = 128;

/// By probe, its handler if that is a leaf.
pub fn of_probes(image: &[u8]) -> Vec<Option<Leaf>> {
    let table = |at: usize, count: usize, size: u32| {
        let (start, count) = (word(image, at).unwrap_or(0), word(image, count).unwrap_or(0));
        (0..count).map(move |index| (start + index * size) as usize)
    };
    let handlers = table(
        offset_of!(ImageHeader, handlers),
        offset_of!(ImageHeader, handler_count),
        size_of::<HandlerEntry>() as u32,
    );
    let handlers: Vec<Option<Leaf>> = handlers.map(|at| of_handler(image, at)).collect();
    let probes = table(
        offset_of!(ImageHeader, probes),
        offset_of!(ImageHeader, probe_count),
        size_of::<ProbeEntry>() as u32,
    );
    let of_probe = |at: usize| {
        let handler = word(image, at + offset_of!(ProbeEntry, handler))?;
        let is_free = word(image, at + offset_of!(ProbeEntry, condition))? == 0;
        handlers.get(handler as usize).copied().flatten().filter(|_| is_free)
    };
    probes.map(of_probe).collect()
}

fn of_handler(image: &[u8], at: usize) -> Option<Leaf> {
    let field = |offset| word(image, at + offset);
    let looks = field(offset_of!(HandlerEntry, needs))? & needs::REGISTERS != 0;
    let is_plain = field(offset_of!(HandlerEntry, lock_count))? == 0
        && field(offset_of!(HandlerEntry, condition_count))? == 0;
    let code = field(offset_of!(HandlerEntry, quick))?;
    let is_leaf = is_plain && code != 0 && is_leaf(image.get(code as usize..)?);
    is_leaf.then_some(Leaf { code, looks })
}

/// Whether this code runs to a return without anything that a hit would have to prepare for.
fn is_leaf(code: &[u8]) -> bool {
    let mut walk =
        Walk { code, info: InstructionInfoFactory::new(), path: Vec::new(), ended: Vec::new(), stack: 0 };
    walk.ends(0) && walk.stack <= STACK
}

/// Follows code on all its ways.
struct Walk<'c> {
    code: &'c [u8],
    info: InstructionInfoFactory,
    /// Instructions that lead to the one in hand.
    path: Vec<u64>,
    /// Those from which all ways end.
    ended: Vec<u64>,
    /// Bytes of stack that all of them take.
    stack: u32,
}

impl Walk<'_> {
    /// Whether all ways from here end in a return.
    fn ends(&mut self, at: u64) -> bool {
        if self.ended.contains(&at) {
            return true;
        }
        let is_loop = self.path.contains(&at);
        let Some(code) = self.code.get(at as usize..).filter(|_| !is_loop && self.path.len() < MOST) else {
            return false;
        };
        let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
        if !is_harmless(&instruction, &mut self.info) {
            return false;
        }
        self.stack = self.stack.saturating_add(stack_of(&instruction));
        self.path.push(at);
        let (next, to) = (instruction.next_ip(), instruction.near_branch_target());
        let ends = match instruction.flow_control() {
            FlowControl::Next => self.ends(next),
            FlowControl::UnconditionalBranch => self.ends(to),
            FlowControl::ConditionalBranch => self.ends(next) && self.ends(to),
            FlowControl::Return => true,
            _ => false,
        };
        self.path.pop();
        self.ended.push(at);
        ends
    }
}

fn is_harmless(instruction: &Instruction, info: &mut InstructionInfoFactory) -> bool {
    let is_plain = |register: Register| register.is_gpr() || register == Register::RIP;
    !instruction.is_invalid()
        && !instruction.is_string_instruction()
        && !instruction.has_rep_prefix()
        && !instruction.has_repne_prefix()
        && instruction.segment_prefix() == Register::None
        && instruction.op_kinds().all(|kind| kind != iced_x86::OpKind::FarBranch32)
        && info.info(instruction).used_registers().iter().all(|used| {
            let register = used.register();
            is_plain(register) || register.is_segment_register()
        })
}

/// Bytes of stack that an instruction takes.
fn stack_of(instruction: &Instruction) -> u32 {
    match instruction.mnemonic() {
        Mnemonic::Push => 8,
        Mnemonic::Sub if instruction.op0_register() == Register::RSP => instruction.immediate(1) as u32,
        // Whatever else writes it: the ways back.
        _ => 0,
    }
}

fn word(image: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect()
    }

    #[test]
    fn a_counter_is_a_leaf_and_whatever_calls_or_computes_otherwise_is_none() {
        let cases = [
            ("a counter", "55 48 89 e5 48 8b 47 10 48 83 40 08 01 48 89 ec 5d c3", true),
            ("one whose ways meet again before", "85 ff 75 04 ff c0 c3 90 ff c8 eb f8", true),
            ("one that jumps over something", "85 ff 74 03 ff c0 90 c3", true),
            ("one with two returns", "85 ff 74 01 c3 31 c0 c3", true),
            ("a locked addition", "f0 48 83 47 08 01 c3", true),
            ("a call", "e8 00 00 00 00 c3", false),
            ("a call through a register", "ff d0 c3", false),
            ("a jump elsewhere", "ff e0", false),
            ("a vector register", "0f 28 c1 c3", false),
            ("x87", "d9 c0 c3", false),
            ("a copy of a string", "f3 a4 c3", false),
            ("a large frame", "48 81 ec 00 10 00 00 c3", false),
            ("another segment", "64 48 8b 04 25 00 00 00 00 c3", false),
            ("a loop", "ff c8 75 fc c3", false),
            ("no end", "90 90 90", false),
            ("a trap", "0f 0b", false),
            ("a system call", "0f 05 c3", false),
        ];
        for (name, code, expected) in cases {
            assert_eq!(is_leaf(&hex(code)), expected, "{name}");
        }
    }

    #[test]
    fn an_image_that_is_none_has_no_leaves() {
        assert_eq!(of_probes(&[]), []);
        assert_eq!(of_probes(&[0; 56]), []);
    }
}
