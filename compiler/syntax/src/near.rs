//! Names near a misspelt one, for messages.

/// At most this many names are offered.
const OFFERED: usize = 5;

/// The name that is most probably meant, if any is near.
pub fn best<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    nearest(wanted, names).into_iter().next()
}

/// ` (similar: A, B)` for the end of a message; nothing if no name is near.
pub fn similar<N: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = N>) -> String {
    let names: Vec<N> = names.into_iter().collect();
    match nearest(wanted, names.iter().map(AsRef::as_ref)).as_slice() {
        [] => String::new(),
        near => format!(" (similar: {})", near.join(", ")),
    }
}

/// Names near `wanted`, nearest first; none that is unlike.
pub fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let plain = wanted.trim_matches(['*', '?']);
    let limit = 1 + plain.len() / 3;
    let mut found: Vec<(usize, &str)> = Vec::new();
    for name in names {
        // Half of a short name must be right too.
        let limit = limit.min(name.len().div_ceil(2));
        let distance = if plain.len() >= 3 && contains_ignoring_case(name, plain) {
            1
        } else if name.len().abs_diff(plain.len()) <= limit {
            distance_within(plain, name, limit)
        } else {
            continue;
        };
        if distance <= limit && !found.iter().any(|(_, other)| *other == name) {
            found.push((distance, name));
            found.sort();
            found.truncate(OFFERED);
        }
    }
    found.into_iter().map(|(_, name)| name).collect()
}

fn contains_ignoring_case(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// The number of bytes to insert, remove, replace or swap with the next to make `b` of `a`; any larger number if it
/// is more than `limit`.
fn distance_within(a: &str, b: &str, limit: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Rows of the usual matrix: two back, one back, this one.
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut new = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = old[j - 1] + usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
            new[j] = replaced.min(old[j] + 1).min(new[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                new[j] = new[j].min(older[j - 2] + 1);
            }
        }
        if new.iter().min().is_some_and(|&least| least > limit) {
            return limit + 1;
        }
        older = std::mem::replace(&mut old, new);
    }
    old[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_nearest_first() {
        assert_eq!(nearest("retrun", ["call", "return", "inline"]), ["return"]);
        assert_eq!(nearest("ad", ["add", "main", "fact"]), ["add"]);
        assert!(nearest("median", ["min", "max"]).is_empty());
        assert_eq!(nearest("*init*", ["common_init_1", "mch_exit"]), ["common_init_1"]);
        assert!(nearest("zzzzzzzz", ["add", "fact"]).is_empty());
    }

    #[test]
    fn a_name_is_offered_once() {
        assert_eq!(nearest("mian", ["main", "main"]), ["main"]);
    }
}
