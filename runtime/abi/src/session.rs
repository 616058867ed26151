//! The arena's first bytes and the state of the session in it. The arena is: [`ArenaHead`], the globals (from
//! `GLOBAL_ALIGN` to `ArenaPlan::size`), [`Session`], the output ring. `rstap_core::arena::plan` computes the places.

use crate::layout::{GLOBAL_ALIGN, Off};
use crate::limits::Limits;

/// First eight bytes of an arena.
pub const MAGIC: u64 = u64::from_le_bytes(*b"rstapmem");

/// What stands at byte 0, in the room that the plan of the globals leaves before the first one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaHead {
    /// [`MAGIC`]
    pub magic: u64,
    /// [`crate::ABI_VERSION`]
    pub abi_version: u64,
    /// Size of the whole arena in bytes.
    pub size: u64,
    /// End of the globals.
    pub globals_end: u64,
    /// The session.
    pub session: Off<Session>,
    /// The output ring.
    pub ring: Off<RingHead>,
    /// Number of the ring's 64-bit words, a power of two.
    pub ring_words: u64,
    /// Zero.
    pub pad: u64,
}

const _: () = assert!(size_of::<ArenaHead>() as u64 == GLOBAL_ALIGN);

/// The state of the session and what is counted in it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// One of [`state`].
    pub state: u64,
    /// Not 0: `exit()` was called, no more probes are to run but end probes.
    pub exit: u64,
    /// How often a condition of probe points has become true.
    pub enablings: u64,
    /// Which shards are taken, by number: bit 0 is set from the start.
    pub shards: u64,
    /// The limits of the run, for those who attach to the arena.
    pub limits: Limits,
    /// What was counted.
    pub counts: Counts,
}

/// What a session counts.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Run-time errors that no `try` caught.
    pub errors: u64,
    /// Handlers skipped because a lock was not to be had in time.
    pub skipped_locked: u64,
    /// Handlers skipped because the context was in use.
    pub skipped_reentrant: u64,
    /// Handlers skipped because the stack was too small.
    pub skipped_low_stack: u64,
    /// Handlers skipped for another reason.
    pub skipped_other: u64,
    /// Output records that found no room.
    pub dropped: u64,
    /// Locks taken back from threads that died with them.
    pub recovered: u64,
    /// Arrays emptied because a thread died in the middle of changing them.
    pub cleared: u64,
    /// Speculations given out.
    pub speculations: u64,
    /// Not 0: handlers took too much of the time of the threads that they stop.
    pub overloads: u64,
    /// Microseconds that handlers have waited for room for their output.
    pub waited_us: u64,
}

/// Where the session is.
pub mod state {
    /// Begin probes run.
    pub const STARTING: u64 = 0;
    /// All probes but begin, end and error ones run.
    pub const RUNNING: u64 = 1;
    /// End probes run.
    pub const STOPPING: u64 = 2;
    /// Too many errors or skipped probes: only error probes run.
    pub const ERROR: u64 = 3;
    /// Nothing runs.
    pub const STOPPED: u64 = 4;
}

/// Head of the output ring; its words follow. `rstap_core::ring` gives it its meaning.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingHead {
    /// Words consumed since the start.
    pub head: u64,
    /// Zero: producers and the consumer do not share a cache line.
    pub pad: [u64; 7],
    /// Words reserved since the start.
    pub tail: u64,
    /// Zero.
    pub pad_tail: [u64; 7],
}
