//! Links the payload to the blob that the inject backend writes into targets (`runtime/payload/link.rs`).

#[path = "../payload/link.rs"]
mod link;

use std::path::PathBuf;

fn main() {
    let payload =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../payload");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for source in link::sources(&payload) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    let blob = link::blob(&payload, &out.join("blob"));
    println!("cargo::rustc-env=RSTAP_BLOB={}", blob.display());
}
