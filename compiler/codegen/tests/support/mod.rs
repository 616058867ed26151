//! What the tests of generated code share: scripts built by hand, and an image mapped and run.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod build;
pub mod mapped;
