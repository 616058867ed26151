//! A `printf` format as compiled code hands it to the runtime: an array of [`Directive`]s in the image.

/// One step of a format: literal text, or one conversion.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive {
    /// A [`conversion`].
    pub conversion: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Zero.
    pub pad: u16,
    /// Minimum width; [`UNSET`], or [`FROM_ARGUMENT`] for `*`.
    pub width: i32,
    /// Precision; the same.
    pub precision: i32,
    /// For [`conversion::LITERAL`]: offset of the text in the image.
    pub text: u32,
    /// Its length in bytes.
    pub text_len: u32,
}

const _: () = assert!(size_of::<Directive>() == 20);

/// No width or precision was written.
pub const UNSET: i32 = -1;
/// `*`: the next argument has it.
pub const FROM_ARGUMENT: i32 = -2;

/// What a directive prints. Each but `LITERAL` takes one argument (after those of `*`).
#[allow(missing_docs, reason = "the names say it")]
pub mod conversion {
    pub const LITERAL: u8 = 0;
    /// `%d %i`
    pub const SIGNED: u8 = 1;
    /// `%u`
    pub const UNSIGNED: u8 = 2;
    /// `%x`
    pub const HEX: u8 = 3;
    /// `%X`
    pub const HEX_UPPER: u8 = 4;
    /// `%o`
    pub const OCTAL: u8 = 5;
    /// `%c`
    pub const CHAR: u8 = 6;
    /// `%s`
    pub const STRING: u8 = 7;
    /// `%p`
    pub const POINTER: u8 = 8;
    /// `%b`: binary, `width` bytes
    pub const BINARY: u8 = 9;
    /// `%m`: memory of the target, raw
    pub const MEMORY: u8 = 10;
    /// `%M`: memory of the target, in hexadecimal
    pub const MEMORY_HEX: u8 = 11;
    /// A string as JSON has it, in quotes
    pub const JSON: u8 = 12;
}

/// Flags of a directive.
#[allow(missing_docs, reason = "the names say it")]
pub mod flag {
    /// `-`
    pub const LEFT: u8 = 1;
    /// `+`
    pub const PLUS: u8 = 2;
    /// space
    pub const SPACE: u8 = 4;
    /// `#`
    pub const ALTERNATE: u8 = 8;
    /// `0`
    pub const ZERO: u8 = 16;
}

/// One argument: a long in `a`, or a string at address `a` with length `b`.
pub type Argument = crate::layout::KeyPart;
