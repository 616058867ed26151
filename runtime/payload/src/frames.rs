//! Calls of probed functions that have not returned, of one thread: the entry of a function leaves a frame, which its
//! return finds by the stack pointer and the return address. Nothing on the program's stack is changed, so a function
//! may be left by an exception or by longjmp: then its frame stays, and is overwritten or thrown away later.
//!
//! ```text
//! word 0 key: address of the return address    1 return address    2 probe, spoiled << 32    3.. values saved at entry
//! ```
//!
//! A thread may be on more than one stack (a signal's, coroutines), so frames of lower addresses are not dead for
//! certain; they are taken for dead only when too many are in the way.

use rstap_abi::inject::FRAME_HEAD;

/// Frames passed over in a search until those of lower addresses count as left.
const PATIENCE: usize = 64;

/// The frames of a thread, innermost last.
#[derive(Debug)]
pub struct Frames {
    words: &'static mut [u64],
    /// Words of a frame; 0: there are none.
    stride: usize,
    used: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameId(usize);

/// What a frame is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where the return address is.
    pub key: u64,
    /// The return address.
    pub to: u64,
    /// The probe.
    pub probe: u32,
}

const SPOILED: u64 = 1 << 32;

impl Frames {
    /// In this memory, each of so many bytes.
    pub fn new(words: &'static mut [u64], bytes: u64) -> Frames {
        Frames { words, stride: (bytes / 8) as usize, used: 0 }
    }

    /// Forgets all: the thread is another one.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// A frame for a call. `None` if there are too many.
    ///
    /// What is there already for the same place on the stack is stale (its function was left in another way) unless
    /// it is of another probe at the same call.
    pub fn enter(&mut self, call: Call) -> Option<FrameId> {
        let mut index = self.used;
        while let Some(below) = index.checked_sub(1)
            && let Some(old) = self.call(below).filter(|old| old.key == call.key)
        {
            index = below;
            if old.to != call.to || old.probe == call.probe {
                self.leave(FrameId(index));
            }
        }
        if self.fits().is_none() {
            self.drop_lower(call.key, 0);
            self.fits()?;
        }
        let index = self.used;
        let frame = self.frame_mut(index)?;
        let [key, to, probe, values @ ..] = frame else { return None };
        (*key, *to, *probe) = (call.key, call.to, u64::from(call.probe));
        values.fill(0);
        self.used = index.wrapping_add(1);
        Some(FrameId(index))
    }

    /// The frame of a call that returns.
    pub fn find(&mut self, call: Call) -> Option<FrameId> {
        let found = (0..self.used).rev().find(|index| self.call(*index) == Some(call))?;
        if self.used.wrapping_sub(found) > PATIENCE {
            self.drop_lower(call.key, found.wrapping_add(1));
        }
        Some(FrameId(found))
    }

    /// Notes that the values could not be saved.
    pub fn spoil(&mut self, FrameId(index): FrameId) {
        if let Some(word) = self.frame_mut(index).and_then(|frame| frame.get_mut(2)) {
            *word |= SPOILED;
        }
    }

    /// Whether that was so.
    pub fn is_spoiled(&self, FrameId(index): FrameId) -> bool {
        self.frame(index).and_then(|frame| frame.get(2)).is_none_or(|word| word & SPOILED != 0)
    }

    /// The saved values.
    pub fn values(&mut self, FrameId(index): FrameId) -> &mut [u64] {
        self.frame_mut(index).and_then(|frame| frame.get_mut(FRAME_HEAD..)).unwrap_or_default()
    }

    /// Takes a frame out.
    pub fn leave(&mut self, FrameId(index): FrameId) {
        for next in index.wrapping_add(1)..self.used {
            self.shift(next, next.wrapping_sub(1));
        }
        self.used = self.used.saturating_sub(1);
    }

    /// Throws away frames from an index on whose place on the stack is below `key`, or at it.
    fn drop_lower(&mut self, key: u64, from: usize) {
        let mut kept = from;
        for index in from..self.used {
            if self.call(index).is_some_and(|call| call.key > key) {
                self.shift(index, kept);
                kept = kept.wrapping_add(1);
            }
        }
        self.used = kept;
    }

