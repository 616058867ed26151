//! What is said when a target variable can not be had: what is there instead, why not, and where it is.

use std::rc::Rc;

use rstap_syntax::ast::{AccessKind, Target, TargetBase};
use rstap_syntax::diagnostic::{Diagnostic, Label};
use rstap_syntax::source::Span;

use super::scope::CodeScope;
use super::value::ValueError;
use crate::modules::Binary;
use crate::points::process::missing_debug;
use rstap_syntax::near;

/// Lines named at most in a message.
const LINES: usize = 6;

/// `$name` is not there.
pub fn no_variable(scope: &CodeScope<'_>, name: &str, span: Span) -> Box<Diagnostic> {
    let binary = scope.binary();
    let module = binary.module();
    let function = module.function_at(scope.pc()).ok().flatten();
    let function_name = function.as_ref().map_or("this place", |function| function.name.as_ref());
    if scope.is_nowhere() {
        let message = format!("unable to find local '{name}': the probe is not on code");
        let note = format!("a variable of the program is @var(\"{name}\"), a register register(\"rax\")");
        return Box::new(Diagnostic::error(message).at(span, "").note(note));
    }
    if !scope.has_function() {
        let message = format!("unable to find local '{name}': {function_name} has no debug information");
        let diagnostic = Diagnostic::error(message).at(span, "");
        let diagnostic = if module.has_dwarf() {
            diagnostic.note(format!(
                "{} has debug information, but not of {function_name}: its source file was compiled without -g",
                binary.path().display()
            ))
        } else {
            missing_debug::explain(diagnostic, binary)
        };
        return Box::new(diagnostic.note(missing_debug::WITHOUT));
    }
    let names: Vec<&str> = scope.locals().iter().map(|variable| variable.name).collect();
    let alternatives = match names.as_slice() {
        [] => "<no alternatives>".to_owned(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("${name}")).collect();
            format!("alternatives: {}", names.join(", "))
        }
    };
    let place = match module.line_at(scope.pc()) {
        Some(line) => format!("{function_name}, {}:{}", line.file, line.line),
        None => function_name.to_owned(),
    };
    let message =
        format!("unable to find local '{name}' near pc {:#x} in {place} ({alternatives})", scope.pc());
    let mut diagnostic = Diagnostic::error(message).at(span, "");
    if let Some(similar) = near::best(name, names) {
        diagnostic = diagnostic.note(format!("did you mean '${similar}'?"));
    }
    if module.globals(name, None).is_ok_and(|globals| !globals.is_empty()) {
        diagnostic =
            diagnostic.note(format!("there is a global of this name in another file: @var(\"{name}\")"));
    }
    Box::new(diagnostic)
}

/// `$return` of a void function.
pub fn returns_nothing(span: Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("function has no return value").at(span, "it is declared void"))
}

