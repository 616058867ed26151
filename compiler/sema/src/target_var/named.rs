//! The module argument of `@cast`, `@var`, `@enum` and `@enumname`: a program, or header files for their types; and
//! the values of `@const`, which come from header files too.

use std::path::PathBuf;

use rstap_syntax::ast::{Target, TargetBase};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::files::{CONSTANT, Files};
use crate::points::process::program;

/// What the module of the expression that `@const` stands for begins with; no file's name does.
const EXPRESSION: &str = "\0const ";

/// `@const("EXPRESSION")`: the enumerator that has its value.
pub fn constant(expression: &[u8]) -> Target {
    let module = [EXPRESSION.as_bytes(), expression].concat();
    let base = TargetBase::Enum(CONSTANT.as_bytes().to_vec(), Some(module));
    Target { base, access: Vec::new(), pretty: 0 }
}

/// The files that a name means, where debug information is looked for.
pub fn find<'d>(
    files: &(dyn Files<'d> + 'd),
    name: &str,
    span: Span,
) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let error = |message: String| Diagnostic::error(message).at(span, "");
    if name == "kernel" || name.starts_with("kernel<") {
        let message = format!("types of \"{name}\" are not supported; name a program or library");
        return Err(Box::new(error(message)));
    }
    if let Some(expression) = name.strip_prefix(EXPRESSION) {
        let failed = |why| Box::new(error(format!("no value of \"{expression}\"")).note(why));
        return files.constant(expression).map(|library| vec![library]).map_err(failed);
    }
    if name.starts_with('<') {
        let failed = |why| Box::new(error(format!("no types of \"{name}\"")).note(why));
        return files.headers(name).map(|library| vec![library]).map_err(failed);
    }
    program::find(files, name, span)
}
