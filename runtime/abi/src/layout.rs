//! What lies in the arena and how large it is. All positions are [`Off`]sets from the arena's start and all numbers
//! little-endian integers of fixed size: the arena is mapped at different addresses in several processes.

use core::marker::PhantomData;

use crate::limits::Limits;

/// Position of a `T` in the arena; 0 is null.
#[repr(transparent)]
#[derive(Debug)]
pub struct Off<T> {
    /// Bytes from the arena's start.
    pub bytes: u64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Off<T> {
    /// No position.
    pub const NULL: Off<T> = Off::new(0);

    /// The position `bytes` from the arena's start.
    pub const fn new(bytes: u64) -> Off<T> {
        Off { bytes, kind: PhantomData }
    }
}

impl<T> Clone for Off<T> {
    fn clone(&self) -> Off<T> {
        *self
    }
}

impl<T> Copy for Off<T> {}

impl<T> PartialEq for Off<T> {
    fn eq(&self, other: &Off<T>) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Off<T> {}

/// The histogram a statistic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Histogram {
    /// None: the script never asks for one.
    #[default]
    None,
    /// Powers of two.
    Log,
    /// Buckets of `interval` from `start` to `stop`.
    Linear {
        /// Lower bound of the first bucket.
        start: i64,
        /// Lower bound of the last bucket.
        stop: i64,
        /// Width; positive.
        interval: i64,
    },
}

/// What a statistic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct StatShape {
    /// Its histogram.
    pub histogram: Histogram,
    /// Bit shift of `@variance(s, shift)`.
    pub variance_shift: u8,
    /// Whether the script asks for `@variance`.
    pub variance: bool,
}

/// What an array's element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueShape {
    /// 64-bit signed.
    Long,
    /// Up to MAXSTRINGLEN - 1 bytes.
    String,
    /// A statistic.
    Stat(StatShape),
}

/// The shape of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapShape {
    /// Number of key parts, 1 to [`crate::limits::MAX_KEYS`].
    pub key_count: u8,
    /// Bit `i` set: part `i` is a string.
    pub string_keys: u16,
    /// What an element holds.
    pub value: ValueShape,
    /// Elements it can hold.
    pub capacity: u32,
    /// Whether the capacity was declared (`a[100]`): the overflow message names it then.
    pub sized: bool,
    /// `%`: a full array drops its oldest entry.
    pub wrap: bool,
}

/// The shape of one global: how it is laid out behind its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GlobalShape {
    /// 64-bit signed, at [`VALUE`] from the global's start; compiled code accesses it directly.
    Long,
    /// A string: `u32` length, `u32` zero, bytes, at [`VALUE`].
    String,
    /// A statistic, at [`VALUE`].
    Stat(StatShape),
    /// An array.
    Map(MapShape),
}

/// A global's lock, at its first byte. `rstap_core::lock` gives the words their meaning.
#[repr(C)]
#[derive(Debug)]
pub struct LockWords {
    /// Reader count, writer bit.
    pub state: u64,
    /// Thread id of the writer; 0 when there is none.
    pub owner: u64,
}

/// Offset of a global's value (or of its map header) from its first byte: the lock has a cache line's first half.
pub const VALUE: u64 = 32;

/// Alignment of globals: one cache line, so that neighbours do not slow each other down.
pub const GLOBAL_ALIGN: u64 = 64;

/// Bytes a string of MAXSTRINGLEN takes in the arena: `u32` length, `u32` zero, bytes, rounded up to 8.
pub const fn string_size(limits: &Limits) -> u64 {
    8 + limits.max_string_len.next_multiple_of(8)
}

/// One part of a key as compiled code hands it over: a long in `a`, or a string at address `a` with length `b`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyPart {
    /// Value or address.
    pub a: u64,
    /// Length of the string.
    pub b: u64,
}

/// Bytes compiled code reserves for one array walk; `rstap_core::map` gives them their meaning.
pub const ITERATOR_SIZE: u32 = 64;

/// Order of an array walk, as the argument `order` of `iter_begin`.
pub mod order {
    /// Order of insertion.
    pub const NONE: u64 = 0;
    /// By key part `i`: `KEY + i`.
    pub const KEY: u64 = 1;
    /// By a long or string value.
    pub const VALUE: u64 = 32;
    /// By an extractor of a statistic: `STAT + op` with `op` from [`super::stat_op`].
    pub const STAT: u64 = 64;
    /// Added for falling order.
    pub const DESCENDING: u64 = 256;
}

/// Extractors, as the argument `op` of `stat_get`.
#[allow(missing_docs, reason = "the names say it")]
pub mod stat_op {
    pub const COUNT: u64 = 0;
    pub const SUM: u64 = 1;
    pub const MIN: u64 = 2;
    pub const MAX: u64 = 3;
    pub const AVG: u64 = 4;
    pub const VARIANCE: u64 = 5;
}
