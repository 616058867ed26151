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
}

const _: () = assert!(size_of::<ImageHeader>() == 32);

/// One compiled handler.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerEntry {
    /// Offset of its code: `extern "C" fn(*mut Context)`.
    pub code: u32,
    /// Offset of its lock set: `u64` each, the global's arena offset, plus [`LOCK_WRITE`]; rising by offset, which
    /// is the one order in which locks are taken.
    pub locks: u32,
    /// Their number.
    pub lock_count: u32,
    /// Stack it needs at most, in bytes, with all calls at MAXNESTING.
    pub stack_bytes: u32,
    /// Offset of the [`ConditionEntry`]s whose outcome it may change.
    pub conditions: u32,
    /// Their number.
    pub condition_count: u32,
}

const _: () = assert!(size_of::<HandlerEntry>() == 24);

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

/// In a lock set: the handler writes the global.
pub const LOCK_WRITE: u64 = 1;

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
