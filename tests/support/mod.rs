//! What the integration tests share: running rstap with a time limit, and telling what a test needs.
//!
//! Each test binary includes this module, and none uses all of it.

#![allow(dead_code)]

pub mod case;
pub mod crowd;
pub mod diff;
pub mod needs;
pub mod normalize;
pub mod process;
pub mod proof;
pub mod run;
pub mod targets;

use std::path::{Path, PathBuf};

/// The binary under test.
pub const RSTAP: &str = env!("CARGO_BIN_EXE_rstap");

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for what tests build and write; it lives as long as the target directory.
pub fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// The name of the user who runs the tests, for `user("NAME")` filters.
pub fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name)
}
