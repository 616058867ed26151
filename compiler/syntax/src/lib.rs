//! Pass 1 of rstap: text in, AST out. Nothing here reads a file or knows what a name means.
//!
//! ```text
//! text ── lex: raw tokens ── preprocess: macros, arguments, %( %) ── filter: tokens of the grammar
//!      ── grammar/systemtap.lalrpop: AST ── check: what a grammar cannot say
//! ```

#![forbid(unsafe_code)]

pub mod ast;
mod check;
mod config;
pub mod diagnostic;
mod filter;
mod fuzz;
mod lex;
pub mod near;
mod parse;
mod preprocess;
pub mod print;
mod render;
mod report;
pub mod source;
mod token;
mod tree;
mod wording;

pub use config::ParseConfig;
pub use fuzz::fuzz_one;
pub use parse::{Parsed, parse};
pub use preprocess::MacroLibrary;
