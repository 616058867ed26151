//! What the tests of generated code share: scripts built by hand or at random, an image mapped and run on the real
//! core, and the same script run by the evaluator.

#![allow(dead_code, reason = "each test binary uses a part")]

pub mod build;
pub mod dice;
pub mod generate;
pub mod globals;
pub mod mapped;
pub mod run;
pub mod thread;
