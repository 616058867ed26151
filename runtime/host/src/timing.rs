//! `-t`: how often each probe was hit and how many cycles its handler took, counted where rstap itself runs handlers
//! and told at the end, with SystemTap's words. Handlers that run inside a target are not seen here.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rstap_core::handler::Outcome;
use rstap_program::{ProbeId, Program};

/// Times of all probes.
pub struct Timing {
    probes: Vec<Mutex<Times>>,
}

/// Cycles of one probe's handler.
#[derive(Clone, Copy, Default)]
struct Times {
    hits: u64,
    least: u64,
    most: u64,
    sum: u64,
    squares: u128,
}

impl Times {
    fn add(&mut self, cycles: u64) {
        self.least = if self.hits == 0 { cycles } else { self.least.min(cycles) };
        self.most = self.most.max(cycles);
        self.hits += 1;
        self.sum = self.sum.saturating_add(cycles);
        self.squares = self.squares.saturating_add(u128::from(cycles) * u128::from(cycles));
    }

    /// Of a sample: the squared distances from the mean, divided by one less than their number.
    fn variance(&self) -> u128 {
        let (hits, sum) = (u128::from(self.hits), u128::from(self.sum));
        let of_mean = sum.saturating_mul(sum) / hits.max(1);
        self.squares.saturating_sub(of_mean) / hits.saturating_sub(1).max(1)
    }
}

impl Timing {
    /// Nothing counted yet.
    pub fn new(program: &Program) -> Timing {
        Timing { probes: program.probes.iter().map(|_| Mutex::default()).collect() }
    }

    /// Runs a handler between two looks at the clock. One that did not run is not counted.
    pub fn around<T>(&self, probe: ProbeId, run: impl FnOnce() -> (Outcome, T)) -> (Outcome, T) {
        let start = crate::sys::cycles();
        let (outcome, more) = run();
        let cycles = crate::sys::cycles().saturating_sub(start);
        if let (Outcome::Ran | Outcome::Failed(_), Some(times)) = (outcome, self.probes.get(probe.0 as usize))
        {
            lock(times).add(cycles);
        }
        (outcome, more)
    }

    /// A line for each probe that was hit.
    pub fn report(&self, program: &Program) -> String {
        let mut text = "----- probe hit report: \n".to_owned();
        for (index, (times, probe)) in self.probes.iter().zip(&program.probes).enumerate() {
            let times = *lock(times);
            if times.hits == 0 {
                continue;
            }
            let Times { hits, least, most, sum, .. } = times;
            let (avg, variance) = (sum / hits, times.variance());
            let (place, from) = program.origins.get(index).map_or(("", &[][..]), |o| (&o.place, &o.from));
            let _ = write!(text, "{}, ({place}), hits: {hits}, ", probe.pp);
            let _ = write!(text, "cycles: {least}min/{avg}avg/{most}max, variance: {variance},");
            for name in from {
                let _ = write!(text, " from: {name}");
            }
            let _ = writeln!(text, ", index: {index}");
        }
        text
    }
}

fn lock(times: &Mutex<Times>) -> MutexGuard<'_, Times> {
    // Each change leaves whole numbers behind.
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstap_core::session::Skip;
    use rstap_program::{Origin, Point, Probe};

    #[test]
    fn only_handlers_that_ran_are_reported() {
        let probe = |pp: &str| Probe { point: Point::Never, pp: pp.into(), entry: None, entry_bytes: 0 };
        let origin = |place: &str| Origin { place: place.into(), from: vec!["alias".into(), "mine".into()] };
        let program = Program {
            probes: vec![probe("begin"), probe("end")],
            origins: vec![origin("a.stp:1:1"), origin("a.stp:2:1")],
            ..Program::default()
        };
        let timing = Timing::new(&program);
        timing.around(ProbeId(0), || (Outcome::Ran, ()));
        timing.around(ProbeId(0), || (Outcome::Ran, ()));
        timing.around(ProbeId(1), || (Outcome::Skipped(Skip::Locked), ()));
        let report = timing.report(&program);
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), 2, "{report}");
        assert!(lines[1].starts_with("begin, (a.stp:1:1), hits: 2, cycles: "), "{report}");
        assert!(lines[1].contains("max, variance: "), "{report}");
        assert!(lines[1].ends_with(", from: alias from: mine, index: 0"), "{report}");
    }

    #[test]
    fn variance_is_that_of_a_sample() {
        let mut times = Times::default();
        assert_eq!(times.variance(), 0);
        for cycles in [2, 4, 4, 4, 5, 5, 7, 9] {
            times.add(cycles);
        }
        assert_eq!((times.least, times.most, times.sum, times.variance()), (2, 9, 40, 4));
    }
}
