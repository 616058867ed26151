//! Walks over arrays (`foreach`): a snapshot of the entries in the context's scratch memory, sorted, limited, sliced.
//!
//! A sorted walk sorts its snapshot and not the array, so it needs the lock for reading only, and nested walks of one
//! array in different orders both see all of it. Entries that are equal stay in the order of insertion. The limit
//! counts entries of the whole array, before the slice is applied.

use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::layout::{ITERATOR_SIZE, WALK_ITEM, order};

use crate::arena::{Checked, Corrupt};
use crate::key::Key;
use crate::map::{Entry, Map};
use crate::sort::heap_sort;

/// One entry of the snapshot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Item {
    /// Compares as the entry does, but for strings longer than eight bytes.
    key: u64,
    entry: Entry,
    /// Its place in the order of insertion while sorting, then its stamp.
    mark: u32,
}

const _: () = assert!(size_of::<Item>() as u64 == WALK_ITEM);

/// The state of a walk, in memory of compiled code.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    /// The array.
    pub handle: u64,
    /// Address of the snapshot.
    pub items: u64,
    /// Entries in it.
    pub count: u32,
    /// The next one.
    pub next: u32,
    /// The entry that the walk is at.
    pub entry: Entry,
    /// Its stamp.
    pub stamp: u32,
    /// `Context::scratch_len` before the walk.
    pub scratch_before: u32,
    pub pad: u32,
    pub spare: [u64; 3],
}

const _: () = assert!(size_of::<Walk>() as u32 == ITERATOR_SIZE);

/// Takes the snapshot of `map` into `items`, which has room for all entries; the number of entries to walk.
pub(crate) fn snapshot(
    map: &Map<'_>,
    items: &mut [Item],
    order: u64,
    limit: i64,
    slice: Option<(&Key<'_>, u64)>,
) -> Checked<usize> {
    let count = collect(map, items)?;
    let items = items.get_mut(..count).ok_or(Corrupt)?;
    sort(map, items, order)?;
    let limit = usize::try_from(limit).unwrap_or(count).min(count);
    let mut kept = 0usize;
    for index in 0..limit {
        let Some(&item) = items.get(index) else { break };
        if let Some((key, mask)) = slice
            && !map.has_key(item.entry, key, mask)?
        {
            continue;
        }
        if let Some(place) = items.get_mut(kept) {
            *place = Item { mark: map.stamp(item.entry)?, ..item };
        }
        kept = kept.wrapping_add(1);
    }
    Ok(kept)
}

fn collect(map: &Map<'_>, items: &mut [Item]) -> Checked<usize> {
    if map.is_broken() {
        return Ok(0);
    }
    let mut entry = map.first();
    let mut count = 0usize;
    while entry != 0 {
        // More entries than counted: the list is a circle, or the count is wrong.
        let item = items.get_mut(count).ok_or(Corrupt)?;
        *item = Item { key: 0, entry, mark: count as u32 };
        count = count.wrapping_add(1);
        entry = map.next(entry)?;
    }
    Ok(count)
}

/// What a walk is sorted by.
#[derive(Clone, Copy)]
enum By {
    KeyLong(u32),
    KeyString(u32),
    ValueLong,
    ValueString,
    Extractor(u64),
}

fn sort(map: &Map<'_>, items: &mut [Item], order: u64) -> Checked<()> {
    let falling = order & order::DESCENDING != 0;
    let Some(by) = by(map, order & !order::DESCENDING) else { return Ok(()) };
    let flip = if falling { u64::MAX } else { 0 };
    for item in items.iter_mut() {
        item.key = sort_key(map, item.entry, by)? ^ flip;
    }
    match by {
        By::KeyLong(_) | By::ValueLong | By::Extractor(_) => {
            heap_sort(items, |a, b| (a.key, a.mark) < (b.key, b.mark));
        }
        By::KeyString(_) | By::ValueString => heap_sort(items, |a, b| {
            if a.key != b.key {
                return a.key < b.key;
            }
            let (Ok(left), Ok(right)) = (string(map, a.entry, by), string(map, b.entry, by)) else {
                return false;
            };
            let compared = if falling { right.compare(&left) } else { left.compare(&right) };
            compared.then(a.mark.cmp(&b.mark)).is_lt()
        }),
    }
    Ok(())
}

fn by(map: &Map<'_>, order: u64) -> Option<By> {
    match order {
        order::NONE => None,
        order::VALUE if map.has_strings() => Some(By::ValueString),
        order::VALUE => Some(By::ValueLong),
        order::STAT.. => Some(By::Extractor(order.wrapping_sub(order::STAT))),
        _ => {
            let part = order.wrapping_sub(order::KEY) as u32;
            Some(if map.is_string(part) { By::KeyString(part) } else { By::KeyLong(part) })
        }
    }
}

fn sort_key(map: &Map<'_>, entry: Entry, by: By) -> Checked<u64> {
    let unsigned = |value: i64| value as u64 ^ 1 << 63;
    Ok(match by {
        By::KeyLong(part) => unsigned(map.key_long(entry, part)?),
        By::ValueLong => unsigned(map.value_word(entry)?.load(Relaxed) as i64),
        By::Extractor(op) => unsigned(map.stat(entry)?.get(op).unwrap_or(0)),
        By::KeyString(_) | By::ValueString => string(map, entry, by)?.prefix(),
    })
}

fn string<'a>(map: &Map<'a>, entry: Entry, by: By) -> Checked<crate::arena::ArenaString<'a>> {
    match by {
        By::KeyString(part) => map.key_string(entry, part),
        _ => map.value_string(entry),
    }
}

impl Walk {
    /// Steps to the next entry that was not deleted meanwhile; whether there is one.
    pub fn step(&mut self, map: &Map<'_>, items: &[Item]) -> bool {
        while let Some(item) = items.get(self.next as usize) {
            self.next = self.next.wrapping_add(1);
            if map.stamp(item.entry) == Ok(item.mark) {
                self.entry = item.entry;
                self.stamp = item.mark;
                return true;
            }
        }
        self.entry = 0;
        false
    }

    /// The entry it is at, if that was not deleted meanwhile.
    pub fn current(&self, map: &Map<'_>) -> Option<Entry> {
        (self.entry != 0 && map.stamp(self.entry) == Ok(self.stamp)).then_some(self.entry)
    }
}
