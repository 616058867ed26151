//! Pass 2 of rstap: AST in, typed IR out.

#![forbid(unsafe_code)]

pub mod files;
pub mod ir;
pub mod list;
pub mod modules;
mod near;
pub mod points;
pub mod target_var;
