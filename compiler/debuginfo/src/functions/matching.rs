//! How names and patterns meet: component by component from the innermost, with or without template arguments,
//! mangled or not.

use std::borrow::Cow;

use crate::names::{demangle, is_cold, without_clone_suffix};
use crate::pattern::{Glob, Pattern, split_path};

/// A glob without brackets also matches a generic's name without its arguments: `push` matches `push<int>`. `Cart` and
/// `Shape` both match Rust's `<shop::Cart as shop::Shape>`.
pub(super) fn component_matches(glob: &Glob, name: &str) -> bool {
    if glob.matches(name) {
        return true;
    }
    if let Some(implementation) = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
        return !glob.as_str().contains('<')
            && split_implementation(implementation)
                .iter()
                .any(|path| split_path(path).last().is_some_and(|last| component_matches(glob, last)));
    }
    let brackets = name.find('<').filter(|&at| at > 0 && !name.starts_with("operator"));
    match brackets {
        Some(at) if !glob.as_str().contains('<') => glob.matches(&name[..at]),
        _ => false,
    }
}

/// The type and the trait of `TYPE as TRAIT`, or the type alone.
fn split_implementation(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = |(at, byte): (usize, u8)| {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if at > 0 && text.as_bytes()[at - 1] == b'-' => {}
            b'>' | b')' | b']' => depth -= 1,
            b' ' if depth == 0 && text.as_bytes()[at..].starts_with(b" as ") => return Some(at),
            _ => {}
        }
        None
    };
    match text.bytes().enumerate().find_map(outside) {
        Some(at) => vec![&text[..at], &text[at + " as ".len()..]],
        None => vec![text],
    }
}

/// Whether `globs` match the innermost of `scopes`.
pub(super) fn scopes_match(globs: &[Glob], scopes: &[&str]) -> bool {
    scopes.len() >= globs.len()
        && globs.iter().rev().zip(scopes.iter().rev()).all(|(glob, scope)| component_matches(glob, scope))
}

/// Matches a qualified name; yields its components that the pattern speaks of.
pub(super) fn matched_path<'n>(qualified: &'n str, pattern: &Pattern) -> Option<&'n str> {
    let components = split_path(qualified);
    if !scopes_match(&pattern.path, &components) {
        return None;
    }
    let shown = components[components.len() - pattern.path.len()];
    // The components are slices of the name, so the distance of their starts is an index into it.
    qualified.get(shown.as_ptr() as usize - qualified.as_ptr() as usize..)
}

/// Matches a symbol by its name, its demangled name, or its name without the suffix of a clone.
pub(super) fn match_symbol<'d>(symbol: &'d str, pattern: &Pattern) -> Option<Cow<'d, str>> {
    let simple = pattern.path.len() == 1;
    let mangled = symbol.starts_with("_Z") || symbol.starts_with("_R");
    if mangled {
        if let Cow::Owned(name) = demangle(symbol)
            && let Some(shown) = matched_path(&name, pattern)
        {
            return Some(Cow::Owned(shown.into()));
        }
        let asks_for_mangled = pattern.name().as_str().starts_with('_');
        return (simple && asks_for_mangled && pattern.name().matches(symbol))
            .then_some(Cow::Borrowed(symbol));
    }
    if !simple {
        return None;
    }
    // What was moved out of a function's way is entered in its middle: only its own name means it.
    if is_cold(symbol) {
        let asked_for = pattern.name().as_str().contains(".cold") && pattern.name().matches(symbol);
        return asked_for.then_some(Cow::Borrowed(symbol));
    }
    let matches = pattern.name().matches(symbol) || pattern.name().matches(without_clone_suffix(symbol));
    matches.then_some(Cow::Borrowed(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_match_by_every_form_of_their_name() {
        for (symbol, pattern, shown) in [
            ("main", "main", Some("main")),
            ("f.isra.0", "f", Some("f.isra.0")),
            ("f.cold", "f*", None),
            ("f.cold", "f.cold", Some("f.cold")),
            ("f.isra.0", "*.isra.*", Some("f.isra.0")),
            ("_ZN4shop4Item5priceEi", "price", Some("price")),
            ("_ZN4shop4Item5priceEi", "Item::pr*", Some("Item::price")),
            ("_ZN4shop4Item5priceEi", "*shop*", None),
            ("_ZN4shop4Item5priceEi", "_ZN4shop*", Some("_ZN4shop4Item5priceEi")),
            ("_Z7biggestIiET_S0_S0_", "biggest", Some("biggest<int>")),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo", Some("mycrate::foo")),
            (
                "_ZN43_$LT$r..Sq$LT$T$GT$$u20$as$u20$r..Shape$GT$4area17h0123456789abcdefE",
                "Sq::area",
                Some("<r::Sq<T> as r::Shape>::area"),
            ),
            (
                "_ZN43_$LT$r..Sq$LT$T$GT$$u20$as$u20$r..Shape$GT$4area17h0123456789abcdefE",
                "Sh*::area",
                Some("<r::Sq<T> as r::Shape>::area"),
            ),
            ("_ZN43_$LT$r..Sq$LT$T$GT$$u20$as$u20$r..Shape$GT$4area17h0123456789abcdefE", "r::area", None),
        ] {
            let found = match_symbol(symbol, &Pattern::parse(pattern).unwrap());
            assert_eq!(found.as_deref(), shown, "{symbol} against {pattern}");
        }
    }
}
