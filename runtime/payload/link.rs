//! How the blob is compiled and linked, for `tests/blob.rs` and for the build script of the crate that carries it. Each
//! crate of it is compiled anew, whatever the profile of the build at hand: only optimised it is free of what a
//! freestanding program has not got (unwinding, panics with texts).

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Files and folders that the blob is made from, below `payload`, the folder of this file.
pub fn sources(payload: &Path) -> [PathBuf; 5] {
    ["../abi/src", "../core/src", "src", "blob.rs", "link.rs"].map(|path| payload.join(path))
}

/// Builds the blob in the folder `out`; where it is.
pub fn blob(payload: &Path, out: &Path) -> PathBuf {
    std::fs::create_dir_all(out).expect("the output directory is writable");
    let source = |path: &str| payload.join(path);
    rustc(&source("../abi/src/lib.rs"), "rstap_abi", "rlib", out, &[], &[]);
    rustc(&source("../core/src/lib.rs"), "rstap_core", "rlib", out, &[], &["rstap_abi"]);
    rustc(&source("src/lib.rs"), "rstap_payload", "rlib", out, &[], &["rstap_abi", "rstap_core"]);
    rustc(&source("blob.rs"), "rstap_blob", "cdylib", out, LINK, &["rstap_payload"])
}
