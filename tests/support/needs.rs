//! What a test needs from the machine. A test without it is skipped by name, and in CI that is a failure.

use std::path::PathBuf;

/// Whether skipped tests are failures.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The first of `programs` that is not in `PATH`.
pub fn missing_program<'a>(programs: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    programs.into_iter().find(|program| find_program(program).is_none())
}

/// Where `PATH` has `program`.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Says that a test, or a part of one, was left out because the kernel or the container does not allow it here. Unlike
/// a program, that is nothing CI could install.
pub fn left_out(what: &str) {
    eprintln!("left out: {what} cannot be had on this machine");
}
