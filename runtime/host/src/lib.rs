//! Pass 5: plant the probes of a program, run its handlers, drain their output.
//!
//! [`session`] is the way in, [`Running`] for programs that wait for other things too. Below it: [`backend`] finds hits, [`dispatch`] runs handlers with [`environment`] as the
//! core's surroundings, [`output`] drains the ring into a [`sink`], [`timers`] run beside. [`process`], [`breakpoint`] and
//! [`patch`] know processes and instructions and nothing of sessions.

pub mod backend;
pub mod breakpoint;
mod cleanup;
pub mod dispatch;
pub mod environment;
mod guard;
pub mod mapping;
mod notes;
pub mod output;
pub mod patch;
pub mod process;
mod running;
pub mod session;
mod signals;
pub mod sink;
pub mod symbols;
mod sys;
pub mod timers;
pub mod timing;
mod tracers;

pub use backend::ptrace::{Cleaned, command_words};
pub use cleanup::clean;
pub use running::Running;
pub use session::{Backend, Options, Outcome, Ready, Session, SessionError, Target};
pub use sink::Rotation;
pub use symbols::DebugPlaces;
