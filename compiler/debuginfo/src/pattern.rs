//! Patterns that name functions and source lines: `FUNCTION[@FILE[LINES]]` (stap(1), PROBE POINTS, DWARF).

use std::fmt;

/// A glob over a name: `*`, `?` and `[set]`, as in fnmatch(3) without special treatment of any character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    text: String,
    form: Form,
}

/// Globs of a simple form are matched in a simple way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// No wildcard.
    Exact,
    /// `*text*`
    Contains,
    /// Any other.
    Wild,
}

impl Glob {
    /// The glob written as `text`.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let is_plain = |text: &str| !text.contains(['*', '?', '[']);
        let inner = text.strip_prefix('*').and_then(|rest| rest.strip_suffix('*'));
        let form = match inner {
            _ if is_plain(&text) => Form::Exact,
            Some(inner) if is_plain(inner) => Form::Contains,
            _ => Form::Wild,
        };
        Glob { text, form }
    }

    /// Whether it has no wildcard, so that it matches its own text only.
    pub fn is_exact(&self) -> bool {
        self.form == Form::Exact
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        match self.form {
            Form::Exact => self.text == name,
            Form::Contains => name.contains(&self.text[1..self.text.len() - 1]),
            Form::Wild => self.is_any() || glob_matches(self.text.as_bytes(), name.as_bytes()),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Greedy matching with one point of return, so linear in practice and quadratic at worst.
fn glob_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if n < name.len()
            && let Some(next) = match_one(pattern, p, name[n])
        {
            (p, n) = (next, n + 1);
            continue;
        }
        match retry {
            Some((after_star, from)) if from < name.len() => {
                retry = Some((after_star, from + 1));
                (p, n) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the pattern element at `p`; yields where the next element starts.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match set_end(pattern, p) {
            Some(end) => set_contains(&pattern[p + 1..end], byte).then_some(end + 1),
            None => (byte == b'[').then_some(p + 1),
        },
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Index of the `]` that closes the set opened at `p`. A `]` directly after `[` or `[!` is a member.
fn set_end(pattern: &[u8], p: usize) -> Option<usize> {
    let first = p + 1 + usize::from(matches!(pattern.get(p + 1), Some(b'!' | b'^')));
    (first + 1..pattern.len()).find(|&i| pattern[i] == b']')
}

fn set_contains(set: &[u8], byte: u8) -> bool {
    let (negated, set) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut i = 0;
    let mut found = false;
    while i < set.len() {
        if i + 2 < set.len() && set[i + 1] == b'-' {
            found |= (set[i]..=set[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= set[i] == byte;
            i += 1;
        }
    }
    found != negated
}

/// Which lines of a file a pattern names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lines {
    /// No line part.
    #[default]
    None,
    /// `:N`, `:N-M`, `:N,M,O-P`: absolute lines, both ends included.
    Absolute(Vec<(u32, u32)>),
    /// `+N`: so many lines after the function's declaration.
    Relative(u32),
    /// `:*`: every line of the function.
    All,
}

/// `FUNCTION[@FILE[:LINES|+LINE]]`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The scope's and the function's own name, innermost last: `ns::f` is two globs. They match the innermost
    /// components of a function's qualified name.
    pub path: Vec<Glob>,
    /// The source file: matches trailing path components.
    pub file: Option<Glob>,
    /// The lines.
    pub lines: Lines,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing before the `@`.
    #[error("no function name in '{0}'")]
    NoFunction(String),
    /// Nothing after the `@`.
    #[error("no file name after '@' in '{0}'")]
    NoFile(String),
    /// Neither a number, a range, a list of those nor `*`.
    #[error("'{lines}' is no line number in '{pattern}'")]
    BadLines {
        /// The part that is wrong.
        lines: String,
        /// The whole.
        pattern: String,
    },
}

impl Pattern {
    /// Every function.
    pub fn any() -> Self {
        Pattern { path: vec![Glob::new("*")], file: None, lines: Lines::None }
    }

    /// Functions of this name or glob.
    pub fn function(name: &str) -> Self {
        Pattern {
            path: split_path(name).into_iter().map(Glob::new).collect(),
            file: None,
            lines: Lines::None,
        }
    }

    /// Parses `FUNCTION[@FILE[:LINES|+LINE]]`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (function, rest) = match split_at_sign(text) {
            Some((function, rest)) => (function, Some(rest)),
            None => (text, None),
        };
        if function.is_empty() {
            return Err(PatternError::NoFunction(text.into()));
        }
        let mut pattern = Pattern::function(function);
        if let Some(rest) = rest {
            let (file, lines) = split_lines(rest, text)?;
            if file.is_empty() {
                return Err(PatternError::NoFile(text.into()));
            }
            pattern.file = Some(Glob::new(file));
            pattern.lines = lines;
        }
        Ok(pattern)
    }

    /// The glob of the function's own name.
    pub fn name(&self) -> &Glob {
        self.path.last().expect("a pattern has at least one component")
    }

    /// The pattern without its lines and file.
    pub fn function_text(&self) -> String {
        self.path.iter().map(Glob::as_str).collect::<Vec<_>>().join("::")
    }
}

/// Splits at the `@` before the file; the last one, so that a symbol version (`f@@V`) stays with the name only when
/// a file follows it.
fn split_at_sign(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('@')
}

fn split_lines<'t>(rest: &'t str, pattern: &str) -> Result<(&'t str, Lines), PatternError> {
    let bad = |lines: &str| PatternError::BadLines { lines: lines.into(), pattern: pattern.into() };
    if let Some((file, lines)) = rest.rsplit_once(':') {
        if lines == "*" {
            return Ok((file, Lines::All));
        }
        let ranges: Option<Vec<_>> = lines.split(',').map(parse_range).collect();
        return Ok((file, Lines::Absolute(ranges.ok_or_else(|| bad(lines))?)));
    }
    // A file may have a plus sign in its name (`c++/x.cc`): only `+DIGITS` at the end is a line.
    if let Some((file, line)) = rest.rsplit_once('+')
        && !line.is_empty()
        && line.bytes().all(|b| b.is_ascii_digit())
    {
        return Ok((file, Lines::Relative(line.parse().map_err(|_| bad(line))?)));
    }
    Ok((rest, Lines::None))
}

fn parse_range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        Some((low, high)) => {
            let range = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (range.0 <= range.1).then_some(range)
        }
        None => {
            let line = text.trim().parse().ok()?;
            Some((line, line))
        }
    }
}

