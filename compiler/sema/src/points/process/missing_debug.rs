//! What is said when debug information is needed and there is none: what is missing, where it was looked for, which
//! package has it, and what works without it.

use rstap_syntax::diagnostic::Diagnostic;

use super::debian;
use crate::modules::Binary;

/// What works without debug information.
pub const WITHOUT: &str = "without it these work: $arg1 … $arg6 and int_arg(1), pointer_arg(1), … (arguments by the calling convention), \
     ppfunc(), register(\"rax\")";

/// Adds notes on why there is no debug information, and how to get it.
pub fn explain(diagnostic: Diagnostic, binary: &Binary<'_>) -> Diagnostic {
    let search = binary.debug_search();
    let path = binary.path();
    let looked = if search.tried.is_empty() {
        "it has neither a build-id nor a .gnu_debuglink, so nothing says where its debug file would be"
            .to_owned()
    } else {
        format!("looked for its debug file in{}", search.describe())
    };
    let get = match binary.package(|| debian::package_of(binary.files(), path)) {
        Some(package) => format!(
            "debug information of Debian's {package} is in the package {}; of a program that you build yourself, \
             compile it with -g",
            debian::debug_package(package)
        ),
        None => "compile the program with -g, and do not strip it".to_owned(),
    };
    diagnostic.note(format!("{} has no debug information (DWARF): {looked}", path.display())).note(get)
}
