//! The one argument of a handler.

use core::mem::offset_of;

use crate::layout::Off;
use crate::limits::Limits;

/// Number of values in [`Registers`].
pub const REGISTER_COUNT: usize = 21;

/// Registers of the thread at the probe, in DWARF's x86-64 numbering (psABI, figure 3.36): rax rdx rcx rbx rsi
/// rdi rbp rsp r8…r15, 16 is rip; then [`EFLAGS`], [`ORIG_RAX`], [`FS_BASE`], [`GS_BASE`].
pub type Registers = [u64; REGISTER_COUNT];

/// DWARF numbers of the registers that the calling convention and the unwinder name.
#[allow(missing_docs, reason = "the names say it")]
pub mod register {
    pub const RAX: usize = 0;
    pub const RDX: usize = 1;
    pub const RCX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSI: usize = 4;
    pub const RDI: usize = 5;
    pub const RBP: usize = 6;
    pub const RSP: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
    pub const RIP: usize = 16;
}
/// Index of rflags in [`Registers`].
pub const EFLAGS: usize = 17;
/// Index of the system call number.
pub const ORIG_RAX: usize = 18;
/// Index of the fs base (thread pointer).
pub const FS_BASE: usize = 19;
/// Index of the gs base.
pub const GS_BASE: usize = 20;

/// Callers that the message of a fault names; those further out are left out.
pub const MAX_CALLERS: usize = 8;

/// What a handler is given. All addresses are valid in the process that runs the handler. Compiled code reads and
/// writes the fields by `offset_of!`; the runtime fills it before each handler (`rstap_core::handler`).
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Context {
    /// Address of the [`crate::builtins::COUNT`] function addresses.
    pub builtins: u64,
    /// Address of byte 0 of the handler image.
    pub image: u64,
    /// Address of byte 0 of the arena.
    pub arena: u64,
    /// The environment of the backend, opaque to handlers.
    pub env: u64,
    /// Statements left (MAXACTION). Compiled code subtracts; below 0 is [`crate::fault::Fault::MaxAction`].
    pub actions: i64,
    /// Function calls that may still be nested.
    pub nesting: u32,
    /// A [`crate::fault::Fault`] code, 0 for none. A builtin that fails sets it; compiled code tests it after each
    /// fallible builtin.
    pub fault: u32,
    /// Index into the program's sites: the last place that could fault. Compiled code stores it when it faults.
    pub fault_site: u32,
    /// Index of the probe that was hit.
    pub probe: u32,
    /// What the fault is about: an address, a size.
    pub fault_value: u64,
    /// Message buffer of `error()`: address.
    pub message: u64,
    /// Its capacity in bytes.
    pub message_capacity: u32,
    /// Bytes in it.
    pub message_len: u32,
    /// Output of this handler not yet handed to the ring: address.
    pub output: u64,
    /// Its capacity in bytes.
    pub output_capacity: u32,
    /// Bytes in it.
    pub output_len: u32,
    /// Bump memory for array walks: address.
    pub scratch: u64,
    /// Its capacity in bytes.
    pub scratch_capacity: u32,
    /// Bytes in use. `try` saves it and `catch` restores it.
    pub scratch_len: u32,
    /// Values saved at function entry for a return probe (`@entry`, `$param`): address, 0 if there are none.
    pub entry_values: u64,
    /// Index of the speculation that output goes to, 0 for none.
    pub speculation: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Process (thread group) id of the thread at the probe, in rstap's pid namespace.
    pub pid: u32,
    /// Its thread id.
    pub tid: u32,
    /// State of `tokenize`: address of a buffer of MAXSTRINGLEN bytes.
    pub token_buffer: u64,
    /// Bytes in it.
    pub token_len: u32,
    /// Bytes of it already given out.
    pub token_at: u32,
    /// Memory for matching, as [`crate::regex::memory_bytes`] says: address. The slots of the last match stand at its
    /// start, its subject behind [`crate::regex::MEMORY_WORDS`] words.
    pub match_memory: u64,
    /// Its size in bytes.
    pub match_capacity: u32,
    /// Bytes of the subject of the last match.
    pub match_len: u32,
    /// Groups of the last match, the whole one included; 0 if it failed or there was none.
    pub match_groups: u32,
    /// How many of `callers` are filled.
    pub caller_count: u32,
    /// Address of this context's shard, as [`crate::image::ImageHeader`] places them.
    pub shard: u64,
    /// Not 0: other contexts use this one's shard too, so what is added to it is added atomically.
    pub shard_shared: u32,
    /// 0
    pub shard_pad: u32,
    /// Seed of `randint`, never 0.
    pub random: u64,
    /// Address of the output ring's head (`crate::session::RingHead`); 0: output goes through the runtime.
    pub ring: u64,
    /// log2 of the number of its words.
    pub ring_shift: u64,
    /// Registers at the probe; zero where [`flags::HAS_REGISTERS`] is not set.
    pub registers: Registers,
    /// Offset in the arena of the record that this context writes while a lock is held; for recovery when its
    /// owner dies. 0 for none.
    pub held: Off<u8>,
    /// Where the functions that a fault passed through were called, innermost first, as indices into the program's
    /// sites. Compiled code adds to it when a call returns with a fault, and empties it where the fault is caught.
    pub callers: [u32; MAX_CALLERS],
    /// Size of the arena in bytes. Kept here because the arena's own word for it is only an allegation.
    pub arena_size: u64,
    /// The limits of the run, for the same reason.
    pub limits: Limits,
}

