//! The module argument of `@cast`, `@var`, `@enum` and `@enumname`: a program, or header files for their types.

use std::path::PathBuf;

use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::files::Files;
use crate::points::process::program;

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
    if name.starts_with('<') {
        let failed = |why| Box::new(error(format!("no types of \"{name}\"")).note(why));
        return files.headers(name).map(|library| vec![library]).map_err(failed);
    }
    program::find(files, name, span)
}
