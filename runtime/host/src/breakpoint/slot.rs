//! Slots: the relocated copy of a probed instruction and the jump back, and what a thread found inside one has done
//! so far. Each slot is one of these, `next` being the address behind the original:
//!
//! ```text
//! most           copy (rip-relative displacement adjusted); jmp next
//! call           push [original next]; jmp target or the operand (rsp-based operands 8 further)
//! syscall        syscall; lea rcx, [next]; jmp next       (the processor leaves its own address in rcx)
//! ```

use iced_x86::{Code, Encoder, FlowControl, Mnemonic, Register};

use super::{Immovable, Site};

/// Bytes of a slot: one cache line.
pub const SLOT_SIZE: usize = 64;

/// A filled slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it is.
    pub address: u64,
    /// The probed instruction.
    pub site: u64,
    /// Its code.
    pub code: Vec<u8>,
    boundaries: Vec<(u8, Where)>,
}

/// How far a thread inside a slot has got, in terms of the original code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where {
    /// The instruction pointer the thread would have had without the slot.
    pub rip: u64,
    /// What to add to the stack pointer.
    pub rsp_add: u64,
    /// Whether the probed instruction is behind it. If not, the thread will meet the breakpoint again, for the same
    /// hit.
    pub done: bool,
    /// `rcx` holds the slot's address where it should hold `rip`.
    pub rcx_is_rip: bool,
}

impl Slot {
    /// The code of a slot at an address.
    pub fn emit(site: &Site, address: u64) -> Result<Slot, Immovable> {
        let mut out = Assembler { address, code: Vec::with_capacity(SLOT_SIZE), boundaries: Vec::new() };
        let begin = Where { rip: site.address, rsp_add: 0, done: false, rcx_is_rip: false };
        let end = Where { rip: site.next(), done: true, ..begin };
        out.boundary(begin);
        match (site.instruction.flow_control(), site.instruction.mnemonic()) {
            (_, Mnemonic::Syscall) => {
                out.code.extend(site.bytes());
                out.boundary(Where { rcx_is_rip: true, ..end });
                out.load_rcx(site.next())?;
                out.boundary(end);
                out.jump(site.next());
            }
            (FlowControl::Call, _) => {
                let target = site.instruction.near_branch_target();
                out.push_literal();
                out.boundary(Where { rip: target, ..end });
                out.jump(target);
                out.literal(site.next())?;
            }
            (FlowControl::IndirectCall, _) => {
                out.push_literal();
                out.boundary(Where { rsp_add: 8, ..begin });
                out.indirect_jump_of_call(site)?;
                out.literal(site.next())?;
            }
            _ => {
                out.copy(site)?;
                out.boundary(end);
                out.jump(site.next());
            }
        }
        debug_assert!(out.code.len() <= SLOT_SIZE, "a slot holds any relocated instruction");
        Ok(Slot { address, site: site.address, code: out.code, boundaries: out.boundaries })
    }

    /// What a thread with its instruction pointer at `rip` has done; `None` if that is no boundary of this slot.
    pub fn locate(&self, rip: u64) -> Option<Where> {
        let offset = u8::try_from(rip.checked_sub(self.address)?).ok()?;
        self.boundaries.iter().find(|(at, _)| *at == offset).map(|(_, state)| *state)
    }
}

/// Where the literal pushed by a call is referred to: the four bytes at the front of the code, after `ff 35`.
const PUSH_DISPLACEMENT: usize = 2;

struct Assembler {
    address: u64,
    code: Vec<u8>,
    boundaries: Vec<(u8, Where)>,
}

impl Assembler {
    fn here(&self) -> u64 {
        self.address.wrapping_add(self.code.len() as u64)
    }

    fn boundary(&mut self, state: Where) {
        self.boundaries.push((self.code.len() as u8, state));
    }

    /// The original bytes, with a displacement or branch relative to rip adjusted in place: the encoding stays as
    /// the compiler chose it.
    fn copy(&mut self, site: &Site) -> Result<(), Immovable> {
        let instruction = &site.instruction;
        let mut bytes = site.bytes().to_vec();
        let relative = if instruction.is_ip_rel_memory_operand() {
            Some((site.displacement_at, instruction.ip_rel_memory_address()))
        } else if instruction.code() == Code::Xbegin_rel32 {
            Some((site.immediate_at, instruction.near_branch_target()))
        } else {
            None
        };
        if let Some((at, target)) = relative {
            let at = usize::from(at);
            let moved = displacement(target, self.here().wrapping_add(bytes.len() as u64))?;
            bytes.get_mut(at..at + 4).ok_or(Immovable::Peculiar)?.copy_from_slice(&moved.to_le_bytes());
        }
        self.code.extend(bytes);
        Ok(())
    }

    /// `push qword [rip + …]`; [`Assembler::literal`] supplies the quadword.
    fn push_literal(&mut self) {
        self.code.extend([0xff, 0x35, 0, 0, 0, 0]);
    }

    /// The quadword that the push at the slot's front pushes.
    fn literal(&mut self, value: u64) -> Result<(), Immovable> {
        let end_of_push = PUSH_DISPLACEMENT + 4;
        let distance = i32::try_from(self.code.len() - end_of_push).map_err(|_| Immovable::TooFar)?;
        self.code[PUSH_DISPLACEMENT..end_of_push].copy_from_slice(&distance.to_le_bytes());
        self.code.extend(value.to_le_bytes());
        Ok(())
    }

    /// `jmp target`, through a literal behind it where the target is far.
    fn jump(&mut self, target: u64) {
        match displacement(target, self.here().wrapping_add(5)) {
            Ok(near) => {
                self.code.push(0xe9);
                self.code.extend(near.to_le_bytes());
            }
            Err(_) => {
                self.code.extend([0xff, 0x25, 0, 0, 0, 0]);
                self.code.extend(target.to_le_bytes());
            }
        }
    }

    /// `lea rcx, [rip + …]`
    fn load_rcx(&mut self, value: u64) -> Result<(), Immovable> {
        let near = displacement(value, self.here().wrapping_add(7))?;
        self.code.extend([0x48, 0x8d, 0x0d]);
        self.code.extend(near.to_le_bytes());
        Ok(())
    }

    /// `jmp` with the operand of a `call`, as it is after the push.
    fn indirect_jump_of_call(&mut self, site: &Site) -> Result<(), Immovable> {
        let mut jump = site.instruction;
        jump.set_code(Code::Jmp_rm64);
        if jump.memory_base() == Register::RSP {
            jump.set_memory_displacement64(jump.memory_displacement64().wrapping_add(8));
            // As a 32-bit displacement: 8 more may not fit the 8-bit one.
            jump.set_memory_displ_size(8);
        }
        let mut encoder = Encoder::new(64);
        encoder.encode(&jump, self.here()).map_err(|_| Immovable::TooFar)?;
        self.code.extend(encoder.take_buffer());
        Ok(())
    }
}

/// Distance from the address behind an instruction, if 32 bits hold it.
fn displacement(target: u64, behind: u64) -> Result<i32, Immovable> {
    i32::try_from(target.wrapping_sub(behind) as i64).map_err(|_| Immovable::TooFar)
}
