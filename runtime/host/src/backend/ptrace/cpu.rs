//! Keeps the tracer thread on the cpu of the thread it serves: a stop costs 9 µs there and 47 to 76 µs across cpus.
//!
//! Where a thread runs is in /proc only, which costs as much as the stop; so it is looked up at its first hits and
//! then ever more seldom. With several busy threads the tracer goes with the one it looked up last.
//!
//! On a machine with idle cpus the kernel resumes a thread on one of those, away from the tracer that has just let it
//! go. Then both sleep and wake for each hit, and the tracer does better to look for the next stop for a few
//! microseconds before it sleeps ([`Patience`]): 18 µs a hit against 48. It yields between looks, so whoever else
//! wants its cpu, the target's own threads first, gets it.

use std::time::{Duration, Instant};

use super::sys;
use crate::process::status;

/// Where the tracer thread runs.
#[derive(Debug, Default)]
pub struct Follower {
    hits: u64,
    next_look: u64,
    gap: u64,
    thread: i32,
    cpu: Option<usize>,
}

const LONGEST_GAP: u64 = 2048;

impl Follower {
    /// A thread was hit.
    pub fn hit(&mut self, tid: i32) {
        self.hits += 1;
        if self.thread != tid && self.gap > 64 {
            // Another thread: look soon, but not at each change between two busy ones.
            self.next_look = self.next_look.min(self.hits + 64);
        }
        if self.hits < self.next_look {
            return;
        }
        let cpu = status::cpu(tid);
        self.gap = if cpu == self.cpu { (self.gap * 2).clamp(1, LONGEST_GAP) } else { 4 };
        self.next_look = self.hits + self.gap;
        self.thread = tid;
        if let Some(cpu) = cpu
            && self.cpu != Some(cpu)
            && sys::run_on_cpu(cpu).is_ok()
        {
            self.cpu = Some(cpu);
        }
    }
}

/// Whether to look for the next stop some time before sleeping: as long as that is found to be worth it.
#[derive(Debug, Default)]
pub struct Patience {
    /// Looks in vain in a row.
    failures: u32,
    /// Waits that go without looking.
    rest: u32,
}

impl Patience {
    /// The price of being woken on another cpu, about; more than that is not worth waiting awake for.
    const LONGEST: Duration = Duration::from_micros(30);
    /// Looks in vain after which it rests.
    const MOST_FAILURES: u32 = 4;
    /// How long it rests, in waits.
    const REST: u32 = 64;

    /// Looks for something until it is there or it takes too long. `look` says `None` as long as there is nothing.
    pub fn look<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        let start = Instant::now();
        while start.elapsed() < Self::LONGEST {
            if let Some(found) = look() {
                self.failures = 0;
                return Some(found);
            }
            std::thread::yield_now();
        }
        self.failures += 1;
        if self.failures >= Self::MOST_FAILURES {
            (self.failures, self.rest) = (0, Self::REST);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_looks_in_vain_and_comes_back_after_a_rest() {
        let mut patience = Patience::default();
        for _ in 0..Patience::MOST_FAILURES {
            assert_eq!(patience.look(|| None::<()>), None);
        }
        let mut looks = 0;
        for _ in 0..Patience::REST {
            patience.look(|| {
                looks += 1;
                None::<()>
            });
        }
        assert_eq!(looks, 0);
        assert_eq!(patience.look(|| Some(7)), Some(7));
    }
}
