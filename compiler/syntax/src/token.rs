//! What the layers of pass 1 hand to each other: places, preprocessed tokens, and the tokens of the grammar.

use crate::ast::StatOp;
use crate::lex::Raw;
use crate::source::Span;

/// The place of a token: where it is written, and where the user's text asked for it if a macro or an argument
/// brought it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loc {
    /// Where it is written.
    pub span: Span,
    /// The outermost macro use that brought it; else `span`.
    pub outer: Span,
    /// The expansion that brought it; 0 for none.
    pub expansion: u32,
    /// Its number in the token stream of the grammar.
    pub seq: u32,
    /// The number of the outermost parenthesis or bracket around it in its statement; 0 for none.
    pub group: u32,
}

impl Loc {
    /// A token that stands in the text itself.
    pub fn plain(span: Span) -> Loc {
        Loc { span, outer: span, expansion: 0, seq: 0, group: 0 }
    }

    /// From this token to another: inside one expansion as written there, otherwise as the user's text asked.
    pub fn to(self, end: Loc) -> Span {
        if self.expansion == end.expansion { self.span.to(end.span) } else { self.outer.to(end.outer) }
    }
}

/// A token after the preprocessor.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// Its kind.
    pub kind: Raw,
    /// Its text; for `@1` the argument itself.
    pub text: &'a str,
    /// Its place.
    pub loc: Loc,
}

/// One of the print functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintName {
    /// `sprint…`
    pub to_string: bool,
    /// `…ln`
    pub newline: bool,
    /// `…d`: delimiter first.
    pub delimited: bool,
    /// `…f`: format first.
    pub formatted: bool,
}

impl PrintName {
    /// Recognises the name of a print function.
    pub fn from_name(name: &str) -> Option<PrintName> {
        let (to_string, rest) = match name.strip_prefix("sprint") {
            Some(rest) => (true, rest),
            None => (false, name.strip_prefix("print")?),
        };
        let (newline, delimited, formatted) = match rest {
            "" => (false, false, false),
            "ln" => (true, false, false),
            "d" => (false, true, false),
            "dln" => (true, true, false),
            "f" => (false, false, true),
            _ => return None,
        };
        Some(PrintName { to_string, newline, delimited, formatted })
    }
}

/// A token of the grammar. Where one character means different things by what stands before it, the filter has
/// decided: see `filter`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "named after their text")]
pub enum Tok {
    Name(String),
    Number(i64),
    String(Vec<u8>),
    /// `$name` without its first `$` and without pretty-printing.
    Target(String, u8),
    /// `->name` takes `$` at the end of the name as pretty-printing.
    Member(String, u8),
    Dollars(u8),
    Embedded(String),
    Print(PrintName),
    /// A probe point component's name or pattern.
    Point(String),
    /// `@count` and its like.
    Stat(StatOp),
    AtCast,
    AtVar,
    AtEnum,
    AtEnumName,
    AtEntry,
    AtDefined,
    AtProbeWrite,
    AtConst,
    /// Any other `@name`.
    At(String),
    Junk,

    Probe,
    Global,
    Private,
    Function,
    If,
    ElseKw,
    For,
    Foreach,
    In,
    Limit,
    While,
    Next,
    StringType,
    LongType,
    Try,
    Catch,
    Delete,
    Break,
    Continue,
    /// `return` with a value.
    Return,
    /// `return` without one.
    BareReturn,

    LBrace,
    RBrace,
    AngleOpen,
    AngleClose,
    /// `{` among probe point components.
    AltOpen,
    AltClose,
    LParen,
    /// `(` directly after the name of a function.
    CallParen,
    RParen,
    /// `[` that starts an operand.
    LBracket,
    /// `[` after an operand.
    IndexBracket,
    RBracket,
    /// `;` as a statement of its own.
    Empty,
    /// `;` at the end of a statement.
    Terminator,
    /// `;` in the head of a `for`.
    ForSemicolon,
    Comma,
    Colon,
    Question,
    Dot,
    Arrow,
    Not,
    Tilde,
    /// `++`, `--`, `+`, `-` before, and after an operand.
    PreIncrement,
    PostIncrement,
    PreDecrement,
    PostDecrement,
    PrePlus,
    Plus,
    PreMinus,
    Minus,
    Star,
    Slash,
    Percent,
    AddressOf,
    BitAnd,
    Bar,
    Caret,
    ShiftLeft,
    ShiftRight,
    UnsignedShiftRight,
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Match,
    NoMatch,
    Assign,
    AddAssign,
    SubAssign,
    MulAssign,
    DivAssign,
    ModAssign,
    AndAssign,
    OrAssign,
    XorAssign,
    ShiftLeftAssign,
    ShiftRightAssign,
    ConcatAssign,
    Aggregate,
}
