//! The blob, linked as for injection: it must need nothing from anybody.

#[path = "../link.rs"]
mod link;

use std::path::Path;

use goblin::elf::Elf;
use goblin::elf::reloc::R_X86_64_RELATIVE;

#[test]
fn the_blob_is_freestanding() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("blob");
    let path = link::blob(Path::new(env!("CARGO_MANIFEST_DIR")), &out);
    let bytes = std::fs::read(path).expect("the blob was written");
    assert!(link::sources(Path::new(env!("CARGO_MANIFEST_DIR"))).iter().all(|path| path.exists()));
    let elf = Elf::parse(&bytes).expect("the blob is an ELF file");

    let undefined: Vec<&str> = elf
        .dynsyms
        .iter()
        .filter(|symbol| symbol.st_shndx == 0 && symbol.st_name != 0)
        .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name))
        .collect();
    assert!(undefined.is_empty(), "undefined symbols: {undefined:?}");
    assert!(elf.libraries.is_empty(), "it wants {:?}", elf.libraries);
    assert!(elf.interpreter.is_none());

    let relocations: Vec<_> =
        elf.dynrelas.iter().chain(elf.dynrels.iter()).chain(elf.pltrelocs.iter()).collect();
    assert!(!relocations.is_empty(), "the table of builtins holds addresses");
    for relocation in relocations {
        assert_eq!(relocation.r_type, R_X86_64_RELATIVE, "relocation at {:#x}", relocation.r_offset);
    }

    let exported: Vec<&str> =
        elf.dynsyms.iter().filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name)).collect();
    let wanted =
        ["rstap_payload_enter", "rstap_payload_quick", "rstap_payload_abi_version", "RSTAP_PAYLOAD_CONFIG"];
    for name in wanted {
        assert!(exported.contains(&name), "{name} is not among {exported:?}");
    }

    let thread_local =
        elf.program_headers.iter().any(|header| header.p_type == goblin::elf::program_header::PT_TLS);
    assert!(!thread_local, "thread-local storage is the target's");
    let panics = bytes.windows(8).any(|window| window == b"\x0f\x0brstap!");
    assert!(!panics, "something in the blob can panic");
}
