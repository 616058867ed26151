//! Exact hits, right results: whatever is probed, a program computes what it computes alone.

mod support;

use rstap_abi::context::register;
use rstap_host::backend::ptrace::Ways;
use rstap_program::CodeKind;
use support::{Maker, RAN, build, output_file, trace_command, trace_command_with};

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

#[test]
fn a_statically_linked_program_is_probed() {
    let target = build("count.c", &["-static"]);
    let mut maker = Maker::default();
    let work = maker.code(&target, "work", CodeKind::Hit);
    let out = output_file();
    let command = format!("{} 2 100 > {}", target.path.display(), out.display());
    let (hits, _) = trace_command(&maker.program, &command, |_| RAN);
    assert_eq!(hits[work.0 as usize], 2 * 100 * 2);
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run("2 100"));
}

#[test]
fn every_class_of_instruction_does_what_it_does_unprobed() {
    compare_instructions(|_| {});
}

#[test]
fn every_class_of_instruction_can_be_emulated_or_stepped() {
    compare_instructions(|tracer| tracer.restrict(Ways::NoSlots));
}

#[test]
fn every_class_of_instruction_can_be_stepped() {
    compare_instructions(|tracer| tracer.restrict(Ways::StepOnly));
}

fn compare_instructions(set: fn(&mut rstap_host::backend::ptrace::Tracer<support::Shared<'_>>)) {
    let target = build("instructions.c", &["-no-pie", "-Wl,--no-warn-execstack"]);
    let mut maker = Maker::default();
    let labels = target.symbols_with("at_");
    assert!(labels.len() > 120, "{} labels", labels.len());
    for label in &labels {
        maker.code(&target, label, CodeKind::Hit);
    }
    let out = output_file();
    let command = format!("{} > {}", target.path.display(), out.display());
    let (hits, _) = trace_command_with(&maker.program, &command, |_| RAN, set);
    let (probed, alone) = (std::fs::read_to_string(out).expect("output"), target.run(""));
    for (probed, alone) in probed.lines().zip(alone.lines()) {
        assert_eq!(probed, alone);
    }
    assert_eq!(probed.lines().count(), labels.len());
    for (label, hits) in labels.iter().zip(hits) {
        assert_eq!(hits, 1, "{label}");
    }
}

#[test]
fn signals_never_see_a_slot_and_change_no_count() {
    let target = build("signals.c", &["-fno-omit-frame-pointer"]);
    let mut maker = Maker::default();
    let labels = ["work", "call", "fill", "raw", "at_stos", "at_syscall", "at_ud2", "at_int3"];
    for label in labels {
        maker.code(&target, label, CodeKind::Hit);
    }
    let work_returned = maker.code(&target, "work", CodeKind::Return);
    let out = output_file();
    let command = format!("{} > {}", target.path.display(), out.display());
    let (hits, skips) = trace_command(&maker.program, &command, |_| RAN);
    let probed = std::fs::read_to_string(out).expect("output");
    assert_eq!(probed, target.run(""));
    assert!(probed.ends_with(" 0 0 21 41 1\n"), "{probed}");
    assert_eq!(hits, [3000, 1500, 1500, 1520, 1500, 1520, 21, 21, 3000]);
    assert_eq!(skips[work_returned.0 as usize], 0);
}

#[test]
fn returns_are_matched_through_recursion_longjmp_and_tail_calls() {
    let target = build("returns.c", &["-fno-optimize-sibling-calls"]);
    let mut maker = Maker::default();
    let symbols = ["factorial", "leave", "tail_a", "tail_b", "deep"];
    let entries = symbols.map(|symbol| maker.code(&target, symbol, CodeKind::Hit));
    let returns = symbols.map(|symbol| maker.code(&target, symbol, CodeKind::Return));
    let mut values = Vec::new();
    let out = output_file();
    let command = format!("{} > {}", target.path.display(), out.display());
    let (hits, skips) = trace_command(&maker.program, &command, |hit| {
        if returns.contains(&hit.probe) {
            let registers = hit.registers.as_ref().expect("a thread has registers");
            values.push((hit.probe, registers[register::RAX]));
        }
        RAN
    });
    let of = |probes: [rstap_program::ProbeId; 5]| probes.map(|probe| hits[probe.0 as usize]);
    assert_eq!(of(entries), [5, 11, 1, 1, 55]);
    assert_eq!(of(returns), [5, 1, 1, 1, 0]);
    let values_of = |probe| values.iter().filter(|(p, _)| *p == probe).map(|(_, v)| *v).collect::<Vec<_>>();
    assert_eq!(values_of(returns[0]), [1, 2, 6, 24, 120]);
    assert_eq!((values_of(returns[1]), values_of(returns[2])), (vec![5], vec![102]));
    assert!(skips.iter().all(|skips| *skips == 0));
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run(""));
}

#[test]
fn values_of_the_entry_are_there_at_the_return() {
    let target = build("returns.c", &[]);
    let mut maker = Maker::default();
    let entry = maker.probe(rstap_program::Point::Never);
    let returned = maker.code(&target, "factorial", CodeKind::Return);
    let probe = &mut maker.program.probes[returned.0 as usize];
    (probe.entry, probe.entry_bytes) = (Some(entry), 12);
    let mut seen = Vec::new();
    let out = output_file();
    let command = format!("{} > {}", target.path.display(), out.display());
    let (_, skips) = trace_command(&maker.program, &command, |hit| {
        assert_eq!(hit.entry_values.len(), 12);
        let registers = hit.registers.as_ref().expect("a thread has registers");
        if hit.probe == entry {
            hit.entry_values[0] = registers[register::RDI] as u8;
            // Entered with 3: skipped, so its return must be too.
            return rstap_host::backend::Verdict { ran: registers[register::RDI] != 3, ..RAN };
        }
        seen.push((hit.entry_values[0], registers[register::RAX]));
        RAN
    });
    assert_eq!(seen, [(1, 1), (2, 2), (4, 24), (5, 120)]);
    assert_eq!(skips[returned.0 as usize], 1);
}

#[test]
fn stepping_stops_all_threads_and_loses_no_hit() {
    let target = build("count.c", &[]);
    let mut maker = Maker::default();
    let work = maker.code(&target, "work", CodeKind::Hit);
    let out = output_file();
    let command = format!("{} 8 25 > {}", target.path.display(), out.display());
    let (hits, _) =
        trace_command_with(&maker.program, &command, |_| RAN, |tracer| tracer.restrict(Ways::StepOnly));
    assert_eq!(hits[work.0 as usize], 8 * 25 * 2);
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run("8 25"));
}
