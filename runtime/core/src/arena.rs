//! The shared memory, as checked references to atomics.
//!
//! Other processes map the same memory and may write anything anywhere in it. So nothing here gives out a `&[u8]` or
//! a `&T` of plain data, only atomics, and every offset is compared with the arena's private size first. What the
//! values mean, and whether they make sense, is for the callers to doubt.

use core::cmp::Ordering as Compared;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use rstap_abi::fault::Fault;

/// Something in the arena is not as the core left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl From<Corrupt> for Fault {
    fn from(_: Corrupt) -> Fault {
        Fault::CorruptArena
    }
}

/// A value, or the finding that the arena is corrupt.
pub type Checked<T> = Result<T, Corrupt>;

/// A type that the arena may be looked at as.
///
/// # Safety
/// It consists of atomic integers only, without padding that matters, and is aligned to at most 64 bytes.
pub(crate) unsafe trait Shared {}

// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU64 {}

/// A mapped arena.
#[derive(Clone, Copy, Debug)]
pub struct Arena<'a> {
    base: *const u8,
    size: u64,
    mapping: PhantomData<&'a AtomicU64>,
}

// SAFETY: it gives access to atomics only.
unsafe impl Send for Arena<'_> {}
// SAFETY: as above.
unsafe impl Sync for Arena<'_> {}

impl<'a> Arena<'a> {
    /// The arena mapped at `base`.
    ///
    /// # Safety
    /// `size` bytes from `base` are mapped, readable and writable, for all of `'a`; in this process they are accessed
    /// through atomics only. `base` is aligned to 64 bytes.
    pub const unsafe fn new(base: *const u8, size: u64) -> Arena<'a> {
        Arena { base, size, mapping: PhantomData }
    }

    /// The arena in memory that the caller owns, for tests and for sessions whose arena nobody else shares.
    pub fn in_memory(memory: &'a mut [Line]) -> Arena<'a> {
        let size = size_of_val(memory) as u64;
        // SAFETY: the exclusive borrow lasts for 'a, and `Line` is aligned to 64 bytes.
        unsafe { Arena::new(memory.as_mut_ptr().cast(), size) }
    }

    /// Size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Where it is mapped in this process.
    pub fn address(&self) -> u64 {
        self.base as u64
    }

    /// The `T` at byte `at`.
    #[inline(always)]
    pub(crate) fn get<T: Shared>(&self, at: u64) -> Checked<&'a T> {
        let fits = at.checked_add(size_of::<T>() as u64).is_some_and(|end| end <= self.size);
        if !fits || !at.is_multiple_of(align_of::<T>() as u64) {
            return Err(Corrupt);
        }
        // SAFETY: in bounds by the check; aligned, since the base is aligned to 64 bytes, no `Shared` type needs
        // more, and `at` was checked; any bytes are a valid `T`, which can be shared with anybody (`Shared`).
        Ok(unsafe { &*self.base.add(at as usize).cast::<T>() })
    }

    /// `count` consecutive `T`s from byte `at` on.
    #[inline(always)]
    pub(crate) fn slice<T: Shared>(&self, at: u64, count: u64) -> Checked<&'a [T]> {
        let bytes = count.checked_mul(size_of::<T>() as u64).ok_or(Corrupt)?;
        let fits = at.checked_add(bytes).is_some_and(|end| end <= self.size);
        if !fits || !at.is_multiple_of(align_of::<T>() as u64) {
            return Err(Corrupt);
        }
        // SAFETY: as in `get`, for `count` of them.
        Ok(unsafe { core::slice::from_raw_parts(self.base.add(at as usize).cast::<T>(), count as usize) })
    }

    /// The 64-bit word at byte `at`.
    #[inline(always)]
    pub(crate) fn word(&self, at: u64) -> Checked<&'a AtomicU64> {
        self.get(at)
    }

    /// The string stored at `at` (`u32` length, `u32` zero, bytes), which has at most `most` bytes.
    #[inline(always)]
    pub(crate) fn string(&self, at: u64, most: u64) -> Checked<ArenaString<'a>> {
        let len = self.word(at)?.load(Relaxed);
        if len > most {
            return Err(Corrupt);
        }
        let words = self.slice(at.wrapping_add(8), len.div_ceil(8))?;
        Ok(ArenaString { words, len: len as usize })
    }

    /// Stores a string at `at`; the rest of its last word is zeroed.
    #[inline]
    pub(crate) fn set_string(&self, at: u64, bytes: &[u8]) -> Checked<()> {
        let words: &[AtomicU64] = self.slice(at.wrapping_add(8), (bytes.len() as u64).div_ceil(8))?;
        self.word(at)?.store(bytes.len() as u64, Relaxed);
        for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
            word.store(load_word(chunk), Relaxed);
        }
        Ok(())
    }

    /// Appends to the string at `at`, up to `most` bytes in all.
    pub(crate) fn append_string(&self, at: u64, more: &[u8], most: u64) -> Checked<()> {
        let len = self.word(at)?.load(Relaxed);
        let room = most.checked_sub(len).ok_or(Corrupt)?;
        let more = more.get(..room as usize).unwrap_or(more);
        let longer = len.saturating_add(more.len() as u64);
        let words: &[AtomicU64] = self.slice(at.wrapping_add(8), longer.div_ceil(8))?;
        let mut words = words.iter().skip((len / 8) as usize);
        let (begun, rest) = more.split_at(more.len().min((len.wrapping_neg() % 8) as usize));
        if !begun.is_empty()
            && let Some(word) = words.next()
        {
            let shift = ((len & 7) << 3) as u32;
            let held = word.load(Relaxed) & !u64::MAX.wrapping_shl(shift);
            word.store(held | load_word(begun).wrapping_shl(shift), Relaxed);
        }
        for (word, chunk) in words.zip(rest.chunks(8)) {
            word.store(load_word(chunk), Relaxed);
        }
        self.word(at)?.store(longer, Relaxed);
        Ok(())
    }
}

