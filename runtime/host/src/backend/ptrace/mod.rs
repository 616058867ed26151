//! The ptrace backend: no rights but those over the user's own processes. A tracer thread serves the processes that it
//! has attached to or started; a child with probes gets a thread of its own (`handover`). The handlers run in it. One stop
//! per hit.
//!
//! What keeps the target unharmed:
//! - Text is changed one byte at a time (`int3`), with other threads running; the original bytes are in `space`.
//! - The stack is never written, so neither exceptions, longjmp nor backtraces notice return probes.
//! - No signal frame ever holds a slot's address: before a signal is delivered, a thread inside a slot is moved back.
//! - Nothing is single-stepped but instructions that cannot run elsewhere, with all threads stopped.
//! - The options never include EXITKILL.
//! - A tracer that dies leaves a target that goes on without it: see `rescue`.
//!
//! Known limits: those of `rescue`. A file that a running program maps by itself is seen if it does so through its C
//! library's `mmap`, and else armed with the next library. Text that a program moves (mremap) takes breakpoints along: see
//! `moved`.

mod conditions;
pub mod control;
mod cpu;
mod detached;
mod foreign;
mod fork;
mod goroutines;
mod handover;
mod hit;
mod homes;
mod injecting;
mod interrupted;
mod jumps;
mod lifecycle;
mod loader;
mod memory;
mod moved;
mod parking;
mod planting;
pub mod registry;
mod remote;
mod rescue;
mod semaphores;
mod space;
mod suspend;
pub mod sys;
mod tracer;
mod watch;

pub use handover::{Colleagues, Handover};
pub use lifecycle::{LaunchError, command_words};
pub use rescue::Cleaned;
pub use tracer::{End, Report, Tracer, Ways};
