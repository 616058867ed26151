//! Target variables: `$name->member[i]`, `@var`, `@cast` turned into register and memory reads. A [`Scope`] is what a
//! derived probe knows of its place; lowering asks it and never sees DWARF.

use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::ir;

/// How a target variable expression is used.
#[derive(Clone, Debug, PartialEq)]
pub enum Use {
    /// Its value.
    Read,
    /// `&$x`
    Address,
    /// `$x = value` (guru mode only, checked by the caller).
    Write(ir::Expr),
}

/// A target variable expression whose script parts are already lowered.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// As written.
    pub target: &'a ast::Target,
    /// The base of `@cast(e, …)` or of an autocast.
    pub base: Option<ir::Expr>,
    /// The index of each `[e]` step, in order.
    pub indexes: Vec<ir::Expr>,
    /// How it is used.
    pub usage: Use,
    /// The site its memory reads fault at.
    pub site: ir::SiteId,
    /// For messages.
    pub span: Span,
}

/// What a derived probe knows of its place.
pub trait Scope {
    /// The IR of the expression: a long, or a string for `$x$` and `$$vars`. In a return probe the scope answers
    /// entry variables with reads that must be saved at entry; lowering wraps those, see [`Scope::at_entry`].
    fn resolve(&self, request: Request<'_>) -> Result<ir::Expr, Box<Diagnostic>>;

    /// In a return probe: whether this expression has to be evaluated at entry and saved (all but `$return`,
    /// `@cast` and `@var`).
    fn at_entry(&self, target: &ast::Target) -> bool;

    /// Whether [`Scope::resolve`] would find it, for `@defined`.
    fn is_defined(&self, target: &ast::Target) -> bool;

    /// The variables it knows, as `-L` shows them: name without `$`, type as in C.
    fn variables(&self) -> Vec<(String, String)>;
}
