//! Pass 1 of rstap: text in, AST out. Nothing here reads a file or knows what a name means.

#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
pub mod source;
