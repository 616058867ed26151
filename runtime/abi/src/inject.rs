//! What rstap and its payload inside a target agree on (the inject backend). rstap writes all of it before the first
//! probe is reached; the target only reads it, but for the pool, which is the payload's own.
//!
//! ```text
//! home   (read, execute)           blob, Config in its data, SiteEntry table, ProbeAt table, handler image
//! pool   (read, write, private)    PoolHead, stack of claims, KeyEntry table, contexts
//! arena  (read, write, shared)     as under every backend
//! area   (read, execute), near the text of each probed file: the way into the blob, trampolines
//! ```
//!
//! Contexts are kept by a fork: the child's one thread returns from functions that its parent has entered. What stands
//! before them is wiped (MADV_WIPEONFORK): a lock that another thread held, and which thread had which context.

use crate::limits::{Limits, MAX_SHARDS};

/// Exported by the blob: where a [`Config`] is to be written.
pub const CONFIG_SYMBOL: &str = "RSTAP_PAYLOAD_CONFIG";
/// Exported by the blob: what trampolines call.
pub const ENTER_SYMBOL: &str = "rstap_payload_enter";

/// Exported by the blob: what trampolines of sites call whose handler is called at once ([`SiteEntry::quick`]).
pub const QUICK_SYMBOL: &str = "rstap_payload_quick";

/// Ranges of memory that stay mapped and readable as long as the process runs its program.
pub const RANGES: usize = 8;

/// Threads that can have a context at a time, unless contexts are very large; those of threads that ended are used
/// again.
pub const CONTEXTS: u64 = 4096;
/// Bits of an index into the table of keys: four places for each context.
pub const KEY_BITS: u32 = 14;
/// Places behind the last, so that a search need not wrap round.
pub const KEY_TAIL: u64 = 64;
/// Bytes of [`PoolHead`] with what follows it up to the stack of claims.
pub const POOL_HEAD: u64 = 4096;
/// Bytes of the stack on which contexts are claimed.
pub const CLAIM_STACK: u64 = 64 * 1024;

/// A process as the payload in it needs to know it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Not 0: probes do their work. Tested first at each hit.
    pub enabled: u64,
    /// [`crate::ABI_VERSION`]
    pub abi_version: u64,
    /// Address of the pool.
    pub pool: u64,
    /// Address of the arena.
    pub arena: u64,
    /// Its size in bytes.
    pub arena_size: u64,
    /// Address of the handler image.
    pub image: u64,
    /// Its size in bytes.
    pub image_size: u64,
    /// Address of the [`SiteEntry`] table.
    pub sites: u64,
    /// Its length.
    pub site_count: u64,
    /// Address of the [`ProbeAt`] table.
    pub probes: u64,
    /// Its length.
    pub probe_count: u64,
    /// Contexts that the pool has room for.
    pub contexts: u64,
    /// How a context's memory is divided.
    pub memory: ContextMemory,
    /// Address of the vDSO's `clock_gettime`, 0 if there is none.
    pub clock: u64,
    /// What `target()` gives.
    pub target: u64,
    /// Process id of rstap.
    pub owner: u64,
    /// What is certain to be readable.
    pub ranges: [Range; RANGES],
    /// Limits of the run.
    pub limits: Limits,
}

/// Sizes in bytes, multiples of 16, in this order; a context is all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextMemory {
    /// For the payload's own bookkeeping.
    pub own: u64,
    /// For `error()`.
    pub message: u64,
    /// For the output of one handler.
    pub output: u64,
    /// For walks.
    pub scratch: u64,
    /// For `tokenize`.
    pub tokens: u64,
    /// For regular expressions.
    pub matching: u64,
    /// For calls that have not returned: records of `frame` bytes each.
    pub frames: u64,
    /// The stack, at the end.
    pub stack: u64,
    /// Of that, what one handler with everything it calls needs at most.
    pub stack_needed: u64,
    /// Bytes of a record in `frames`; 0 if there are none.
    pub frame: u64,
}

