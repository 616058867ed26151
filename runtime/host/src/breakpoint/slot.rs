//! Slots: the relocated copy of probed instructions and the jump back, and what a thread found inside one has done
//! so far. Each instruction becomes one of these, `next` being the address behind the original:
//!
//! ```text
//! most           copy (rip-relative displacement adjusted)
//! call           push [original next]; jmp target or the operand (rsp-based operands 8 further)
//! syscall        syscall; lea rcx, [next]                 (the processor leaves its own address in rcx)
//! jmp            jmp target
//! jcc            jcc target, or jncc over; jmp target; over:      (a target more than 2 GB away)
//! loop, jrcxz    loop taken; jmp over; taken: jmp target; over:
//! ```
//!
//! Where the last one can fall through, `jmp next` follows. A branch goes to its original target, also where that is
//! one of the copied instructions.

use iced_x86::{Code, Encoder, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::{Immovable, Site};

/// Bytes of a slot for one instruction: one cache line.
pub const SLOT_SIZE: usize = 64;

/// A filled slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it is.
    pub address: u64,
    /// The (first) probed instruction.
    pub site: u64,
    /// Its code.
    pub code: Vec<u8>,
    boundaries: Vec<(u16, Where)>,
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
        let slot = Slot::emit_all(std::slice::from_ref(site), address, &|_, _| Vec::new())?;
        debug_assert!(slot.code.len() <= SLOT_SIZE, "a slot holds any relocated instruction");
        Ok(slot)
    }

    /// The same for instructions that follow each other. Only the last may be a call: the return address of another
    /// one would be among the originals. `before` gives code that is to run before an instruction, for the address
    /// where it will stand.
    pub fn emit_all(
        sites: &[Site],
        address: u64,
        before: &dyn Fn(&Site, u64) -> Vec<u8>,
    ) -> Result<Slot, Immovable> {
        let (Some(first), Some(last)) = (sites.first(), sites.last()) else {
            return Err(Immovable::Peculiar);
        };
        let mut out = Assembler { address, code: Vec::with_capacity(SLOT_SIZE), boundaries: Vec::new() };
        for (index, site) in sites.iter().enumerate() {
            let more = before(site, out.here());
            if !more.is_empty() {
                out.boundary(Where { rip: site.address, rsp_add: 0, done: index > 0, rcx_is_rip: false });
                out.code.extend(more);
            }
            out.instruction(site, index > 0)?;
        }
        if falls_through(&last.instruction) {
            out.boundary(Where { rip: last.next(), rsp_add: 0, done: true, rcx_is_rip: false });
            out.jump(last.next());
        }
        Ok(Slot { address, site: first.address, code: out.code, boundaries: out.boundaries })
    }

    /// What a thread with its instruction pointer at `rip` has done; `None` if that is no boundary of this slot.
    pub fn locate(&self, rip: u64) -> Option<Where> {
        let offset = u16::try_from(rip.checked_sub(self.address)?).ok()?;
        self.boundaries.iter().find(|(at, _)| *at == offset).map(|(_, state)| *state)
    }

    /// Where the copy of the original instruction at `rip` is.
    pub fn copy_of(&self, rip: u64) -> Option<u64> {
        let state = |place: &Where| place.rip == rip && place.rsp_add == 0 && !place.rcx_is_rip;
        let (at, _) = self.boundaries.iter().find(|(_, place)| state(place))?;
        Some(self.address.wrapping_add(u64::from(*at)))
    }
}

/// Whether the instruction behind it can be the next one to run.
pub(crate) fn falls_through(instruction: &Instruction) -> bool {
    let leaves = matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Call
            | FlowControl::IndirectCall
    );
    !leaves || instruction.mnemonic() == Mnemonic::Syscall
}

struct Assembler {
    address: u64,
    code: Vec<u8>,
    boundaries: Vec<(u16, Where)>,
}

