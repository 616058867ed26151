//! What is said when debug information is needed and there is none: what is missing, where it was looked for, which
//! package has it, and what works without it.

use rstap_debuginfo::sources::{MissingPart, PartKind};
use rstap_syntax::diagnostic::Diagnostic;

use super::debian;
use crate::modules::{Binary, describe_places};

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
        format!("looked for its debug file in{}", describe_places(&search.tried))
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

/// Warnings about parts of the debug information that could not be had.
pub fn incomplete(binary: &Binary<'_>) -> Vec<Diagnostic> {
    let path = binary.path().display();
    let parts = binary.path().components().map(|part| part.as_os_str().to_string_lossy());
    let gone = match parts.collect::<Vec<_>>().as_slice() {
        [_, proc, pid, exe] if proc == "proc" && exe == "exe" => {
            let message = format!("the file that process {pid} runs has been deleted or replaced");
            let note = "probes are in what it runs, not in what is at its path now";
            Some(Diagnostic::warning(message).note(note))
        }
        _ => None,
    };
    let missing = binary.debug_search().missing.as_ref().map(|part| missing_part(binary, part));
    let problems = binary.module().problems();
    let broken = problems.first().map(|first| {
        let count = match problems.len() {
            1 => "a unit".to_owned(),
            count => format!("{count} units"),
        };
        Diagnostic::warning(format!("{count} of the debug information of '{path}' cannot be read: {first}"))
            .note("functions and variables of other units are not affected")
    });
    gone.into_iter().chain(missing).chain(broken).collect()
}

fn missing_part(binary: &Binary<'_>, part: &MissingPart) -> Diagnostic {
    let path = binary.path().display();
    let what = match part.kind {
        PartKind::Common => format!("'{}', which has what several files share, was not found", part.name),
        PartKind::Units(1) => format!("a unit is in '{}', which was not found", part.name),
        PartKind::Units(count) => {
            format!("{count} units are in .dwo files that were not found, one in '{}'", part.name)
        }
    };
    let note = format!("looked in{}", describe_places(&part.tried));
    Diagnostic::warning(format!("the debug information of '{path}' is incomplete: {what}")).note(note)
}
