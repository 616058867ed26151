//! Timer probes: one thread that sleeps until the next is due, runs it, and goes on. A timer whose handlers take
//! longer than its period loses beats; it never catches up with a burst.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use rstap_program::{Point, ProbeId, Program};

/// What is to be done when a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Run the handler here.
    Timer(ProbeId),
    /// Sample the target.
    Sample(ProbeId),
}

struct Timer {
    due: Due,
    period: Duration,
    randomize_ns: u64,
    next: Instant,
}

/// All timers of a program.
pub struct Timers {
    timers: Vec<Timer>,
    random: u64,
}

/// Tells the timer thread to end.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// No timer runs after the one that is running now.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        self.changed.notify_all();
    }

    /// Waits until a time; `true`: it is over.
    fn wait_until(&self, time: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            let now = Instant::now();
            if *stopped || now >= time {
                return *stopped;
            }
            let waited = self.changed.wait_timeout(stopped, time - now);
            stopped = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }
}

impl Timers {
    /// The timers of a program, which begin to run now.
    pub fn of(program: &Program) -> Timers {
        let now = Instant::now();
        let timer = |due, period_ns: u64, randomize_ns| {
            // A timer that is never not due would starve all others.
            let period = Duration::from_nanos(period_ns.max(1_000));
            Timer { due, period, randomize_ns, next: now + period }
        };
        let timers = program.probes.iter().enumerate().filter_map(|(index, probe)| {
            let id = ProbeId(index as u32);
            match probe.point {
                Point::Timer { period_ns, randomize_ns } => {
                    Some(timer(Due::Timer(id), period_ns, randomize_ns))
                }
                Point::Profile { hz } => Some(timer(Due::Sample(id), 1_000_000_000 / hz.max(1), 0)),
                _ => None,
            }
        });
        Timers { timers: timers.collect(), random: crate::sys::cycles() | 1 }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Runs them until [`Stop::stop`]. Timers that are due at one time run in script order.
    pub fn run(mut self, stop: &Stop, mut run: impl FnMut(Due)) {
        for index in 0..self.timers.len() {
            let jitter = self.jitter(index);
            self.timers[index].next = apply(self.timers[index].next, jitter);
        }
        let mut order: BTreeMap<(Instant, usize), ()> =
            self.timers.iter().enumerate().map(|(index, timer)| ((timer.next, index), ())).collect();
        while let Some(((time, index), ())) = order.pop_first() {
            if stop.wait_until(time) {
                return;
            }
            run(self.timers[index].due);
            let jitter = self.jitter(index);
            let timer = &mut self.timers[index];
            let now = Instant::now();
            let next = apply(time + timer.period, jitter);
            timer.next = if next > now { next } else { now + timer.period };
            order.insert((timer.next, index), ());
        }
    }

    /// Nanoseconds to add, at most the timer's `randomize` either way.
    fn jitter(&mut self, index: usize) -> i64 {
        let most = self.timers[index].randomize_ns.min(i64::MAX as u64 / 4);
        if most == 0 {
            return 0;
        }
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % (2 * most + 1)) as i64 - most as i64
    }
}

fn apply(time: Instant, jitter_ns: i64) -> Instant {
    let by = Duration::from_nanos(jitter_ns.unsigned_abs());
    if jitter_ns < 0 { time.checked_sub(by).unwrap_or(time) } else { time + by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstap_program::Probe;

    #[test]
    fn timers_fire_in_order_of_time_until_stopped() {
        let point = |ms: u64| Point::Timer { period_ns: ms * 1_000_000, randomize_ns: 0 };
        let probe = |point| Probe { point, pp: String::new(), entry: None, entry_bytes: 0 };
        let points = [point(50), point(20), Point::Never, Point::Profile { hz: 50 }];
        let program = Program { probes: points.map(probe).to_vec(), ..Program::default() };
        let (stop, mut fired) = (Stop::default(), Vec::new());
        Timers::of(&program).run(&stop, |due| {
            fired.push(due);
            if due == Due::Timer(ProbeId(0)) {
                stop.stop();
            }
        });
        // On a busy machine this thread may be late, and a timer that is not due again before the last one is.
        let (first, sample, last) = (Due::Timer(ProbeId(1)), Due::Sample(ProbeId(3)), Due::Timer(ProbeId(0)));
        assert_eq!(fired[..2], [first, sample]);
        let (end, between) = fired[2..].split_last().expect("the last one");
        assert!(*end == last && between.iter().all(|due| *due == first || *due == sample), "{fired:?}");
    }

    #[test]
    fn jitter_stays_in_its_bounds() {
        let point = Point::Timer { period_ns: 1_000, randomize_ns: 100 };
        let probe = Probe { point, pp: String::new(), entry: None, entry_bytes: 0 };
        let mut timers = Timers::of(&Program { probes: vec![probe], ..Program::default() });
        let all: Vec<i64> = (0..1000).map(|_| timers.jitter(0)).collect();
        assert!(all.iter().all(|j| (-100..=100).contains(j)));
        assert!(all.iter().any(|j| *j < -50) && all.iter().any(|j| *j > 50));
    }
}
