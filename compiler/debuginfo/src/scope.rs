//! Variables and parameters visible at a pc (DWARF 5, 4.1), and those outside functions.

use crate::dwarf::DieRef;
use crate::types::TypeId;

/// A variable or parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable<'d> {
    /// Its name.
    pub name: &'d str,
    /// Its type.
    pub ty: TypeId,
    /// What it is.
    pub kind: VariableKind,
    /// Line of its declaration, 0 if unknown.
    pub decl_line: u32,
    /// Nesting of blocks round it: 0 for parameters and variables of the function's outermost block.
    pub depth: u32,
    /// Compiler-made (`this`).
    pub artificial: bool,
    /// Visible outside its unit.
    pub external: bool,
    /// Its entry (of the concrete instance where there is one).
    pub die: DieRef,
    /// The function whose frame base its location refers to.
    pub(crate) frame: Option<DieRef>,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// A formal parameter.
    Parameter,
    /// A variable of a function, automatic or static.
    Local,
    /// A variable outside functions.
    Global,
}
