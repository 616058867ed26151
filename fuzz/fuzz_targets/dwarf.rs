//! Any bytes as the sections of DWARF: every question about functions, lines, variables and types has an answer or an
//! error, in bounded time. `module` gives whole files; here no byte is spent on the container.

#![no_main]

mod elf_file;

use libfuzzer_sys::fuzz_target;
use rstap_debuginfo::{LinkAddr, Module, Pattern};

const SHT_PROGBITS: u32 = 1;
/// Answers asked for per file, so that one run stays short.
const MOST: usize = 20;

fuzz_target!(|bytes: &[u8]| {
    let [abbreviations, strings, lines, locations, ranges, info] = elf_file::cut(bytes);
    let file = elf_file::build(&[
        (".debug_abbrev", SHT_PROGBITS, abbreviations),
        (".debug_str", SHT_PROGBITS, strings),
        (".debug_line_str", SHT_PROGBITS, strings),
        (".debug_line", SHT_PROGBITS, lines),
        (".debug_loclists", SHT_PROGBITS, locations),
        (".debug_loc", SHT_PROGBITS, locations),
        (".debug_rnglists", SHT_PROGBITS, ranges),
        (".debug_ranges", SHT_PROGBITS, ranges),
        (".debug_addr", SHT_PROGBITS, ranges),
        (".debug_str_offsets", SHT_PROGBITS, ranges),
        (".debug_types", SHT_PROGBITS, info),
        (".debug_info", SHT_PROGBITS, info),
    ]);
    let module = Module::parse(&file).expect("what is round the sections is sound");
    let _ = (module.split_units(), module.line_at(LinkAddr(0x80)), module.inlined_calls(LinkAddr(0x80)));
    let _ = (module.find_type("point"), module.find_enumerator("RED"));
    let everything = Pattern::parse("*").expect("a pattern of the language");
    let _ = module.list_functions(&everything);
    for function in module.functions(&everything).unwrap_or_default().iter().take(MOST) {
        let pc = module.probe_address(function).unwrap_or(LinkAddr(0x80));
        let _ = (module.calls(function).len(), module.type_name(module.return_type(function)));
        let instances = function.die.into_iter().chain(function.inlines.iter().map(|inline| inline.die));
        for die in instances.take(MOST) {
            let _ = module.labels(die);
            for variable in module.scope(die, pc).unwrap_or_default().iter().take(MOST) {
                let _ = (module.place(variable, pc), module.available(variable));
                let _ = (module.type_name(variable.ty), module.size_of(variable.ty));
            }
        }
    }
    let _ = module.problems();
});