/// Words of a record of a call that has not returned, before the values that were saved at its entry.
pub const FRAME_HEAD: usize = 3;

impl ContextMemory {
    /// Bytes of a context.
    pub const fn size(&self) -> u64 {
        self.own
            + self.message
            + self.output
            + self.scratch
            + self.tokens
            + self.matching
            + self.frames
            + self.stack
    }
}

/// Where in a context the payload keeps the stack pointer of the thread that is in a handler.
pub const SLOT_STACK_POINTER: u64 = 40;
/// Bytes of the pool that a fork wipes. The number of contexts that were ever used stands behind them.
pub const POOL_WIPED: u64 =
    (POOL_HEAD + CLAIM_STACK + ((1 << KEY_BITS) + KEY_TAIL) * size_of::<KeyEntry>() as u64)
        .next_multiple_of(4096);
/// Bytes of the pool before the first context.
pub const CONTEXTS_AT: u64 = POOL_WIPED + 4096;

impl Config {
    /// A process in which nothing is enabled yet.
    pub const EMPTY: Config = Config {
        enabled: 0,
        abi_version: crate::ABI_VERSION as u64,
        pool: 0,
        arena: 0,
        arena_size: 0,
        image: 0,
        image_size: 0,
        sites: 0,
        site_count: 0,
        probes: 0,
        probe_count: 0,
        contexts: 0,
        memory: ContextMemory {
            own: 0,
            message: 0,
            output: 0,
            scratch: 0,
            tokens: 0,
            matching: 0,
            frames: 0,
            stack: 0,
            stack_needed: 0,
            frame: 0,
        },
        clock: 0,
        target: 0,
        owner: 0,
        ranges: [Range { start: 0, end: 0 }; RANGES],
        limits: Limits::DEFAULT,
    };
}

// Without padding: it is written as bytes.
const _: () = assert!(size_of::<Config>() == 8 * 25 + RANGES * size_of::<Range>() + size_of::<Limits>());

/// The first bytes of the pool.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PoolHead {
    /// Not 0: a thread is claiming a context.
    pub lock: u64,
    /// Its stack pointer.
    pub stack_pointer: u64,
    /// Hits that found the lock held for too long.
    pub missed: u64,
    /// One more than the contexts that were in use when the first thread of this process claimed one: those of the
    /// parent. 0: none has.
    pub inherited: u64,
    /// Addresses of the contexts that have shards of their own, by shard.
    pub shards: [u64; MAX_SHARDS as usize],
}

const _: () = assert!(size_of::<PoolHead>() as u64 <= POOL_HEAD);

/// Which thread has which context.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeyEntry {
    /// The thread's fs base; its id where that is 0. 0: nobody's.
    pub key: u64,
    /// Address of the context.
    pub context: u64,
}

/// Addresses from the first to before the last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: u64,
    /// Behind the last; not above `start`: an empty range.
    pub end: u64,
}

/// A place with probes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its address.
    pub address: u64,
    /// Index of the first of its probes.
    pub first: u32,
    /// Their number.
    pub count: u32,
    /// Address of the quick form of the handler of its only probe (`HandlerEntry::quick`), if that is a leaf: code of some
    /// instructions that calls nothing and uses general registers only, of a probe without a condition. 0 otherwise.
    pub quick: u64,
    /// Not 0: that handler looks at registers.
    pub looks: u64,
}

const _: () = assert!(size_of::<SiteEntry>() == 32);

/// A probe at a place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeAt {
    /// The probe, as `Context::probe`.
    pub probe: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// For [`kind::ENTRY`]: the probe whose handler saves values, `u32::MAX` for none.
    pub saver: u32,
    /// For [`kind::ENTRY`]: bytes of values.
    pub value_bytes: u32,
}

/// What reaching a place means for a probe.
pub mod kind {
    /// The handler runs.
    pub const HIT: u32 = 0;
    /// The probed function was entered; the handler runs when it returns.
    pub const ENTRY: u32 = 1;
    /// The probed function returns.
    pub const RETURN: u32 = 2;
}