impl Context {
    /// Makes it as the next handler has to find it: without fault, output and whatever else the last one left.
    pub fn clean(&mut self) {
        self.fault = 0;
        self.fault_site = crate::record::NO_SITE;
        self.fault_value = 0;
        self.message_len = 0;
        self.output_len = 0;
        self.scratch_len = 0;
        self.match_groups = 0;
        self.caller_count = 0;
        self.speculation = 0;
    }

    /// A context that points nowhere and has default limits.
    pub const EMPTY: Context = Context {
        builtins: 0,
        image: 0,
        arena: 0,
        env: 0,
        actions: 0,
        nesting: 0,
        fault: 0,
        fault_site: crate::record::NO_SITE,
        probe: 0,
        fault_value: 0,
        message: 0,
        message_capacity: 0,
        message_len: 0,
        output: 0,
        output_capacity: 0,
        output_len: 0,
        scratch: 0,
        scratch_capacity: 0,
        scratch_len: 0,
        entry_values: 0,
        speculation: 0,
        flags: 0,
        pid: 0,
        tid: 0,
        token_buffer: 0,
        token_len: 0,
        token_at: 0,
        match_memory: 0,
        match_capacity: 0,
        match_len: 0,
        match_groups: 0,
        caller_count: 0,
        shard: 0,
        shard_shared: 1,
        shard_pad: 0,
        random: 1,
        ring: 0,
        ring_shift: 0,
        registers: [0; REGISTER_COUNT],
        held: Off::NULL,
        callers: [crate::record::NO_SITE; MAX_CALLERS],
        arena_size: 0,
        limits: Limits::DEFAULT,
    };
}

// Without padding: everybody who fills it fills all of it. A change here is a change of `ABI_VERSION`.
const REGISTERS_AT: usize = 216;
const _: () = assert!(offset_of!(Context, registers) == REGISTERS_AT);
const _: () = assert!(
    size_of::<Context>() == REGISTERS_AT + 8 * (REGISTER_COUNT + 2) + 4 * MAX_CALLERS + size_of::<Limits>()
);

/// Bits of [`Context::flags`].
pub mod flags {
    /// `registers` holds the registers of a user thread.
    pub const HAS_REGISTERS: u32 = 1;
    /// The probe is a return probe.
    pub const IS_RETURN: u32 = 1 << 1;
    /// The handler is a begin, end or error handler (MAXACTION_INTERRUPTIBLE).
    pub const INTERRUPTIBLE: u32 = 1 << 2;
    /// `exit()` was called.
    pub const EXIT: u32 = 1 << 3;
    /// The output so far is the payload of a `RecordKind::Formatted`.
    pub const PACKED: u32 = 1 << 4;
}
