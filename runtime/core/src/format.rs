//! `printf`: directives and arguments to bytes, as SystemTap prints them, which is C's way but for these:
//! a value has at least one digit (`%.0d` of 0 is `0`), `0` pads up to the width even with a precision and does
//! nothing beside another flag, `+` and space are for `%d` only, `%#o` always writes a 0 in front, a negative `*`
//! width is none, and strings are padded with blanks only.

use rstap_abi::fault::Fault;
use rstap_abi::format::{Argument, Directive, FROM_ARGUMENT, conversion, flag};

use crate::string::Escaped;
use crate::text::{Digits, Radix, Sink};

/// Where formatted text goes, and where `%m` reads.
pub(crate) trait Printer: Sink {
    /// Reads target memory.
    fn read_target(&mut self, address: u64, into: &mut [u8]) -> bool;
}

/// What the directives take their texts and arguments from. All of it is memory of compiled code.
pub(crate) trait Source<'s> {
    /// A literal of the image.
    fn literal(&self, at: u32, len: u32) -> &'s [u8];
    /// The string that an argument names.
    fn string(&self, argument: &Argument) -> &'s [u8];
}

/// An unreadable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub address: u64,
}

impl Unreadable {
    pub const FAULT: Fault = Fault::ReadFault;
}

/// Most bytes one `%m` prints.
const MOST_MEMORY: u64 = 1 << 16;

/// Prints all directives. Arguments that are missing (compiled code passes as many as are taken) count as 0 or "".
pub(crate) fn print<'s>(
    directives: &[Directive],
    arguments: &[Argument],
    source: &impl Source<'s>,
    out: &mut impl Printer,
) -> Result<(), Unreadable> {
    let mut arguments = arguments.iter().copied();
    for directive in directives {
        if directive.conversion == conversion::LITERAL {
            out.put(source.literal(directive.text, directive.text_len));
            continue;
        }
        let mut next = || arguments.next().unwrap_or_default();
        let width = field(directive.width, || next().a as i64);
        let precision = field(directive.precision, || next().a as i64);
        let argument = next();
        let spec = Spec { flags: directive.flags, width: width.unwrap_or(0), precision };
        match directive.conversion {
            conversion::STRING => {
                // A precision of `*` that is negative is 0 for strings.
                let negative = directive.precision == FROM_ARGUMENT && precision.is_none();
                let spec = if negative { Spec { precision: Some(0), ..spec } } else { spec };
                spec.string(source.string(&argument), out);
            }
            conversion::JSON => json(source.string(&argument), out),
            conversion::CHAR => spec.char(argument.a as u8, out),
            conversion::BINARY => spec.binary(argument.a, out),
            conversion::MEMORY | conversion::MEMORY_HEX => {
                let hex = directive.conversion == conversion::MEMORY_HEX;
                spec.memory(argument.a, width, hex, out)?;
            }
            number => spec.number(number, argument.a, out),
        }
    }
    Ok(())
}

/// A string in quotes as RFC 8259, 7 has it. What is not UTF-8 becomes U+FFFD.
fn json(text: &[u8], out: &mut impl Sink) {
    out.put(b"\"");
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.put(&[b'\\', byte]),
                b'\n' => out.put(b"\\n"),
                b'\t' => out.put(b"\\t"),
                b'\r' => out.put(b"\\r"),
                ..0x20 => {
                    out.put(b"\\u00");
                    out.put(&hex_digits(byte));
                }
                _ => out.put(&[byte]),
            }
        }
        if !chunk.invalid().is_empty() {
            out.put("\u{fffd}".as_bytes());
        }
    }
    out.put(b"\"");
}

/// Number of arguments that a directive takes.
pub(crate) fn argument_count(directive: &Directive) -> usize {
    if directive.conversion == conversion::LITERAL {
        return 0;
    }
    let star = |field: i32| usize::from(field == FROM_ARGUMENT);
    star(directive.width).saturating_add(star(directive.precision)).saturating_add(1)
}

/// A width or precision, from the directive or the next argument; negative ones are none.
fn field(written: i32, argument: impl FnOnce() -> i64) -> Option<u64> {
    let value = if written == FROM_ARGUMENT { argument() } else { i64::from(written) };
    // Nobody can want more, and nothing that prints blanks may take for ever.
    u64::try_from(value).ok().map(|value| value.min(MOST_MEMORY))
}

#[derive(Clone, Copy)]
struct Spec {
    flags: u8,
    width: u64,
    precision: Option<u64>,
}

