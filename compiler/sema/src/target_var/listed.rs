//! What a list shows of a function, when nothing but its variables' names and types was read.

use std::sync::Arc;

use rstap_syntax::ast::Target;
use rstap_syntax::diagnostic::Diagnostic;

use super::{Request, Scope};
use crate::ir::Expr;

/// [`Scope`] of a function in a list: no handler is at it, so nobody asks for a value.
pub struct ListedScope<'d>(Vec<(&'d str, Arc<str>)>);

impl<'d> ListedScope<'d> {
    /// With these names and types.
    pub fn new(variables: Vec<(&'d str, Arc<str>)>) -> Self {
        ListedScope(variables)
    }
}

impl Scope for ListedScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        Err(Box::new(Diagnostic::error("a list has no values").at(request.span, "")))
    }

    fn at_entry(&self, _: &Target) -> bool {
        false
    }

    fn is_defined(&self, _: &Target) -> bool {
        false
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, ty)| ((*name).to_owned(), ty.to_string())).collect()
    }
}
