//! Target variables: `$name->member[i]`, `@var`, `@cast`, `@enum` turned into register and memory reads. A [`Scope`] is what a
//! derived probe knows of its place; lowering asks it and never sees DWARF.

mod build;
mod called;
mod container;
mod enumeration;
mod global;
mod listed;
mod location;
mod mark;
mod messages;
mod named;
mod pretty;
mod psabi;
mod scope;
mod system_call;
mod value;

pub use called::CalledScope;
pub use global::GlobalScope;
pub use listed::ListedScope;
pub use mark::MarkScope;
pub use named::constant;
pub use psabi::ARGUMENTS as INTEGER_ARGUMENTS;
pub use scope::{CodeScope, Frame};
pub use system_call::SystemCallScope;

use std::rc::Rc;

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
    /// `$x = value` (guru mode only, checked by the caller). The value may be evaluated more than once: a constant,
    /// or a local that the caller has assigned before.
    Write(ir::Expr),
}

/// Where a value of the script got its type from: the target variable expression it was made of. So `p->next` means
/// something after `p = $list` (stap calls it autocast).
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The expression.
    pub target: Rc<ast::Target>,
    /// Its own origin, if it begins with such a value.
    pub of: Option<Rc<Origin>>,
    /// The value is its address.
    pub address: bool,
}

impl Origin {
    /// The expression that all began with.
    pub fn root(&self) -> &ast::Target {
        self.of.as_ref().map_or(&self.target, |of| of.root())
    }
}

/// A target variable expression whose script parts are already lowered.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// As written.
    pub target: &'a ast::Target,
    /// The base of `@cast(e, …)` or of an autocast.
    pub base: Option<ir::Expr>,
    /// What gives the type of a value without one.
    pub origin: Option<&'a Origin>,
    /// The index of each `[e]` step, in order.
    pub indexes: Vec<ir::Expr>,
    /// How it is used.
    pub usage: Use,
    /// In a return probe: what [`Scope::kept`] was when the function was entered, if it asked for that.
    pub kept: Option<ir::Expr>,
    /// The site its memory reads fault at.
    pub site: ir::SiteId,
    /// For messages.
    pub span: Span,
}

impl<'a> Request<'a> {
    /// A request whose answer matters only in whether there is one.
    fn of_any(target: &'a ast::Target, usage: Use) -> Request<'a> {
        // Parts of what is not in memory are reached by constants only.
        let index = |step: &ast::Access| match &step.kind {
            ast::AccessKind::Index(index) => Some(match index.kind {
                ast::ExprKind::Literal(ast::Literal::Number(index)) => build::number(index),
                _ => build::register(rstap_abi::context::register::RAX),
            }),
            ast::AccessKind::Member(_) => None,
        };
        Request {
            target,
            base: Some(build::number(0)),
            origin: None,
            indexes: target.access.iter().filter_map(index).collect(),
            usage,
            kept: Some(build::number(0)),
            site: ir::SiteId(0),
            span: Span::default(),
        }
    }
}

/// What a derived probe knows of its place.
pub trait Scope {
    /// The IR of the expression: a long, or a string for `$x$` and `$$vars`. In a return probe the scope answers
    /// entry variables with reads that must be saved at entry; lowering wraps those, see [`Scope::at_entry`].
    fn resolve(&self, request: Request<'_>) -> Result<ir::Expr, Box<Diagnostic>>;

    /// In a return probe: whether this expression has to be evaluated at entry and saved (all but `$return`,
    /// `@cast` and `@var`).
    fn at_entry(&self, target: &ast::Target) -> bool;

    /// In a return probe: what to save at entry for this expression and to give back as [`Request::kept`]. The
    /// difference between addresses of the running target and of the ELF file cannot be had from a return address, and
    /// where the caller wants a large result not always from the registers. `None` if the expression needs none, and
    /// always where [`Scope::at_entry`] is true.
    fn kept(&self, target: &ast::Target) -> Option<ir::Expr> {
        let _ = target;
        None
    }

    /// Whether [`Scope::resolve`] would find it, for `@defined`.
    fn is_defined(&self, target: &ast::Target) -> bool;

    /// Whether [`Scope::resolve`] would find its address, for `@defined(&…)`.
    fn has_address(&self, target: &ast::Target) -> bool {
        self.resolve(Request::of_any(target, Use::Address)).is_ok()
    }

    /// The same for an expression that begins with a value of the script, whose type is that of `origin`.
    fn is_defined_from(&self, target: &ast::Target, origin: &Origin, by_address: bool) -> bool {
        let usage = if by_address { Use::Address } else { Use::Read };
        self.resolve(Request { origin: Some(origin), ..Request::of_any(target, usage) }).is_ok()
    }

    /// What must be true at a hit for the handler to run, if that is not always so.
    fn guard(&self, site: ir::SiteId) -> Option<ir::Expr> {
        let _ = site;
        None
    }

    /// The variables it knows, as `-L` shows them: name without `$`, type as in C.
    fn variables(&self) -> Vec<(String, String)>;
}
