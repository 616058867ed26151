//! `begin`, `end`, `error`, each with an optional number, and `never` (stap(1), PROBE POINTS).

use rstap_abi::context::flags;
use rstap_program::Point;
use rstap_syntax::ast::{Component, Literal, ProbePoint};
use rstap_syntax::diagnostic::Diagnostic;

use super::{DerivedPoint, Resolved, invalid_suffix, point_text};

/// First components of the family.
pub const NAMES: &[&str] = &["begin", "end", "error", "never"];

/// All forms, with `number` for an argument.
pub fn forms() -> Vec<String> {
    let numbered = NAMES.iter().filter(|name| **name != "never").map(|name| format!("{name}(number)"));
    NAMES.iter().map(|name| (*name).to_owned()).chain(numbered).collect()
}

/// The derived point of a written one.
pub fn resolve<'d>(point: &ProbePoint) -> Resolved<'d> {
    let [first, suffix @ ..] = &point.components[..] else {
        return Err(Box::new(Diagnostic::error("probe point mismatch").at(point.span, "")));
    };
    if let Some(suffix) = suffix.first() {
        let note = format!("nothing can follow '{}'", point.components[0].name.text);
        return Err(Box::new(invalid_suffix(suffix).note(note)));
    }
    let number = number(first)?;
    let place = match first.name.text.as_str() {
        "begin" => Point::Begin(number),
        "end" => Point::End(number),
        "error" => Point::Error(number),
        _ => Point::Never,
    };
    let flags = if place == Point::Never { 0 } else { flags::INTERRUPTIBLE };
    let text = point_text(point);
    Ok(vec![DerivedPoint {
        point: place,
        pp: text.clone(),
        pn: text,
        function: String::new(),
        flags,
        scope: None,
    }])
}

fn number(component: &Component) -> Result<i64, Box<Diagnostic>> {
    let name = &component.name.text;
    match &component.arg {
        None => Ok(0),
        Some(Literal::Number(number)) if name != "never" => Ok(*number),
        Some(_) => {
            let wanted = if name == "never" {
                "takes no argument".to_owned()
            } else {
                format!("takes a number, as in {name}(1)")
            };
            Err(Box::new(
                Diagnostic::error("probe point mismatch").at(component.span, format!("'{name}' {wanted}")),
            ))
        }
    }
}