/// Splits `a::b<c::d>::e` at the `::` that are not inside brackets.
pub(crate) fn split_path(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let (mut parts, mut start, mut depth, mut i) = (Vec::new(), 0, 0i32, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'<' | b'(' | b'{' => depth += 1,
            // `->` inside a Rust type closes nothing.
            b'>' if i > 0 && bytes[i - 1] == b'-' => {}
            b'>' | b')' | b'}' => depth -= 1,
            b':' if depth == 0 && bytes.get(i + 1) == Some(&b':') => {
                parts.push(&name[start..i]);
                i += 1;
                start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    parts.push(&name[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_fnmatch_does() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*init*", "common_init_1", true),
            ("*init*", "int", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("a[", "a[", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("add", "add", true),
            ("add", "add2", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), expected, "{glob} against {name}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let glob = Glob::new("a*".repeat(50) + "b");
        assert!(!glob.matches(&"a".repeat(2000)));
    }

    #[test]
    fn patterns_split_into_function_file_and_lines() {
        let parse = |text: &str| Pattern::parse(text).unwrap();
        assert_eq!(parse("add").lines, Lines::None);
        assert_eq!(parse("add@basic.c:7").lines, Lines::Absolute(vec![(7, 7)]));
        assert_eq!(parse("*@basic.c:9,11,20-24").lines, Lines::Absolute(vec![(9, 9), (11, 11), (20, 24)]));
        assert_eq!(parse("add@basic.c+2").lines, Lines::Relative(2));
        assert_eq!(parse("add@c++/basic.cc").file, Some(Glob::new("c++/basic.cc")));
        assert_eq!(parse("add@basic.c:*").lines, Lines::All);
        assert_eq!(parse("ns::Item<a::b>::f").path.len(), 3);
        assert!(Pattern::parse("@x.c").is_err());
        assert!(Pattern::parse("f@").is_err());
        assert!(Pattern::parse("f@x.c:9-").is_err());
        assert!(Pattern::parse("f@x.c:9-3").is_err());
    }
}
