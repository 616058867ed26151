//! Pass 5: plant probes, run handlers, drain output.

pub mod backend;
pub mod breakpoint;
pub mod process;
