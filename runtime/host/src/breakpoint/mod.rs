//! Breakpoint assistance: how a thread goes on past an instruction whose first byte was replaced by `int3`. Pure
//! functions over bytes and registers, usable without the rest of this crate: nothing here touches a process.
//!
//! The ways, best first, chosen once per site:
//!
//! 1. [`Plan::Slot`]: a relocated copy runs out of line and jumps back: one stop per hit, any number of threads.
//!    A slot belongs to a site, not to a thread: threads do not write to it, so they can share it, and it is filled
//!    once instead of at each hit. Filling one means writing text through /proc/PID/mem, which took 1.2 µs where a whole
//!    hit took 9 and reading the registers 1.1. It is also the only way that needs no tracer: see
//!    `backend/ptrace/rescue`.
//! 2. [`Emulation`]: the tracer does what the instruction does (jumps, `endbr64`, nops). It costs what a slot costs
//!    (one register to set), so it is for where there is no memory for slots.
//! 3. [`Plan::Step`]: what cannot run elsewhere. All threads stop, the byte is restored, one instruction is
//!    stepped, the breakpoint is planted again. Slow, and still correct.
//!
//! (Stepping a copy out of line is never better here than 1 and can do nothing that 1 cannot.)

mod emulate;
mod slot;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

pub use emulate::{Emulation, Machine};
pub(crate) use slot::falls_through;
pub use slot::{SLOT_SIZE, Slot, Where};

/// The byte that replaces the first one of a probed instruction.
pub const INT3: u8 = 0xcc;
/// Longest instruction.
pub const MAX_INSTRUCTION: usize = 15;

/// Why there is no breakpoint here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not an instruction of x86-64.
    #[error("the bytes at {address:#x} are not an instruction")]
    NotAnInstruction {
        /// Where.
        address: u64,
    },
    /// Fewer bytes are readable than the instruction has.
    #[error("the instruction at {address:#x} cannot be read to its end")]
    Cut {
        /// Where.
        address: u64,
    },
    /// The text is the file itself, for every process that has it.
    #[error("the code at {address:#x} is mapped shared: a breakpoint would be written to the file")]
    SharedText {
        /// Where.
        address: u64,
    },
    /// `int1`: the program's own trap cannot be told from that of a step, and a copy of it traps elsewhere.
    #[error("the instruction at {address:#x} is int1, whose trap cannot be told from a debugger's")]
    OwnStep {
        /// Where.
        address: u64,
    },
}

/// Why an instruction cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Immovable {
    /// Its operand or target is more than 2 GB from the slot.
    #[error("what it refers to is too far from any slot")]
    TooFar,
    /// It depends on its own address in a way that no copy can repeat.
    #[error("a copy of it would behave differently")]
    Peculiar,
}

/// How threads go on past a probed instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Not at all: it is the program's own `int3`, and gets its SIGTRAP.
    OwnTrap(Site),
    /// In a slot, whose code [`Slot::emit`] makes.
    Slot(Site),
    /// Restored and stepped.
    Step(Site, Immovable),
}

/// A probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its address.
    pub address: u64,
    bytes: [u8; MAX_INSTRUCTION],
    instruction: Instruction,
    /// Where in `bytes` the four bytes are that are relative to rip: a displacement, else an immediate.
    displacement_at: u8,
    immediate_at: u8,
}

impl Site {
    /// Decodes the instruction at an address; `bytes` are the target's own, without breakpoints.
    pub fn new(address: u64, bytes: &[u8]) -> Result<Site, Refusal> {
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            let cut = decoder.last_error() == iced_x86::DecoderError::NoMoreBytes;
            return Err(if cut { Refusal::Cut { address } } else { Refusal::NotAnInstruction { address } });
        }
        let mut own = [0; MAX_INSTRUCTION];
        own[..instruction.len()].copy_from_slice(&bytes[..instruction.len()]);
        let offsets = decoder.get_constant_offsets(&instruction);
        let (displacement_at, immediate_at) =
            (offsets.displacement_offset() as u8, offsets.immediate_offset() as u8);
        Ok(Site { address, bytes: own, instruction, displacement_at, immediate_at })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// It, decoded.
    pub fn instruction(&self) -> &Instruction {
        &self.instruction
    }

    /// Whether it is `pushf`, which stores the flags, a step's trap flag included.
    pub fn stores_flags(&self) -> bool {
        matches!(self.instruction.mnemonic(), Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq)
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an instruction is never empty")]
    pub fn len(&self) -> usize {
        self.instruction.len()
    }

    /// The address behind it.
    pub fn next(&self) -> u64 {
        self.address.wrapping_add(self.len() as u64)
    }
}

impl Plan {
    /// The best way for the instruction at an address. [`Plan::Slot`] may still turn out to be impossible when the
    /// slot's place is known: then what [`Emulation::of`] cannot do must be stepped.
    pub fn new(address: u64, bytes: &[u8]) -> Result<Plan, Refusal> {
        let site = Site::new(address, bytes)?;
        match site.instruction.mnemonic() {
            Mnemonic::Int3 => return Ok(Plan::OwnTrap(site)),
            Mnemonic::Int1 => return Err(Refusal::OwnStep { address }),
            _ => {}
        }
        Ok(match immovable(&site.instruction) {
            Some(why) => Plan::Step(site, why),
            None => Plan::Slot(site),
        })
    }
}

fn immovable(instruction: &Instruction) -> Option<Immovable> {
    let peculiar = match instruction.flow_control() {
        _ if instruction.mnemonic() == Mnemonic::Syscall => false,
        // A call pushes its own address's successor; the slot does that with a push of the original one.
        FlowControl::Call => instruction.code() != Code::Call_rel32_64,
        FlowControl::IndirectCall => {
            instruction.code() != Code::Call_rm64
                || instruction.op0_register() == iced_x86::Register::RSP
                || instruction.has_segment_prefix() && instruction.is_ip_rel_memory_operand()
        }
        FlowControl::XbeginXabortXend => instruction.code() == Code::Xbegin_rel16,
        // Far ones, and those cut to 16 bits.
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            instruction.op0_kind() != iced_x86::OpKind::NearBranch64
        }
        _ => matches!(instruction.mnemonic(), Mnemonic::Sysenter | Mnemonic::Sysexit),
    };
    let short = instruction.memory_base() == iced_x86::Register::EIP;
    (peculiar || short).then_some(Immovable::Peculiar)
}
