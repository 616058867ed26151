//! The handler image: code and constants of one script, position-independent. Byte 0 is an [`ImageHeader`]; all
//! positions are offsets from byte 0.

/// First eight bytes of an image.
pub const MAGIC: u64 = u64::from_le_bytes(*b"rstapimg");

/// What stands at byte 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// [`MAGIC`]
    pub magic: u64,
    /// [`crate::ABI_VERSION`]
    pub abi_version: u32,
    /// Size of the whole image in bytes.
    pub size: u32,
    /// Offset of the [`HandlerEntry`] table.
    pub handlers: u32,
    /// Its length.
    pub handler_count: u32,
    /// Offset of the [`ProbeEntry`] table.
    pub probes: u32,
    /// Its length.
    pub probe_count: u32,
    /// Arena offset of the shards, 0 if the script has no sharded globals. A shard begins with [`SHARD_HEADER`] bytes;
    /// in the first one they are the lock under which elements of sharded arrays are made and its statistics changed.
    /// It is taken last and kept for a moment only.
    pub shards: u64,
    /// Bytes from one shard to the next.
    pub shard_stride: u64,
    /// Number of shards.
    pub shard_count: u32,
    /// 0
    pub pad: u32,
}

const _: () = assert!(size_of::<ImageHeader>() == 56);

/// Bytes of a shard before the parts of the globals.
pub const SHARD_HEADER: u64 = 64;

/// One compiled handler.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerEntry {
    /// Offset of its code: `extern "C" fn(*mut Context)`.
    pub code: u32,
    /// Offset of its lock set: [`LockEntry`]s by rising offset of the global, the one order in which locks are taken.
    pub locks: u32,
    /// Their number.
    pub lock_count: u32,
    /// Stack it needs at most, in bytes, with all calls at MAXNESTING.
    pub stack_bytes: u32,
    /// Offset of the [`ConditionEntry`]s whose outcome it may change.
    pub conditions: u32,
    /// Their number.
    pub condition_count: u32,
    /// Bits of [`needs`].
    pub needs: u32,
    /// Offset of its quick form: `extern "C" fn(*mut Context) -> u64`, which calls nothing, and has done all that the handler
    /// does (0) or nothing of it (1). 0: it has none. Has to be asked for neither locks nor conditions.
    pub quick: u32,
}

const _: () = assert!(size_of::<HandlerEntry>() == 32);

/// A condition of probe points, to be evaluated again after a handler, under its locks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionEntry {
    /// Index of the handler that evaluates it and writes the outcome, 0 or 1.
    pub handler: u32,
    /// Arena offset of the outcome, in words.
    pub outcome: u32,
}

const _: () = assert!(size_of::<ConditionEntry>() == 8);

/// What a handler needs of its context.
pub mod needs {
    /// The registers of the thread at the probe.
    pub const REGISTERS: u32 = 1;
    /// All that is counted and kept in the context: actions, faults, output. A handler without it reads and writes
    /// numbers only, and cannot fail.
    pub const STATE: u32 = 2;
}

/// A global that a handler locks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockEntry {
    /// Its arena offset in 48 bits, plus [`LOCK_WRITE`] and [`LOCK_GATHER`]; for an array the `MapShape::handle`.
    pub global: u64,
    /// With [`LOCK_GATHER`]: where in a shard its part is, plus [`gather`]'s code of what it is.
    pub part: u64,
}

const _: () = assert!(size_of::<LockEntry>() == 16);

impl LockEntry {
    /// Arena offset of the global.
    pub const fn at(&self) -> u64 {
        self.global & ((1 << 48) - 1) & !(LOCK_WRITE | LOCK_GATHER)
    }
}

/// In a lock set: the handler writes the global.
pub const LOCK_WRITE: u64 = 1;
/// In a lock set: the global is sharded, and what its shards hold is gathered in it before the handler runs.
pub const LOCK_GATHER: u64 = 2;

/// What a sharded global is: in the upper 16 bits of [`LockEntry::part`].
#[allow(missing_docs, reason = "the names say it")]
pub mod gather {
    pub const LONG: u64 = 0;
    pub const STAT: u64 = 1 << 48;
    pub const MAP: u64 = 2 << 48;
    pub const MASK: u64 = 0xffff << 48;
}

/// A text in the image.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Offset.
    pub at: u32,
    /// Length in bytes.
    pub len: u32,
}

/// One derived probe, by `Context::probe`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeEntry {
    /// Index of the handler.
    pub handler: u32,
    /// Bits of [`crate::context::flags`] that its context has.
    pub flags: u32,
    /// `pp()`
    pub pp: Text,
    /// `pn()`
    pub pn: Text,
    /// `ppfunc()`
    pub function: Text,
    /// Arena offset of the outcome of its condition, in words; 0: it has none.
    pub condition: u32,
}

const _: () = assert!(size_of::<ProbeEntry>() == 36);
