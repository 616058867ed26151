//! Runs regular expressions: all ways to match are followed side by side, byte by byte (Pike's machine), so the time
//! is at most steps × bytes whatever the subject is. The leftmost match is found, of those the longest, and of those
//! the one of the first choices, which decides what the groups are.
//!
//! The expression was made by rstap, but it stands in memory that the target may write: everything in it is checked
//! where it is used, and a step that makes no sense matches nothing.

use rstap_abi::regex::{HEADER_BYTES, SET_BYTES, STEP_BYTES, UNSET, op};

/// An expression.
#[derive(Clone, Copy)]
pub(crate) struct Program<'p> {
    steps: &'p [[u8; STEP_BYTES]],
    sets: &'p [[u8; SET_BYTES]],
    first: &'p [u8; SET_BYTES],
    groups: usize,
    anchored: bool,
}

impl<'p> Program<'p> {
    /// Reads the head of an expression.
    pub fn new(bytes: &'p [u8]) -> Option<Program<'p>> {
        let (head, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [count_low, count_high, groups_low, groups_high, anchored, _, _, _, first @ ..] = head;
        let count = usize::from(u16::from_le_bytes([*count_low, *count_high]));
        let (steps, sets) = rest.split_at_checked(count.checked_mul(STEP_BYTES)?)?;
        Some(Program {
            steps: steps.as_chunks().0,
            sets: sets.as_chunks().0,
            first,
            groups: usize::from(u16::from_le_bytes([*groups_low, *groups_high])),
            anchored: *anchored != 0,
        })
    }

    /// Number of groups, the whole match included; 0 if nobody asks for them.
    pub fn groups(&self) -> usize {
        self.groups
    }

    fn takes(&self, step: &[u8; STEP_BYTES], byte: u8) -> bool {
        let [kind, low, high, _, to_low, to_high, ..] = *step;
        match kind {
            op::RANGE => low <= byte && byte <= high,
            op::SET => {
                let set = usize::from(u16::from_le_bytes([to_low, to_high]));
                self.sets.get(set).is_some_and(|set| contains(set, byte))
            }
            _ => false,
        }
    }
}

fn contains(set: &[u8; SET_BYTES], byte: u8) -> bool {
    set.get(usize::from(byte >> 3)).is_some_and(|bits| bits >> (byte & 7) & 1 == 1)
}

/// Looks for the match. The slots of its groups are then at the start of `words`, which are as many as
/// `rstap_abi::regex::memory_words` says; with fewer nothing matches.
pub(crate) fn find(program: Program<'_>, subject: &[u8], words: &mut [u32]) -> bool {
    Machine::new(program, subject, words).is_some_and(|(mut machine, lists)| machine.run(lists))
}

/// Threads that wait for a byte, in the order of choice.
struct Threads<'m> {
    count: usize,
    steps: &'m mut [u32],
    slots: &'m mut [u32],
}

struct Machine<'m> {
    program: Program<'m>,
    subject: &'m [u8],
    /// Slots of the best match so far.
    best: &'m mut [u32],
    /// Slots of the thread at work.
    work: &'m mut [u32],
    /// For each step, one more than the place it was last reached at.
    marks: &'m mut [u32],
    /// What is left to do: a step to go to, or a slot to set back and its value.
    stack: &'m mut [[u32; 2]],
    found: bool,
}

/// On the stack: a slot, not a step.
const SLOT: u32 = 1 << 31;

