//! The output ring: many producers in many processes, one consumer, words of 64 bits.
//!
//! A record is a header word, a word of kind and length, and the payload, in words that wrap around the ring's end.
//! Records are in the order in which they got their room, which is the order of output; no clock is asked. Positions count words since the start of the session.
//!
//! ```text
//! free      0                       lap            what the consumer leaves in each word
//! reserved  1 | words | owner       lap            what a producer exchanges for it in the word at `tail`
//! committed 2 | words | owner       lap            when the payload is written
//! ```
//!
//! The header is exchanged *before* `tail` is moved, so length and owner of a record are known from the moment on
//! that it takes room: a producer that dies in it is skipped, and one that is slow is helped to move `tail`. The lap
//! (how often the ring was gone round) keeps a producer that slept through a lap from claiming a stale position.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};

use rstap_abi::record::RecordKind;
use rstap_abi::record::ring_word::{COMMITTED, FREE, LAP_BITS, OWNER_BITS, RESERVED, WORDS_BITS};
use rstap_abi::session::RingHead;

use crate::arena::{Arena, Checked, Corrupt, Shared, load_word, store_word};
use crate::atomic::Atomic;

pub use rstap_abi::record::HEADER_WORDS;

/// [`RingHead`] as it lies in the arena.
#[repr(C, align(64))]
pub(crate) struct RingCells {
    head: AtomicU64,
    pad: [AtomicU64; 7],
    tail: AtomicU64,
    pad_tail: [AtomicU64; 7],
}

const _: () = assert!(size_of::<RingCells>() == size_of::<RingHead>());

// SAFETY: atomic integers, without padding.
unsafe impl Shared for RingCells {}

/// What a header word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    state: u64,
    words: u64,
    owner: u32,
    lap: u64,
}

const LAP_MASK: u64 = (1 << LAP_BITS) - 1;
const WORDS_MASK: u64 = (1 << WORDS_BITS) - 1;
const OWNER_MASK: u64 = (1 << OWNER_BITS) - 1;

/// Most words a ring can have.
pub const MAX_WORDS: u64 = 1 << (WORDS_BITS - 1);

impl Header {
    const fn encode(self) -> u64 {
        self.lap & LAP_MASK
            | (self.words & WORDS_MASK) << LAP_BITS
            | (self.owner as u64 & OWNER_MASK) << (LAP_BITS + WORDS_BITS)
            | self.state << (LAP_BITS + WORDS_BITS + OWNER_BITS)
    }

    const fn decode(word: u64) -> Header {
        Header {
            lap: word & LAP_MASK,
            words: word >> LAP_BITS & WORDS_MASK,
            owner: (word >> (LAP_BITS + WORDS_BITS) & OWNER_MASK) as u32,
            state: word >> (LAP_BITS + WORDS_BITS + OWNER_BITS),
        }
    }
}

/// A ring in some memory.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a, W = AtomicU64> {
    head: &'a W,
    tail: &'a W,
    words: &'a [W],
    /// log2 of the number of words.
    shift: u32,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No room now.
    Full,
    /// Larger than the ring, too many producers at once, or the ring is corrupt: it will not do to try again.
    Never,
}

/// What the consumer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'b> {
    /// No record that is complete.
    Nothing,
    /// A record.
    Record { kind: RecordKind, seq: u64, payload: &'b [u8] },
    /// A record whose producer died in it, or that makes no sense.
    Lost,
    /// The ring was overwritten; it has been emptied.
    Corrupt,
}

impl<'a> Ring<'a> {
    /// The ring at `at` with `count` words.
    pub fn in_arena(arena: &Arena<'a>, at: u64, count: u64) -> Checked<Ring<'a>> {
        if !count.is_power_of_two() || !(8..=MAX_WORDS).contains(&count) {
            return Err(Corrupt);
        }
        let cells: &RingCells = arena.get(at)?;
        let words = arena.slice(at.wrapping_add(size_of::<RingHead>() as u64), count)?;
        Ok(Ring { head: &cells.head, tail: &cells.tail, words, shift: count.trailing_zeros() })
    }

    /// Address of its head, which its words follow, and log2 of their number: for compiled code.
    pub fn place(&self) -> (u64, u64) {
        (core::ptr::from_ref(self.head) as u64, u64::from(self.shift))
    }
}

impl<'a, W: Atomic<u64>> Ring<'a, W> {
    /// Number of its words.
    pub fn capacity(&self) -> u64 {
        self.words.len() as u64
    }

