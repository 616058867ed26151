//! String functions of the library, on plain bytes. Results are cut to the room in their [`Text`].

use crate::text::Text;

/// `substr(s, start, length)`: nothing if `start` is outside the string or `length` not positive.
pub fn substr(s: &[u8], start: i64, length: i64) -> &[u8] {
    let Ok(start) = usize::try_from(start) else { return &[] };
    let rest = s.get(start..).unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(0).min(rest.len());
    rest.get(..length).unwrap_or_default()
}

/// `stringat(s, index)`: a byte as a `signed char`; `None` outside the string.
pub fn stringat(s: &[u8], index: i64) -> Option<i64> {
    let byte = s.get(usize::try_from(index).ok()?)?;
    Some(i64::from(*byte as i8))
}

/// `strpos(s, text)`: -1 if absent.
pub fn strpos(s: &[u8], text: &[u8]) -> i64 {
    find(s, text).map_or(-1, |at| at as i64)
}

fn find(s: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    s.windows(text.len()).position(|window| window == text)
}

/// `str_replace(s, old, new)`: nothing is replaced when `old` is empty.
pub fn str_replace(s: &[u8], old: &[u8], new: &[u8], out: &mut Text<'_>) {
    let mut rest = s;
    while !old.is_empty()
        && let Some(at) = find(rest, old)
    {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        if !out.put(before) || !out.put(new) {
            return;
        }
        rest = found.get(old.len()..).unwrap_or_default();
    }
    out.put(rest);
}

/// `strtol(s, base)`: as C's, saturating; 0 for a base that is neither 0 nor from 2 to 36.
pub fn strtol(s: &[u8], base: i64) -> i64 {
    let s = s.trim_ascii_start();
    let (negative, digits) = match s.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, s),
    };
    let Some((base, digits)) = base_and_digits(digits, base) else { return 0 };
    let mut value = 0i64;
    for &byte in digits {
        let Some(digit) = char::from(byte).to_digit(base).map(i64::from) else { break };
        // Downwards, since the negative range is the larger one.
        let next = value.checked_mul(i64::from(base)).and_then(|value| value.checked_sub(digit));
        let Some(next) = next else { return if negative { i64::MIN } else { i64::MAX } };
        value = next;
    }
    if negative { value } else { value.checked_neg().unwrap_or(i64::MAX) }
}

fn base_and_digits(digits: &[u8], base: i64) -> Option<(u32, &[u8])> {
    let hex = match digits {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => Some(rest),
        _ => None,
    };
    match (base, hex) {
        (0 | 16, Some(rest)) => Some((16, rest)),
        (0, None) => Some((if digits.first() == Some(&b'0') { 8 } else { 10 }, digits)),
        (2..=36, _) => Some((base as u32, digits)),
        _ => None,
    }
}

/// `isdigit(s)`: whether the first byte is a digit, and then what C's `isdigit` gives.
pub fn isdigit(s: &[u8]) -> i64 {
    if s.first().is_some_and(u8::is_ascii_digit) { 2048 } else { 0 }
}

/// The first token of `rest` by `delimiters`, and how many bytes of `rest` are used up with it. As C's `strtok`:
/// delimiters in a row count as one.
pub fn token<'s>(rest: &'s [u8], delimiters: &[u8]) -> (&'s [u8], usize) {
    let is_delimiter = |byte: &u8| delimiters.contains(byte);
    let Some(start) = rest.iter().position(|byte| !is_delimiter(byte)) else { return (&[], rest.len()) };
    let from = rest.get(start..).unwrap_or_default();
    let len = from.iter().position(is_delimiter).unwrap_or(from.len());
    let used = start.saturating_add(len).saturating_add(1).min(rest.len());
    (from.get(..len).unwrap_or_default(), used)
}

/// `text_strn(s, max, quoted)`: unprintable bytes escaped as in C. At most `max` bytes of output (0 or less: as many
/// as a string can have); if quoted, what is cut off shows as `"..."...`.
pub fn text_strn(s: &[u8], max: i64, quoted: bool, out: &mut Text<'_>) {
    if quoted {
        let mut text = Quoted::new(out, max);
        text.put(s);
        text.finish();
    } else {
        let max = limit(max, out);
        put_escaped(s, max, out);
    }
}

fn limit(max: i64, out: &Text<'_>) -> usize {
    let room = out.room();
    usize::try_from(max).ok().filter(|&max| max > 0).map_or(room, |max| max.min(room))
}

