//! Probe points: one module per family. Each turns a written point, with aliases already expanded, into derived
//! points.

use rstap_program::Point;
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;
use std::rc::Rc;

use crate::target_var::Scope;

pub mod process;
pub mod session;
pub mod timer;
pub mod unavailable;

/// A place a written point stands for. `'d` is how long file contents stay valid.
#[derive(Clone)]
pub struct DerivedPoint<'d> {
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
    pub scope: Option<Rc<dyn Scope + 'd>>,
}

/// What a family answers.
pub type Resolved<'d> = Result<Vec<DerivedPoint<'d>>, Box<Diagnostic>>;

/// The type of a family's entry point: the components of `point` are matched by the family. Warnings are added to the
/// list, also when it fails.
pub type Family<'a, 'd> = dyn Fn(&ast::ProbePoint, &mut Vec<Diagnostic>) -> Resolved<'d> + 'a;

/// The forms of probe points there are, sorted, with `number` and `string` for arguments.
pub fn forms() -> Vec<String> {
    let mut forms: Vec<String> =
        session::forms().into_iter().chain(timer::forms()).chain(process::spec::forms()).collect();
    forms.sort();
    forms
}

/// A point as written, without its condition: `process("x").function("y").return?`.
pub fn point_text(point: &ast::ProbePoint) -> String {
    let mut text = components_text(&point.components);
    if point.sufficient {
        text.push('!');
    } else if point.optional {
        text.push('?');
    }
    text
}

/// Components as written.
pub fn components_text(components: &[ast::Component]) -> String {
    let component = |c: &ast::Component| match &c.arg {
        None => c.name.text.clone(),
        Some(ast::Literal::Number(n)) => format!("{}({n})", c.name.text),
        Some(ast::Literal::String(s)) => format!("{}(\"{}\")", c.name.text, String::from_utf8_lossy(s)),
    };
    components.iter().map(component).collect::<Vec<_>>().join(".")
}

/// The error for a component that the ones before it do not have.
pub fn invalid_suffix(component: &ast::Component) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("invalid suffix for probe").at(component.span, ""))
}
