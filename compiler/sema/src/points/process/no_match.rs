//! What is said when nothing matches: near names, what exists instead, and why a file or line may be unknown.

use rstap_abi::address::LinkAddr;
use rstap_debuginfo::{Function, Lines, MissingLine, Pattern};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::missing_debug;
use super::spec::FunctionKind;
use crate::modules::Binary;
use rstap_syntax::near;

/// No function matches, or none of those found can be probed this way.
pub fn function<'d>(
    binary: &Binary<'d>,
    pattern: &Pattern,
    found: &[Function<'d>],
    kind: FunctionKind,
    span: Span,
) -> Box<Diagnostic> {
    if let Some(diagnostic) = unsuitable(binary, found, kind, span) {
        return diagnostic;
    }
    let module = binary.module();
    let wanted = pattern.function_text();
    if let Some(file) = &pattern.file {
        let without_file = Pattern { file: None, lines: Lines::None, ..pattern.clone() };
        let elsewhere = module.functions(&without_file).unwrap_or_default();
        if !module.has_dwarf() {
            let message = format!("no match (which functions are in '{file}' is not known)");
            let diagnostic = Diagnostic::error(message).at(span, "");
            let diagnostic = missing_debug::explain(diagnostic, binary);
            return Box::new(if elsewhere.is_empty() {
                diagnostic
            } else {
                diagnostic.note(format!("without the file it works: .function(\"{wanted}\")"))
            });
        }
        let mut files: Vec<String> = elsewhere
            .iter()
            .filter_map(|function| function.decl_file.as_deref().map(str::to_owned))
            .collect();
        files.sort();
        files.dedup();
        if !files.is_empty() {
            files.truncate(5);
            let message = format!("no match ('{wanted}' is not in '{file}')");
            let note = format!("'{wanted}' is in {}", files.join(", "));
            return Box::new(Diagnostic::error(message).at(span, "").note(note));
        }
    }
    Box::new(unknown_function(binary, &wanted, span))
}

fn unknown_function(binary: &Binary<'_>, wanted: &str, span: Span) -> Diagnostic {
    let module = binary.module();
    let all = module.functions(&Pattern::any()).unwrap_or_default();
    let own_name = wanted.rsplit("::").next().unwrap_or(wanted);
    let similar = near::nearest(own_name, all.iter().map(|function| without_arguments(&function.name)));
    let path = binary.path().display();
    let message = if similar.is_empty() {
        "no match".to_owned()
    } else {
        format!("no match (similar functions: {})", similar.join(", "))
    };
    let mut diagnostic = Diagnostic::error(message).at(span, "");
    if all.is_empty() {
        diagnostic = diagnostic.note(format!("{path} has no symbols: it is stripped"));
        return missing_debug::explain(diagnostic, binary);
    }
    diagnostic = diagnostic.note(format!(
        "no function of {path} is named like '{wanted}'; it has {}: rstap -l 'process(\"{path}\").function(\"*\")'",
        all.len()
    ));
    let needed = binary.elf().needed();
    if !needed.is_empty() {
        diagnostic = diagnostic.note(format!(
            "for a function of one of its libraries ({}) write process(\"{path}\").library(\"NAME\").function(…)",
            needed.join(", ")
        ));
    }
    if module.has_dwarf() {
        return diagnostic;
    }
    missing_debug::explain(diagnostic.note("static functions are known only with debug information"), binary)
}

/// Functions were found, but not of the kind asked for.
fn unsuitable(
    binary: &Binary<'_>,
    found: &[Function<'_>],
    kind: FunctionKind,
    span: Span,
) -> Option<Box<Diagnostic>> {
    let first = found.first()?;
    let name = &first.name;
    let message = match kind {
        FunctionKind::Inline if binary.module().has_dwarf() => {
            format!("no match ('{name}' is nowhere inlined)")
        }
        FunctionKind::Inline => {
            let message = "no match (which functions are inlined is not known)";
            let diagnostic = Diagnostic::error(message).at(span, "");
            return Some(Box::new(missing_debug::explain(diagnostic, binary)));
        }
        FunctionKind::Exported => format!("no match ('{name}' is static, not exported)"),
        FunctionKind::Call if first.entry.is_none() => {
            format!("no match ('{name}' is only inlined, never called)")
        }
        FunctionKind::Return(_) if first.entry.is_none() => {
            format!("no match ('{name}' is only inlined, so it never returns)")
        }
        _ => format!("no match (no code of '{name}' is in this file)"),
    };
    let diagnostic = Diagnostic::error(message).at(span, "");
    Some(Box::new(match first.inlines.len() {
        0 => diagnostic,
        count => diagnostic
            .note(format!("its {count} inlined instances can be probed: .function(\"{name}\").inline")),
    }))
}

/// No statement matches.
pub fn line(binary: &Binary<'_>, pattern: &Pattern, span: Span) -> Box<Diagnostic> {
    let module = binary.module();
    if !module.has_dwarf() {
        let diagnostic = Diagnostic::error("no match (source lines are not known)").at(span, "");
        return Box::new(missing_debug::explain(diagnostic, binary));
    }
    let missing = module.statements(pattern).map(|found| found.missing).unwrap_or_default();
    if let Some(line) = missing.first() {
        return missing_line(pattern, line, span);
    }
    let without_lines = Pattern { lines: Lines::None, ..pattern.clone() };
    let functions = module.functions(&without_lines).unwrap_or_default();
    if functions.is_empty() {
        return function(binary, &without_lines, &[], FunctionKind::Any, span);
    }
    let message = match &pattern.file {
        Some(file) => format!("no line records for these lines of {file}"),
        None => "no line records for these lines".to_owned(),
    };
    Box::new(Diagnostic::error(message).at(span, ""))
}

fn missing_line(pattern: &Pattern, missing: &MissingLine, span: Span) -> Box<Diagnostic> {
    let near: Vec<u32> = [missing.before, missing.after].into_iter().flatten().collect();
    let tries: Vec<String> = near.iter().map(|line| format!(":{line}")).collect();
    let place = format!("no line records for {}:{}", missing.file, missing.line);
    let message = if tries.is_empty() { place } else { format!("{place} (try {})", tries.join(" or ")) };
    let diagnostic = Diagnostic::error(message).at(span, "");
    let function = pattern.function_text();
    Box::new(match (near.is_empty(), function.as_str()) {
        (true, "*") => diagnostic,
        (true, _) => diagnostic.note(format!("the line is not in '{function}'")),
        (false, _) => diagnostic.note("`.nearest` after the statement takes the nearest line that has code"),
    })
}

/// No code at an address.
pub fn address(binary: &Binary<'_>, at: LinkAddr, span: Span) -> Box<Diagnostic> {
    let path = binary.path().display();
    Box::new(
        Diagnostic::error(format!("no match ({at:#x} is not an address of code in {path})")).at(span, "").note(
            "addresses are those of the ELF file, as nm and objdump show them; for an address of a running process \
             write process(PID).statement(0xADDR)",
        ),
    )
}

/// The name without the type arguments of a generic, which may be longer than a message should be.
fn without_arguments(name: &str) -> &str {
    match name.find('<') {
        Some(at) if at > 0 && !name.starts_with("operator") => &name[..at],
        _ => name,
    }
}
