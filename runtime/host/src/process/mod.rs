//! Process tracking: what runs, what it has mapped, whom a probe is for, why a process cannot be traced. Used by every
//! backend; reads /proc and one netlink socket, and never touches a process.

pub mod access;
pub mod filter;
pub mod identity;
pub mod maps;
pub mod newcomers;
pub mod status;
mod sys;
pub mod task;

pub use filter::Modules;
pub use identity::FileId;
pub use maps::Mapping;
pub use status::Status;
pub use sys::Handle;
