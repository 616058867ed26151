//! The key of an array access, as compiled code hands it over: private memory, read through addresses.

use core::cell::Cell;

use rstap_abi::layout::{KeyHead, KeyPart, MAX_STRING_KEYS_MASK, hash};

use crate::arena::load_word;

/// A key: its parts, and which of them are strings.
#[derive(Clone, Copy)]
pub(crate) struct Key<'k> {
    head: &'k Cell<KeyHead>,
    parts: &'k [KeyPart],
    strings: u16,
    /// Longest string value: longer ones are cut.
    most: usize,
}

/// One part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'k> {
    Long(i64),
    String(&'k [u8]),
}

impl<'k> Key<'k> {
    /// A key of `parts`, where bit `i` of `strings` says that part `i` is a string. The hash in `head` is 0 or that of
    /// these parts.
    ///
    /// # Safety
    /// For all of `'k`, the address and length of each part that is a string are those of readable memory that
    /// nobody writes.
    #[inline(always)]
    pub unsafe fn new(head: &'k Cell<KeyHead>, parts: &'k [KeyPart], strings: u16, most: usize) -> Key<'k> {
        Key { head, parts, strings: strings & MAX_STRING_KEYS_MASK, most }
    }

    /// Part `index`.
    #[inline(always)]
    fn part(&self, index: usize, part: &'k KeyPart) -> Part<'k> {
        if self.strings >> (index & 15) & 1 == 0 {
            return Part::Long(part.a as i64);
        }
        let len = (part.b as usize).min(self.most);
        if len == 0 {
            return Part::String(&[]);
        }
        // SAFETY: by the contract of `new`; the length is only ever made smaller.
        Part::String(unsafe { core::slice::from_raw_parts(part.a as *const u8, len) })
    }

    /// All parts in order.
    #[inline(always)]
    pub fn parts(&self) -> impl Iterator<Item = Part<'k>> {
        let key = *self;
        self.parts.iter().enumerate().map(move |(index, part)| key.part(index, part))
    }

    /// Its hash; that of the same key stored in an entry is the same. Computed the first time only.
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        let known = self.head.get().hash;
        if known != 0 {
            return known;
        }
        let hash = self.compute_hash();
        self.head.set(KeyHead { hash });
        hash
    }

    #[inline(always)]
    fn compute_hash(&self) -> u64 {
        self.parts().fold(SEED, |hash, part| match part {
            Part::Long(value) => mix(hash, value as u64),
            Part::String(bytes) => {
                bytes.chunks(8).fold(mix(hash, bytes.len() as u64), |h, c| mix(h, load_word(c)))
            }
        })
    }
}

/// Hash of no part.
pub(crate) const SEED: u64 = hash::SEED;

/// One step of the hash.
#[inline(always)]
pub(crate) fn mix(so_far: u64, word: u64) -> u64 {
    let product = u128::from(so_far ^ word).wrapping_mul(hash::MULTIPLIER as u128);
    product as u64 ^ (product >> 64) as u64
}
