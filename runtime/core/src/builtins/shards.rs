//! Adding to sharded globals. `part` is where in a shard the global's part is.

use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::fault::Fault;
use rstap_abi::layout::{KeyHead, KeyPart};

use crate::arena::{Checked, Corrupt};
use crate::call::Call;
use crate::env::Env;
use crate::lock::{self, Acquired, LockCells};
use crate::map::{Entry, Map, Overflow};
use crate::shard::{Shards, add_to_stat};
use crate::stat::{Shape, Stat};

/// A key that is one long, as builtins take it.
#[repr(C)]
struct LongKey {
    head: KeyHead,
    part: KeyPart,
}

impl<'c, E: Env> Call<'c, E> {
    #[inline(always)]
    pub fn shard_add_long(&mut self, map: i64, key: i64, part: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_make(map, key) {
            self.add_long(&map, entry, part, value);
        }
    }

    #[inline(always)]
    pub fn shard_add_long_1(&mut self, map: i64, key: i64, part: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_make_1(map, key) {
            self.add_long(&map, entry, part, value);
        }
    }

    #[inline(always)]
    pub fn shard_add_stat(&mut self, map: i64, key: i64, part: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_make(map, key) {
            self.add_stat(map.shape(), (part as u64).wrapping_add(map.part_of(entry)), value);
        }
    }

    #[inline(always)]
    pub fn shard_add_stat_1(&mut self, map: i64, key: i64, part: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_make_1(map, key) {
            self.add_stat(map.shape(), (part as u64).wrapping_add(map.part_of(entry)), value);
        }
    }

    pub fn shard_stat_add(&mut self, stat: i64, part: i64, value: i64) {
        match Stat::at(&self.arena, stat as u64).shape() {
            Ok(shape) => self.add_stat(shape, part as u64, value),
            Err(Corrupt) => self.fail(Fault::CorruptArena, 0),
        }
    }

    #[inline(always)]
    fn find_or_make(&mut self, handle: i64, key: i64) -> Option<(Map<'c>, Entry)> {
        let found = self.map(handle).and_then(|map| {
            let entry = map.find_made(&self.key(&map, key))?;
            Ok((map, entry))
        });
        self.found_or_make(found, key)
    }

    #[inline(always)]
    fn find_or_make_1(&mut self, handle: i64, key: i64) -> Option<(Map<'c>, Entry)> {
        let found = self.map(handle).and_then(|map| Ok((map, map.find_made_long(key)?)));
        match found {
            Ok((map, Some(entry))) => Some((map, entry)),
            found => {
                let part = KeyPart { a: key as u64, b: 0 };
                let key = Cell::new(LongKey { head: KeyHead::default(), part });
                self.found_or_make(found, key.as_ptr() as i64)
            }
        }
    }

    #[inline(always)]
    fn found_or_make(
        &mut self,
        found: Checked<(Map<'c>, Option<Entry>)>,
        key: i64,
    ) -> Option<(Map<'c>, Entry)> {
        match found {
            Ok((map, Some(entry))) => Some((map, entry)),
            Ok((map, None)) => Some((map, self.make(&map, key)?)),
            Err(Corrupt) => {
                self.fail(Fault::CorruptArena, 0);
                None
            }
        }
    }

    #[cold]
    fn make(&mut self, map: &Map<'c>, key: i64) -> Option<Entry> {
        let key = self.key(map, key);
        let made = self.with_lock(|_| map.make(&key))?;
        if let Err(overflow) = made {
            let size = if overflow == Overflow::Full { map.declared_size() } else { 0 };
            self.fail(overflow.fault(), u64::from(size));
        }
        made.ok()
    }

    #[inline(always)]
    fn add_long(&mut self, map: &Map<'c>, entry: Entry, part: i64, value: i64) {
        let at = self.shard_at().wrapping_add(part as u64).wrapping_add(map.part_of(entry));
        let shared = self.context.shard_shared != 0;
        let added = self.arena.word(at).map(|word| {
            if shared {
                word.fetch_add(value as u64, Relaxed);
            } else {
                word.store(word.load(Relaxed).wrapping_add(value as u64), Relaxed);
            }
        });
        self.check(added, ());
    }

    #[inline(always)]
    fn add_stat(&mut self, shape: Shape, part: u64, value: i64) {
        let at = self.shard_at().wrapping_add(part);
        let added = if self.context.shard_shared == 0 {
            add_to_stat(&self.arena, at, shape, value)
        } else {
            match self.with_lock(|call| add_to_stat(&call.arena, at, shape, value)) {
                Some(added) => added,
                None => return,
            }
        };
        self.check(added, ());
    }

    /// Arena offset of this context's shard.
    #[inline(always)]
    fn shard_at(&self) -> u64 {
        self.context.shard.wrapping_sub(self.context.arena)
    }

    /// Does something under the lock of the shards, if it is to be had. Nothing else is waited for under it.
    fn with_lock<T>(&mut self, what: impl FnOnce(&Self) -> T) -> Option<T> {
        let owner = self.env.owner();
        let lock = match self.lock_of_shards() {
            Ok(lock) => lock,
            Err(Corrupt) => {
                self.fail(Fault::CorruptArena, 0);
                return None;
            }
        };
        if lock.acquire(true, owner, &self.context.limits, self.env) == Acquired::TimedOut {
            lock.timeouts.fetch_add(1, Relaxed);
            self.fail(Fault::Busy, 0);
            return None;
        }
        let done = what(self);
        lock.release(true, owner);
        Some(done)
    }

    fn lock_of_shards(&self) -> Checked<&'c LockCells> {
        let first = Shards::of(&self.image(), &self.arena).and_then(|shards| shards.offset(0));
        lock::of_global(&self.arena, first.ok_or(Corrupt)?)
    }
}
