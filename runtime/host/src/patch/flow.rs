//! Where the branches of one function go, found by decoding it from its first byte to its last.
//!
//! Compilers lay functions out without data between instructions (tables are in .rodata), so a linear sweep from the
//! start meets every boundary; a function that does not decode to its end is refused as a whole.
//!
//! Computed jumps go through tables: 4-byte distances from the table (position-independent code) or 8-byte addresses.
//! The tables are those that the function takes the address of, by `lea` or as the displacement of the jump; each is
//! read as long as its entries lie inside the function. A computed jump through a register or an index without any
//! such table is reported as unknown. One through a plain pointer in memory is a tail call by C++, Rust and C
//! compilers alike, and leaves the function.
//!
//! The ways out of the function are noted on the way: [`Exits`].

use std::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::breakpoint::{Refusal, falls_through};

/// What is known of the target's memory outside the function.
pub trait Memory {
    /// Copies from it; `false` when not all of it can be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
    /// Whether instructions can be there.
    fn is_code(&self, address: u64) -> bool;
}

/// Most entries read of one table.
const MAX_ENTRIES: u64 = 4096;

/// A branch inside the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Branch {
    /// Where to.
    pub to: u64,
    /// The branch, or the instruction that names the table it goes through.
    pub from: u64,
}

/// How a function is left, calls aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// Its return instructions.
    pub returns: Vec<u64>,
    /// Branches to other code: calls at its end, or the way to a part of it that the compiler put elsewhere.
    pub branches: Vec<Branch>,
    /// What its tables of distances name outside of it. Tables are read beyond their end, so not all of it is meant.
    pub distances: Vec<Branch>,
    /// The same of tables of addresses, through which functions may be called at the end as well.
    pub addresses: Vec<Branch>,
    /// A jump through a pointer, or another way out that leads nobody knows where.
    pub elsewhere: Option<u64>,
}

/// The function's boundaries and branches.
#[derive(Clone, Debug)]
pub struct Flow {
    range: Range<u64>,
    bytes: Vec<u8>,
    padding: Vec<u8>,
    boundaries: Vec<u64>,
    branches: Vec<Branch>,
    unknown: Option<u64>,
    exits: Exits,
}

impl Flow {
    /// Of the function at `start` with these bytes, without breakpoints or jumps of ours.
    pub fn new(start: u64, bytes: Vec<u8>, memory: &dyn Memory) -> Result<Flow, Refusal> {
        let mut flow = Flow {
            range: start..start.wrapping_add(bytes.len() as u64),
            bytes: Vec::new(),
            padding: Vec::new(),
            boundaries: Vec::new(),
            branches: Vec::new(),
            unknown: None,
            exits: Exits::default(),
        };
        let mut found = Found::default();
        let mut last = None;
        for instruction in Decoder::with_ip(64, &bytes, start, DecoderOptions::NONE).iter() {
            if instruction.is_invalid() {
                return Err(Refusal::NotAnInstruction { address: instruction.ip() });
            }
            flow.boundaries.push(instruction.ip());
            flow.follow(&instruction, &mut found);
            if instruction.mnemonic() != Mnemonic::Nop {
                last = Some(instruction);
            }
        }
        if let Some(last) = last.filter(runs_on) {
            flow.exits.elsewhere.get_or_insert(last.ip());
        }
        for table in &found.tables {
            flow.read_table(*table, memory);
        }
        if found.computed.is_none() {
            flow.exits.addresses.clear();
        }
        if flow.branches.iter().all(|branch| !found.tables.iter().any(|table| table.from == branch.from)) {
            flow.unknown = found.computed;
        }
        flow.branches.sort_unstable();
        flow.bytes = bytes;
        Ok(flow)
    }

    /// The same with what is known to be padding behind it, up to the next function.
    #[must_use]
    pub fn with_padding(self, padding: Vec<u8>) -> Flow {
        Flow { padding, ..self }
    }

    /// How it is left.
    pub fn exits(&self) -> &Exits {
        &self.exits
    }

    /// The boundary before this one.
    pub fn boundary_before(&self, address: u64) -> Option<u64> {
        let index = self.boundaries.partition_point(|at| *at < address);
        self.boundaries.get(index.checked_sub(1)?).copied()
    }

