//! From a frame to its caller: the register rules at a pc, evaluated (DWARF 5, 6.4; LSB, "Exception Frames"). Registers
//! are data and memory is a callback, so this serves a live process and a test alike.

use gimli::{
    CfaRule, EvaluationResult, Expression, Location, Register, RegisterRule, UnwindExpression, UnwindSection,
    UnwindTableRow, Value,
};
use rstap_abi::address::LinkAddr;

use crate::cfi;
use crate::dwarf::Slice;
use crate::elf::Elf;

/// Number of [`FrameRegisters`].
pub const FRAME_REGISTERS: usize = 17;

/// Registers of a frame in DWARF's x86-64 numbering: 7 is rsp, 16 the pc.
pub type FrameRegisters = [u64; FRAME_REGISTERS];

const RSP: usize = 7;
const PC: usize = 16;

/// An expression that takes more steps than this does not end.
const MAX_STEPS: u32 = 1000;

/// What the call frame information says about a frame's caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Its registers. Those that the calling convention does not preserve hold what they held in the frame.
    Frame {
        /// Register values, the pc among them.
        registers: FrameRegisters,
        /// The frame is a signal's: the caller was interrupted at its pc and did not call from before it.
        interrupted: bool,
    },
    /// The frame is the outermost one of its thread.
    None,
}

/// A frame that is to be unwound.
pub(crate) struct Frame<'a> {
    /// Its registers.
    pub registers: &'a FrameRegisters,
    /// Where the module was loaded: the address of what the file has at 0.
    pub bias: u64,
    /// Reads a word of memory.
    pub read: &'a dyn Fn(u64) -> Option<u64>,
}

/// The caller of a frame that is at `pc`; `None` if there is no rule for it, or its memory cannot be read.
pub(crate) fn caller<'d>(
    elf: &Elf<'d>,
    debug: Option<&Elf<'d>>,
    pc: LinkAddr,
    frame: &Frame<'_>,
) -> Option<Caller> {
    cfi::with_row(elf, debug, pc, &mut Unwind { frame })
}

struct Unwind<'a> {
    frame: &'a Frame<'a>,
}

impl<'d> cfi::RowUser<'d> for Unwind<'_> {
    type Answer = Caller;

    fn use_row<S: UnwindSection<Slice<'d>>>(
        &mut self,
        section: &S,
        fde: &gimli::FrameDescriptionEntry<Slice<'d>>,
        row: &UnwindTableRow<usize>,
    ) -> Option<Caller> {
        if matches!(row.register(Register(PC as u16)), None | Some(RegisterRule::Undefined)) {
            return Some(Caller::None);
        }
        let encoding = fde.cie().encoding();
        let evaluate = |expression: &UnwindExpression<usize>, first: Option<u64>| {
            self.frame.evaluate(expression.get(section).ok()?, encoding, first)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.frame.register(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => evaluate(expression, None)?,
        };
        let mut registers = *self.frame.registers;
        registers[RSP] = cfa;
        for (number, value) in registers.iter_mut().enumerate() {
            let Some(rule) = row.register(Register(number as u16)) else { continue };
            *value = match rule {
                RegisterRule::Undefined | RegisterRule::SameValue | RegisterRule::Architectural => continue,
                RegisterRule::Offset(offset) => (self.frame.read)(cfa.wrapping_add_signed(offset))?,
                RegisterRule::ValOffset(offset) => cfa.wrapping_add_signed(offset),
                RegisterRule::Register(other) => self.frame.register(other)?,
                RegisterRule::Expression(expression) => (self.frame.read)(evaluate(&expression, Some(cfa))?)?,
                RegisterRule::ValExpression(expression) => evaluate(&expression, Some(cfa))?,
                RegisterRule::Constant(value) => value,
            };
        }
        Some(Caller::Frame { registers, interrupted: fde.is_signal_trampoline() })
    }
}

impl Frame<'_> {
    fn register(&self, register: Register) -> Option<u64> {
        self.registers.get(usize::from(register.0)).copied()
    }

    fn evaluate<'d>(
        &self,
        expression: Expression<Slice<'d>>,
        encoding: gimli::Encoding,
        first: Option<u64>,
    ) -> Option<u64> {
        let mut evaluation = expression.evaluation(encoding);
        evaluation.set_max_iterations(MAX_STEPS);
        if let Some(first) = first {
            evaluation.set_initial_value(first);
        }
        let mut state = evaluation.evaluate().ok()?;
        // Each answer lets the evaluation do one more of its bounded steps at least.
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register)?))
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let mask = u64::MAX.checked_shr(64u32.checked_sub(u32::from(size) * 8)?)?;
                    evaluation.resume_with_memory(Value::Generic((self.read)(address)? & mask))
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    evaluation.resume_with_relocated_address(address.wrapping_add(self.bias))
                }
                _ => return None,
            }
            .ok()?;
        }
        match evaluation.result().first()?.location {
            Location::Address { address } => Some(address),
            _ => None,
        }
    }
}

/// Whether a function without call frame information is about to set up its frame at the bytes given (Intel SDM
/// vol. 2): how many words it has pushed on top of its return address, for as far as the usual prologue goes.
pub fn words_pushed_in_prologue(code: &[u8]) -> Option<u64> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    const PUSH_RBP: &[u8] = &[0x55];
    const MOV_RBP_RSP: [&[u8]; 2] = [&[0x48, 0x89, 0xe5], &[0x48, 0x8b, 0xec]];
    if code.starts_with(ENDBR64) || code.starts_with(PUSH_RBP) {
        return Some(0);
    }
    MOV_RBP_RSP.iter().any(|bytes| code.starts_with(bytes)).then_some(1)
}
