//! Arrays: a hash table of fixed capacity whose entries are also in a list, in the order of insertion.
//!
//! ```text
//! global:  lock | header | u32 heads[power of two] | entries[capacity]
//! entry:   u32 chain, u32 stamp, u32 previous, u32 next | key parts | value
//! ```
//!
//! Entries are named by index + 1; 0 is none. A free entry has stamp 0 and is chained to the next free one; the stamp
//! of an entry in use is never that of another, so that a walk notices when an entry was deleted under it.
//!
//! A sharded array (`crate::shard`) is never made smaller: entries are in the order of insertion as they lie, one that
//! was made is never freed, so it can be looked for without a lock. Its list is not used. Its values are in the
//! shards; what a reader sees in the entries are those gathered last, of the entries that there were then.
//!
//! The caller holds the global's lock. While the structure is being changed the header says so; if it still does when
//! the next one comes, its writer died in the middle, and the array is emptied.

mod entries;
mod sharded;

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, fence};

use rstap_abi::fault::Fault;
use rstap_abi::layout::{
    ENTRY_HEADER, GLOBAL_ALIGN, MAP_HEADER, MapShape, SHARDED, VALUE, ValueShape, string_size,
};
use rstap_abi::limits::Limits;

use crate::arena::{Arena, Checked, Corrupt, Shared};
use crate::key::{self, Key, Part};
use crate::stat::Shape;

/// The header as it lies in the arena, at [`VALUE`]. What every access needs shares the lock's cache line.
#[repr(C)]
struct MapCells {
    capacity: AtomicU32,
    /// Number of heads - 1.
    mask: AtomicU32,
    count: AtomicU32,
    /// Entries that were in use once.
    fresh: AtomicU32,
    first: AtomicU32,
    last: AtomicU32,
    /// First of the free entries among those.
    free: AtomicU32,
    /// Not 0 while the structure is being changed.
    changing: AtomicU32,
    /// Last stamp given out.
    stamp: AtomicU32,
    /// [`WRAP`], [`SIZED`].
    flags: AtomicU32,
    /// Shape of the statistics in it.
    descriptor: AtomicU64,
    start: AtomicU64,
    interval: AtomicU64,
    /// Entries of a sharded array that are gathered.
    gathered: AtomicU64,
    spare: [AtomicU64; 3],
}

const _: () = assert!(size_of::<MapCells>() as u64 == MAP_HEADER);

// SAFETY: atomic integers, without padding.
unsafe impl Shared for MapCells {}

const WRAP: u32 = 1;
const SIZED: u32 = 2;

/// The head of an entry.
#[repr(C)]
pub(crate) struct EntryCells {
    chain: AtomicU32,
    stamp: AtomicU32,
    previous: AtomicU32,
    next: AtomicU32,
}

const _: () = assert!(size_of::<EntryCells>() as u64 == ENTRY_HEADER);

// SAFETY: atomic integers, without padding.
unsafe impl Shared for EntryCells {}

/// What [`MapShape::handle`] says: trusted, as the arena is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub at: u64,
    pub keys: u32,
    pub strings: u16,
    pub value: u64,
    pub sharded: bool,
}

impl Handle {
    #[inline(always)]
    pub const fn decode(handle: u64) -> Handle {
        Handle {
            // Globals are aligned; a lock set uses the low bits.
            at: handle & ((1 << 48) - 1) & !(GLOBAL_ALIGN - 1),
            keys: (handle >> 48 & 15) as u32,
            strings: (handle >> 52 & 0x1ff) as u16,
            value: handle >> 61 & 3,
            sharded: handle & SHARDED != 0,
        }
    }
}

const LONG: u64 = ValueShape::Long.code();
const STRING: u64 = ValueShape::String.code();

/// Makes the header of an empty array.
pub(crate) fn initialise(arena: &Arena<'_>, at: u64, shape: &MapShape) -> Checked<()> {
    let cells: &MapCells = arena.get(at.wrapping_add(VALUE))?;
    let mask = shape.bucket_count().saturating_sub(1);
    cells.capacity.store(shape.capacity, Relaxed);
    cells.mask.store(u32::try_from(mask).map_err(|_| Corrupt)?, Relaxed);
    let wrap = if shape.wrap { WRAP } else { 0 };
    let sized = if shape.sized { SIZED } else { 0 };
    cells.flags.store(wrap | sized, Relaxed);
    if let ValueShape::Stat(stat) = &shape.value {
        let stat = Shape::from(stat);
        cells.descriptor.store(stat.descriptor, Relaxed);
        cells.start.store(stat.start as u64, Relaxed);
        cells.interval.store(stat.interval as u64, Relaxed);
    }
    Ok(())
}

