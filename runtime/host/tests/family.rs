//! Children and libraries: everything that runs a probed file is probed, from its first instruction on, and nothing
//! else is hurt.

mod support;

use rstap_program::{CodeKind, ProcessEvent, ProcessFilter};
use support::{Maker, RAN, build, output_file, trace_command};

#[test]
fn children_of_all_kinds_are_counted() {
    let target = build("family.c", &[]);
    for (mode, calls, begins) in
        [("fork", 61, 21), ("vfork", 21, 21), ("spawn", 11, 11), ("exec", 2, 2), ("other", 6, 6)]
    {
        let mut maker = Maker::default();
        let f = maker.code(&target, "f", CodeKind::Hit);
        let returned = maker.code(&target, "f", CodeKind::Return);
        let begin = maker.event(&target, ProcessEvent::Begin);
        let end = maker.event(&target, ProcessEvent::End);
        let out = output_file();
        let command = format!("{} {mode} > {}", target.path.display(), out.display());
        let (hits, skips) = trace_command(&maker.program, &command, |_| RAN);
        assert_eq!(hits[f.0 as usize], calls, "{mode}");
        assert_eq!(hits[returned.0 as usize], calls, "{mode}");
        let lives = [hits[begin.0 as usize], hits[end.0 as usize]];
        if mode == "fork" || mode == "exec" {
            assert_eq!(lives, [begins, begins], "{mode}");
        }
        assert_eq!(lives[0], lives[1], "{mode}");
        assert!(skips.iter().all(|skips| *skips == 0), "{mode}");
        let printed = std::fs::read_to_string(out).expect("output");
        assert_eq!(printed.is_empty(), mode == "exec", "{mode}");
    }
}

#[test]
fn forked_children_that_no_probe_is_for_are_let_go_unharmed() {
    let target = build("family.c", &[]);
    let mut maker = Maker::default();
    // The probes are for the parent only, which is found by its pid as soon as it runs.
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    let f = maker.code_in(&target, "f", CodeKind::Hit, filter);
    let mut pids = std::collections::HashSet::new();
    let (hits, _) = trace_command(&maker.program, &format!("{} fork", target.path.display()), |hit| {
        pids.insert(hit.pid);
        RAN
    });
    assert_eq!((hits[f.0 as usize], pids.len()), (61, 21));
}

#[test]
fn the_first_call_into_a_library_is_seen_each_time_it_is_loaded() {
    let library = build("library.c", &["-shared", "-fPIC"]);
    let target = build("opener.c", &[]);
    let mut maker = Maker::default();
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    let start = maker.code_in(&library, "library_start", CodeKind::Hit, filter.clone());
    let call = maker.code_in(&library, "library_call", CodeKind::Hit, filter.clone());
    let returned = maker.code_in(&library, "library_call", CodeKind::Return, filter);
    let out = output_file();
    let args = format!("{} 25", library.path.display());
    let command = format!("{} {args} > {}", target.path.display(), out.display());
    let (hits, skips) = trace_command(&maker.program, &command, |_| RAN);
    assert_eq!([start, call, returned].map(|probe| hits[probe.0 as usize]), [25, 25, 25]);
    assert!(skips.iter().all(|skips| *skips == 0));
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run(&args));
}

#[test]
fn a_library_the_program_is_linked_with_is_probed_from_its_constructor_on() {
    let library = build("library.c", &["-shared", "-fPIC"]);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/targets/library.c");
    let path = library.path.to_str().expect("a plain path");
    assert!(std::path::Path::new(source).exists());
    let target = build("linked.c", &[path]);
    let mut maker = Maker::default();
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    let start = maker.code_in(&library, "library_start", CodeKind::Hit, filter.clone());
    let call = maker.code_in(&library, "library_call", CodeKind::Hit, filter);
    let (hits, _) = trace_command(&maker.program, target.path.to_str().expect("a plain path"), |_| RAN);
    assert_eq!([start, call].map(|probe| hits[probe.0 as usize]), [1, 1]);
}

#[test]
fn a_file_that_the_program_maps_by_itself_is_probed_from_its_first_call_on() {
    assert_eq!(hits_in_mapped_file("10"), 20);
}

#[test]
fn text_that_the_program_moves_is_probed_where_it_is_then() {
    assert_eq!(hits_in_mapped_file("10 move"), 30);
}

#[test]
fn text_whose_protection_the_program_changes_stays_probed() {
    assert_eq!(hits_in_mapped_file("10 protect"), 30);
}

/// Hits of a function in a file that the program maps.
fn hits_in_mapped_file(times: &str) -> u64 {
    let file = build("leaf.c", &["-shared", "-fPIC", "-nostdlib"]);
    let target = build("mapper.c", &[]);
    let mut maker = Maker::default();
    let filter = ProcessFilter { executable: Some(maker.module(&target.path)), ..ProcessFilter::default() };
    let leaf = maker.code_in(&file, "leaf", CodeKind::Hit, filter);
    let out = output_file();
    let args = format!("{} {} {times}", file.path.display(), file.offset("leaf").0);
    let command = format!("{} {args} > {}", target.path.display(), out.display());
    let (hits, _) = trace_command(&maker.program, &command, |_| RAN);
    assert_eq!(std::fs::read_to_string(out).expect("output"), target.run(&args));
    hits[leaf.0 as usize]
}