    /// Tries a producer makes before it gives up.
    const TRIES: u32 = 64;

    /// Appends a record whose payload is `parts` one after the other.
    pub fn push(&self, owner: u32, kind: RecordKind, parts: &[&[u8]]) -> Result<(), Refused> {
        let len = parts.iter().map(|part| part.len() as u64).fold(0, u64::saturating_add);
        let words = len.div_ceil(8).saturating_add(HEADER_WORDS);
        if words > self.words.len() as u64 || words > WORDS_MASK {
            return Err(Refused::Never);
        }
        let at = self.reserve(owner, words)?;
        self.put(at.wrapping_add(1), (len & 0xffff_ffff) | (kind as u64) << 32);
        self.put_payload(at.wrapping_add(HEADER_WORDS), parts);
        let committed = Header { state: COMMITTED, words, owner, lap: self.lap(at) };
        if let Some(word) = self.word(at) {
            word.store(committed.encode(), Release);
        }
        Ok(())
    }

    /// Takes room for a record; its position.
    fn reserve(&self, owner: u32, words: u64) -> Result<u64, Refused> {
        for _ in 0..Self::TRIES {
            let at = self.tail.load(Acquire);
            let used = at.wrapping_sub(self.head.load(Acquire));
            let room = (self.words.len() as u64).checked_sub(used);
            let Some(room) = room else {
                // The consumer was faster than our two loads, or this is nonsense.
                continue;
            };
            if words > room {
                return Err(Refused::Full);
            }
            let lap = self.lap(at);
            let free = Header { state: FREE, words: 0, owner: 0, lap };
            let reserved = Header { state: RESERVED, words, owner, lap };
            let Some(word) = self.word(at) else { return Err(Refused::Never) };
            match word.exchange(free.encode(), reserved.encode()) {
                Ok(_) => {
                    let _ = self.tail.exchange(at, at.wrapping_add(words));
                    return Ok(at);
                }
                Err(found) => self.help(at, Header::decode(found)),
            }
        }
        Err(Refused::Never)
    }

    /// Moves `tail` over a record that somebody else has reserved at `at`.
    fn help(&self, at: u64, found: Header) {
        let reserved = found.state == RESERVED || found.state == COMMITTED;
        if reserved && found.lap == self.lap(at) && found.words >= HEADER_WORDS {
            let _ = self.tail.exchange(at, at.wrapping_add(found.words));
        }
    }

    fn put_payload(&self, at: u64, parts: &[&[u8]]) {
        let mut at = at;
        let mut pending = [0u8; 8];
        let mut filled = 0usize;
        for part in parts {
            let mut rest = *part;
            if filled > 0 {
                let (head, tail) = rest.split_at_checked(8usize.wrapping_sub(filled)).unwrap_or((rest, &[]));
                for (to, from) in pending.iter_mut().skip(filled).zip(head) {
                    *to = *from;
                }
                filled = filled.wrapping_add(head.len());
                rest = tail;
                if filled < 8 {
                    continue;
                }
                self.put(at, u64::from_le_bytes(pending));
                at = at.wrapping_add(1);
            }
            let (words, tail) = rest.as_chunks::<8>();
            for word in words {
                self.put(at, u64::from_le_bytes(*word));
                at = at.wrapping_add(1);
            }
            pending = load_word(tail).to_le_bytes();
            filled = tail.len();
        }
        if filled > 0 {
            self.put(at, u64::from_le_bytes(pending));
        }
    }

    fn lap(&self, at: u64) -> u64 {
        at.checked_shr(self.shift).unwrap_or(0) & LAP_MASK
    }

    fn word(&self, at: u64) -> Option<&'a W> {
        let mask = (self.words.len() as u64).wrapping_sub(1);
        self.words.get((at & mask) as usize)
    }

