//! Markers, stubs of the PLT and labels, in programs built in several ways.

mod support;

use rstap_debuginfo::sdt::{Number, Offset, Operand};
use rstap_debuginfo::{LinkAddr, Module, Pattern};
use support::Scratch;

const BUILDS: [&[&str]; 5] = [
    &["-g", "-O0"],
    &["-g", "-O2"],
    &["-g", "-O2", "-no-pie"],
    &["-gdwarf-4", "-O1", "-shared", "-fPIC"],
    &["-g", "-O0", "-fcf-protection", "-Wl,-z,ibtplt,-z,now"],
];

/// The address of a variable, by its location.
fn address(module: &Module<'_>, name: &str) -> Option<LinkAddr> {
    let variable = module.globals(name, None).ok()?.into_iter().next()?;
    match module.place(&variable, LinkAddr(0)).ok()? {
        rstap_debuginfo::Place::Memory(rstap_debuginfo::Expr::Address(address)) => Some(address),
        _ => None,
    }
}

#[test]
fn markers_have_places_counters_and_operands() {
    let scratch = Scratch::new();
    for options in BUILDS {
        let bytes = scratch.compile("marks.c", options);
        let module = Module::parse(&bytes).unwrap();
        let marks = module.marks();
        let sold = marks.iter().find(|mark| mark.name == "sold").expect("it is in the source");
        let empty = marks.iter().find(|mark| mark.name == "empty").expect("it is in the source");
        assert_eq!((sold.provider, empty.provider), ("shop", "shop"));
        for mark in &marks {
            assert_eq!(module.bytes_at(mark.address, 1), Some(&[0x90][..]), "{options:?}");
        }
        assert_eq!(sold.semaphore, address(&module, "sold_semaphore"), "{options:?}");
        assert!(sold.semaphore.is_some_and(|semaphore| module.file_offset(semaphore).is_some()));
        assert_eq!((empty.semaphore, empty.arguments.len()), (None, 0));
        let kinds: Vec<_> = sold.arguments.iter().map(|argument| (argument.size, argument.number)).collect();
        let expected =
            [(4, Number::Signed), (8, Number::Unsigned), (4, Number::Unsigned), (8, Number::Unsigned)];
        assert_eq!(kinds, expected);
        assert!(matches!(sold.arguments[0].operand, Ok(Operand::Register { shift: 0, .. })));
        let offset = Offset { symbol: address(&module, "level"), number: 0 };
        assert_eq!(sold.arguments[2].operand, Ok(Operand::Memory { offset, base: None, index: None }));
        let Ok(Operand::Memory { offset, base: Some(_), index: Some((_, 8)) }) = sold.arguments[3].operand
        else {
            panic!("{:?}", sold.arguments[3]);
        };
        assert_eq!(offset, Offset { symbol: None, number: 4 });
    }
}

#[test]
fn markers_survive_stripping() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("marks.c", &["-O2", "-s"]);
    let module = Module::parse(&bytes).unwrap();
    let marks = module.marks();
    assert!(marks.iter().any(|mark| mark.name == "sold" && mark.arguments.len() == 4));
}

#[test]
fn stubs_are_named_after_what_they_call() {
    let scratch = Scratch::new();
    for options in BUILDS {
        let bytes = scratch.compile("marks.c", options);
        let module = Module::parse(&bytes).unwrap();
        let entries = module.plt();
        for name in ["getenv", "strtol"] {
            // Newer C libraries have the function of the current C standard under a name of its own.
            let found = entries.iter().filter(|entry| entry.name.ends_with(name)).count();
            assert_eq!(found, 1, "{name} {options:?} {entries:?}");
        }
        assert!(entries.iter().all(|entry| module.is_executable(entry.address)));
    }
}

#[test]
fn labels_are_found_in_functions_and_inlined_instances() {
    let scratch = Scratch::new();
    for options in BUILDS {
        let bytes = scratch.compile("marks.c", options);
        let module = Module::parse(&bytes).unwrap();
        let functions = module.functions(&Pattern::parse("sell").unwrap()).unwrap();
        let [function] = functions.as_slice() else { panic!("{functions:?}") };
        let labels = module.labels(function.die.expect("it was compiled with -g")).unwrap();
        let [label] = labels.as_slice() else { panic!("{options:?} {labels:?}") };
        assert_eq!((label.name, label.decl_line), ("again", 29));
        assert!(label.decl_file.as_deref().is_some_and(|file| file.ends_with("marks.c")));
        assert!(function.ranges.iter().any(|range| range.contains(label.address)));
    }
}
