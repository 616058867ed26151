//! Arrays and walks over them.

use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::fault::Fault;
use rstap_abi::layout::{KeyHead, KeyPart};

use crate::arena::{Checked, Corrupt};
use crate::call::Call;
use crate::env::Env;
use crate::key::Key;
use crate::map::{Entry, Map, Overflow};
use crate::text::Text;
use crate::walk::{self, Item, Walk};

/// Arrays. `map` is a `MapShape::handle`, `key` the address of key parts.
impl<'c, E: Env> Call<'c, E> {
    #[inline(always)]
    pub(super) fn map(&self, map: i64) -> Checked<Map<'c>> {
        Map::open(self.arena, map as u64, &self.context.limits)
    }

    /// The array for changing it: emptied first if a writer died in the middle of changing it.
    #[inline(always)]
    fn map_to_change(&self, map: i64) -> Checked<Map<'c>> {
        let map = self.map(map)?;
        if map.is_broken() {
            self.repair(&map)?;
        }
        Ok(map)
    }

    #[cold]
    fn repair(&self, map: &Map<'c>) -> Checked<()> {
        map.clear()?;
        if let Ok(session) = self.session() {
            session.cells.counts.cleared.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn key(&self, map: &Map<'_>, key: i64) -> Key<'c> {
        // SAFETY: compiled code passes a head and behind it as many parts as the handle says, from its own memory, each
        // of its type; the handle comes from the image and not from the arena. Only this thread uses that memory.
        unsafe {
            let head = &*(key as *const Cell<KeyHead>);
            let parts = (key as *const KeyHead).add(1).cast::<KeyPart>();
            let parts = core::slice::from_raw_parts(parts, map.key_count() as usize);
            Key::new(head, parts, map.string_mask(), self.longest_string())
        }
    }

    fn find(&self, map: i64, key: i64) -> Checked<Option<(Map<'c>, Entry)>> {
        let map = self.map(map)?;
        let entry = map.find(&self.key(&map, key))?;
        Ok(entry.map(|entry| (map, entry)))
    }

    #[inline(always)]
    fn find_or_insert(&mut self, map: i64, key: i64) -> Option<(Map<'c>, Entry)> {
        match self.map_to_change(map) {
            Ok(map) => match map.find_or_insert(&self.key(&map, key)) {
                Ok(entry) => Some((map, entry)),
                Err(overflow) => {
                    let size = if overflow == Overflow::Full { map.declared_size() } else { 0 };
                    self.fail(overflow.fault(), u64::from(size));
                    None
                }
            },
            Err(Corrupt) => {
                self.fail(Fault::CorruptArena, 0);
                None
            }
        }
    }

    pub fn map_get_long(&mut self, map: i64, key: i64) -> i64 {
        let value = self.find(map, key).and_then(|found| match found {
            Some((map, entry)) => Ok(map.value_word(entry)?.load(Relaxed) as i64),
            None => Ok(0),
        });
        self.check(value, 0)
    }

    pub fn map_get_string(&mut self, map: i64, key: i64, out: &mut Text<'_>) {
        let written = self.find(map, key).and_then(|found| {
            if let Some((map, entry)) = found {
                let value = map.value_string(entry)?;
                out.fill_with(|room| value.copy_to(room));
            }
            Ok(())
        });
        self.check(written, ());
    }

    pub fn map_set_long(&mut self, map: i64, key: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_insert(map, key) {
            let set = map.value_word(entry).map(|word| word.store(value as u64, Relaxed));
            self.check(set, ());
        }
    }

    pub fn map_set_string(&mut self, map: i64, key: i64, value: &[u8]) {
        if let Some((map, entry)) = self.find_or_insert(map, key) {
            let set = map.set_value_string(entry, value);
            self.check(set, ());
        }
    }

    pub fn map_append_string(&mut self, map: i64, key: i64, more: &[u8]) {
        if let Some((map, entry)) = self.find_or_insert(map, key) {
            let appended = map.append_to_value(entry, more);
            self.check(appended, ());
        }
    }

    #[inline(always)]
    pub fn map_add_long(&mut self, map: i64, key: i64, value: i64) -> i64 {
        let Some((map, entry)) = self.find_or_insert(map, key) else { return 0 };
        let sum = map.value_word(entry).map(|word| {
            let sum = (word.load(Relaxed) as i64).wrapping_add(value);
            word.store(sum as u64, Relaxed);
            sum
        });
        self.check(sum, 0)
    }

    pub fn map_contains(&mut self, map: i64, key: i64, mask: i64) -> i64 {
        let contains = self.map(map).and_then(|map| {
            let key = self.key(&map, key);
            match mask {
                0 => Ok(map.find(&key)?.is_some()),
                mask => map.contains_matching(&key, mask as u64),
            }
        });
        i64::from(self.check(contains, false))
    }

    pub fn map_delete(&mut self, map: i64, key: i64, mask: i64) {
        let deleted = self.map_to_change(map).and_then(|map| {
            let key = self.key(&map, key);
            match mask {
                0 => map.delete(&key),
                mask => map.delete_matching(&key, mask as u64),
            }
        });
        self.check(deleted, ());
    }

    pub fn map_clear(&mut self, map: i64) {
        let cleared = self.map(map).and_then(|map| map.clear());
        self.check(cleared, ());
    }

    pub fn map_stat_add(&mut self, map: i64, key: i64, value: i64) {
        if let Some((map, entry)) = self.find_or_insert(map, key) {
            let added = map.stat(entry).and_then(|stat| stat.add(value));
            self.check(added, ());
        }
    }

    pub fn map_stat_find(&mut self, map: i64, key: i64) -> i64 {
        let at = self.find(map, key).and_then(|found| match found {
            Some((map, entry)) => Ok(map.value_offset(entry)? as i64),
            None => Ok(0),
        });
        self.check(at, 0)
    }
}

/// Walks. `iter` is the address of a [`Walk`].
impl<'c, E: Env> Call<'c, E> {
    fn walk(&self, iter: i64) -> &'c mut Walk {
        // SAFETY: compiled code passes ITERATOR_SIZE bytes of its own, aligned to 8, and walks in one call only; any
        // bytes are a `Walk`.
        unsafe { &mut *(iter as *mut Walk) }
    }

    fn items(&self, walk: &Walk) -> &'c mut [Item] {
        // SAFETY: `iter_begin` took them from scratch memory for this walk, in which compiled code keeps them until
        // `iter_end`; one call at a time looks at them.
        unsafe { Call::items_at(self, walk.items, walk.count) }
    }

    pub fn iter_begin(&mut self, iter: i64, map: i64, order: i64, limit: i64, mask: i64, slice: i64) {
        let walk = self.walk(iter);
        *walk = Walk { handle: map as u64, scratch_before: self.context.scratch_len, ..Walk::default() };
        let map = match self.map(map) {
            Ok(map) => map,
            Err(Corrupt) => return self.fail(Fault::CorruptArena, 0),
        };
        let count = map.count();
        let Some(address) = self.take_scratch(count) else { return self.fail(Fault::ScratchExhausted, 0) };
        walk.items = address;
        walk.count = count;
        let slice = (slice != 0).then(|| (self.key(&map, slice), mask as u64));
        let slice = slice.as_ref().map(|(key, mask)| (key, *mask));
        let kept = walk::snapshot(&map, self.items(walk), order as u64, limit, slice);
        walk.count = self.check(kept, 0) as u32;
    }

    pub fn iter_next(&mut self, iter: i64) -> i64 {
        let walk = self.walk(iter);
        let Ok(map) = self.map(walk.handle as i64) else { return 0 };
        let items = self.items(walk);
        i64::from(walk.step(&map, items))
    }

    pub fn iter_end(&mut self, iter: i64) {
        let walk = self.walk(iter);
        self.context.scratch_len = walk.scratch_before;
        walk.count = 0;
    }

    /// The array and the entry that a walk is at.
    fn current(&self, iter: i64) -> Checked<(Map<'c>, Entry)> {
        let walk = self.walk(iter);
        let map = self.map(walk.handle as i64)?;
        let entry = walk.current(&map).ok_or(Corrupt)?;
        Ok((map, entry))
    }

    pub fn iter_key_long(&mut self, iter: i64, part: i64) -> i64 {
        self.current(iter).and_then(|(map, entry)| map.key_long(entry, part as u32)).unwrap_or(0)
    }

    pub fn iter_key_string(&mut self, iter: i64, part: i64, out: &mut Text<'_>) {
        if let Ok(key) = self.current(iter).and_then(|(map, entry)| map.key_string(entry, part as u32)) {
            out.fill_with(|room| key.copy_to(room));
        }
    }

    pub fn iter_value_long(&mut self, iter: i64) -> i64 {
        let value = self.current(iter).and_then(|(map, entry)| map.value_word(entry));
        value.map_or(0, |word| word.load(Relaxed) as i64)
    }

    pub fn iter_value_string(&mut self, iter: i64, out: &mut Text<'_>) {
        if let Ok(value) = self.current(iter).and_then(|(map, entry)| map.value_string(entry)) {
            out.fill_with(|room| value.copy_to(room));
        }
    }

    pub fn iter_value_stat(&mut self, iter: i64) -> i64 {
        self.current(iter).and_then(|(map, entry)| map.value_offset(entry)).map_or(0, |at| at as i64)
    }
}
