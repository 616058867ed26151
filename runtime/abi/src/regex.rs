//! Regular expressions as the runtime runs them: a text in the image, made by `rstap_codegen` and run by
//! `rstap_core`. It is bytes without alignment, numbers little-endian:
//!
//! ```text
//! u16 steps, u16 groups, u8 anchored, 3 bytes 0, 32 bytes: the set of bytes that a match can begin with
//! steps × { u8 op, u8 low, u8 high, u8 0, u16 to, u16 other }
//! sets × 32 bytes, bit `b % 8` of byte `b / 8` for byte `b`
//! ```
//!
//! `groups` counts the whole match as one; 0 says that nobody asks what was matched. `anchored` is 1 if a match can
//! begin at the start of the subject only. The set is full if a match can be empty.

/// Bytes before the first step.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a step.
pub const STEP_BYTES: usize = 8;
/// Bytes of a set of bytes.
pub const SET_BYTES: usize = 32;

/// What a step does.
pub mod op {
    /// Takes a byte from `low` to `high`, then the next step.
    pub const RANGE: u8 = 0;
    /// Takes a byte of set `to`, then the next step.
    pub const SET: u8 = 1;
    /// Step `to` next.
    pub const JUMP: u8 = 2;
    /// Step `to` next, or `other` as the second choice.
    pub const SPLIT: u8 = 3;
    /// Notes the place as slot `to`; slots `2 * g` and `2 * g + 1` are start and end of group `g`.
    pub const SAVE: u8 = 4;
    /// Goes on at the start of the subject only.
    pub const START: u8 = 5;
    /// Goes on at the end of the subject only.
    pub const END: u8 = 6;
    /// A match.
    pub const MATCH: u8 = 7;
}

/// Words (`u32`) of memory that any accepted expression can be run in.
pub const MEMORY_WORDS: usize = 1 << 14;

/// A slot of a group that took no part in the match.
pub const UNSET: u32 = u32::MAX;

/// Words that an expression needs: slots of the match and of the thread at work; two lists of threads (step, slots);
/// a mark for each step; a stack of two words for each.
pub const fn memory_words(steps: usize, groups: usize) -> usize {
    let slots = 2 * groups;
    2 * slots + 2 * steps * (1 + slots) + steps + 2 * steps
}

/// Bytes of a context's memory for matching: that of the run, then the subject of the last match.
pub const fn memory_bytes(max_string_len: u64) -> u64 {
    (MEMORY_WORDS as u64 * 4).saturating_add(max_string_len)
}