impl Assembler {
    fn here(&self) -> u64 {
        self.address.wrapping_add(self.code.len() as u64)
    }

    fn boundary(&mut self, state: Where) {
        self.boundaries.push((self.code.len() as u16, state));
    }

    /// One instruction; `done`: the first one is behind it.
    fn instruction(&mut self, site: &Site, done: bool) -> Result<(), Immovable> {
        let begin = Where { rip: site.address, rsp_add: 0, done, rcx_is_rip: false };
        let end = Where { rip: site.next(), done: true, ..begin };
        self.boundary(begin);
        let instruction = &site.instruction;
        match (instruction.flow_control(), instruction.mnemonic()) {
            (_, Mnemonic::Syscall) => {
                self.code.extend(site.bytes());
                self.boundary(Where { rcx_is_rip: true, ..end });
                self.load_rcx(site.next())?;
            }
            (FlowControl::Call, _) => {
                let target = instruction.near_branch_target();
                let literal = self.push_literal();
                self.boundary(Where { rip: target, ..end });
                self.jump(target);
                self.literal(literal, site.next())?;
            }
            (FlowControl::IndirectCall, _) => {
                let literal = self.push_literal();
                self.boundary(Where { rsp_add: 8, ..begin });
                self.indirect_jump_of_call(site)?;
                self.literal(literal, site.next())?;
            }
            (FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch, _) => {
                self.branch(site, end)?
            }
            _ => self.copy(site)?,
        }
        Ok(())
    }

    fn branch(&mut self, site: &Site, end: Where) -> Result<(), Immovable> {
        let instruction = &site.instruction;
        if instruction.op0_kind() != OpKind::NearBranch64 {
            return Err(Immovable::Peculiar);
        }
        let target = instruction.near_branch_target();
        if instruction.flow_control() == FlowControl::UnconditionalBranch {
            self.jump(target);
        } else if instruction.is_jcc_short_or_near() {
            self.jump_if(instruction.condition_code() as u8 - 1, target, end);
        } else {
            // Exists with an 8-bit displacement only, which is its last byte.
            let bytes = site.bytes();
            self.code.extend(&bytes[..bytes.len() - 1]);
            self.code.push(2);
            self.boundary(end);
            let over = self.short_jump();
            self.boundary(Where { rip: target, ..end });
            self.jump(target);
            self.land(over);
        }
        Ok(())
    }

    /// `jcc target` for the condition with this number (SDM vol. 2, appendix B.1.4.7; iced's order is the same).
    fn jump_if(&mut self, condition: u8, target: u64, end: Where) {
        match displacement(target, self.here().wrapping_add(6)) {
            Ok(near) => {
                self.code.extend([0x0f, 0x80 | condition]);
                self.code.extend(near.to_le_bytes());
            }
            Err(_) => {
                self.code.extend([0x70 | (condition ^ 1), 0]);
                let over = self.code.len();
                self.boundary(Where { rip: target, ..end });
                self.jump(target);
                self.land(over);
            }
        }
    }

    /// `jmp` forward with an 8-bit displacement that [`Assembler::land`] fills in; the place behind it.
    fn short_jump(&mut self) -> usize {
        self.code.extend([0xeb, 0]);
        self.code.len()
    }

    /// Makes the short jump that ends at `from` go here.
    fn land(&mut self, from: usize) {
        self.code[from - 1] = (self.code.len() - from) as u8;
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

    /// `push qword [rip + …]`; [`Assembler::literal`] supplies the quadword to the place returned.
    fn push_literal(&mut self) -> usize {
        self.code.extend([0xff, 0x35, 0, 0, 0, 0]);
        self.code.len()
    }

    /// The quadword pushed by the push that ends at `from`.
    fn literal(&mut self, from: usize, value: u64) -> Result<(), Immovable> {
        let distance = i32::try_from(self.code.len() - from).map_err(|_| Immovable::TooFar)?;
        self.code[from - 4..from].copy_from_slice(&distance.to_le_bytes());
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
