//! What is to be undone in a target, as a hash table that a signal handler can search: kept here, and copied to the
//! target entry by entry.
//!
//! ```text
//! [mask, 0, 0, 0] [entry 0] … [entry mask]        entry of a key: the first free one from hash(key) on
//! ```
//!
//! Entries stay when their breakpoints are taken out: a thread may just have met one, and its slot leads past the
//! instruction whether or not the breakpoint is still there. Only where the code itself is gone they are lost.

use super::area::{Entry, KIND_LOST, PAGE, bytes, from_bytes};

/// The multiplier of the hash: 2^64 divided by the golden ratio.
pub const HASH: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bits of the product that count.
pub const HASH_SHIFT: u32 = 40;

const ENTRY: usize = size_of::<Entry>();

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    entries: Vec<Entry>,
    used: usize,
}

impl Table {
    /// With room for this many keys, half of the entries staying free.
    pub fn with_room(keys: usize) -> Table {
        let len = (keys.max(256) * 2).next_power_of_two();
        Table { entries: vec![Entry::default(); len], used: 0 }
    }

    /// The one that these are the bytes of, as many as [`size_by_mask`] says.
    pub fn of_bytes(table: &[u8]) -> Table {
        let entries: Vec<Entry> = table.chunks_exact(ENTRY).skip(1).filter_map(from_bytes).collect();
        let used = entries.iter().filter(|entry| entry.key != 0).count();
        Table { entries, used }
    }

    /// The same entries, with more room.
    pub fn grown(&self, more: usize) -> Table {
        let mut grown = Table::with_room((self.used + more) * 2);
        for entry in self.iter() {
            grown.set(*entry);
        }
        grown
    }

    /// Whether this many more keys fit.
    pub fn has_room(&self, more: usize) -> bool {
        (self.used + more) * 2 <= self.entries.len()
    }

    /// Bytes it takes in the target, in whole pages.
    pub fn size(&self) -> u64 {
        ((self.entries.len() + 1) * ENTRY).next_multiple_of(PAGE) as u64
    }

    /// Puts an entry in; the position of its bytes in the table.
    pub fn set(&mut self, entry: Entry) -> u64 {
        let index = self.find(entry.key, entry.kind, true);
        if self.entries[index].key == 0 {
            self.used += 1;
        }
        self.entries[index] = entry;
        ((index + 1) * ENTRY) as u64
    }

    /// Makes an entry one that says nothing; the position of its bytes and what they are now.
    pub fn lose(&mut self, key: u64, kind: u8) -> Option<(u64, Entry)> {
        let index = self.find(key, kind, false);
        let entry = self.entries.get_mut(index).filter(|entry| entry.key != 0)?;
        entry.kind = KIND_LOST;
        Some((((index + 1) * ENTRY) as u64, *entry))
    }

    #[cfg(test)]
    fn get(&self, key: u64, kind: u8) -> Option<&Entry> {
        Some(&self.entries[self.find(key, kind, false)]).filter(|entry| entry.key != 0)
    }

    /// The entries that are used.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.key != 0)
    }

    /// The place of an entry, or a free one; with `reuse` also that of one that was lost.
    fn find(&self, key: u64, kind: u8, reuse: bool) -> usize {
        let mask = self.entries.len() - 1;
        let mut index = (key.wrapping_mul(HASH) >> HASH_SHIFT) as usize & mask;
        let is_it = |entry: &Entry| {
            entry.key == 0 || entry.key == key && (entry.kind == kind || reuse && entry.kind == KIND_LOST)
        };
        while !is_it(&self.entries[index]) {
            index = (index + 1) & mask;
        }
        index
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mask = (self.entries.len() - 1) as u64;
        let mut all = Vec::with_capacity(self.size() as usize);
        all.extend(bytes(&[mask, 0, 0, 0]));
        all.extend(self.entries.iter().flat_map(bytes));
        all.resize(self.size() as usize, 0);
        all
    }
}

/// Most entries that are believed of a table found in a target.
const MOST: u64 = 1 << 24;

/// How many bytes a table has, by its first eight; `None` if it is none.
pub fn size_by_mask(mask: u64) -> Option<usize> {
    (mask < MOST && (mask + 1).is_power_of_two()).then(|| (mask as usize + 2) * ENTRY)
}

/// The entries in a table's bytes.
pub fn entries(table: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    table.chunks_exact(ENTRY).skip(1).filter_map(from_bytes::<Entry>).filter(|entry| entry.key != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_also_after_growing_and_in_the_bytes() {
        let mut table = Table::with_room(300);
        let keys: Vec<u64> = (1..=300).map(|i| i * 0x1003).collect();
        for (i, &key) in keys.iter().enumerate() {
            assert!(table.has_room(1));
            let entry = Entry { key, slot: i as u64, kind: 1 + (i % 2) as u8, ..Entry::default() };
            let at = table.set(entry);
            assert!(at >= 32 && at + 32 <= table.size() && at.is_multiple_of(32));
        }
        let grown = table.grown(3000);
        for (i, &key) in keys.iter().enumerate() {
            let kind = 1 + (i % 2) as u8;
            assert_eq!(table.get(key, kind).map(|e| e.slot), Some(i as u64));
            assert_eq!(grown.get(key, kind).map(|e| e.slot), Some(i as u64));
            assert_eq!(table.get(key, 3 - kind), None);
        }
        let bytes = grown.to_bytes();
        let mask = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        assert!(size_by_mask(mask).is_some_and(|size| size <= bytes.len()));
        assert_eq!(entries(&bytes).count(), 300);
        let size = size_by_mask(mask).expect("it was just asked for");
        assert_eq!(Table::of_bytes(&bytes[..size]).to_bytes(), bytes);
        assert!(grown.has_room(3000) && !table.has_room(3000));
        let (at, lost) = table.lose(keys[7], 2).expect("it is there");
        assert_eq!((lost.key, table.get(keys[7], 2)), (keys[7], None));
        assert_eq!(table.set(Entry { key: keys[7], kind: 2, ..Entry::default() }), at);
    }

    #[test]
    fn no_mask_is_believed_that_is_none() {
        for mask in [1, u64::MAX, MOST, 6] {
            assert_eq!(size_by_mask(mask).is_some(), mask == 1, "{mask}");
        }
    }
}
