//! The runtime core at home in a target: its environment by raw system calls, and the functions that code injected
//! into the target calls. Together with `blob.rs` it is linked to a freestanding position-independent blob, which has
//! no undefined symbol and needs nothing but its relative relocations applied (`tests/blob.rs` proves it).
//!
//! Not here: how the blob gets into the target and how probes reach it. That is the inject backend's.

#![no_std]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        reason = "tests run in rstap's own build, where a panic is a failed test"
    )
)]

#[cfg(test)]
extern crate std;

pub mod entry;
pub mod env;
pub mod frames;
pub mod quick;
pub mod slot;
mod sys;
