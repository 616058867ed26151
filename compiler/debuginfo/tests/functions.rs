//! Functions, inlined instances, lines and where probes go, in programs compiled in several ways.

mod support;

use std::collections::BTreeMap;

use rstap_debuginfo::{Function, Instances, Kind, LinkAddr, Module, Pattern, inflate};
use support::Scratch;

fn functions<'d>(module: &Module<'d>, pattern: &str) -> Vec<Function<'d>> {
    module.functions(&Pattern::parse(pattern).unwrap()).unwrap()
}

fn names(module: &Module<'_>, pattern: &str) -> Vec<String> {
    let mut names: Vec<_> = functions(module, pattern).iter().map(|f| f.name.to_string()).collect();
    names.sort();
    names
}

/// Lines of the statements that a pattern finds.
fn lines(module: &Module<'_>, pattern: &str) -> Vec<u32> {
    let found = module.statements(&Pattern::parse(pattern).unwrap()).unwrap().found;
    found.iter().map(|statement| statement.line).collect()
}

#[test]
fn functions_are_found_however_the_program_is_built() {
    let scratch = Scratch::new();
    let builds: [(&[&str], Kind); 6] = [
        (&["-g", "-O0"], Kind::PieExecutable),
        (&["-gdwarf-4", "-O0", "-no-pie"], Kind::Executable),
        (&["-gdwarf-5", "-O2"], Kind::PieExecutable),
        (&["-gdwarf-4", "-O2", "-static"], Kind::Executable),
        (&["-g", "-O1", "-static-pie"], Kind::PieExecutable),
        (&["-g", "-gz", "-O0", "-shared", "-fPIC"], Kind::SharedObject),
    ];
    for (options, kind) in builds {
        let bytes = scratch.compile("basic.c", options);
        let inflated = inflate(&bytes).unwrap();
        assert_eq!(inflated.is_some(), options.contains(&"-gz"));
        let bytes = inflated.unwrap_or(bytes);
        let module = Module::parse(&bytes).unwrap();
        assert_eq!(module.kind(), kind, "{options:?}");
        assert!(module.has_dwarf());
        let add = &functions(&module, "add@basic.c")[0];
        assert_eq!((add.name.as_ref(), add.decl_line, add.external), ("add", 38, true), "{options:?}");
        assert!(add.decl_file.as_deref().unwrap().ends_with("/tests/sources/basic.c"));
        let symbol = module.symbols().iter().find(|s| s.name == "add").unwrap();
        assert_eq!(add.entry, Some(symbol.address));
        assert_eq!(add.ranges[0].end.0 - add.ranges[0].start.0, symbol.size);
        assert_eq!(names(&module, "ad*@basic.c"), ["add"]);
        assert_eq!(names(&module, "*@other.c"), [""; 0]);
        let offset = module.file_offset(symbol.address).unwrap();
        assert_eq!(module.link_addr(offset), Some(symbol.address));
        assert!(module.is_executable(symbol.address));
        let text = module.bytes_at(symbol.address, 4).unwrap();
        assert_eq!(text, &bytes[offset.0 as usize..][..4]);
    }
}

#[test]
fn only_code_without_optimisation_has_its_prologue_skipped() {
    let scratch = Scratch::new();
    for compiler in ["gcc", "clang"] {
        for (level, skipped) in [("-O0", true), ("-O2", false)] {
            let path = scratch.compile_with(compiler, "basic.c", &["-g", level]);
            let bytes = std::fs::read(path).unwrap();
            let module = Module::parse(&bytes).unwrap();
            let add = &functions(&module, "add")[0];
            let entry = add.entry.unwrap();
            let probe = module.probe_address(add).unwrap();
            assert_eq!(probe > entry, skipped, "{compiler} {level}");
            if skipped {
                // push rbp; mov rbp, rsp; the parameters are stored: at least these instructions.
                assert!(probe.0 - entry.0 >= 8 && probe < add.ranges[0].end, "{compiler}");
                assert_eq!(module.line_at(probe).unwrap().line, 41, "{compiler}");
            }
        }
    }
}

