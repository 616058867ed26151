//! Sharded globals: those that handlers only add to. Each context adds to its own shard, without a lock and without
//! locked instructions; who reads one takes its lock, gathers what all shards hold in the global itself, and reads it
//! there like any other. So readers see one value for as long as they run, and writers never wait for them.
//!
//! A statistic in a shard is laid out as everywhere, but for its first word: that is the number of the addition begun
//! last, and the count that of the addition done last. Where they differ, or the count has changed meanwhile, a reader
//! looks again, [`LOOKS`] times at most. (Stores of one x86-64 processor are seen in their order, and so are loads.)

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, compiler_fence};

use rstap_abi::image::{LockEntry, SHARD_HEADER, gather};
use rstap_abi::layout::VALUE;
use rstap_abi::limits::Limits;

use crate::arena::{Arena, Checked, Corrupt};
use crate::image::Image;
use crate::map::Map;
use crate::stat::{COUNT, MAX, MIN, SHAPED, SUM, Shape, Stat};

/// The shards of an image, as the image says; each lies in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shards {
    at: u64,
    stride: u64,
    count: u64,
}

impl Shards {
    /// Those of an image; `None` if they are not in the arena.
    pub fn of(image: &Image<'_>, arena: &Arena<'_>) -> Option<Shards> {
        let (at, stride, count) = image.shards();
        let end = stride.checked_mul(u64::from(count))?.checked_add(at)?;
        let sound = count == 0 || (at > 0 && stride >= SHARD_HEADER && end <= arena.size());
        sound.then_some(Shards { at, stride, count: u64::from(count) })
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Arena offset of shard `number`; `None` if there is none of this number.
    pub fn offset(&self, number: u64) -> Option<u64> {
        (number < self.count).then(|| self.at.wrapping_add(number.wrapping_mul(self.stride)))
    }

    fn offsets(self) -> impl Iterator<Item = u64> {
        (0..self.count).filter_map(move |number| self.offset(number))
    }
}

/// Gathers a global of a lock set. The caller holds its lock for writing.
pub(crate) fn gather(arena: &Arena<'_>, shards: Shards, lock: &LockEntry, limits: &Limits) -> Checked<()> {
    let part = lock.part & !gather::MASK;
    match lock.part & gather::MASK {
        gather::LONG => {
            let mut sum = 0u64;
            for shard in shards.offsets() {
                sum = sum.wrapping_add(arena.word(shard.wrapping_add(part))?.load(Relaxed));
            }
            arena.word(lock.at().wrapping_add(VALUE))?.store(sum, Relaxed);
            Ok(())
        }
        gather::STAT => gather_stat(arena, shards, part, &Stat::at(arena, lock.at().wrapping_add(VALUE))),
        _ => {
            let map = Map::open(*arena, lock.global, limits)?;
            gather_map(arena, shards, part, &map)
        }
    }
}

fn gather_map(arena: &Arena<'_>, shards: Shards, part: u64, map: &Map<'_>) -> Checked<()> {
    let made = map.made();
    for entry in 1..=made {
        let part = part.wrapping_add(map.part_of(entry));
        if map.has_stats() {
            gather_stat(arena, shards, part, &map.stat(entry)?)?;
            continue;
        }
        let mut sum = 0u64;
        for shard in shards.offsets() {
            sum = sum.wrapping_add(arena.word(shard.wrapping_add(part))?.load(Relaxed));
        }
        map.value_word(entry)?.store(sum, Relaxed);
    }
    map.set_gathered(made);
    Ok(())
}

/// Words of a statistic that are looked at together: all but the last ones of a large histogram or sketch, which may be
/// seen in the middle of an addition.
const MOST_WORDS: usize = 192;
/// Looks at a statistic that is being added to: the adder may have been stopped in the middle.
const LOOKS: u32 = 64;

fn gather_stat(arena: &Arena<'_>, shards: Shards, part: u64, into: &Stat<'_>) -> Checked<()> {
    let shape = into.shape()?;
    into.initialise(&shape)?;
    let mut memory = [0u64; MOST_WORDS];
    for shard in shards.offsets() {
        let words: &[AtomicU64] = arena.slice(shard.wrapping_add(part), shape.words())?;
        let together = words.len().min(MOST_WORDS);
        let copy = memory.get_mut(..together).ok_or(Corrupt)?;
        if look(words, copy)? {
            merge(into, shape, |index| match copy.get(index as usize) {
                Some(word) => *word,
                None => words.get(index as usize).map_or(0, |word| word.load(Relaxed)),
            })?;
        }
    }
    Ok(())
}

/// Copies a statistic between two additions; whether anything was ever added to it.
fn look(words: &[AtomicU64], copy: &mut [u64]) -> Checked<bool> {
    let begun = words.first().ok_or(Corrupt)?;
    let done = words.get(COUNT as usize).ok_or(Corrupt)?;
    for _ in 0..LOOKS {
        let before = done.load(Acquire);
        if before == 0 && begun.load(Relaxed) == 0 {
            return Ok(false);
        }
        for (to, from) in copy.iter_mut().zip(words) {
            *to = from.load(Acquire);
        }
        if begun.load(Relaxed) == before && done.load(Relaxed) == before {
            break;
        }
        core::hint::spin_loop();
    }
    Ok(true)
}

/// Adds what a statistic of this shape holds to another one.
fn merge(into: &Stat<'_>, shape: Shape, from: impl Fn(u64) -> u64) -> Checked<()> {
    let count = from(COUNT);
    if count == 0 {
        return Ok(());
    }
    let before = into.word(COUNT)?.load(Relaxed);
    if shape.has_variance() {
        into.merge_variance(before, count, from(SHAPED) as i64, from(SHAPED.wrapping_add(1)) as i64)?;
    }
    let add = |index: u64| -> Checked<()> {
        let word = into.word(index)?;
        word.store(word.load(Relaxed).wrapping_add(from(index)), Relaxed);
        Ok(())
    };
    add(COUNT)?;
    add(SUM)?;
    for index in shape.bucket_words() {
        add(index)?;
    }
    let (min, max) = (into.word(MIN)?, into.word(MAX)?);
    if before == 0 || (from(MIN) as i64) < min.load(Relaxed) as i64 {
        min.store(from(MIN), Relaxed);
    }
    if before == 0 || (from(MAX) as i64) > max.load(Relaxed) as i64 {
        max.store(from(MAX), Relaxed);
    }
    Ok(())
}

/// `<<<` in a shard that nobody else writes now.
pub(crate) fn add_to_stat(arena: &Arena<'_>, at: u64, shape: Shape, value: i64) -> Checked<()> {
    let words: &[AtomicU64] = arena.slice(at, SHAPED)?;
    let [begun, count, sum, min, max] = words else { return Err(Corrupt) };
    let before = count.load(Relaxed);
    begun.store(before.wrapping_add(1), Relaxed);
    compiler_fence(Release);
    sum.store(sum.load(Relaxed).wrapping_add(value as u64), Relaxed);
    if before == 0 || value < min.load(Relaxed) as i64 {
        min.store(value as u64, Relaxed);
    }
    if before == 0 || value > max.load(Relaxed) as i64 {
        max.store(value as u64, Relaxed);
    }
    Stat::at(arena, at).add_to_shape(shape, value, before.wrapping_add(1))?;
    count.store(before.wrapping_add(1), Release);
    Ok(())
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