    /// Copies a frame to another place.
    fn shift(&mut self, from: usize, to: usize) {
        let (from, to) = (from.wrapping_mul(self.stride), to.wrapping_mul(self.stride));
        for word in 0..self.stride {
            let value = self.words.get(from.wrapping_add(word)).copied();
            if let (Some(value), Some(place)) = (value, self.words.get_mut(to.wrapping_add(word))) {
                *place = value;
            }
        }
    }

    fn fits(&self) -> Option<()> {
        let end = self.used.checked_add(1)?.checked_mul(self.stride)?;
        (self.stride >= FRAME_HEAD && end <= self.words.len()).then_some(())
    }

    fn call(&self, index: usize) -> Option<Call> {
        let frame = self.frame(index)?;
        let [key, to, probe, ..] = frame else { return None };
        Some(Call { key: *key, to: *to, probe: *probe as u32 })
    }

    fn frame(&self, index: usize) -> Option<&[u64]> {
        let start = index.wrapping_mul(self.stride);
        self.words.get(start..start.wrapping_add(self.stride))
    }

    fn frame_mut(&mut self, index: usize) -> Option<&mut [u64]> {
        let start = index.wrapping_mul(self.stride);
        self.words.get_mut(start..start.wrapping_add(self.stride))
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn frames(count: usize) -> Frames {
        Frames::new(Vec::leak(vec![0; count * 4]), 32)
    }

    fn call(key: u64, probe: u32) -> Call {
        Call { key, to: 0x40_0000 + key, probe }
    }

    #[test]
    fn calls_return_in_any_order_with_their_values() {
        let mut frames = frames(8);
        for (value, key) in [0x900, 0x800, 0x700].into_iter().enumerate() {
            let frame = frames.enter(call(key, 1)).expect("there is room");
            frames.values(frame)[0] = value as u64;
        }
        // Coroutines: the one in the middle returns first.
        for (key, value) in [(0x800, 1), (0x900, 0), (0x700, 2)] {
            let frame = frames.find(call(key, 1)).expect("it was entered");
            assert_eq!((frames.values(frame)[0], frames.is_spoiled(frame)), (value, false));
            frames.leave(frame);
            assert_eq!(frames.find(call(key, 1)), None);
        }
        assert_eq!(frames.used, 0);
    }

    #[test]
    fn two_probes_at_one_call_have_a_frame_each_and_stale_ones_are_replaced() {
        let mut frames = frames(8);
        for _ in 0..20 {
            assert!(frames.enter(call(0x900, 1)).is_some());
            let other = frames.enter(call(0x900, 2)).expect("there is room");
            frames.spoil(other);
            assert!(frames.used <= 3, "{frames:?}");
        }
        let (one, two) = (frames.find(call(0x900, 1)), frames.find(call(0x900, 2)));
        assert!(!frames.is_spoiled(one.expect("entered")) && frames.is_spoiled(two.expect("entered")));
        assert_eq!(frames.find(Call { to: 1, ..call(0x900, 1) }), None);
    }

    #[test]
    fn frames_that_were_left_give_way_and_live_ones_do_not() {
        let mut frames = frames(4);
        assert!(frames.enter(call(0x900, 1)).is_some());
        for key in [0x800, 0x700, 0x600] {
            assert!(frames.enter(call(key, 1)).is_some());
        }
        // All of them are live: one more is too many.
        assert_eq!(frames.enter(call(0x500, 1)), None);
        // A jump out of the inner three.
        assert!(frames.enter(call(0x880, 1)).is_some());
        assert!(frames.find(call(0x900, 1)).is_some());
        assert_eq!(frames.find(call(0x800, 1)), None);
        assert_eq!(Frames::new(&mut [], 0).enter(call(1, 1)), None);
    }

    #[test]
    fn a_search_throws_away_what_is_in_its_way() {
        let mut frames = frames(200);
        assert!(frames.enter(call(0x9000, 1)).is_some());
        for depth in 0..100 {
            assert!(frames.enter(call(0x8000 - depth * 16, 2)).is_some());
        }
        let outer = frames.find(call(0x9000, 1)).expect("it was entered");
        assert_eq!(frames.used, 1);
        frames.leave(outer);
        assert_eq!(frames.used, 0);
    }
}
