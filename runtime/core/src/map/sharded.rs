//! Sharded arrays: looking for an entry without a lock, making one under the lock of the shards.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rstap_abi::layout::ENTRY_HEADER;

use super::{Entry, Map, Overflow};
use crate::arena::{Checked, Corrupt};
use crate::key::{self, Key};
use crate::stat::Shape;

impl Map<'_> {
    /// Entries that were made.
    pub fn made(&self) -> u32 {
        self.cells.count.load(Acquire).min(self.capacity)
    }

    /// Entries that readers see.
    pub fn gathered(&self) -> u32 {
        (self.cells.gathered.load(Relaxed) as u32).min(self.capacity)
    }

    /// Readers see so many from now on.
    pub fn set_gathered(&self, entries: u32) {
        self.cells.gathered.store(u64::from(entries), Relaxed);
    }

    /// Where the value of an entry is in a shard, from the part of the array.
    #[inline(always)]
    pub fn part_of(&self, entry: Entry) -> u64 {
        let value = self.stride.wrapping_sub(self.value_at);
        u64::from(entry.wrapping_sub(1)).wrapping_mul(value)
    }

    /// Shape of its statistics.
    pub fn shape(&self) -> Shape {
        Shape {
            descriptor: self.cells.descriptor.load(Relaxed),
            start: self.cells.start.load(Relaxed) as i64,
            interval: (self.cells.interval.load(Relaxed) as i64).max(1),
        }
    }

    /// The entry of a key, gathered or not. Needs no lock; one that is being made may be missed.
    #[inline(always)]
    pub fn find_made(&self, key: &Key<'_>) -> Checked<Option<Entry>> {
        self.find_hashed(key, key.hash())
    }

    /// The same for a key that is one long.
    #[inline(always)]
    pub fn find_made_long(&self, key: i64) -> Checked<Option<Entry>> {
        let mut entry = self.head(key::mix(key::SEED, key as u64))?.load(Acquire);
        for _ in 0..=self.step_limit() {
            if entry == 0 {
                return Ok(None);
            }
            let at = self.entry_at(entry)?;
            if self.arena.word(at.wrapping_add(ENTRY_HEADER))?.load(Relaxed) == key as u64 {
                return Ok(Some(entry));
            }
            entry = self.arena.get::<AtomicU32>(at)?.load(Relaxed);
        }
        Err(Corrupt)
    }

    /// Makes the entry of a key, unless there is one. The caller holds the lock of the shards.
    pub fn make(&self, key: &Key<'_>) -> Result<Entry, Overflow> {
        if self.cells.changing.load(Relaxed) != 0 {
            // Somebody died between counting an entry and chaining it.
            self.chain_again()?;
        }
        let hash = key.hash();
        if let Some(entry) = self.find_hashed(key, hash)? {
            return Ok(entry);
        }
        let made = self.made();
        if made >= self.capacity {
            return Err(Overflow::Full);
        }
        let entry = made.wrapping_add(1);
        self.store_key(self.entry_at(entry)?, key)?;
        self.reset_value(entry)?;
        // Walks tell by the stamp that an entry is in use.
        self.links(entry)?.stamp.store(1, Relaxed);
        self.begin_change();
        self.cells.count.store(entry, Release);
        self.chain(entry, hash)?;
        self.end_change();
        Ok(entry)
    }

    fn chain(&self, entry: Entry, hash: u64) -> Checked<()> {
        let head = self.head(hash)?;
        self.links(entry)?.chain.store(head.load(Relaxed), Relaxed);
        head.store(entry, Release);
        Ok(())
    }

    /// Chains all entries that were made. Who looks for one meanwhile may miss it, and comes here by `make`.
    #[cold]
    fn chain_again(&self) -> Checked<()> {
        let heads = u64::from(self.cells.mask.load(Relaxed)).wrapping_add(1);
        let heads: &[AtomicU32] = self.arena.slice(self.heads_at, heads)?;
        for head in heads {
            head.store(0, Relaxed);
        }
        for entry in 1..=self.made() {
            self.chain(entry, self.stored_hash(entry)?)?;
        }
        self.end_change();
        Ok(())
    }
}
