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
    /// Whether the script asks for `@quantile`.
    pub sketch: bool,
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

/// Readers that can hold a global's lock at the same time.
pub const READER_SLOTS: usize = 4;

/// A global's lock, at its first byte. Everybody in it is named by thread id, so that what a dead thread held can
/// be taken back. `rstap_core::lock` gives the words their meaning.
#[repr(C)]
#[derive(Debug)]
pub struct LockWords {
    /// Thread id of the writer; 0 when there is none.
    pub writer: u64,
    /// Thread ids of the readers; 0 is a free slot.
    pub readers: [u32; READER_SLOTS],
    /// Handlers skipped because this lock was not to be had in time.
    pub timeouts: u64,
}

const _: () = assert!(size_of::<LockWords>() as u64 == VALUE);

/// Offset of a global's value (or of its map header) from its first byte: the lock has a cache line's first half.
pub const VALUE: u64 = 32;

/// Alignment of globals: one cache line, so that neighbours do not slow each other down.
pub const GLOBAL_ALIGN: u64 = 64;

/// Bytes a string of MAXSTRINGLEN takes in the arena: `u32` length, `u32` zero, bytes, rounded up to 8. Saturates,
/// as all sizes here do: a plan that is too large is found by comparing its size, not by overflow.
pub const fn string_size(limits: &Limits) -> u64 {
    round_up(limits.max_string_len, 8).saturating_add(8)
}

const fn round_up(bytes: u64, to: u64) -> u64 {
    match bytes.checked_next_multiple_of(to) {
        Some(bytes) => bytes,
        None => u64::MAX,
    }
}

/// Buckets of a `@hist_log`: 64 is for 0, 64 + n for values of n bits, 64 - n for negative ones.
pub const LOG_BUCKETS: u64 = 128;

/// Buckets of a sketch for each power of two: the relative error of `@quantile` is at most 1 / (2 · 32).
pub const SKETCH_STEPS: u64 = 32;
/// Buckets of a sketch for each sign: values below 2 · [`SKETCH_STEPS`] one by one, then each power of two in steps.
pub const SKETCH_SIDE: u64 = SKETCH_STEPS * (64 - SKETCH_STEPS.trailing_zeros() as u64);
/// Buckets of a sketch: [`SKETCH_SIDE`] for negative values, from the smallest, and as many for the others.
pub const SKETCH_BUCKETS: u64 = 2 * SKETCH_SIDE;

impl Histogram {
    /// Number of its buckets; of a linear one with those for values below and above the range.
    pub const fn bucket_count(&self) -> u64 {
        match *self {
            Histogram::None => 0,
            Histogram::Log => LOG_BUCKETS,
            Histogram::Linear { start, stop, interval } => {
                if interval <= 0 || stop < start {
                    return 2;
                }
                stop.abs_diff(start) / interval.unsigned_abs() + 3
            }
        }
    }
}

impl StatShape {
    /// Bytes of a statistic: descriptor, count, sum, min, max, two words for the variance, two for a linear
    /// histogram's start and interval, the buckets, and those of the sketch.
    pub const fn size(&self) -> u64 {
        let linear = if matches!(self.histogram, Histogram::Linear { .. }) { 2 } else { 0 };
        let variance = if self.variance { 2 } else { 0 };
        let sketch = if self.sketch { SKETCH_BUCKETS } else { 0 };
        self.histogram.bucket_count().saturating_add(5 + variance + linear + sketch).saturating_mul(8)
    }
}

impl ValueShape {
    /// Bytes of a value.
    pub const fn size(&self, limits: &Limits) -> u64 {
        match self {
            ValueShape::Long => 8,
            ValueShape::String => string_size(limits),
            ValueShape::Stat(shape) => shape.size(),
        }
    }

    /// The code of the kind of value in a [`MapShape::handle`].
    pub const fn code(&self) -> u64 {
        match self {
            ValueShape::Long => 0,
            ValueShape::String => 1,
            ValueShape::Stat(_) => 2,
        }
    }
}

/// In a map's handle: it is a sharded one.
pub const SHARDED: u64 = 1 << 63;

