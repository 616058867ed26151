//! What a handler can do, on one shared-memory arena: locks, arrays, statistics, strings, formatted printing, the
//! output ring, and [`handler::Runner::run`], which every backend calls for every hit.
//!
//! Invariants (each is kept by the module named):
//! - The core never allocates, panics, makes a system call or waits without a bound. Time, thread id, pauses and
//!   target memory come through [`env::Env`].
//! - The arena holds offsets and integers only, and whoever shares it may write anything into it at any time: each
//!   offset and length in it is an allegation, checked where it is used ([`arena`]). What is found wrong is
//!   `Fault::CorruptArena`; it is never undefined behaviour, a panic or an endless loop.
//! - Strings end at the first NUL, as in C; lengths are kept so that nobody has to look for it.
//!
//! Unsafe code is in [`arena`], `key`, `call`, [`table`], [`image`], [`handler`] and `float` only.
//!
//! Memory checks: `RUSTFLAGS=-Zsanitizer=address cargo +nightly test -p rstap-core --target
//! x86_64-unknown-linux-gnu -- --skip models`, the same with `thread` and `-Zbuild-std`, and `valgrind -q
//! --error-exitcode=9 TEST-BINARY --skip models` (loom switches stacks, which none of them follows).

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
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests run in rstap's own build, where a panic is a failed test"
    )
)]

#[cfg(test)]
extern crate std;

pub mod arena;
mod atomic;
mod builtins;
mod call;
pub mod env;
mod float;
mod format;
pub mod handler;
mod histogram;
pub mod image;
mod key;
mod lock;
pub mod map;
pub mod output;
mod overload;
mod packed;
mod regex;
pub mod ring;
pub mod session;
pub mod setup;
mod shard;
mod sketch;
mod sort;
pub mod stat;
pub mod string;
pub mod table;
pub mod text;
mod time;
mod walk;

#[cfg(test)]
mod robustness_tests;
#[cfg(test)]
mod testing;
