//! `-t`: how often each probe was hit and how many cycles its handler took, counted where rstap itself runs handlers
//! and told at the end, with SystemTap's words. Handlers that run inside a target are not seen here.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rstap_core::handler::Outcome;
use rstap_program::{ProbeId, Program};

/// Times of all probes.
pub struct Timing {
    probes: Vec<Times>,
}

/// Cycles of one probe's handler.
struct Times {
    hits: AtomicU64,
    least: AtomicU64,
    most: AtomicU64,
    sum: AtomicU64,
}

impl Timing {
    /// Nothing counted yet.
    pub fn new(program: &Program) -> Timing {
        let times = || Times {
            hits: AtomicU64::new(0),
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        };
        Timing { probes: program.probes.iter().map(|_| times()).collect() }
    }

    /// Runs a handler between two looks at the clock. One that did not run is not counted.
    pub fn around<T>(&self, probe: ProbeId, run: impl FnOnce() -> (Outcome, T)) -> (Outcome, T) {
        let start = crate::sys::cycles();
        let (outcome, more) = run();
        let cycles = crate::sys::cycles().saturating_sub(start);
        if let (Outcome::Ran | Outcome::Failed(_), Some(times)) = (outcome, self.probes.get(probe.0 as usize))
        {
            times.hits.fetch_add(1, Relaxed);
            times.sum.fetch_add(cycles, Relaxed);
            times.least.fetch_min(cycles, Relaxed);
            times.most.fetch_max(cycles, Relaxed);
        }
        (outcome, more)
    }

    /// A line for each probe that was hit.
    pub fn report(&self, program: &Program) -> String {
        let mut text = "----- probe hit report: \n".to_owned();
        for (index, (times, probe)) in self.probes.iter().zip(&program.probes).enumerate() {
            let hits = times.hits.load(Relaxed);
            if hits == 0 {
                continue;
            }
            let (least, most, sum) =
                (times.least.load(Relaxed), times.most.load(Relaxed), times.sum.load(Relaxed));
            let place = program.places.get(index).map_or("", String::as_str);
            let _ = writeln!(
                text,
                "{}, ({place}), hits: {hits}, cycles: {least}min/{}avg/{most}max, index: {index}",
                probe.pp,
                sum / hits
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstap_core::session::Skip;
    use rstap_program::{Point, Probe};

    #[test]
    fn only_handlers_that_ran_are_reported() {
        let probe = |pp: &str| Probe { point: Point::Never, pp: pp.into(), entry: None, entry_bytes: 0 };
        let program = Program {
            probes: vec![probe("begin"), probe("end")],
            places: vec!["a.stp:1:1".into(), "a.stp:2:1".into()],
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
        assert!(lines[1].ends_with("max, index: 0"), "{report}");
    }
}