impl Spec {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes in the middle of the width.
    fn padded(self, bytes: &[u8], out: &mut impl Sink) {
        let pad = self.width.saturating_sub(bytes.len() as u64);
        if self.has(flag::LEFT) {
            out.put(bytes);
            out.fill(b' ', pad);
        } else {
            out.fill(b' ', pad);
            out.put(bytes);
        }
    }

    fn string(self, bytes: &[u8], out: &mut impl Sink) {
        let most = self.precision.unwrap_or(u64::MAX).min(bytes.len() as u64);
        self.padded(bytes.get(..most as usize).unwrap_or_default(), out);
    }

    fn char(self, byte: u8, out: &mut impl Sink) {
        if self.has(flag::ALTERNATE) {
            self.padded(Escaped::for_char(byte).as_bytes(), out);
        } else {
            self.padded(&[byte], out);
        }
    }

    fn number(self, kind: u8, value: u64, out: &mut impl Sink) {
        let (radix, magnitude, prefix): (Radix, u64, &[u8]) = match kind {
            conversion::SIGNED => (Radix::Decimal, (value as i64).unsigned_abs(), self.sign(value as i64)),
            conversion::HEX => (Radix::Hex, value, self.alternate(b"0x")),
            conversion::HEX_UPPER => (Radix::HexUpper, value, self.alternate(b"0X")),
            conversion::OCTAL => (Radix::Octal, value, self.alternate(b"0")),
            conversion::POINTER => (Radix::Hex, value, b"0x"),
            _ => (Radix::Decimal, value, b""),
        };
        let digits = Digits::new(magnitude, radix);
        let digits = digits.as_bytes();
        let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len() as u64);
        let len = (prefix.len() as u64).saturating_add(digits.len() as u64).saturating_add(zeros);
        let pad = self.width.saturating_sub(len);
        let (left, zeros, right) = if self.has(flag::LEFT) {
            (0, zeros, pad)
        } else if self.flags == flag::ZERO {
            (0, zeros.saturating_add(pad), 0)
        } else {
            (pad, zeros, 0)
        };
        out.fill(b' ', left);
        out.put(prefix);
        out.fill(b'0', zeros);
        out.put(digits);
        out.fill(b' ', right);
    }

    fn sign(self, value: i64) -> &'static [u8] {
        if value < 0 {
            b"-"
        } else if self.has(flag::PLUS) {
            b"+"
        } else if self.has(flag::SPACE) {
            b" "
        } else {
            b""
        }
    }

    fn alternate(self, prefix: &'static [u8]) -> &'static [u8] {
        if self.has(flag::ALTERNATE) { prefix } else { b"" }
    }

    /// `%1b %2b %4b %8b`: the low bytes in the machine's order; any other width is 8 bytes, with NULs in front.
    fn binary(self, value: u64, out: &mut impl Sink) {
        let size = match self.precision.unwrap_or(self.width) {
            size @ (1 | 2 | 4 | 8) => size,
            _ => 8,
        };
        out.fill(0, self.width.saturating_sub(size));
        out.put(value.to_le_bytes().get(..size as usize).unwrap_or_default());
    }

    /// `%m` and `%M`: as many bytes as the precision says, or else the width; or one.
    fn memory(
        self,
        address: u64,
        width: Option<u64>,
        hex: bool,
        out: &mut impl Printer,
    ) -> Result<(), Unreadable> {
        let len = self.precision.or(width).unwrap_or(1);
        let printed = if hex { len.saturating_mul(2) } else { len };
        let pad = if self.precision.is_some() { self.width.saturating_sub(printed) } else { 0 };
        if !self.has(flag::LEFT) {
            out.fill(b' ', pad);
        }
        let mut done = 0;
        while done < len {
            let mut chunk = [0u8; 64];
            let now = len.saturating_sub(done).min(64) as usize;
            let Some(chunk) = chunk.get_mut(..now) else { break };
            if !out.read_target(address.wrapping_add(done), chunk) {
                return Err(Unreadable { address });
            }
            if hex {
                chunk.iter().for_each(|&byte| out.put(&hex_digits(byte)));
            } else {
                out.put(chunk);
            }
            done = done.saturating_add(now as u64);
        }
        if self.has(flag::LEFT) {
            out.fill(b' ', pad);
        }
        Ok(())
    }
}

fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |value: u8| {
        if value < 10 { b'0'.wrapping_add(value) } else { b'a'.wrapping_add(value.wrapping_sub(10)) }
    };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
