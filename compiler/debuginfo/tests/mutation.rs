//! Damaged files: every question is answered or refused, and none panics or runs for ever. `MUTATION_FACTOR=100`
//! tries so many times more damages.

mod support;

use std::time::{Duration, Instant};

use rstap_debuginfo::{LinkAddr, LocationError, Module, Pattern, Place, TypeId, inflate};
use support::Scratch;

/// A small generator (splitmix64), so that a failure can be had again from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Asks a module everything there is to ask.
fn ask_everything(bytes: &[u8]) {
    let inflated = inflate(bytes).unwrap_or_default();
    let bytes = inflated.as_deref().unwrap_or(bytes);
    let Ok(mut module) = Module::parse(bytes) else { return };
    let _ = (module.build_id(), module.debug_link(), module.debug_alt_link(), module.interpreter());
    let _ = (module.needed(), module.soname(), module.runpath(), module.tls(), module.kind());
    let _ = module.symbol_at(module.entry());
    let _ = (module.marks(), module.plt());
    for pattern in ["*", "add", "shop::*", "*@*.c:1-60"] {
        let pattern = Pattern::parse(pattern).unwrap();
        let _ = module.statements(&pattern);
        for function in module.functions(&pattern).unwrap_or_default().iter().take(50) {
            let pc = module.probe_address(function).unwrap_or(LinkAddr(0));
            let _ = (module.line_at(pc), module.function_at(pc), module.file_offset(pc));
            let _ = module.bytes_at(pc, 16);
            walk_type(&module, module.return_type(function), 4);
            let instances = function.die.into_iter().chain(function.inlines.iter().map(|i| i.die));
            for die in instances.take(5) {
                let _ = module.labels(die);
                let globals = module.unit_globals(die).unwrap_or_default();
                for variable in module.scope(die, pc).unwrap_or_default().iter().chain(&globals).take(100) {
                    let _ = (module.place(variable, pc), module.available(variable));
                    walk_type(&module, variable.ty, 4);
                }
            }
        }
    }
    let _ = (module.globals("counter", Some("basic.c")), module.find_enumerator("ON"));
    if let Ok(Some(nest)) = module.find_type("nest") {
        let _ = module.find_member(nest, "nothing");
    }
    let _ = module.attach_debug(bytes);
}

fn walk_type(module: &Module<'_>, id: TypeId, depth: usize) {
    use rstap_debuginfo::Type;
    let _ = (module.type_name(id), module.size_of(id));
    let inner = match module.resolve_type(id).and_then(|id| module.type_of(id)) {
        Ok(Type::Pointer { to, .. } | Type::Reference { to, .. } | Type::Array { element: to, .. }) => {
            vec![to]
        }
        Ok(Type::Record { members, .. }) => members.iter().map(|m| m.ty).take(4).collect(),
        _ => return,
    };
    if depth > 0 {
        inner.into_iter().for_each(|id| walk_type(module, id, depth - 1));
    }
}

/// Changes a few bytes: to random ones, to ones at the edge of an encoding, or to those of another place.
fn damage(bytes: &mut [u8], random: &mut Random, around: &std::ops::Range<usize>) {
    for _ in 0..1 + random.below(8) {
        let at = around.start + random.below(around.len());
        match random.below(4) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 0xff, 0x7f, 0x80, 1][random.below(5)],
            _ => {
                let from = around.start + random.below(around.len());
                let len = random.below(16).min(bytes.len() - at.max(from));
                bytes.copy_within(from..from + len, at);
            }
        }
    }
}

fn mutate(source: &str, options: &[&str], rounds: u64) {
    let scratch = Scratch::new();
    let good = scratch.compile(source, options);
    ask_everything(&good);
    let header = 0..0x400.min(good.len());
    // The debug sections, the symbol tables and the section headers follow one another at the end of the file.
    let comment = good.windows(4).position(|w| w == b"GCC:").unwrap_or(0x400);
    let sections = comment..good.len();
    let deadline = Duration::from_secs(20);
    let factor = std::env::var("MUTATION_FACTOR").ok().and_then(|f| f.parse().ok()).unwrap_or(1);
    for seed in 0..rounds * factor {
        let mut random = Random(seed);
        let mut bytes = good.clone();
        let around = if seed % 8 == 0 { &header } else { &sections };
        damage(&mut bytes, &mut random, around);
        if seed % 50 == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        let start = Instant::now();
        ask_everything(&bytes);
        assert!(start.elapsed() < deadline, "seed {seed} of {source} {options:?} took {:?}", start.elapsed());
    }
}

#[test]
fn damaged_dwarf_5_is_survived() {
    mutate("basic.c", &["-gdwarf-5", "-O2"], 400);
}

#[test]
fn damaged_dwarf_4_is_survived() {
    mutate("basic.c", &["-gdwarf-4", "-O0"], 400);
}

#[test]
fn damaged_cxx_is_survived() {
    mutate("class.cc", &["-g", "-O2"], 400);
}

#[test]
fn damaged_markers_are_survived() {
    mutate("marks.c", &["-g", "-O2"], 400);
}

#[test]
fn damaged_compressed_sections_are_survived() {
    mutate("inline.c", &["-g", "-O2", "-gz"], 400);
}

/// Entries that refer to themselves and each other cost what depends on them, nothing else.
#[test]
fn circles_end() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("circles.s", &[]);
    ask_everything(&bytes);
    let module = Module::parse(&bytes).unwrap();
    let all = module.functions(&Pattern::parse("*").unwrap()).unwrap();
    let main = all.iter().find(|function| function.name == "main" && function.die.is_some()).unwrap();
    let pc = main.entry.unwrap();
    let variables = module.scope(main.die.unwrap(), pc).unwrap();
    let variable = |name| variables.iter().find(|variable| variable.name == name).unwrap();
    assert!(matches!(module.place(variable("sound"), pc), Ok(Place::Memory(_))));
    assert_eq!(module.size_of(variable("sound").ty), Some(4));
    assert_eq!(module.place(variable("looping"), pc), Err(LocationError::TooLong));
    assert_eq!(module.size_of(variable("looping").ty), None);
    assert_eq!(module.size_of(variable("row").ty), None);
    let nest = module.resolve_type(variable("nested").ty).unwrap();
    assert_eq!(module.find_member(nest, "nothing"), Ok(None));
    for variable in &variables {
        assert!(module.type_name(variable.ty).len() < 1000, "{}", variable.name);
    }
}

#[test]
fn files_cut_off_anywhere_are_survived() {
    let scratch = Scratch::new();
    let good = scratch.compile("inline.c", &["-g", "-O2"]);
    for len in (0..good.len()).step_by(97) {
        ask_everything(&good[..len]);
    }
}
