//! The lock of a global: many readers or one writer, shared between processes, with a bounded wait.
//!
//! Everybody who holds it is named in it by thread id, so that what a dead thread held is taken back instead of
//! being lost for the rest of the session:
//!
//! ```text
//! read:   claim a free reader slot; held if there is no writer, else give the slot back
//! write:  claim the writer word;    held once all reader slots are free
//! ```
//!
//! Claim and test are SeqCst on both sides, so of a reader and a writer that come together at least one sees the
//! other. A writer keeps its claim while it waits for readers to leave, so readers cannot starve it.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use rstap_abi::layout::{LockWords, READER_SLOTS};
use rstap_abi::limits::Limits;

use crate::arena::{Arena, Checked, Shared};
use crate::atomic::Atomic;
use crate::env::Env;

/// [`LockWords`] as they lie in the arena.
#[repr(C)]
pub(crate) struct LockCells<W = AtomicU64, R = AtomicU32> {
    pub writer: W,
    pub readers: [R; READER_SLOTS],
    pub timeouts: W,
}

const _: () = assert!(size_of::<LockCells>() == size_of::<LockWords>());

// SAFETY: atomic integers, without padding.
unsafe impl Shared for LockCells {}

/// The lock of the global at `at`.
#[inline(always)]
pub(crate) fn of_global<'a>(arena: &Arena<'a>, at: u64) -> Checked<&'a LockCells> {
    arena.get(at)
}

/// How a lock was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// From nobody.
    Free,
    /// From a thread that died holding it for writing: the global may be half changed.
    FromDeadWriter,
    /// Not at all, within the time allowed.
    TimedOut,
}

/// Tries without pausing before the first pause: a holder that runs is usually gone by then. (Loom would try every
/// interleaving of all of them.)
const SPINS: u64 = if cfg!(test) { 2 } else { 64 };
/// Tries between two questions whether the holder lives: the answer costs a system call.
const DEATH_CHECK_INTERVAL: u64 = 16;

impl<W: Atomic<u64>, R: Atomic<u32>> LockCells<W, R> {
    /// Takes the lock for `owner`, waiting at most MAXTRYLOCK × TRYLOCKDELAY.
    #[inline(always)]
    pub fn acquire<E: Env>(&self, write: bool, owner: u32, limits: &Limits, env: &E) -> Acquired {
        let held = if write { self.try_write(owner) } else { self.try_read(owner) };
        if held { Acquired::Free } else { self.wait(write, owner, limits, env) }
    }

    /// Gives back what `owner` got by [`LockCells::acquire`].
    #[inline(always)]
    pub fn release(&self, write: bool, owner: u32) {
        if write {
            // Not if somebody took it back from us, thinking us dead, or overwrote it.
            if self.writer.load(Relaxed) == u64::from(owner) {
                self.writer.store(0, Release);
            }
        } else if let Some(slot) = self.readers.iter().find(|slot| slot.load(Relaxed) == owner) {
            slot.store(0, Release);
        }
    }

    #[inline(always)]
    fn try_read(&self, owner: u32) -> bool {
        let Some(slot) = self.readers.iter().find(|slot| slot.exchange(0, owner).is_ok()) else {
            return false;
        };
        if self.writer.load_total() == 0 {
            return true;
        }
        slot.store(0, Release);
        false
    }

    #[inline(always)]
    fn try_write(&self, owner: u32) -> bool {
        if self.writer.exchange(0, u64::from(owner)).is_err() {
            return false;
        }
        let alone = self.no_readers();
        if !alone {
            self.writer.store(0, Release);
        }
        alone
    }

    #[inline(always)]
    fn no_readers(&self) -> bool {
        self.readers.iter().all(|slot| slot.load_total() == 0)
    }

    #[cold]
    fn wait<E: Env>(&self, write: bool, owner: u32, limits: &Limits, env: &E) -> Acquired {
        let mut dead_writer = false;
        // Only a writer has a claim to keep.
        let mut claimed = false;
        let tries = limits.max_try_lock.max(1).saturating_add(SPINS);
        for attempt in 0..tries {
            let paused = attempt.checked_sub(SPINS);
            if paused.is_some_and(|pauses| pauses.is_multiple_of(DEATH_CHECK_INTERVAL)) {
                dead_writer |= self.bury(owner, claimed, env);
            }
            if write {
                claimed = claimed || self.writer.exchange(0, u64::from(owner)).is_ok();
            }
            let held = if write { claimed && self.no_readers() } else { self.try_read(owner) };
            if held {
                return if dead_writer { Acquired::FromDeadWriter } else { Acquired::Free };
            }
            match paused {
                Some(_) => env.pause_us(limits.try_lock_delay_us),
                None => core::hint::spin_loop(),
            }
        }
        if claimed {
            self.writer.store(0, Release);
        }
        Acquired::TimedOut
    }

    /// Takes away what dead threads hold; whether one of them was the writer. Also takes away what carries our own
    /// id without being ours now: an earlier thread with this id died with it.
    fn bury<E: Env>(&self, owner: u32, claimed: bool, env: &E) -> bool {
        let is_dead = |id: u32| id != 0 && (id == owner || !env.is_alive(id));
        for slot in &self.readers {
            let reader = slot.load(Relaxed);
            if is_dead(reader) {
                let _ = slot.exchange(reader, 0);
            }
        }
        if claimed {
            return false;
        }
        let writer = self.writer.load(Relaxed);
        // No thread id has more than 32 bits: such a value was written by the target.
        let dead = u32::try_from(writer).map_or(true, is_dead);
        dead && self.writer.exchange(writer, 0).is_ok()
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
