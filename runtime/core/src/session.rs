//! The session's state and counters, shared by all who run handlers.

use core::mem::offset_of;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use rstap_abi::layout::Off;
use rstap_abi::limits::Limits;
use rstap_abi::session::{ArenaHead, Counts, MAGIC, Session, state};

use crate::arena::{Arena, Checked, Corrupt, Shared};
use crate::ring::Ring;

/// [`ArenaHead`] as it lies in the arena.
#[repr(C)]
pub(crate) struct HeadCells {
    pub magic: AtomicU64,
    pub abi_version: AtomicU64,
    pub size: AtomicU64,
    pub globals_end: AtomicU64,
    pub session: AtomicU64,
    pub ring: AtomicU64,
    pub ring_words: AtomicU64,
    pub pad: AtomicU64,
}

const _: () = assert!(size_of::<HeadCells>() == size_of::<ArenaHead>());

// SAFETY: atomic integers, without padding.
unsafe impl Shared for HeadCells {}

const LIMIT_COUNT: usize = size_of::<Limits>() / 8;

/// [`Session`] as it lies in the arena.
#[repr(C, align(64))]
pub(crate) struct SessionCells {
    pub state: AtomicU64,
    pub exit: AtomicU64,
    pub enablings: AtomicU64,
    pub shards: AtomicU64,
    pub limits: [AtomicU64; LIMIT_COUNT],
    pub counts: CountCells,
}

/// [`Counts`] as they lie in the arena.
#[repr(C, align(64))]
pub(crate) struct CountCells {
    errors: AtomicU64,
    skipped_locked: AtomicU64,
    skipped_reentrant: AtomicU64,
    skipped_low_stack: AtomicU64,
    skipped_other: AtomicU64,
    pub dropped: AtomicU64,
    pub recovered: AtomicU64,
    pub cleared: AtomicU64,
    pub speculations: AtomicU64,
    overloads: AtomicU64,
    waited_us: AtomicU64,
}

const _: () = assert!(size_of::<SessionCells>() == size_of::<Session>());
const _: () = assert!(offset_of!(SessionCells, state) == 0 && offset_of!(SessionCells, exit) == 8);

// SAFETY: atomic integers; the padding to the alignment means nothing.
unsafe impl Shared for SessionCells {}

/// Why a handler did not run though it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// A lock was not to be had in MAXTRYLOCK × TRYLOCKDELAY.
    Locked,
    /// The thread was in a handler already.
    Reentrant,
    /// Too little stack.
    LowStack,
    /// Anything else.
    Other,
}

/// The session in an arena.
#[derive(Clone, Copy)]
pub struct SessionView<'a> {
    pub(crate) cells: &'a SessionCells,
    pub(crate) arena: Arena<'a>,
}

impl<'a> SessionView<'a> {
    /// The session of this arena. Corrupt if the arena is not one of this ABI version or its head was overwritten.
    #[inline]
    pub fn new(arena: Arena<'a>) -> Checked<SessionView<'a>> {
        let head: &HeadCells = arena.get(0)?;
        if head.magic.load(Relaxed) != MAGIC
            || head.abi_version.load(Relaxed) != u64::from(rstap_abi::ABI_VERSION)
        {
            return Err(Corrupt);
        }
        Ok(SessionView { cells: arena.get(head.session.load(Relaxed))?, arena })
    }

    /// One of [`state`].
    #[inline]
    pub fn state(&self) -> u64 {
        self.cells.state.load(Acquire)
    }

    /// Moves the session on. The host's decision; handlers only ever move it to [`state::ERROR`].
    pub fn set_state(&self, to: u64) {
        self.cells.state.store(to, Release);
    }

    /// Whether `exit()` was called.
    pub fn exit_requested(&self) -> bool {
        self.cells.exit.load(Acquire) != 0
    }

    /// What `exit()` does.
    pub fn request_exit(&self) {
        self.cells.exit.store(1, Release);
    }

    /// How often a condition of probe points has become true: who keeps probes out of the target while their condition
    /// is false looks again when this has changed.
    pub fn enablings(&self) -> u64 {
        self.cells.enablings.load(Acquire)
    }

    /// Whether handlers other than those of begin, end and error probes are to run now.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.state() == state::RUNNING && self.cells.exit.load(Relaxed) == 0
    }

    /// Where [`SessionView::is_running`] looks, for code that does so itself: the state, and behind it whether `exit()`
    /// was called.
    pub fn running_words(&self) -> u64 {
        core::ptr::from_ref(self.cells) as u64
    }

