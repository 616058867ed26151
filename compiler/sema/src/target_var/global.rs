//! `@var`, `@cast`, `@enum` and `@enumname` with a module argument, where a probe is at no place of a program: begin, end and timer probes,
//! and functions.

use std::path::PathBuf;
use std::rc::Rc;

use rstap_syntax::ast::Target;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::build::number;
use super::scope::{CodeScope, Frame};
use super::{Request, Scope, Use, named};
use crate::ir::{Expr, SiteId};
use crate::modules::Modules;
use crate::points::process::program;

/// [`Scope`] of probes and functions outside programs.
pub struct GlobalScope<'d> {
    modules: Rc<Modules<'d>>,
}

impl<'d> GlobalScope<'d> {
    /// The scope that opens modules in `modules`.
    pub fn new(modules: Rc<Modules<'d>>) -> Self {
        GlobalScope { modules }
    }

    /// The scope of the first module that the expression names.
    fn named(&self, target: &Target, span: Span) -> Result<CodeScope<'d>, Box<Diagnostic>> {
        let Some(name) = target.base.module() else {
            let message = "target variables are not available in this probe";
            let note =
                "here @var(\"NAME\", \"PROGRAM\") and @cast(ADDRESS, \"TYPE\", \"PROGRAM\") can be used";
            return Err(Box::new(Diagnostic::error(message).at(span, "").note(note)));
        };
        let name = String::from_utf8_lossy(name);
        let first = name.split(':').next().unwrap_or_default();
        let paths = named::find(&**self.modules.files(), first, span)?;
        let open =
            |path: &PathBuf| self.modules.open(path).map_err(|error| program::cannot_open(&error, span));
        let opened: Result<Vec<_>, _> = paths.iter().map(open).collect();
        let binary = opened?.into_iter().next().expect("a name that is found has at least one file");
        Ok(CodeScope::new(Rc::clone(&self.modules), Rc::clone(&binary), binary, Frame::Nowhere))
    }
}

impl Scope for GlobalScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        let named = request.origin.map_or(request.target, |origin| origin.root());
        self.named(named, request.span)?.resolve(request)
    }

    fn at_entry(&self, _: &Target) -> bool {
        false
    }

    fn is_defined(&self, target: &Target) -> bool {
        let request = Request {
            target,
            base: Some(number(0)),
            origin: None,
            indexes: vec![number(0); target.access.len()],
            usage: Use::Read,
            kept: None,
            site: SiteId(0),
            span: Span::default(),
        };
        self.resolve(request).is_ok()
    }

    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
