//! Notices when handlers take too much of the time of the threads that they stop.
//!
//! Once in STP_OVERLOAD_INTERVAL cycles, at the end of a handler, the time that handlers took since the last look is
//! compared with the share of STP_OVERLOAD_THRESHOLD in STP_OVERLOAD_INTERVAL (stap(1), SAFETY AND SECURITY). Too much
//! in two such looks in a row is an overload; once may be a pause of the machine, or of rstap, in the middle of a
//! handler. What is counted is the time in handlers, with waits for locks and for room in the ring; not the stop of
//! the thread, which costs the same whatever a script does.
//!
//! Handlers that only read and write numbers are over before a clock could be read and are not looked at.
//!
//! The clock is read at each handler as long as they are long. Beside a short one two looks at the clock would be most
//! of the hit, so of those only each sixteenth is timed, for the others too.

use rstap_abi::limits::Limits;

use crate::env::Env;

/// Handlers of which one is timed while they are short.
const STRIDE: u64 = 16;
/// Cycles from which on a handler is long.
const LONG: u64 = 1000;

/// What the handlers of one thread took since the last look.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    /// The last look; 0 before the first handler.
    base: u64,
    sum: u64,
    /// Handlers not to be timed before the next one that is.
    untimed: u64,
    /// How many were not since the last one that was.
    passed: u64,
    was_too_much: bool,
}

impl Overload {
    /// A handler begins: when, if it is to be timed.
    #[inline(always)]
    pub fn start<E: Env>(&mut self, env: &E) -> Option<u64> {
        if self.untimed > 0 {
            self.untimed = self.untimed.wrapping_sub(1);
            return None;
        }
        Some(env.cycles())
    }

    /// It ended; whether it is too much.
    pub fn end(&mut self, start: u64, end: u64, limits: &Limits) -> bool {
        let took = end.saturating_sub(start);
        let others = took.min(LONG).saturating_mul(self.passed);
        self.sum = self.sum.saturating_add(took).saturating_add(others);
        self.passed = if took < LONG { STRIDE.wrapping_sub(1) } else { 0 };
        self.untimed = self.passed;
        if self.base == 0 {
            self.base = start;
        }
        let elapsed = end.saturating_sub(self.base);
        if elapsed < limits.overload_interval.max(1) {
            return false;
        }
        let share = u128::from(self.sum).wrapping_mul(u128::from(limits.overload_interval.max(1)));
        let is_too_much = share > u128::from(limits.overload_threshold).wrapping_mul(u128::from(elapsed));
        let was_too_much = core::mem::replace(&mut self.was_too_much, is_too_much);
        (self.base, self.sum) = (end, 0);
        is_too_much && was_too_much
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    const LIMITS: Limits =
        Limits { overload_interval: 100_000, overload_threshold: 50_000, ..Limits::DEFAULT };

    /// Runs handlers of this length with pauses of that length between them; after how many it was too much.
    fn handlers(overload: &mut Overload, world: &World, took: u64, pause: u64, count: u64) -> Option<u64> {
        (1..=count).find(|_| {
            world.now.set(world.now.get() + pause);
            let start = overload.start(world);
            world.now.set(world.now.get() + took);
            start.is_some_and(|start| overload.end(start, world.now.get(), &LIMITS))
        })
    }

    #[test]
    fn more_than_the_share_in_two_intervals_is_too_much() {
        let world = World::default();
        assert_eq!(handlers(&mut Overload::default(), &world, 1500, 2500, 10_000), None);
        // Two intervals of some 25 handlers.
        let after = handlers(&mut Overload::default(), &world, 2500, 1500, 10_000);
        assert!((48..54).contains(&after.unwrap()), "{after:?}");
    }

    #[test]
    fn short_handlers_are_timed_for_others() {
        let (mut overload, world) = (Overload::default(), World::default());
        assert_eq!(handlers(&mut overload, &world, 100, 120, 100_000), None);
        assert!(handlers(&mut overload, &world, 100, 80, 100_000).is_some());
    }

    #[test]
    fn a_pause_of_the_machine_in_a_handler_is_none() {
        let (mut overload, world) = (Overload::default(), World::default());
        for _ in 0..10 {
            assert_eq!(handlers(&mut overload, &world, 1_000_000, 100, 1), None);
            assert_eq!(handlers(&mut overload, &world, 100, 1000, 10_000), None);
        }
    }

    #[test]
    fn a_long_handler_now_and_then_is_none() {
        let (mut overload, world) = (Overload::default(), World::default());
        assert_eq!(handlers(&mut overload, &world, 1_000_000, 2_000_000, 100), None);
    }

    #[test]
    fn without_a_limit_nothing_is_too_much() {
        let limits = Limits { overload_threshold: u64::MAX, ..LIMITS };
        let mut overload = Overload::default();
        assert!((1..100_u64).all(|i| !overload.end(i * 1_000_000, (i + 1) * 1_000_000, &limits)));
    }
}