    /// Takes a shard for a context, one of the first `count`; 0, which any number of contexts use at once, when no
    /// other is left.
    pub fn claim_shard(&self, count: u64) -> u64 {
        let shards = &self.cells.shards;
        let usable = 1u64.checked_shl(count.min(63) as u32).unwrap_or(0).wrapping_sub(1) & !1;
        for _ in 0..64 {
            let taken = shards.load(Relaxed);
            let number = (usable & !taken).trailing_zeros();
            let Some(bit) = 1u64.checked_shl(number) else { return 0 };
            if shards.compare_exchange(taken, taken | bit, AcqRel, Relaxed).is_ok() {
                return u64::from(number);
            }
        }
        0
    }

    /// Gives a shard back, for the next context that claims one. What was added to it stays.
    pub fn free_shard(&self, number: u64) {
        if number != 0 {
            self.cells.shards.fetch_and(!1u64.checked_shl(number as u32).unwrap_or(0), Release);
        }
    }

    /// A copy of the counters.
    pub fn counts(&self) -> Counts {
        let counts = &self.cells.counts;
        Counts {
            errors: counts.errors.load(Relaxed),
            skipped_locked: counts.skipped_locked.load(Relaxed),
            skipped_reentrant: counts.skipped_reentrant.load(Relaxed),
            skipped_low_stack: counts.skipped_low_stack.load(Relaxed),
            skipped_other: counts.skipped_other.load(Relaxed),
            dropped: counts.dropped.load(Relaxed),
            recovered: counts.recovered.load(Relaxed),
            cleared: counts.cleared.load(Relaxed),
            speculations: counts.speculations.load(Relaxed),
            overloads: counts.overloads.load(Relaxed),
            waited_us: counts.waited_us.load(Relaxed),
        }
    }

    /// Counts an error; above MAXERRORS the session goes to [`state::ERROR`]. Whether it was one too many.
    pub fn count_error(&self, limits: &Limits) -> bool {
        let errors = self.cells.counts.errors.fetch_add(1, AcqRel).saturating_add(1);
        let too_many = errors > limits.max_errors;
        if too_many {
            self.fail();
        }
        too_many
    }

    /// Counts a skipped handler; above MAXSKIPPED the session goes to [`state::ERROR`]. Whether it was one too many.
    pub fn count_skip(&self, skip: Skip, limits: &Limits) -> bool {
        let counts = &self.cells.counts;
        let counter = match skip {
            Skip::Locked => &counts.skipped_locked,
            Skip::Reentrant => &counts.skipped_reentrant,
            Skip::LowStack => &counts.skipped_low_stack,
            Skip::Other => &counts.skipped_other,
        };
        counter.fetch_add(1, AcqRel);
        let too_many = skipped(&self.counts()) > limits.max_skipped;
        if too_many {
            self.fail();
        }
        too_many
    }

    /// Handlers take too much time: an error that no MAXERRORS allows, and the end of the session.
    #[cold]
    pub(crate) fn overload(&self) {
        if self.cells.counts.overloads.swap(1, AcqRel) == 0 {
            self.cells.counts.errors.fetch_add(1, AcqRel);
        }
        self.fail();
    }

    fn fail(&self) {
        if self.state() != state::STOPPED {
            self.set_state(state::ERROR);
        }
    }

    /// Times a handler was skipped because of the lock of the global at `at` (for `-t`).
    pub fn lock_timeouts(&self, at: Off<u8>) -> u64 {
        crate::lock::of_global(&self.arena, at.bytes).map_or(0, |lock| lock.timeouts.load(Relaxed))
    }

    pub(crate) fn ring(&self) -> Checked<Ring<'a>> {
        let head: &HeadCells = self.arena.get(0)?;
        Ring::in_arena(&self.arena, head.ring.load(Relaxed), head.ring_words.load(Relaxed))
    }

    /// Counts time that a handler has waited for room for its output.
    pub fn count_wait(&self, us: u64) {
        self.cells.counts.waited_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn count_dropped(&self) {
        self.cells.counts.dropped.fetch_add(1, Relaxed);
    }
}

/// All skipped handlers, for `WARNING: Number of errors: N, skipped probes: M`.
pub fn skipped(counts: &Counts) -> u64 {
    [counts.skipped_locked, counts.skipped_reentrant, counts.skipped_low_stack, counts.skipped_other]
        .into_iter()
        .fold(0, u64::saturating_add)
}
