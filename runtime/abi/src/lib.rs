//! What compiled handlers and the runtime agree on: the shape of the context and of the arena, the list of
//! builtins, limits, faults, output records, the handler image. Data and names only; no behaviour beyond sizes.

#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod builtins;
pub mod context;
pub mod fault;
pub mod format;
pub mod image;
pub mod inject;
pub mod layout;
pub mod limits;
pub mod record;
pub mod regex;
pub mod session;
pub mod watch;

/// Changes whenever anything in this crate changes shape.
pub const ABI_VERSION: u32 = 7;
