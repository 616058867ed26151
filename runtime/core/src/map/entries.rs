//! What is in the entries of an array: keys and values by entry, for walks and for the builtins.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::layout::ENTRY_HEADER;

use super::{Entry, Map, STRING};
use crate::arena::{ArenaString, Checked};
use crate::stat::Stat;

impl<'a> Map<'a> {
    /// First entry in the order of insertion, 0 if there is none.
    pub fn first(&self) -> Entry {
        if self.handle.sharded {
            return self.gathered().min(1);
        }
        self.cells.first.load(Relaxed)
    }

    /// The entry inserted after this one, 0 if there is none.
    pub fn next(&self, entry: Entry) -> Checked<Entry> {
        if self.handle.sharded {
            return Ok(if entry < self.gathered() { entry.wrapping_add(1) } else { 0 });
        }
        Ok(self.links(entry)?.next.load(Relaxed))
    }

    /// The entry's stamp; 0 if it is free.
    pub fn stamp(&self, entry: Entry) -> Checked<u32> {
        Ok(self.links(entry)?.stamp.load(Relaxed))
    }

    /// Whether key part `part` is a string.
    pub fn is_string(&self, part: u32) -> bool {
        u32::from(self.handle.strings).checked_shr(part).unwrap_or(0) & 1 != 0
    }

    /// Number of key parts.
    pub fn key_count(&self) -> u32 {
        self.handle.keys
    }

    /// Which key parts are strings, by bits.
    pub fn string_mask(&self) -> u16 {
        self.handle.strings
    }

    /// Whether its values are statistics.
    pub fn has_stats(&self) -> bool {
        self.handle.value > STRING
    }

    /// Whether its values are strings.
    pub fn has_strings(&self) -> bool {
        self.handle.value == STRING
    }

    fn part_at(&self, entry: Entry, part: u32) -> Checked<u64> {
        let before = u32::from(self.handle.strings) & (1u32.checked_shl(part).unwrap_or(0)).wrapping_sub(1);
        let strings = u64::from(before.count_ones());
        let longs = u64::from(part).saturating_sub(strings);
        let offset = strings.wrapping_mul(self.string_size).wrapping_add(longs.wrapping_mul(8));
        Ok(self.entry_at(entry)?.wrapping_add(ENTRY_HEADER).wrapping_add(offset))
    }

    /// Key part `part` of an entry, a long.
    pub fn key_long(&self, entry: Entry, part: u32) -> Checked<i64> {
        Ok(self.arena.word(self.part_at(entry, part)?)?.load(Relaxed) as i64)
    }

    /// Key part `part` of an entry, a string.
    pub fn key_string(&self, entry: Entry, part: u32) -> Checked<ArenaString<'a>> {
        self.arena.string(self.part_at(entry, part)?, self.most)
    }

    /// Where the value of an entry is.
    pub fn value_offset(&self, entry: Entry) -> Checked<u64> {
        Ok(self.entry_at(entry)?.wrapping_add(self.value_at))
    }

    /// The value of an entry, if it is a long.
    #[inline(always)]
    pub fn value_word(&self, entry: Entry) -> Checked<&'a AtomicU64> {
        self.arena.word(self.value_offset(entry)?)
    }

    /// The value of an entry, if it is a string.
    pub fn value_string(&self, entry: Entry) -> Checked<ArenaString<'a>> {
        self.arena.string(self.value_offset(entry)?, self.most)
    }

    /// Sets the value of an entry to a string, cut to MAXSTRINGLEN - 1 bytes.
    pub fn set_value_string(&self, entry: Entry, value: &[u8]) -> Checked<()> {
        let value = value.get(..self.most as usize).unwrap_or(value);
        self.arena.set_string(self.value_offset(entry)?, value)
    }

    /// Appends to the value of an entry, if it is a string.
    pub fn append_to_value(&self, entry: Entry, more: &[u8]) -> Checked<()> {
        self.arena.append_string(self.value_offset(entry)?, more, self.most)
    }

    /// The value of an entry, if it is a statistic.
    pub fn stat(&self, entry: Entry) -> Checked<Stat<'a>> {
        Ok(Stat::at(&self.arena, self.value_offset(entry)?))
    }
}
