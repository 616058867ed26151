//! Source lines and their addresses (DWARF 5, 6.2).

use std::sync::Arc;

use rstap_abi::address::LinkAddr;

use crate::dwarf::DieRef;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file, as DWARF composes it: compilation directory, directory, name.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, 0 if unknown.
    pub column: u32,
}

/// A statement of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement<'d> {
    /// Its first instruction.
    pub address: LinkAddr,
    /// The file, as DWARF composes it.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// Name of the function or inlined function it is in, as `ppfunc()` shows it.
    pub function: std::borrow::Cow<'d, str>,
    /// That function or inlined instance, to ask [`crate::Module::scope`] with.
    pub die: DieRef,
}

/// Statements found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statements<'d> {
    /// By rising address within a function; each line once for each function or inlined instance.
    pub found: Vec<Statement<'d>>,
    /// Lines that were asked for one by one and have no statement: the file, the line, and the nearest lines
    /// that have one in the functions that were searched.
    pub missing: Vec<MissingLine>,
}

/// A line without statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingLine {
    /// The file.
    pub file: Arc<str>,
    /// The line asked for.
    pub line: u32,
    /// The nearest line before it with a statement.
    pub before: Option<u32>,
    /// The nearest line after it with a statement.
    pub after: Option<u32>,
}
