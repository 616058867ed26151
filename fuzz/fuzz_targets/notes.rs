//! Any bytes as notes: build-ids and markers with all their operands are read or refused.

#![no_main]

mod elf_file;

use libfuzzer_sys::fuzz_target;
use rstap_debuginfo::Module;

const SHT_PROGBITS: u32 = 1;
const SHT_NOTE: u32 = 7;

fuzz_target!(|bytes: &[u8]| {
    let [markers, notes, link] = elf_file::cut(bytes);
    let file = elf_file::build(&[
        (".note.stapsdt", SHT_NOTE, markers),
        (".note.any", SHT_NOTE, notes),
        (".gnu_debuglink", SHT_PROGBITS, link),
        (".gnu_debugaltlink", SHT_PROGBITS, link),
        (".stapsdt.base", SHT_PROGBITS, &[0]),
    ]);
    let module = Module::parse(&file).expect("what is round the notes is sound");
    let _ = (module.marks(), module.build_id(), module.debug_link(), module.debug_alt_link());
});
