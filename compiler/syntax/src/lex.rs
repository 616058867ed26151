//! Characters to raw tokens. Never fails: what is no token becomes one of the kinds that later layers report.
//! It knows neither keywords (macro names and probe point components may be spelled like them) nor what a
//! token means next to another.

use logos::Logos;

/// The kinds of raw token.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\r\n\x0b\x0c]+")]
#[logos(skip(r"(#|//)[^\n]*", allow_greedy = true))]
pub enum Raw {
    /// Name or keyword, possibly with the `$` of pretty-printing at its end.
    #[regex(r"[A-Za-z_][A-Za-z0-9_$]*")]
    Word,
    /// `@name`: operator, macro or macro parameter.
    #[regex(r"@[A-Za-z_][A-Za-z0-9_]*")]
    At,
    /// `$name`, `$$name`, with any `$` at the end.
    #[regex(r"\$+[A-Za-z_][A-Za-z0-9_$]*")]
    Target,
    /// `$` or `$$` alone: pretty-printing after `]` or `)`.
    #[regex(r"\$+")]
    Dollars,
    /// `$1`: a script argument as code.
    #[regex(r"\$[0-9]+")]
    ArgCode,
    /// `@1`: a script argument as text.
    #[regex(r"@[0-9]+")]
    ArgText,
    /// `$#`
    #[token("$#")]
    ArgCount,
    /// `@#`
    #[token("@#")]
    ArgCountText,
    /// Digits and whatever letters touch them; checked when its value is needed.
    #[regex(r"[0-9][0-9A-Za-z_]*")]
    Number,
    /// A whole string literal with its quotes.
    #[regex(r#""([^"\\\n]|\\[\s\S])*""#)]
    String,
    /// A string literal whose line ends before its quote.
    #[regex(r#""([^"\\\n]|\\[\s\S])*\\?"#)]
    UnterminatedString,
    /// `/*` that [`Lexer`] skips to its end.
    #[token("/*")]
    Comment,
    /// `%{ … %}` with its delimiters.
    #[token("%{")]
    Embedded,
    /// `%{` without `%}`, up to the end of the text.
    UnterminatedEmbedded,
    /// Characters that start no token; `'…'` as a whole, since it is meant as text.
    #[regex(r"'[^'\n]*'?")]
    Junk,

    #[token("%(")]
    If,
    #[token("%?")]
    Then,
    #[token("%:")]
    Else,
    #[token("%)")]
    EndIf,

    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token(";")]
    Semicolon,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("?")]
    Question,
    #[token(".")]
    Dot,
    #[token("->")]
    Arrow,
    #[token("!")]
    Not,
    #[token("~")]
    Tilde,
    #[token("++")]
    Increment,
    #[token("--")]
    Decrement,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("&")]
    Ampersand,
    #[token("|")]
    Bar,
    #[token("^")]
    Caret,
    #[token("<<")]
    ShiftLeft,
    #[token(">>")]
    ShiftRight,
    #[token(">>>")]
    UnsignedShiftRight,
    #[token("&&")]
    And,
    #[token("||")]
    Or,
    #[token("==")]
    Equal,
    #[token("!=")]
    NotEqual,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEqual,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEqual,
    #[token("=~")]
    Match,
    #[token("!~")]
    NoMatch,
    #[token("=")]
    Assign,
    #[token("+=")]
    AddAssign,
    #[token("-=")]
    SubAssign,
    #[token("*=")]
    MulAssign,
    #[token("/=")]
    DivAssign,
    #[token("%=")]
    ModAssign,
    #[token("&=")]
    AndAssign,
    #[token("|=")]
    OrAssign,
    #[token("^=")]
    XorAssign,
    #[token("<<=")]
    ShiftLeftAssign,
    #[token(">>=")]
    ShiftRightAssign,
    #[token(".=")]
    ConcatAssign,
    #[token("<<<")]
    Aggregate,
}

/// A raw token and the bytes it covers.
#[derive(Clone, Copy, Debug)]
pub struct Lexeme<'a> {
    /// Its kind.
    pub kind: Raw,
    /// Its text.
    pub text: &'a str,
    /// Offset of its first byte.
    pub start: u32,
}

/// Walks one text.
#[derive(Clone)]
pub struct Lexer<'a> {
    inner: logos::Lexer<'a, Raw>,
    /// Where a comment that never ends begins, once met.
    pub unterminated_comment: Option<u32>,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte of `text`.
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { inner: Raw::lexer(text), unterminated_comment: None }
    }

    fn skip_comment(&mut self) {
        match self.inner.remainder().find("*/") {
            Some(at) => self.inner.bump(at + 2),
            None => {
                self.unterminated_comment = Some(self.inner.span().start as u32);
                self.inner.bump(self.inner.remainder().len());
            }
        }
    }

    fn take_embedded(&mut self) -> Raw {
        let rest = self.inner.remainder();
        let end = rest.find("%}");
        self.inner.bump(end.map_or(rest.len(), |at| at + 2));
        if end.is_some() { Raw::Embedded } else { Raw::UnterminatedEmbedded }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Lexeme<'a>> {
        loop {
            let kind = match self.inner.next()?.unwrap_or(Raw::Junk) {
                Raw::Comment => {
                    self.skip_comment();
                    continue;
                }
                Raw::Embedded => self.take_embedded(),
                kind => kind,
            };
            return Some(Lexeme { kind, text: self.inner.slice(), start: self.inner.span().start as u32 });
        }
    }
}

/// The value of a number token: decimal, `0x` hexadecimal or `0` octal, up to 2^64-1, which wraps.
pub fn number_value(text: &str) -> Option<i64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    u64::from_str_radix(digits, radix).ok().map(|value| value as i64)
}

/// The bytes of a string token, quotes removed and escapes resolved. An unknown escape stands for its letter.
pub fn string_value(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes().strip_prefix(b"\"").unwrap_or(text.as_bytes());
    let bytes = bytes.strip_suffix(b"\"").unwrap_or(bytes);
    let mut value = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'\\' {
            let (byte, length) = escape_value(tail);
            value.push(byte);
            rest = &tail[length.min(tail.len())..];
        } else {
            value.push(first);
        }
    }
    value
}

/// The byte that the escape after a backslash means, and how many bytes it takes.
fn escape_value(after: &[u8]) -> (u8, usize) {
    let digits = |radix: u32, from: usize, at_most: usize| {
        after[from..].iter().take(at_most).take_while(|b| (**b as char).is_digit(radix)).count()
    };
    let value = |radix: u32, from: usize, count: usize| {
        after[from..from + count]
            .iter()
            .fold(0u32, |sum, b| sum * radix + (*b as char).to_digit(radix).unwrap_or(0)) as u8
    };
    match after.first() {
        None => (b'\\', 0),
        Some(b'n') => (b'\n', 1),
        Some(b't') => (b'\t', 1),
        Some(b'a') => (7, 1),
        Some(b'b') => (8, 1),
        Some(b'v') => (11, 1),
        Some(b'f') => (12, 1),
        Some(b'r') => (b'\r', 1),
        Some(b'0'..=b'7') => {
            let count = digits(8, 0, 3);
            (value(8, 0, count), count)
        }
        Some(b'x') if digits(16, 1, 2) > 0 => {
            let count = digits(16, 1, 2);
            (value(16, 1, count), count + 1)
        }
        Some(&other) => (other, 1),
    }
}
