//! Pass 2 of rstap: AST in, typed IR out.
//!
//! ```text
//! AST ── symbols: what is declared ── expand: aliases, derived points (points/*) ── resolve: names → resolved tree
//!     ── check, optimize ── types: inference ── lower: IR, target variables through their scopes ── shards, locks
//! ```
//!
//! [`analyze::analyze`] is the list of these stages. Nothing here touches a process or reads a file but through
//! [`files::Files`].

#![forbid(unsafe_code)]

pub mod analyze;
mod ast_walk;
mod autoprint;
mod check;
mod conditions;
mod expand;
pub mod files;
mod hir;
mod hir_walk;
pub mod ir;
mod json;
pub mod keys;
pub mod list;
pub mod locks;
mod lower;
pub mod modules;
mod nesting;
mod optimize;
pub mod points;
pub mod print;
pub mod regex;
mod resolve;
pub mod shards;
mod symbols;
pub mod tapset;
pub mod target_var;
mod types;
mod unavailable;
mod usage;

pub use analyze::{Options, analyze};
pub use tapset::Tapset;