/// A text being put in quotes, escaped. When it turns out too long it is cut back to make room for the dots.
pub(crate) struct Quoted<'o, 'b> {
    out: &'o mut Text<'b>,
    /// Bytes that may stand between the quotes, those that may if dots follow, and those that do.
    content: usize,
    content_before_dots: usize,
    used: usize,
    /// Where to cut.
    cut_at: usize,
    is_cut: bool,
    /// Not even `""...` fits.
    is_tiny: bool,
    after_nul: bool,
}

impl<'o, 'b> Quoted<'o, 'b> {
    /// In at most `max` bytes, dots aside; 0 or less: as many as a string can have.
    pub fn new(out: &'o mut Text<'b>, max: i64) -> Self {
        let max = limit(max, out);
        let content = max.max(5).saturating_sub(2);
        out.put(b"\"");
        let content_before_dots = content.saturating_sub(3);
        let (cut_at, is_tiny) = (out.len(), max < 3);
        Quoted {
            out,
            content,
            content_before_dots,
            used: 0,
            cut_at,
            is_cut: false,
            is_tiny,
            after_nul: false,
        }
    }

    /// Appends; whether there is room for more.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.put_byte(byte))
    }

    fn put_byte(&mut self, byte: u8) -> bool {
        // A digit after `\0` would belong to it.
        let in_octal = self.after_nul && byte.is_ascii_digit();
        let escaped = match byte {
            0 => Escaped::pair(b'0'),
            _ if in_octal => Escaped::octal(byte),
            _ => Escaped::new(byte),
        };
        self.after_nul = byte == 0;
        self.used = self.used.saturating_add(escaped.as_bytes().len());
        self.is_cut |= self.used > self.content;
        if !self.is_cut {
            self.out.put(escaped.as_bytes());
        }
        if self.used <= self.content_before_dots {
            self.cut_at = self.out.len();
        }
        !self.is_cut
    }

    /// Ends the text.
    pub fn finish(self) {
        if self.is_cut {
            self.out.truncate(self.cut_at);
        }
        self.out.put(match (self.is_cut, self.is_tiny) {
            (false, _) => b"\"",
            (true, false) => b"\"...",
            (true, true) => b"...",
        });
    }
}

fn put_escaped(s: &[u8], max: usize, out: &mut Text<'_>) {
    let mut left = max;
    for &byte in s {
        let escaped = Escaped::new(byte);
        let Some(rest) = left.checked_sub(escaped.as_bytes().len()) else { return };
        left = rest;
        out.put(escaped.as_bytes());
    }
}

/// A byte as it is written in a string literal.
pub(crate) struct Escaped {
    bytes: [u8; 4],
    len: usize,
}

impl Escaped {
    /// With `"` escaped.
    pub fn new(byte: u8) -> Escaped {
        match byte {
            b'"' => Escaped::pair(b'"'),
            _ => Escaped::common(byte).unwrap_or(Escaped { bytes: [byte, 0, 0, 0], len: 1 }),
        }
    }

    /// As `%#c` writes it: with `'` escaped.
    pub fn for_char(byte: u8) -> Escaped {
        match byte {
            b'\'' => Escaped::pair(b'\''),
            _ => Escaped::common(byte).unwrap_or(Escaped { bytes: [byte, 0, 0, 0], len: 1 }),
        }
    }

    fn common(byte: u8) -> Option<Escaped> {
        Some(match byte {
            7 => Escaped::pair(b'a'),
            8 => Escaped::pair(b'b'),
            9 => Escaped::pair(b't'),
            10 => Escaped::pair(b'n'),
            11 => Escaped::pair(b'v'),
            12 => Escaped::pair(b'f'),
            13 => Escaped::pair(b'r'),
            b'\\' => Escaped::pair(b'\\'),
            0..=31 | 127.. => Escaped::octal(byte),
            _ => return None,
        })
    }

    fn octal(byte: u8) -> Escaped {
        let digit = |shift: u32| b'0' | (byte >> shift & 7);
        Escaped { bytes: [b'\\', digit(6), digit(3), digit(0)], len: 4 }
    }

    fn pair(letter: u8) -> Escaped {
        Escaped { bytes: [b'\\', letter, 0, 0], len: 2 }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "string_tests.rs"]
mod tests;
