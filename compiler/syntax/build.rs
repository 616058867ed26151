//! Builds the parser from the grammar at the top of the repository.

fn main() {
    println!("cargo:rerun-if-changed=../../grammar");
    lalrpop::Configuration::new()
        .set_in_dir("../../grammar")
        .set_out_dir(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"))
        .process()
        .expect("the grammar has no conflict");
}
