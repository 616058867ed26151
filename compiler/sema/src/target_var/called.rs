//! What a function knows that is probed only where certain others call it: the same, and whether it was called there.

use rstap_debuginfo::{LinkAddr, Place};
use rstap_syntax::ast::Target;
use rstap_syntax::diagnostic::Diagnostic;

use super::build::{add, compare, number};
use super::location::Spot;
use super::{CodeScope, Request, Scope};
use crate::ir::{CompareOp, Expr, ExprKind, SiteId};

/// [`Scope`] of a function that is entered from certain calls.
pub struct CalledScope<'d> {
    code: CodeScope<'d>,
    returns: Vec<LinkAddr>,
    return_address: Place,
}

impl<'d> CalledScope<'d> {
    /// `returns` are where the calls return to, in the file of the function. `None` if it cannot be told at the place
    /// where the function returns to.
    pub fn new(code: CodeScope<'d>, returns: Vec<LinkAddr>) -> Option<Self> {
        let address = code.binary().module().return_address(code.pc())?;
        Some(CalledScope { code, returns, return_address: Place::Value(address) })
    }
}

impl Scope for CalledScope<'_> {
    fn resolve(&self, request: Request<'_>) -> Result<Expr, Box<Diagnostic>> {
        self.code.resolve(request)
    }

    fn at_entry(&self, target: &Target) -> bool {
        self.code.at_entry(target)
    }

    fn kept(&self, target: &Target) -> Option<Expr> {
        self.code.kept(target)
    }

    fn is_defined(&self, target: &Target) -> bool {
        self.code.is_defined(target)
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.code.variables()
    }

    fn guard(&self, site: SiteId) -> Option<Expr> {
        let Spot::Value(found) = self.code.spot_of(&self.return_address, site) else { return None };
        let bias = self.code.bias(site);
        let comparisons = self.returns.iter().map(|address| {
            let expected = add(bias.clone(), number(address.0.cast_signed()), site);
            compare(CompareOp::Eq, found.clone(), expected)
        });
        comparisons.reduce(|a, b| super::build::long(ExprKind::Or(Box::new(a), Box::new(b))))
    }
}