/// An array in the arena, opened for one operation.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    arena: Arena<'a>,
    cells: &'a MapCells,
    handle: Handle,
    heads_at: u64,
    entries_at: u64,
    value_at: u64,
    stride: u64,
    string_size: u64,
    most: u64,
    capacity: u32,
}

/// An entry in use, by index + 1.
pub(crate) type Entry = u32;

impl<'a> Map<'a> {
    /// Opens the array that `handle` names.
    #[inline(always)]
    pub fn open(arena: Arena<'a>, handle: u64, limits: &Limits) -> Checked<Map<'a>> {
        let handle = Handle::decode(handle);
        let cells: &MapCells = arena.get(handle.at.wrapping_add(VALUE))?;
        if handle.keys == 0 {
            return Err(Corrupt);
        }
        let string_size = string_size(limits);
        let strings = u64::from(handle.strings.count_ones());
        let longs = u64::from(handle.keys).wrapping_sub(strings);
        let keys = strings.wrapping_mul(string_size).wrapping_add(longs.wrapping_mul(8));
        let value_at = ENTRY_HEADER.wrapping_add(keys);
        let value = match handle.value {
            LONG => 8,
            STRING => string_size,
            _ => Shape { descriptor: cells.descriptor.load(Relaxed), start: 0, interval: 0 }
                .words()
                .wrapping_mul(8),
        };
        let heads_at = handle.at.wrapping_add(const { VALUE + MAP_HEADER });
        let heads = u64::from(cells.mask.load(Relaxed)).wrapping_add(1).wrapping_mul(4);
        let entries_at = heads_at.wrapping_add(heads).wrapping_add(GLOBAL_ALIGN - 1) & !(GLOBAL_ALIGN - 1);
        Ok(Map {
            arena,
            cells,
            handle,
            heads_at,
            entries_at,
            value_at,
            stride: value_at.wrapping_add(value),
            string_size,
            most: limits.max_string_len.saturating_sub(1),
            capacity: cells.capacity.load(Relaxed),
        })
    }

    /// Whether a writer died while changing the structure.
    #[inline(always)]
    pub fn is_broken(&self) -> bool {
        !self.handle.sharded && self.cells.changing.load(Relaxed) != 0
    }

    /// Most steps that following links can take when they make sense.
    #[inline(always)]
    pub fn step_limit(&self) -> u64 {
        u64::from(self.capacity).min(self.arena.size() / ENTRY_HEADER)
    }

    /// Entries in it.
    pub fn count(&self) -> u32 {
        if self.handle.sharded { self.gathered() } else { self.cells.count.load(Relaxed) }
    }

    #[inline(always)]
    fn head(&self, hash: u64) -> Checked<&'a AtomicU32> {
        let bucket = hash & u64::from(self.cells.mask.load(Relaxed));
        self.arena.get(self.heads_at.wrapping_add(bucket.wrapping_mul(4)))
    }

    #[inline(always)]
    fn entry_at(&self, entry: Entry) -> Checked<u64> {
        let index = entry.wrapping_sub(1);
        if index >= self.capacity {
            return Err(Corrupt);
        }
        Ok(self.entries_at.wrapping_add(u64::from(index).wrapping_mul(self.stride)))
    }

