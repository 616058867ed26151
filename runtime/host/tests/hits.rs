//! Exact hits, right results: whatever is probed, a program computes what it computes alone.

mod support;

use rstap_abi::context::register;
use rstap_program::CodeKind;
use support::{Maker, RAN, build, output_file, trace_command};

#[test]
fn hits_of_eight_threads_are_counted_exactly() {
    let target = build("count.c", &[]);
    let mut maker = Maker::default();
    let work = maker.code(&target, "work", CodeKind::Hit);
    let twice = maker.code(&target, "twice", CodeKind::Hit);
    let returned = maker.code(&target, "work", CodeKind::Return);
    let out = output_file();
    let mut sum = 0_u64;
    let command = format!("{} 8 500 > {}", target.path.display(), out.display());
    let (hits, skips) = trace_command(&maker.program, &command, |hit| {
        let registers = hit.registers.as_ref().expect("a thread has registers");
        if hit.probe == returned {
            sum = sum.wrapping_add(registers[register::RAX]);
        }
        RAN
    });
    assert_eq!(hits[twice.0 as usize], 8 * 500);
    assert_eq!(hits[work.0 as usize], 8 * 500 * 2);
    assert_eq!(hits[returned.0 as usize], 8 * 500 * 2);
    assert_eq!(skips, [0, 0, 0]);
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run("8 500"));
    assert_ne!(sum, 0);
}
