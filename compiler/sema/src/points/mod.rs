//! Probe points: one module per family. Each turns a written point, with aliases already expanded, into derived
//! points.

use rstap_program::Point;
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;
use std::rc::Rc;

use crate::target_var::Scope;

/// A place a written point stands for.
#[derive(Clone)]
pub struct DerivedPoint {
    /// Where.
    pub point: Point,
    /// `pp()`
    pub pp: String,
    /// `pn()`
    pub pn: String,
    /// `ppfunc()`
    pub function: String,
    /// Bits of `rstap_abi::context::flags`.
    pub flags: u32,
    /// What `$name` means there; `None` where there are no target variables at all.
    pub scope: Option<Rc<dyn Scope>>,
}

/// What a family answers.
pub type Resolved = Result<Vec<DerivedPoint>, Box<Diagnostic>>;

/// The type of a family's entry point: the components of `point` are matched by the family.
pub type Family<'a> = dyn Fn(&ast::ProbePoint) -> Resolved + 'a;