/// `@cast` to an unknown type.
pub fn no_type(name: &str, binaries: &[Rc<Binary<'_>>], span: Span) -> Box<Diagnostic> {
    unknown("type", name, binaries, span)
}

/// `@var` of an unknown variable.
pub fn no_global(name: &str, binaries: &[Rc<Binary<'_>>], span: Span) -> Box<Diagnostic> {
    unknown("global variable", name, binaries, span)
}

/// `@enum` of an unknown enumerator.
pub fn no_enumerator(name: &str, binaries: &[Rc<Binary<'_>>], span: Span) -> Box<Diagnostic> {
    unknown("enumerator", name, binaries, span)
}

fn unknown(what: &str, name: &str, binaries: &[Rc<Binary<'_>>], span: Span) -> Box<Diagnostic> {
    let paths: Vec<String> = binaries.iter().map(|binary| binary.path().display().to_string()).collect();
    let message = format!("unable to find {what} '{name}' in {}", paths.join(", "));
    let diagnostic = Diagnostic::error(message).at(span, "");
    let without = binaries.iter().find(|binary| !binary.module().has_dwarf());
    Box::new(match without {
        Some(binary) => missing_debug::explain(diagnostic, binary),
        None => diagnostic,
    })
}

/// A step, `->member` or `[index]`, that leads nowhere.
pub fn cannot_access(
    scope: &CodeScope<'_>,
    target: &Target,
    error: ValueError,
    step: Span,
    span: Span,
) -> Box<Diagnostic> {
    match error {
        ValueError::Unavailable(_) | ValueError::Record(..) => cannot_use(scope, target, error, span),
        ValueError::Type(message) => Box::new(Diagnostic::error(message).at(step, "").see(span, "")),
        ValueError::NoMember(..) => {
            let mut diagnostic = cannot_use(scope, target, error, step);
            diagnostic.labels.push(Label { span, message: String::new(), primary: false });
            diagnostic
        }
    }
}

/// The whole expression has no value here.
pub fn cannot_use(scope: &CodeScope<'_>, target: &Target, error: ValueError, span: Span) -> Box<Diagnostic> {
    let name = describe(target);
    let diagnostic = match error {
        ValueError::Type(message) => Diagnostic::error(message).at(span, ""),
        ValueError::NoMember(member, ty, mut names) => {
            names.sort();
            let alternatives = names.join(", ");
            let message = format!("unable to find member '{member}' for {ty} (alternatives: {alternatives})");
            let diagnostic = Diagnostic::error(message).at(span, "");
            match near::best(&member, names.iter().map(String::as_str)) {
                Some(similar) => diagnostic.note(format!("did you mean '->{similar}'?")),
                None => diagnostic,
            }
        }
        ValueError::Record(ty, member) => {
            let message = format!("'{ty}' is being accessed instead of a member such as '{member}'");
            Diagnostic::error(message).at(span, "").note(format!("{name}$ prints all of it"))
        }
        ValueError::Unavailable(reason) => {
            let message = format!("'{name}' has no value at pc {:#x}: {reason}", scope.pc());
            let diagnostic = Diagnostic::error(message).at(span, "");
            match available_lines(scope, target) {
                Some(note) => diagnostic.note(note),
                None => diagnostic,
            }
        }
    };
    Box::new(diagnostic)
}

/// The expression, for a message.
pub fn describe(target: &Target) -> String {
    let mut text = match &target.base {
        TargetBase::Variable(name) => format!("${name}"),
        TargetBase::Cast(..) => "@cast".to_owned(),
        TargetBase::Var(name, _) => format!("@var(\"{}\")", String::from_utf8_lossy(name)),
        TargetBase::Enum(name, _) => format!("@enum(\"{}\")", String::from_utf8_lossy(name)),
        TargetBase::EnumName(..) => "@enumname".to_owned(),
        TargetBase::Value(_) => "this value".to_owned(),
    };
    for step in &target.access {
        match &step.kind {
            AccessKind::Member(name) => text.extend(["->", name]),
            AccessKind::Index(_) => text.push_str("[…]"),
        }
    }
    text
}

/// The lines at which an optimised variable has a place.
fn available_lines(scope: &CodeScope<'_>, target: &Target) -> Option<String> {
    let TargetBase::Variable(name) = &target.base else { return None };
    let variable = scope.find(name).filter(|variable| !scope.is_available(variable))?;
    let module = scope.binary().module();
    let ranges = module.available(&variable).ok()?;
    let mut places: Vec<String> = Vec::new();
    for range in &ranges {
        if let Some(line) = module.line_at(range.start) {
            let file = line.file.rsplit('/').next().unwrap_or(&line.file);
            let place = format!("{file}:{}", line.line);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    if places.is_empty() {
        return Some(format!("${name} has no place anywhere: the compiler does not keep it"));
    }
    let more = if places.len() > LINES { ", …" } else { "" };
    places.truncate(LINES);
    Some(format!(
        "${name} is available from {}{more}: use .statement(\"FUNCTION@FILE:LINE\")",
        places.join(", ")
    ))
}