impl<'m> Machine<'m> {
    fn new(
        program: Program<'m>,
        subject: &'m [u8],
        words: &'m mut [u32],
    ) -> Option<(Machine<'m>, [Threads<'m>; 2])> {
        u32::try_from(subject.len()).ok().filter(|&len| len < UNSET)?;
        let (steps, slots) = (program.steps.len(), program.groups.checked_mul(2)?);
        let thread_slots = steps.checked_mul(slots)?;
        let (best, rest) = words.split_at_mut_checked(slots)?;
        let (work, rest) = rest.split_at_mut_checked(slots)?;
        let (marks, rest) = rest.split_at_mut_checked(steps)?;
        let (stack, rest) = rest.split_at_mut_checked(steps.checked_mul(2)?)?;
        let (steps_a, rest) = rest.split_at_mut_checked(steps)?;
        let (slots_a, rest) = rest.split_at_mut_checked(thread_slots)?;
        let (steps_b, rest) = rest.split_at_mut_checked(steps)?;
        let (slots_b, _) = rest.split_at_mut_checked(thread_slots)?;
        marks.fill(0);
        let stack = stack.as_chunks_mut().0;
        let lists = [
            Threads { count: 0, steps: steps_a, slots: slots_a },
            Threads { count: 0, steps: steps_b, slots: slots_b },
        ];
        Some((Machine { program, subject, best, work, marks, stack, found: false }, lists))
    }

    fn run(&mut self, [mut now, mut next]: [Threads<'m>; 2]) -> bool {
        let mut at = 0usize;
        loop {
            let may_begin = !self.found && (at == 0 || !self.program.anchored);
            if now.count == 0 {
                if !may_begin {
                    return self.found;
                }
                if let Some(skipped) = self.skip(at) {
                    at = skipped;
                }
            }
            if may_begin {
                self.work.fill(UNSET);
                self.follow(0, at, &mut now);
            }
            if self.is_decided() {
                return true;
            }
            let Some(&byte) = self.subject.get(at) else { return self.found };
            at = at.wrapping_add(1);
            next.count = 0;
            for index in 0..now.count {
                self.step(&now, index, byte, at, &mut next);
                if self.is_decided() {
                    return true;
                }
            }
            core::mem::swap(&mut now, &mut next);
        }
    }

    /// Whether nothing that follows can matter.
    fn is_decided(&self) -> bool {
        self.found && self.program.groups == 0
    }

    /// The next place where a match can begin, if it is further on.
    fn skip(&self, at: usize) -> Option<usize> {
        let rest = self.subject.get(at..)?;
        if self.program.anchored {
            return None;
        }
        let ahead = rest.iter().position(|&byte| contains(self.program.first, byte)).unwrap_or(rest.len());
        at.checked_add(ahead)
    }

    /// Lets a thread take a byte, after which it is at place `at`.
    fn step(&mut self, now: &Threads<'_>, index: usize, byte: u8, at: usize, next: &mut Threads<'_>) {
        let Some(&number) = now.steps.get(index) else { return };
        let Some(step) = self.program.steps.get(number as usize) else { return };
        if !self.program.takes(step, byte) {
            return;
        }
        let len = self.work.len();
        let start = index.wrapping_mul(len);
        let Some(slots) = now.slots.get(start..).and_then(|rest| rest.get(..len)) else { return };
        if self.found && slots.first() > self.best.first() {
            return;
        }
        for (slot, kept) in self.work.iter_mut().zip(slots) {
            *slot = *kept;
        }
        self.follow(number.wrapping_add(1), at, next);
    }

    /// Adds the threads that a step leads to without taking a byte. Each step is reached once at a place: who comes
    /// later is a lesser choice of the same.
    fn follow(&mut self, step: u32, at: usize, list: &mut Threads<'_>) {
        let mut top = 0usize;
        let mut number = step;
        loop {
            while let Some((to, aside)) = self.advance(number, at, list) {
                number = to;
                if let Some(aside) = aside
                    && let Some(entry) = self.stack.get_mut(top)
                {
                    *entry = aside;
                    top = top.wrapping_add(1);
                }
            }
            loop {
                let Some(below) = top.checked_sub(1) else { return };
                top = below;
                let Some(&[what, value]) = self.stack.get(top) else { return };
                if what & SLOT == 0 {
                    number = what;
                    break;
                }
                if let Some(slot) = self.work.get_mut((what & !SLOT) as usize) {
                    *slot = value;
                }
            }
        }
    }

    /// Does one step that takes no byte: the next one, and what is to be done when that way ends.
    fn advance(&mut self, number: u32, at: usize, list: &mut Threads<'_>) -> Option<(u32, Option<[u32; 2]>)> {
        let &[kind, _, _, _, to_low, to_high, other_low, other_high] =
            self.program.steps.get(number as usize)?;
        let mark = self.marks.get_mut(number as usize)?;
        let stamp = (at as u32).wrapping_add(1);
        if *mark == stamp {
            return None;
        }
        *mark = stamp;
        let to = u32::from(u16::from_le_bytes([to_low, to_high]));
        let following = number.wrapping_add(1);
        match kind {
            op::JUMP => Some((to, None)),
            op::SPLIT => Some((to, Some([u32::from(u16::from_le_bytes([other_low, other_high])), 0]))),
            op::SAVE => {
                let Some(slot) = self.work.get_mut(to as usize) else { return Some((following, None)) };
                let before = core::mem::replace(slot, at as u32);
                Some((following, Some([to | SLOT, before])))
            }
            op::START => (at == 0).then_some((following, None)),
            op::END => (at == self.subject.len()).then_some((following, None)),
            op::MATCH => {
                self.matched(at as u32);
                None
            }
            _ => {
                list.add(number, self.work);
                None
            }
        }
    }

    fn matched(&mut self, at: u32) {
        let better = match (&*self.work, &*self.best) {
            ([start, ..], [best_start, best_end, ..]) => {
                !self.found || start < best_start || (start == best_start && at > *best_end)
            }
            _ => true,
        };
        if better {
            self.found = true;
            for (best, slot) in self.best.iter_mut().zip(&*self.work) {
                *best = *slot;
            }
        }
    }
}

impl Threads<'_> {
    fn add(&mut self, step: u32, slots: &[u32]) {
        let start = self.count.wrapping_mul(slots.len());
        let Some(place) = self.steps.get_mut(self.count) else { return };
        *place = step;
        if let Some(room) = self.slots.get_mut(start..).and_then(|rest| rest.get_mut(..slots.len())) {
            room.copy_from_slice(slots);
        }
        self.count = self.count.wrapping_add(1);
    }
}