#[test]
fn inlined_instances_are_listed_with_their_function() {
    let scratch = Scratch::new();
    for options in [["-gdwarf-5", "-O2"], ["-gdwarf-4", "-O2"]] {
        for compiler in ["gcc", "clang"] {
            let bytes = std::fs::read(scratch.compile_with(compiler, "inline.c", &options)).unwrap();
            let module = Module::parse(&bytes).unwrap();
            for pattern in ["square", "squ*", "*@inline.c"] {
                let found = functions(&module, pattern);
                let square = found.iter().find(|f| f.name == "square").unwrap();
                assert_eq!(square.entry, None);
                assert_eq!(square.inlines.len(), 3, "{compiler} {options:?} {pattern}");
                for inline in &square.inlines {
                    let ranges = module.ranges(inline.die).unwrap();
                    assert!(ranges.iter().any(|r| r.contains(inline.entry)), "{inline:?} {ranges:?}");
                }
            }
            let user = &functions(&module, "user")[0];
            assert!(user.inlines.is_empty() && user.entry.is_some());
            let statements = module.statements(&Pattern::parse("square@inline.c:8").unwrap()).unwrap();
            assert_eq!(statements.found.len(), 3, "{compiler} {options:?}");
            assert!(statements.found.iter().all(|s| s.function == "square"));
            let mut all = lines(&module, "square@inline.c:*");
            all.sort();
            all.dedup();
            // Line 9 computes nothing, so gcc has no instruction for it.
            assert!(all == [7, 8] || all == [7, 8, 9], "{compiler} {options:?}: {all:?}");
            // In the function it was inlined into, a line has a statement for each instance.
            assert_eq!(lines(&module, "user@inline.c:8"), [8, 8], "{compiler} {options:?}");
        }
    }
}

#[test]
fn cxx_functions_are_found_by_name_scope_and_symbol() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("class.cc", &["-g", "-O0"]);
    let module = Module::parse(&bytes).unwrap();
    assert_eq!(names(&module, "price@class.cc"), ["price", "price"]);
    assert_eq!(names(&module, "*::price"), ["Base::price", "Item::price"]);
    assert_eq!(names(&module, "shop::Item::price"), ["shop::Item::price"]);
    assert_eq!(names(&module, "shop::tally"), ["shop::tally"]);
    assert_eq!(names(&module, "shop::*"), ["shop::tally"]);
    assert_eq!(names(&module, "biggest*"), ["biggest<int>", "biggest<long int>"]);
    assert_eq!(names(&module, "biggest"), ["biggest<int>", "biggest<long int>"]);
    assert_eq!(names(&module, "_ZN4shop4Item5priceEi"), ["price"]);
    assert_eq!(names(&module, "nowhere::tally"), [""; 0]);

    let stripped = scratch.compile("class.cc", &["-O0"]);
    let module = Module::parse(&stripped).unwrap();
    assert!(!module.has_dwarf());
    assert_eq!(names(&module, "tally"), ["tally"]);
    assert_eq!(names(&module, "shop::Item::price"), ["shop::Item::price"]);
    assert_eq!(names(&module, "biggest"), ["biggest<int>", "biggest<long>"]);
}

#[test]
fn lines_are_found_in_every_form() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("basic.c", &["-g", "-O0"]);
    let module = Module::parse(&bytes).unwrap();
    assert_eq!(lines(&module, "add@basic.c:41"), [41]);
    assert_eq!(lines(&module, "add@basic.c+3"), [41]);
    assert_eq!(lines(&module, "add@basic.c:*"), [39, 41, 43, 44, 46, 47]);
    assert_eq!(lines(&module, "add@basic.c:41,46"), [41, 46]);
    assert_eq!(lines(&module, "*@basic.c:43-47"), [43, 44, 46, 47]);
    let missing = |pattern: &str| module.statements(&Pattern::parse(pattern).unwrap()).unwrap().missing;
    let line = &missing("add@basic.c:42")[0];
    assert_eq!((line.line, line.before, line.after), (42, Some(41), Some(43)));
    let line = &missing("add@basic.c:90")[0];
    assert_eq!((line.before, line.after), (Some(47), None));
    let statement = &module.statements(&Pattern::parse("*@basic.c:41").unwrap()).unwrap().found[0];
    assert_eq!(statement.function, "add");
    let line = module.line_at(statement.address).unwrap();
    assert_eq!(line.line, 41);
    assert_eq!(line.file, statement.file);
}