/// Bytes of the map header at [`VALUE`]; the hash table follows, then the entries at a multiple of
/// [`GLOBAL_ALIGN`].
pub const MAP_HEADER: u64 = 96;
/// Bytes of an entry before its key parts.
pub const ENTRY_HEADER: u64 = 16;
/// The hash of a key is made part by part, from [`hash::SEED`] on: `(hash ^ part) * hash::MULTIPLIER` in 128 bits, whose
/// halves are then combined by exclusive or, so that each bit of the input reaches the low bits.
#[allow(missing_docs, reason = "the names say it")]
pub mod hash {
    pub const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    pub const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;
}

/// Bytes of context scratch memory that a walk takes for each entry of the array, plus once more this.
pub const WALK_ITEM: u64 = 16;

impl MapShape {
    /// What builtins take as `map`: the global's arena offset in the low 48 bits, then in 16 bits what the runtime
    /// must not believe the arena about, since private memory is read by it: key parts (4 bits), which are strings
    /// (9 bits), kind of value (2 bits). [`SHARDED`] may be added.
    pub const fn handle(&self, at: Off<u8>) -> u64 {
        let shape = self.key_count as u64 | (self.string_keys as u64) << 4 | self.value.code() << 13;
        at.bytes | shape << 48
    }

    /// Number of `u32` heads in the hash table: a power of two.
    pub const fn bucket_count(&self) -> u64 {
        if self.capacity < 2 { 2 } else { (self.capacity as u64).next_power_of_two() }
    }

    /// Offset of the value from an entry's start.
    pub const fn value_at(&self, limits: &Limits) -> u64 {
        let strings = self.string_keys.count_ones() as u64;
        let longs = (self.key_count as u64).saturating_sub(strings);
        strings.saturating_mul(string_size(limits)).saturating_add(longs * 8).saturating_add(ENTRY_HEADER)
    }

    /// Bytes of an entry.
    pub const fn stride(&self, limits: &Limits) -> u64 {
        self.value_at(limits).saturating_add(self.value.size(limits))
    }

    /// Offset of the first entry from the global's start.
    pub const fn entries_at(&self) -> u64 {
        round_up(VALUE + MAP_HEADER + self.bucket_count() * 4, GLOBAL_ALIGN)
    }

    /// Bytes of context scratch memory that one walk over a full array takes.
    pub const fn walk_size(&self) -> u64 {
        (self.capacity as u64 + 1) * WALK_ITEM
    }
}

impl GlobalShape {
    /// Bytes a global takes in the arena, with its lock: a multiple of [`GLOBAL_ALIGN`]; `u64::MAX` or near it when
    /// limits or capacity are absurd.
    pub const fn size(&self, limits: &Limits) -> u64 {
        let bytes = match self {
            GlobalShape::Long => VALUE + 8,
            GlobalShape::String => string_size(limits).saturating_add(VALUE),
            GlobalShape::Stat(shape) => shape.size().saturating_add(VALUE),
            GlobalShape::Map(shape) => {
                shape.stride(limits).saturating_mul(shape.capacity as u64).saturating_add(shape.entries_at())
            }
        };
        round_up(bytes, GLOBAL_ALIGN)
    }
}

/// What stands before the parts of a key as compiled code hands it over. The runtime fills it in, so that a key serves
/// several accesses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHead {
    /// Hash of the key; 0 until it is computed.
    pub hash: u64,
}

const _: () = assert!(size_of::<KeyHead>() == 8);

/// One part of a key as compiled code hands it over: a long in `a`, or a string at address `a` with length `b`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyPart {
    /// Value or address.
    pub a: u64,
    /// Length of the string.
    pub b: u64,
}

const _: () = assert!(size_of::<KeyPart>() == 16);

/// Bytes compiled code reserves for one array walk; `rstap_core::map` gives them their meaning.
pub const ITERATOR_SIZE: u32 = 64;

/// Bits that a mask of string parts can have.
pub const MAX_STRING_KEYS_MASK: u16 = (1 << crate::limits::MAX_KEYS) - 1;

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
