//! `@enum("NAME")` and `@enumname("TYPE", value)`: enumerators by the debug information of the probed file, or of the
//! one that is named.

use std::rc::Rc;

use rstap_debuginfo::Type;
use rstap_syntax::ast::TargetBase;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::build::number;
use super::scope::CodeScope;
use super::{Request, Use, messages, pretty};
use crate::ir::Expr;
use crate::modules::Binary;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// The value of the expression; `None` if it is neither of the two.
pub fn value(scope: &CodeScope<'_>, request: &Request<'_>) -> Option<Result<Expr>> {
    let (base, span) = (&request.target.base, request.span);
    let (TargetBase::Enum(name, module) | TargetBase::EnumName(_, name, module)) = base else { return None };
    let plain = request.target.access.is_empty() && request.target.pretty == 0 && request.usage == Use::Read;
    if !plain {
        let message = format!("{} is a plain value", messages::describe(request.target));
        return Some(Err(Box::new(Diagnostic::error(message).at(span, ""))));
    }
    let name = String::from_utf8_lossy(name);
    Some(scope.named_modules(module.as_deref(), span).and_then(|binaries| match base {
        TargetBase::Enum(..) => enumerator(&name, &binaries, span),
        _ => enumerator_name(&name, &binaries, request),
    }))
}

fn enumerator(name: &str, binaries: &[Rc<Binary<'_>>], span: Span) -> Result<Expr> {
    let mut found = binaries.iter().filter_map(|binary| binary.module().find_enumerator(name).ok().flatten());
    found.next().map(number).ok_or_else(|| messages::no_enumerator(name, binaries, span))
}

/// The name that the value has in the enumeration, or its digits where it has none.
fn enumerator_name(type_name: &str, binaries: &[Rc<Binary<'_>>], request: &Request<'_>) -> Result<Expr> {
    for module in binaries.iter().map(|binary| binary.module()) {
        let Ok(Some(named)) = module.find_type(type_name) else { continue };
        let ty = module.resolve_type(named).and_then(|id| module.type_of(id));
        let Ok(Type::Enum { enumerators, signed, .. }) = ty else {
            let message = format!("'{type_name}' is no enumeration");
            return Err(Box::new(Diagnostic::error(message).at(request.span, "")));
        };
        let value = request.base.clone().unwrap_or_else(|| number(0));
        return Ok(pretty::enumerator(value, 0, &enumerators, signed, request.site));
    }
    Err(messages::no_type(type_name, binaries, request.span))
}