#[test]
fn a_debug_file_is_taken_only_if_it_belongs_to_the_program() {
    let scratch = Scratch::new();
    let full = scratch.compile_to("basic.c", &["-g", "-O2", "-Wl,--build-id"]);
    let (debug, bare) = (scratch.path("debug"), scratch.path("bare"));
    scratch.tool("objcopy", &["--only-keep-debug".as_ref(), full.as_ref(), debug.as_ref()]);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    scratch.tool("objcopy", &["--strip-all".as_ref(), link.as_ref(), full.as_ref(), bare.as_ref()]);
    let (debug, bare) = (std::fs::read(debug).unwrap(), std::fs::read(bare).unwrap());

    let mut module = Module::parse(&bare).unwrap();
    assert_eq!(module.debug_link().unwrap().name, "debug");
    assert!(!module.has_dwarf());
    assert_eq!(names(&module, "add"), [""; 0]);
    let other = scratch.compile("basic.c", &["-g", "-O0", "-Wl,--build-id"]);
    let error = module.attach_debug(&other).unwrap_err().to_string();
    assert!(error.contains("build-id"), "{error}");
    module.attach_debug(&debug).unwrap();
    assert_eq!(names(&module, "add"), ["add"]);
    assert_eq!(functions(&module, "add")[0].decl_line, 38);
    assert!(module.symbols().iter().any(|s| s.name == "add" && !s.exported));

    let without_id = scratch.compile_to("basic.c", &["-g", "-O2", "-Wl,--build-id=none"]);
    let (debug, bare) = (scratch.path("debug2"), scratch.path("bare2"));
    scratch.tool("objcopy", &["--only-keep-debug".as_ref(), without_id.as_ref(), debug.as_ref()]);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    scratch.tool("objcopy", &["--strip-all".as_ref(), link.as_ref(), without_id.as_ref(), bare.as_ref()]);
    let (mut debug, bare) = (std::fs::read(debug).unwrap(), std::fs::read(bare).unwrap());
    Module::parse(&bare).unwrap().attach_debug(&debug).unwrap();
    *debug.last_mut().unwrap() ^= 1;
    let mut module = Module::parse(&bare).unwrap();
    let error = module.attach_debug(&debug).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn the_systems_programs_can_be_read() {
    let ls = std::fs::read("/bin/ls").expect("every system has /bin/ls");
    let module = Module::parse(&ls).unwrap();
    assert!(module.interpreter().unwrap().contains("ld-linux"));
    assert!(module.needed().contains(&"libc.so.6"));
    assert!(module.build_id().is_some());
    assert!(!module.has_dwarf());
}

#[test]
fn rust_programs_can_be_read() {
    let scratch = Scratch::new();
    for options in [&["-g"][..], &["-g", "-O"], &["-g", "-C", "symbol-mangling-version=v0"]] {
        let bytes = std::fs::read(scratch.compile_with("rustc", "plain.rs", options)).unwrap();
        let module = Module::parse(&bytes).unwrap();
        let found = functions(&module, "plain::shop::price");
        assert_eq!(found.len(), 1, "{options:?}: {found:?}");
        assert_eq!((found[0].name.as_ref(), found[0].decl_line), ("plain::shop::price", 5), "{options:?}");
        assert!(found[0].decl_file.as_deref().unwrap().ends_with("plain.rs"));
        let entry = found[0].entry.unwrap();
        let at = module.function_at(LinkAddr(entry.0 + 1)).unwrap().unwrap();
        assert_eq!(at.entry, Some(entry));
        assert_eq!(names(&module, "shop::twice").len(), 2, "{options:?}");
        assert!(functions(&module, "*").len() > 100, "{options:?}");
        assert_eq!(module.problems(), []);
    }
}

/// Looking for one name reads less than looking for all; it must not find less.
#[test]
fn an_exact_name_finds_what_a_wildcard_finds() {
    let scratch = Scratch::new();
    let programs = programs(&scratch);
    for bytes in &programs {
        let all_at_once = Module::parse(bytes).unwrap();
        let all = functions(&all_at_once, "*");
        for function in all.iter().filter(|f| !f.name.contains(['[', '@', '*'])) {
            let expected: usize =
                all.iter().filter(|f| f.name == function.name).map(|f| 1 + f.inlines.len()).sum();
            let module = Module::parse(bytes).unwrap();
            let found = functions(&module, &function.name);
            let found: usize =
                found.iter().filter(|f| f.name == function.name).map(|f| 1 + f.inlines.len()).sum();
            assert_eq!(found, expected, "{}", function.name);
        }
    }
}

/// A list is read in another way, unit by unit and without places; it must name the same functions.
#[test]
fn a_list_names_what_a_search_finds() {
    let scratch = Scratch::new();
    for bytes in &programs(&scratch) {
        let module = Module::parse(bytes).unwrap();
        for pattern in ["*", "*a*", "main", "*@inline.c", "Item::*", "no_such_function"] {
            let pattern = Pattern::parse(pattern).unwrap();
            let mut expected: BTreeMap<_, Instances> = BTreeMap::new();
            for function in module.functions(&pattern).unwrap() {
                let has = expected
                    .entry((function.name.to_string(), function.decl_file.clone(), function.decl_line))
                    .or_default();
                has.code |= function.entry.is_some();
                has.external |= function.entry.is_some() && function.external;
                has.inlined |= !function.inlines.is_empty();
            }
            expected.retain(|_, has| *has != Instances::default());
            let fresh = Module::parse(bytes).unwrap();
            let listed = fresh.list_functions(&pattern);
            let listed = listed.map(|f| ((f.name.into_owned(), f.decl_file, f.decl_line), f.has)).collect();
            assert_eq!(expected, listed);
        }
    }
}

fn programs(scratch: &Scratch) -> [Vec<u8>; 5] {
    [
        scratch.compile("basic.c", &["-g", "-O2"]),
        scratch.compile("inline.c", &["-g", "-O2"]),
        std::fs::read(scratch.compile_with("clang", "inline.c", &["-g", "-O2"])).unwrap(),
        scratch.compile("class.cc", &["-g", "-O1"]),
        std::fs::read(scratch.compile_with("gcc", "inline.c", &["-g", "-O2", "-flto"])).unwrap(),
    ]
}
