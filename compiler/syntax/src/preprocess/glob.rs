//! The two comparisons of `%( … %)` conditions that are not plain: wildcards and versions.

use std::cmp::Ordering;

/// Whether `text` matches a pattern of `*`, `?` and `[…]`, as fnmatch(3) does without flags.
pub fn glob_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if let Some(length) = one_matches(&pattern[p..], text[t]) {
            p += length;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// How many bytes of the pattern match this byte, if any do.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class_matches(pattern, byte),
        literal => (literal == byte).then_some(1),
    }
}

fn class_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let class = &pattern[start..end];
    let mut found = false;
    let mut i = 0;
    while i < class.len() {
        if class.get(i + 1) == Some(&b'-') && i + 2 < class.len() {
            found |= (class[i]..=class[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= class[i] == byte;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

/// Compares versions as strverscmp(3) does for digits without leading zeros: runs of digits by value.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, rest_a) = split_number(a);
                let (number_b, rest_b) = split_number(b);
                match number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b)) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    unequal => return unequal,
                }
            }
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// The leading digits without leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|&&b| b == b'0').count().min(end - 1);
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_fnmatch() {
        for (pattern, text, expected) in [
            ("x86_*", "x86_64", true),
            ("*", "", true),
            ("a*b*c", "aXXbYYbZc", true),
            ("a*b*c", "aXXbYYbZ", false),
            ("[a-c]?[!x]", "bqy", true),
            ("[a-c]?[!x]", "bqx", false),
            ("[", "[", false),
            ("[]]", "]", true),
        ] {
            assert_eq!(glob_match(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        for (a, b, expected) in [
            ("2.6.9", "2.6.18", Ordering::Less),
            ("6.1.0", "6.1", Ordering::Greater),
            ("5.6", "5.6", Ordering::Equal),
            ("5.06", "5.6", Ordering::Equal),
            ("10", "9.9", Ordering::Greater),
            ("6.1-rc1", "6.1", Ordering::Greater),
        ] {
            assert_eq!(compare_versions(a, b), expected, "{a} and {b}");
        }
    }
}