    /// Up to `len` bytes from an address on that are never run when what is before them does not lead there: padding
    /// up to the next thing that is something else, or that a branch goes to.
    pub fn dead_bytes(&self, address: u64, len: usize) -> &[u8] {
        let bytes = if address >= self.end() { &self.padding } else { self.bytes_from(address) };
        let mut dead = 0;
        for instruction in Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).iter() {
            let at = instruction.ip();
            let is_padding = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
            if dead >= len || !is_padding || self.branch_into(at..at + 1).is_some() {
                break;
            }
            dead += instruction.len();
        }
        bytes.get(..dead.min(len)).unwrap_or_default()
    }

    /// The address behind it.
    pub fn end(&self) -> u64 {
        self.range.end
    }

    /// Whether an instruction begins here.
    pub fn is_boundary(&self, address: u64) -> bool {
        self.boundaries.binary_search(&address).is_ok()
    }

    /// Its bytes from an address on; none outside.
    pub fn bytes_from(&self, address: u64) -> &[u8] {
        let offset = usize::try_from(address.wrapping_sub(self.range.start)).unwrap_or(usize::MAX);
        self.bytes.get(offset..).unwrap_or_default()
    }

    /// A branch to one of these addresses.
    pub fn branch_into(&self, addresses: Range<u64>) -> Option<Branch> {
        let first = self.branches.partition_point(|branch| branch.to < addresses.start);
        self.branches.get(first).copied().filter(|branch| addresses.contains(&branch.to))
    }

    /// A computed jump of which nobody knows where it goes.
    pub fn unknown(&self) -> Option<u64> {
        self.unknown
    }

    fn contains(&self, address: u64) -> bool {
        self.range.contains(&address)
    }

    fn follow(&mut self, instruction: &Instruction, found: &mut Found) {
        let from = instruction.ip();
        if instruction.op0_kind() == OpKind::NearBranch64 {
            let to = instruction.near_branch_target();
            if self.contains(to) {
                self.branches.push(Branch { to, from });
            } else if instruction.flow_control() != FlowControl::Call {
                self.exits.branches.push(Branch { to, from });
            }
        }
        match instruction.code() {
            Code::Retnq | Code::Retnq_imm16 => self.exits.returns.push(from),
            _ if instruction.flow_control() == FlowControl::Return => {
                self.exits.elsewhere.get_or_insert(from);
            }
            _ => {}
        }
        let is_jump = instruction.flow_control() == FlowControl::IndirectBranch;
        if let Some(at) = table_address(instruction, is_jump).filter(|at| !self.contains(*at)) {
            found.tables.push(Table { at, from });
        }
        // An address inside the function may be stored and jumped to.
        if let Some(to) =
            address_taken(instruction).filter(|to| *to != self.range.start && self.contains(*to))
        {
            self.branches.push(Branch { to, from });
        }
        if is_jump && found.is_computed(instruction) {
            found.computed.get_or_insert(from);
        } else if is_jump {
            self.exits.elsewhere.get_or_insert(from);
        }
        found.wrote(instruction);
    }

    fn read_table(&mut self, table: Table, memory: &dyn Memory) {
        let is_code = |address: &u64| memory.is_code(*address);
        let mut entries = Entries::new(table.at, memory);
        let distances = (0..MAX_ENTRIES).map_while(|entry| {
            let distance = i32::from_le_bytes(entries.read(entry)?);
            Some(table.at.wrapping_add(i64::from(distance) as u64))
        });
        // Entries elsewhere go to the function's cold part.
        let branch = |to: u64| Branch { to, from: table.from };
        let own = self.range.clone();
        let is_own = |branch: &Branch| own.contains(&branch.to);
        let (near, far): (Vec<_>, Vec<_>) = distances.take_while(is_code).map(branch).partition(is_own);
        let addresses = (0..MAX_ENTRIES).map_while(|entry| entries.read(entry).map(u64::from_le_bytes));
        let (here, there): (Vec<_>, Vec<_>) = addresses.take_while(is_code).map(branch).partition(is_own);
        self.branches.extend(near.into_iter().chain(here));
        self.exits.distances.extend(far);
        self.exits.addresses.extend(there);
    }
}

/// A table, read some entries at a time: each read of another process is a system call.
struct Entries<'a> {
    table: u64,
    memory: &'a dyn Memory,
    known: Range<u64>,
    bytes: [u8; BLOCK],
}

