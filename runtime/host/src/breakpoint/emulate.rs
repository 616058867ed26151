//! Instructions the tracer does itself: they change the instruction pointer and at most `rcx`.
//! Source: Intel SDM vol. 2, `Jcc`, `LOOP`, `JMP`, `ENDBR64`.

use iced_x86::{Code, ConditionCode, FlowControl, Mnemonic};

use super::Site;

/// The registers that emulation reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Instruction pointer.
    pub rip: u64,
    /// Count register.
    pub rcx: u64,
    /// Flags.
    pub flags: u64,
}

/// What to do instead of running the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulation {
    /// Go on at an address: nop, endbr64, jmp.
    Goto(u64),
    /// `jCC`
    Branch {
        /// When to jump.
        condition: ConditionCode,
        /// Where to.
        target: u64,
        /// Where else.
        next: u64,
    },
    /// `jrcxz`, `jecxz`
    IfZero {
        /// `ecx` only.
        narrow: bool,
        /// Where to.
        target: u64,
        /// Where else.
        next: u64,
    },
    /// `loop`, `loope`, `loopne`
    Loop {
        /// `ecx` only.
        narrow: bool,
        /// The zero flag that the jump needs, if it needs one.
        zero: Option<bool>,
        /// Where to.
        target: u64,
        /// Where else.
        next: u64,
    },
}

const CARRY: u64 = 1;
const PARITY: u64 = 1 << 2;
const ZERO: u64 = 1 << 6;
const SIGN: u64 = 1 << 7;
const OVERFLOW: u64 = 1 << 11;

impl Emulation {
    /// How to emulate this instruction, if that is possible and cheap.
    pub fn of(site: &Site) -> Option<Emulation> {
        let i = &site.instruction;
        let (target, next) = (i.near_branch_target(), site.next());
        Some(match i.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Endbr32 => Emulation::Goto(next),
            Mnemonic::Jmp if i.is_jmp_short_or_near() && !is_16_bit(i.code()) => Emulation::Goto(target),
            Mnemonic::Jrcxz => Emulation::IfZero { narrow: false, target, next },
            Mnemonic::Jecxz => Emulation::IfZero { narrow: true, target, next },
            Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne => Emulation::Loop {
                narrow: matches!(
                    i.code(),
                    Code::Loop_rel8_64_ECX | Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX
                ),
                zero: match i.mnemonic() {
                    Mnemonic::Loope => Some(true),
                    Mnemonic::Loopne => Some(false),
                    _ => None,
                },
                target,
                next,
            },
            _ if i.flow_control() == FlowControl::ConditionalBranch && i.is_jcc_short_or_near() => {
                Emulation::Branch { condition: i.condition_code(), target, next }
            }
            _ => return None,
        })
    }

    /// Does it.
    pub fn apply(&self, machine: &mut Machine) {
        let (jump, target, next) = match *self {
            Emulation::Goto(target) => (true, target, target),
            Emulation::Branch { condition, target, next } => (holds(condition, machine.flags), target, next),
            Emulation::IfZero { narrow, target, next } => (count(machine, narrow) == 0, target, next),
            Emulation::Loop { narrow, zero, target, next } => {
                machine.rcx = machine.rcx.wrapping_sub(1);
                if narrow {
                    machine.rcx &= 0xffff_ffff;
                }
                let flag = zero.is_none_or(|wanted| (machine.flags & ZERO != 0) == wanted);
                (machine.rcx != 0 && flag, target, next)
            }
        };
        machine.rip = if jump { target } else { next };
    }
}

fn is_16_bit(code: Code) -> bool {
    matches!(code, Code::Jmp_rel8_16 | Code::Jmp_rel16)
}

fn count(machine: &Machine, narrow: bool) -> u64 {
    if narrow { machine.rcx & 0xffff_ffff } else { machine.rcx }
}

fn holds(condition: ConditionCode, flags: u64) -> bool {
    let set = |mask| flags & mask != 0;
    match condition {
        ConditionCode::None => true,
        ConditionCode::o => set(OVERFLOW),
        ConditionCode::no => !set(OVERFLOW),
        ConditionCode::b => set(CARRY),
        ConditionCode::ae => !set(CARRY),
        ConditionCode::e => set(ZERO),
        ConditionCode::ne => !set(ZERO),
        ConditionCode::be => set(CARRY | ZERO),
        ConditionCode::a => !set(CARRY | ZERO),
        ConditionCode::s => set(SIGN),
        ConditionCode::ns => !set(SIGN),
        ConditionCode::p => set(PARITY),
        ConditionCode::np => !set(PARITY),
        ConditionCode::l => set(SIGN) != set(OVERFLOW),
        ConditionCode::ge => set(SIGN) == set(OVERFLOW),
        ConditionCode::le => set(ZERO) || set(SIGN) != set(OVERFLOW),
        ConditionCode::g => !set(ZERO) && set(SIGN) == set(OVERFLOW),
    }
}