    fn put(&self, at: u64, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Relaxed);
        }
    }

    fn take(&self, at: u64) -> u64 {
        self.word(at).map_or(0, |word| word.load(Relaxed))
    }
}

/// The one consumer's side. Its position is its own: what the arena says of it is for producers only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    head: u64,
}

impl Position {
    /// Takes the next record, its payload into `buffer` (cut to its size). `is_alive` answers for a producer that
    /// has not committed.
    pub fn next<'b, W: Atomic<u64>>(
        &mut self,
        ring: &Ring<'_, W>,
        buffer: &'b mut [u8],
        is_alive: impl FnOnce(u32) -> bool,
    ) -> Found<'b> {
        let at = self.head;
        let Some(word) = ring.word(at) else { return Found::Nothing };
        let header = Header::decode(word.load(Acquire));
        if header.lap != ring.lap(at) || header.state > COMMITTED {
            return self.reset(ring);
        }
        if header.state == FREE {
            return if ring.tail.load(Acquire) == at {
                Found::Nothing
            } else {
                self.after_tail(ring, word, at)
            };
        }
        if header.words < HEADER_WORDS || header.words > ring.words.len() as u64 {
            return self.reset(ring);
        }
        if header.state == RESERVED {
            if is_alive(header.owner) {
                return Found::Nothing;
            }
            // It may have died before it moved `tail`.
            let _ = ring.tail.exchange(at, at.wrapping_add(header.words));
            self.free(ring, header.words);
            return Found::Lost;
        }
        let found = read_record(ring, at, header.words, buffer);
        self.free(ring, header.words);
        found
    }

    /// A free word before `tail`: either a record was reserved since we looked, or somebody wrote over `tail`.
    fn after_tail<W: Atomic<u64>>(&mut self, ring: &Ring<'_, W>, word: &W, at: u64) -> Found<'static> {
        let unchanged = Header::decode(word.load(Acquire)).state == FREE;
        if unchanged && ring.tail.load(Acquire) != at && Header::decode(word.load(Acquire)).state == FREE {
            return self.reset(ring);
        }
        Found::Nothing
    }

    /// Gives the room of a record back to producers.
    fn free<W: Atomic<u64>>(&mut self, ring: &Ring<'_, W>, words: u64) {
        let size = ring.words.len() as u64;
        for step in 0..words {
            let at = self.head.wrapping_add(step);
            let next_lap = ring.lap(at.wrapping_add(size));
            ring.put(at, Header { state: FREE, words: 0, owner: 0, lap: next_lap }.encode());
        }
        self.head = self.head.wrapping_add(words);
        ring.head.store(self.head, Release);
    }

    /// Empties a ring that makes no sense any more, and starts it again at the next lap.
    #[cold]
    fn reset<W: Atomic<u64>>(&mut self, ring: &Ring<'_, W>) -> Found<'static> {
        let size = ring.words.len() as u64;
        let start = self.head.wrapping_add(size) & !size.wrapping_sub(1);
        let free = Header { state: FREE, words: 0, owner: 0, lap: ring.lap(start) }.encode();
        for word in ring.words {
            word.store(free, Relaxed);
        }
        self.head = start;
        ring.head.store(start, Release);
        fence(AcqRel);
        ring.tail.store(start, Release);
        Found::Corrupt
    }
}

fn read_record<'b, W: Atomic<u64>>(
    ring: &Ring<'_, W>,
    at: u64,
    words: u64,
    buffer: &'b mut [u8],
) -> Found<'b> {
    let about = ring.take(at.wrapping_add(1));
    let len = about & 0xffff_ffff;
    let kind = u8::try_from(about >> 32).ok().and_then(RecordKind::from_code);
    let (Some(kind), true) = (kind, len.div_ceil(8) == words.wrapping_sub(HEADER_WORDS)) else {
        return Found::Lost;
    };
    let len = (len as usize).min(buffer.len());
    let Some(payload) = buffer.get_mut(..len) else { return Found::Lost };
    let first = at.wrapping_add(HEADER_WORDS);
    for (step, chunk) in (0u64..).zip(payload.chunks_mut(8)) {
        store_word(ring.take(first.wrapping_add(step)), chunk);
    }
    Found::Record { kind, seq: at, payload }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