/// 64 bytes with their alignment: what memory for [`Arena::in_memory`] is made of.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Line(pub [u64; 8]);

/// A string in the arena. Its bytes may change at any time; its length here does not.
#[derive(Clone, Copy)]
pub(crate) struct ArenaString<'a> {
    words: &'a [AtomicU64],
    len: usize,
}

impl ArenaString<'_> {
    #[inline(always)]
    pub fn equals(&self, bytes: &[u8]) -> bool {
        self.len == bytes.len()
            && self
                .words
                .iter()
                .zip(bytes.chunks(8))
                .all(|(word, chunk)| word.load(Relaxed) == load_word(chunk))
    }

    /// Copies it to the start of `out` as far as there is room; the number of bytes.
    pub fn copy_to(&self, out: &mut [u8]) -> usize {
        let len = self.len.min(out.len());
        let Some(out) = out.get_mut(..len) else { return 0 };
        for (word, chunk) in self.words.iter().zip(out.chunks_mut(8)) {
            store_word(word.load(Relaxed), chunk);
        }
        len
    }

    /// The first eight bytes as a number that compares as they do.
    pub fn prefix(&self) -> u64 {
        self.words.first().map_or(0, |word| word.load(Relaxed).swap_bytes())
    }

    /// Folds length and words, as `Key::hash` does those of a string in private memory.
    pub fn fold_words(&self, first: u64, step: impl Fn(u64, u64) -> u64) -> u64 {
        self.words.iter().fold(step(first, self.len as u64), |so_far, word| step(so_far, word.load(Relaxed)))
    }

    /// Bytewise.
    pub fn compare(&self, other: &ArenaString<'_>) -> Compared {
        for (a, b) in self.words.iter().zip(other.words) {
            let order = a.load(Relaxed).swap_bytes().cmp(&b.load(Relaxed).swap_bytes());
            if order != Compared::Equal {
                return order;
            }
        }
        self.len.cmp(&other.len)
    }
}

/// Up to eight bytes as a little-endian word, zeros after them.
#[inline(always)]
pub(crate) fn load_word(chunk: &[u8]) -> u64 {
    match <[u8; 8]>::try_from(chunk) {
        Ok(bytes) => u64::from_le_bytes(bytes),
        Err(_) => chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// The first bytes of a little-endian word, as many as `chunk` takes.
#[inline(always)]
pub(crate) fn store_word(word: u64, chunk: &mut [u8]) {
    let bytes = word.to_le_bytes();
    if let Ok(whole) = <&mut [u8; 8]>::try_from(&mut *chunk) {
        *whole = bytes;
        return;
    }
    for (to, from) in chunk.iter_mut().zip(bytes) {
        *to = from;
    }
}