/// Bytes read at a time, at multiples of this, so that no block is partly in a page that is not there.
const BLOCK: usize = 128;

impl<'a> Entries<'a> {
    fn new(table: u64, memory: &'a dyn Memory) -> Entries<'a> {
        Entries { table, memory, known: 0..0, bytes: [0; BLOCK] }
    }

    fn read<const LEN: usize>(&mut self, index: u64) -> Option<[u8; LEN]> {
        let at = self.table.wrapping_add(index.wrapping_mul(LEN as u64));
        let start = at & !(BLOCK as u64 - 1);
        let end = start.wrapping_add(BLOCK as u64);
        if !self.known.contains(&at) && self.memory.read(start, &mut self.bytes) {
            self.known = start..end;
        }
        let known = (at - start) as usize..(at - start) as usize + LEN;
        if self.known.contains(&at) && known.end <= BLOCK {
            return self.bytes[known].try_into().ok();
        }
        let mut entry = [0; LEN];
        self.memory.read(at, &mut entry).then_some(entry)
    }
}

/// What the sweep has met.
#[derive(Default)]
struct Found {
    tables: Vec<Table>,
    /// The first jump to a computed address.
    computed: Option<u64>,
    /// Registers whose last value, in the order of the code, is the result of a computation: bit n for number n.
    results: u16,
}

impl Found {
    fn is_computed(&self, jump: &Instruction) -> bool {
        match jump.op0_kind() {
            OpKind::Register => self.results & bit(jump.op0_register()) != 0,
            _ => jump.memory_index() != Register::None,
        }
    }

    fn wrote(&mut self, instruction: &Instruction) {
        use iced_x86::Mnemonic::{Cmp, Mov, Pop, Push, Test};
        if instruction.op_count() == 0 || instruction.op0_kind() != OpKind::Register {
            return;
        }
        let to = bit(instruction.op0_register());
        let is_result = match (instruction.mnemonic(), instruction.op_count()) {
            (Cmp | Test | Push, _) => return,
            (Pop, _) => false,
            (Mov, 2) if instruction.op1_kind() == OpKind::Memory => {
                instruction.memory_index() != Register::None
            }
            (Mov, 2) if instruction.op1_kind() == OpKind::Register => {
                self.results & bit(instruction.op1_register()) != 0
            }
            _ => true,
        };
        self.results = if is_result { self.results | to } else { self.results & !to };
    }
}

/// The bit of a general register, of whatever part of it; none for others.
fn bit(register: Register) -> u16 {
    let whole = register.full_register();
    if whole.is_gpr64() { 1 << whole.number() } else { 0 }
}

/// Whether the code behind a function's last instruction is the next to run.
fn runs_on(last: &Instruction) -> bool {
    // A call at the end is of something that does not return.
    let traps = last.flow_control() == FlowControl::Exception || last.mnemonic() == Mnemonic::Int3;
    !traps && last.mnemonic() != Mnemonic::Hlt && falls_through(last)
}

#[derive(Clone, Copy)]
struct Table {
    at: u64,
    from: u64,
}

/// Where there may be a table: an address computed relative to rip, or the displacement of an indexed jump or load.
fn table_address(instruction: &Instruction, is_jump: bool) -> Option<u64> {
    let taken = address_taken(instruction);
    let indexed = instruction.memory_index() != Register::None && instruction.memory_base() == Register::None;
    let displacement = || instruction.memory_displacement64();
    taken.or_else(|| (indexed && (is_jump || instruction.memory_index_scale() >= 4)).then(displacement))
}

/// The address that `lea` relative to rip or `mov` with an immediate of address size yields.
fn address_taken(instruction: &Instruction) -> Option<u64> {
    use iced_x86::Mnemonic::{Lea, Mov};
    match instruction.mnemonic() {
        Lea if instruction.is_ip_rel_memory_operand() => Some(instruction.ip_rel_memory_address()),
        Mov if instruction.op_count() == 2 && instruction.op0_kind() == OpKind::Register => {
            match instruction.op1_kind() {
                OpKind::Immediate32 => Some(u64::from(instruction.immediate32())),
                OpKind::Immediate64 => Some(instruction.immediate64()),
                OpKind::Immediate32to64 => Some(instruction.immediate32to64() as u64),
                _ => None,
            }
        }
        _ => None,
    }
}
