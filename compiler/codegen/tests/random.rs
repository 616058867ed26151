//! Random scripts do the same compiled as in the evaluator. `RSTAP_RANDOM_PROGRAMS=100000` tries more of them,
//! `RSTAP_RANDOM_SEED=N` one.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use rstap_sema::ir::Script;
use support::generate::generate;
use support::globals::{SUM, SUMS, TALLIES, TALLY};
use support::run::difference;

const PROGRAMS: u64 = 2000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn check(seed: u64) {
    let script = generate(seed);
    let result = std::panic::catch_unwind(|| difference(&script));
    let difference = match result {
        Ok(None) => return,
        Ok(Some(difference)) => difference,
        Err(_) => "a panic".to_owned(),
    };
    panic!("RSTAP_RANDOM_SEED={seed}: {difference}\n{}", rstap_sema::ir::print::print(&script));
}

#[test]
fn random_scripts_have_sharded_globals_of_each_kind() {
    let scripts: Vec<_> = (0..50).map(generate).collect();
    for number in [SUM, TALLY, SUMS, TALLIES] {
        let is_sharded = |script: &Script| script.globals[number as usize].sharded;
        let count = scripts.iter().filter(|script| is_sharded(script)).count();
        assert!((1..50).contains(&count), "global {number} is sharded in {count} of 50 scripts");
    }
}

#[test]
fn random_scripts_do_as_the_evaluator_does() {
    if let Some(seed) = number("RSTAP_RANDOM_SEED") {
        return check(seed);
    }
    let programs = number("RSTAP_RANDOM_PROGRAMS").unwrap_or(PROGRAMS);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= programs {
                    break;
                }
                check(seed);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}