    #[inline(always)]
    fn links(&self, entry: Entry) -> Checked<&'a EntryCells> {
        self.arena.get(self.entry_at(entry)?)
    }

    /// Entry of a key.
    #[inline(always)]
    pub fn find(&self, key: &Key<'_>) -> Checked<Option<Entry>> {
        if self.is_broken() {
            return Ok(None);
        }
        let found = self.find_hashed(key, key.hash())?;
        Ok(found.filter(|entry| !self.handle.sharded || *entry <= self.gathered()))
    }

    #[inline(always)]
    fn find_hashed(&self, key: &Key<'_>, hash: u64) -> Checked<Option<Entry>> {
        let mut entry = self.head(hash)?.load(Acquire);
        for _ in 0..=self.step_limit() {
            if entry == 0 {
                return Ok(None);
            }
            if self.has_key(entry, key, 0)? {
                return Ok(Some(entry));
            }
            entry = self.links(entry)?.chain.load(Relaxed);
        }
        Err(Corrupt)
    }

    /// Whether the entry has this key, but for the parts in `mask`.
    #[inline(always)]
    pub fn has_key(&self, entry: Entry, key: &Key<'_>, mask: u64) -> Checked<bool> {
        let mut at = self.entry_at(entry)?.wrapping_add(ENTRY_HEADER);
        let mut mask = mask;
        for part in key.parts() {
            let free = mask & 1 != 0;
            mask >>= 1;
            match part {
                Part::Long(value) => {
                    if !free && self.arena.word(at)?.load(Relaxed) != value as u64 {
                        return Ok(false);
                    }
                    at = at.wrapping_add(8);
                }
                Part::String(bytes) => {
                    if !free && !self.arena.string(at, self.most)?.equals(bytes) {
                        return Ok(false);
                    }
                    at = at.wrapping_add(self.string_size);
                }
            }
        }
        Ok(true)
    }

    /// Entry of a key, made if absent, with value 0, "" or an empty statistic.
    #[inline(always)]
    pub fn find_or_insert(&self, key: &Key<'_>) -> Result<Entry, Overflow> {
        let hash = key.hash();
        match self.find_hashed(key, hash)? {
            Some(entry) => Ok(entry),
            None => self.insert(key, hash),
        }
    }

    fn insert(&self, key: &Key<'_>, hash: u64) -> Result<Entry, Overflow> {
        if self.count() >= self.capacity {
            if self.cells.flags.load(Relaxed) & WRAP == 0 || self.capacity == 0 {
                return Err(Overflow::Full);
            }
            self.remove(self.cells.first.load(Relaxed))?;
        }
        self.begin_change();
        let entry = self.take_free()?;
        let at = self.entry_at(entry)?;
        self.store_key(at, key)?;
        self.reset_value(entry)?;
        let links = self.links(entry)?;
        let stamp = self.cells.stamp.load(Relaxed).wrapping_add(1).max(1);
        self.cells.stamp.store(stamp, Relaxed);
        links.stamp.store(stamp, Relaxed);
        let head = self.head(hash)?;
        links.chain.store(head.load(Relaxed), Relaxed);
        head.store(entry, Relaxed);
        self.append(entry, links)?;
        self.cells.count.store(self.count().wrapping_add(1), Relaxed);
        self.end_change();
        Ok(entry)
    }

    fn take_free(&self) -> Checked<Entry> {
        let free = self.cells.free.load(Relaxed);
        if free != 0 {
            self.cells.free.store(self.links(free)?.chain.load(Relaxed), Relaxed);
            return Ok(free);
        }
        let fresh = self.cells.fresh.load(Relaxed).wrapping_add(1);
        self.links(fresh)?;
        self.cells.fresh.store(fresh, Relaxed);
        Ok(fresh)
    }

    fn store_key(&self, entry_at: u64, key: &Key<'_>) -> Checked<()> {
        let mut at = entry_at.wrapping_add(ENTRY_HEADER);
        for part in key.parts() {
            match part {
                Part::Long(value) => {
                    self.arena.word(at)?.store(value as u64, Relaxed);
                    at = at.wrapping_add(8);
                }
                Part::String(bytes) => {
                    self.arena.set_string(at, bytes)?;
                    at = at.wrapping_add(self.string_size);
                }
            }
        }
        Ok(())
    }

    fn reset_value(&self, entry: Entry) -> Checked<()> {
        if self.handle.value <= STRING {
            // A string's length, or a long.
            self.value_word(entry)?.store(0, Relaxed);
            return Ok(());
        }
        let shape = Shape {
            descriptor: self.cells.descriptor.load(Relaxed),
            start: self.cells.start.load(Relaxed) as i64,
            interval: self.cells.interval.load(Relaxed) as i64,
        };
        self.stat(entry)?.initialise(&shape)
    }

    fn append(&self, entry: Entry, links: &EntryCells) -> Checked<()> {
        let last = self.cells.last.load(Relaxed);
        links.previous.store(last, Relaxed);
        links.next.store(0, Relaxed);
        match last {
            0 => self.cells.first.store(entry, Relaxed),
            last => self.links(last)?.next.store(entry, Relaxed),
        }
        self.cells.last.store(entry, Relaxed);
        Ok(())
    }

    /// Deletes the element with this key, if there is one.
    pub fn delete(&self, key: &Key<'_>) -> Checked<()> {
        match self.find(key)? {
            Some(entry) => self.remove(entry),
            None => Ok(()),
        }
    }

    /// Deletes all elements with this key but for the parts in `mask`.
    pub fn delete_matching(&self, key: &Key<'_>, mask: u64) -> Checked<()> {
        let mut entry = self.first();
        for _ in 0..=self.step_limit() {
            if entry == 0 {
                return Ok(());
            }
            let next = self.next(entry)?;
            if self.has_key(entry, key, mask)? {
                self.remove(entry)?;
            }
            entry = next;
        }
        Err(Corrupt)
    }

    /// Whether an element has this key but for the parts in `mask`.
    pub fn contains_matching(&self, key: &Key<'_>, mask: u64) -> Checked<bool> {
        if self.is_broken() {
            return Ok(false);
        }
        let mut entry = self.first();
        for _ in 0..=self.step_limit() {
            if entry == 0 {
                return Ok(false);
            }
            if self.has_key(entry, key, mask)? {
                return Ok(true);
            }
            entry = self.next(entry)?;
        }
        Err(Corrupt)
    }

    fn remove(&self, entry: Entry) -> Checked<()> {
        let links = self.links(entry)?;
        let hash = self.stored_hash(entry)?;
        self.begin_change();
        self.unchain(entry, links, hash)?;
        let (previous, next) = (links.previous.load(Relaxed), links.next.load(Relaxed));
        match previous {
            0 => self.cells.first.store(next, Relaxed),
            previous => self.links(previous)?.next.store(next, Relaxed),
        }
        match next {
            0 => self.cells.last.store(previous, Relaxed),
            next => self.links(next)?.previous.store(previous, Relaxed),
        }
        links.stamp.store(0, Relaxed);
        links.chain.store(self.cells.free.load(Relaxed), Relaxed);
        self.cells.free.store(entry, Relaxed);
        self.cells.count.store(self.count().saturating_sub(1), Relaxed);
        self.end_change();
        Ok(())
    }

    fn unchain(&self, entry: Entry, links: &EntryCells, hash: u64) -> Checked<()> {
        let mut link = self.head(hash)?;
        for _ in 0..=self.step_limit() {
            let linked = link.load(Relaxed);
            if linked == entry {
                link.store(links.chain.load(Relaxed), Relaxed);
                return Ok(());
            }
            link = &self.links(linked)?.chain;
        }
        Err(Corrupt)
    }

    fn stored_hash(&self, entry: Entry) -> Checked<u64> {
        let mut hash = key::SEED;
        for part in 0..self.handle.keys {
            hash = match self.is_string(part) {
                false => key::mix(hash, self.key_long(entry, part)? as u64),
                true => self.key_string(entry, part)?.fold_words(hash, key::mix),
            };
        }
        Ok(hash)
    }

    /// Empties it. Works on a broken one too.
    pub fn clear(&self) -> Checked<()> {
        self.begin_change();
        let heads = u64::from(self.cells.mask.load(Relaxed)).wrapping_add(1);
        let heads: &[AtomicU32] = self.arena.slice(self.heads_at, heads)?;
        for head in heads {
            head.store(0, Relaxed);
        }
        for entry in 1..=self.cells.fresh.load(Relaxed).min(self.capacity) {
            self.links(entry)?.stamp.store(0, Relaxed);
        }
        for cell in
            [&self.cells.count, &self.cells.fresh, &self.cells.first, &self.cells.last, &self.cells.free]
        {
            cell.store(0, Relaxed);
        }
        self.end_change();
        Ok(())
    }

    #[inline(always)]
    fn begin_change(&self) {
        self.cells.changing.store(1, Relaxed);
        fence(Release);
    }

    #[inline(always)]
    fn end_change(&self) {
        self.cells.changing.store(0, Release);
    }

    /// The declared size for the overflow message, 0 if none was declared.
    pub fn declared_size(&self) -> u32 {
        if self.cells.flags.load(Relaxed) & SIZED != 0 { self.capacity } else { 0 }
    }
}

/// Why an element could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The array is full.
    Full,
    /// It makes no sense.
    Corrupt,
}

impl From<Corrupt> for Overflow {
    fn from(_: Corrupt) -> Overflow {
        Overflow::Corrupt
    }
}

impl Overflow {
    /// The fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Overflow::Full => Fault::ArrayOverflow,
            Overflow::Corrupt => Fault::CorruptArena,
        }
    }
}

#[cfg(test)]
mod tests;
