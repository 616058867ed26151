//! The blob, linked as for injection: it must need nothing from anybody.

use std::path::{Path, PathBuf};
use std::process::Command;

use goblin::elf::Elf;
use goblin::elf::reloc::R_X86_64_RELATIVE;

/// How every crate of the blob is compiled. No unwinding and no unwind tables: there is nobody to read them.
const COMPILE: &[&str] = &[
    "--edition=2024",
    "-Copt-level=3",
    "-Cpanic=abort",
    "-Ccodegen-units=1",
    "-Crelocation-model=pic",
    "-Cforce-unwind-tables=no",
];

/// How it is linked.
const LINK: &[&str] = &[
    "-Clto=fat",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-Wl,-z,now,-z,norelro,-Bsymbolic,--hash-style=sysv,--gc-sections,--build-id=none",
];

fn rustc(source: &Path, name: &str, kind: &str, out: &Path, extra: &[&str], uses: &[&str]) -> PathBuf {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.arg(source).args(["--crate-name", name, "--crate-type", kind]).args(COMPILE).args(extra);
    command.arg("-L").arg(out).arg("--out-dir").arg(out);
    for used in uses {
        command.arg("--extern").arg(format!("{used}={}", out.join(format!("lib{used}.rlib")).display()));
    }
    let output = command.output().expect("rustc starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    out.join(format!("lib{name}.{}", if kind == "rlib" { "rlib" } else { "so" }))
}

fn build() -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("blob");
    std::fs::create_dir_all(&out).expect("the target directory is writable");
    let source = |path: &str| here.join(path);
    rustc(&source("../abi/src/lib.rs"), "rstap_abi", "rlib", &out, &[], &[]);
    rustc(&source("../core/src/lib.rs"), "rstap_core", "rlib", &out, &[], &["rstap_abi"]);
    rustc(&source("src/lib.rs"), "rstap_payload", "rlib", &out, &[], &["rstap_abi", "rstap_core"]);
    let blob = rustc(&source("blob.rs"), "rstap_blob", "cdylib", &out, LINK, &["rstap_payload"]);
    std::fs::read(blob).expect("the blob was written")
}

#[test]
fn the_blob_is_freestanding() {
    let bytes = build();
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
    for name in ["rstap_payload_run", "rstap_payload_abi_version"] {
        assert!(exported.contains(&name), "{name} is not among {exported:?}");
    }

    let thread_local =
        elf.program_headers.iter().any(|header| header.p_type == goblin::elf::program_header::PT_TLS);
    assert!(!thread_local, "thread-local storage is the target's");
    let panics = bytes.windows(8).any(|window| window == b"\x0f\x0brstap!");
    assert!(!panics, "something in the blob can panic");
}
