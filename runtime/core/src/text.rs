//! Text being made: a string of bounded length, and digits.

/// Where text goes: a string that is cut when it is full, or the output, which takes everything.
pub(crate) trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends `count` times `byte`. Says when more is pointless.
    fn fill(&mut self, byte: u8, count: u64) {
        let block = [byte; 64];
        let mut left = count;
        while left > 0 && !self.is_full() {
            let now = left.min(64);
            self.put(block.get(..now as usize).unwrap_or_default());
            left = left.saturating_sub(now);
        }
    }

    /// Whether everything from now on is cut off.
    fn is_full(&self) -> bool {
        false
    }
}

/// A string being made in memory of fixed size; what does not fit is silently cut, as all string values are.
#[derive(Debug)]
pub struct Text<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> Text<'b> {
    /// An empty string with room for `bytes.len()` bytes.
    pub fn new(bytes: &'b mut [u8]) -> Text<'b> {
        Text { bytes, len: 0 }
    }

    /// Appends bytes; whether all of them had room.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(self.len..) else { return false };
        let fitting = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..fitting), bytes.get(..fitting)) {
            to.copy_from_slice(from);
        }
        self.len = self.len.saturating_add(fitting);
        fitting == bytes.len()
    }

    /// Appends a number in decimal.
    pub fn put_long(&mut self, value: i64) {
        self.put(Digits::signed(value).as_bytes());
    }

    /// Appends `0x` and a number in hexadecimal.
    pub fn put_hex(&mut self, value: u64) {
        self.put(b"0x");
        self.put(Digits::new(value, Radix::Hex).as_bytes());
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it can still take.
    pub fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len)
    }

    /// What was appended so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Cuts it to at most `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Ends it at its first NUL, if there is one.
    pub fn end_at_nul(&mut self) {
        self.len = until_nul(self.as_bytes()).len();
    }

    /// Lets `write` fill the room that is left; it says how many bytes it wrote.
    pub fn fill_with(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let most = room.len();
        let written = write(room).min(most);
        self.len = self.len.saturating_add(written);
    }
}

impl Sink for Text<'_> {
    fn put(&mut self, bytes: &[u8]) {
        Text::put(self, bytes);
    }

    fn is_full(&self) -> bool {
        self.room() == 0
    }
}

/// The bytes before the first NUL, or all of them.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.get(..len).unwrap_or_default()
}

/// How digits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Radix {
    Octal,
    Decimal,
    Hex,
    HexUpper,
}

/// A number as digits.
pub(crate) struct Digits {
    bytes: [u8; Digits::ROOM],
    start: usize,
}

impl Digits {
    /// 22 octal digits is the longest.
    const ROOM: usize = 24;

    pub fn new(value: u64, radix: Radix) -> Digits {
        let mut digits = Digits { bytes: [0; Digits::ROOM], start: Digits::ROOM };
        match radix {
            Radix::Decimal => digits.decimal(value),
            Radix::Octal => digits.bits(value, 3, b'a'),
            Radix::Hex => digits.bits(value, 4, b'a'),
            Radix::HexUpper => digits.bits(value, 4, b'A'),
        }
        digits
    }

    /// Decimal, with `-` if negative.
    pub fn signed(value: i64) -> Digits {
        let mut digits = Digits::new(value.unsigned_abs(), Radix::Decimal);
        if value < 0 {
            digits.push(b'-');
        }
        digits
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }

    fn decimal(&mut self, mut value: u64) {
        while value >= 10 {
            self.push(b'0'.wrapping_add((value % 10) as u8));
            value /= 10;
        }
        self.push(b'0'.wrapping_add(value as u8));
    }

    fn bits(&mut self, mut value: u64, bits: u32, ten: u8) {
        let mask = (1u64 << bits).wrapping_sub(1);
        loop {
            let digit = (value & mask) as u8;
            self.push(if digit < 10 {
                b'0'.wrapping_add(digit)
            } else {
                ten.wrapping_add(digit.wrapping_sub(10))
            });
            value >>= bits;
            if value == 0 {
                return;
            }
        }
    }
}

impl core::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for value in [0, 1, 7, 8, 9, 10, 15, 16, 99, 100, 12345, u64::MAX / 3, u64::MAX] {
            let text = |radix| {
                std::string::String::from_utf8(Digits::new(value, radix).as_bytes().to_vec()).unwrap()
            };
            assert_eq!(text(Radix::Decimal), format!("{value}"));
            assert_eq!(text(Radix::Octal), format!("{value:o}"));
            assert_eq!(text(Radix::Hex), format!("{value:x}"));
            assert_eq!(text(Radix::HexUpper), format!("{value:X}"));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(Digits::signed(value).as_bytes(), format!("{value}").as_bytes());
        }
    }

    #[test]
    fn a_full_text_cuts_silently() {
        let mut memory = [0; 5];
        let mut text = Text::new(&mut memory);
        assert!(text.put(b"abc"));
        assert!(!text.put(b"def"));
        assert_eq!(text.as_bytes(), b"abcde");
        assert!(text.is_full());
        text.fill(b'x', u64::MAX);
        text.truncate(2);
        text.fill(b'x', 2);
        assert_eq!(text.as_bytes(), b"abxx");
    }
}
