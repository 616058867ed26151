//! Answers questions about one ELF file: functions, lines, variables, types and where values are.
//!
//! A [`Module`] holds the bytes of one executable or shared object, with those of the files that its debug information
//! is spread over; [`sources`] says where these are. This crate opens no file itself and knows no process: addresses are [`LinkAddr`]s, and a location is
//! handed out as a [`location::Place`], an expression over registers and memory that the compiler turns into code.
//! What the bytes say is foreign: every question can fail, none can panic or run for ever.

#![forbid(unsafe_code)]

mod calls;
mod cfi;
mod dwarf;
mod elf;
mod module;
mod names;

pub mod functions;
pub mod labels;
pub mod lines;
pub mod location;
pub mod pattern;
pub mod plt;
pub mod scope;
pub mod sdt;
pub mod sources;
pub mod types;
pub mod unwind;

pub use calls::Call;
pub use dwarf::{DieRef, DwarfError, SplitUnit};
pub use elf::{
    AltLink, AttachError, DebugLink, ElfError, Kind, Symbol, Tls, TlsSlot, inflate, unpack_symbols,
};
pub use functions::{Function, Inline, InlinedCall, Instances, Listed, Range};
pub use lines::{Line, MissingLine, Statement, Statements};
pub use location::{BinaryOp, Elements, EntryValue, Expr, LocationError, Piece, Place, UnaryOp};
pub use module::Module;
pub use names::demangle;
pub use pattern::{Glob, Lines, Pattern, PatternError};
pub use plt::{PltEntry, Stub};
pub use rstap_abi::address::{FileOffset, LinkAddr};
pub use scope::{Variable, VariableKind};
pub use sdt::Mark;
pub use types::{
    BitField, Dynamic, Encoding, Enumerator, Member, Qualifier, RecordKind, Type, TypeId, Variant, Variants,
};
