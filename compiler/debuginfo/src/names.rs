//! Symbol names as the source has them.

use std::borrow::Cow;

/// The demangled form of a C++ or Rust symbol (without parameter list and hash), or the name itself.
pub fn demangle(symbol: &str) -> Cow<'_, str> {
    // Legacy Rust names are valid C++ ones, and only Rust's demangler knows their hash.
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        return Cow::Owned(format!("{name:#}"));
    }
    if !symbol.starts_with("_Z") {
        return Cow::Borrowed(symbol);
    }
    let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
    match cpp_demangle::Symbol::new(symbol).ok().and_then(|s| s.demangle_with_options(&options).ok()) {
        Some(name) => Cow::Owned(name),
        None => Cow::Borrowed(symbol),
    }
}

/// The name without the suffixes that compilers give to clones of a function (`f.isra.0`, `f.constprop.0`).
pub(crate) fn without_clone_suffix(symbol: &str) -> &str {
    match symbol.find('.') {
        Some(0) | None => symbol,
        Some(dot) => &symbol[..dot],
    }
}

/// Whether a symbol is that of a part of a function which is seldom reached and was moved elsewhere.
pub(crate) fn is_cold(symbol: &str) -> bool {
    symbol.split('.').skip(1).any(|suffix| suffix == "cold")
}

/// Whether a symbol is that of the rest of a function whose start was inlined into its callers.
pub(crate) fn is_part(symbol: &str) -> bool {
    symbol.split('.').skip(1).any(|suffix| suffix == "part")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_language_are_demangled() {
        assert_eq!(demangle("main"), "main");
        assert_eq!(demangle("_ZN4shop4Item5priceEi"), "shop::Item::price");
        assert_eq!(
            demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangle("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        assert_eq!(demangle("_Znonsense"), "_Znonsense");
    }

    #[test]
    fn clone_suffixes_are_cut() {
        assert_eq!(without_clone_suffix("f.isra.0"), "f");
        assert_eq!(without_clone_suffix("f"), "f");
        assert_eq!(without_clone_suffix(".hidden"), ".hidden");
    }
}
