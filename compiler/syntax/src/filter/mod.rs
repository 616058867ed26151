//! Preprocessed tokens to tokens of the grammar. What would make the grammar ambiguous is decided here, from the
//! token before, the token after and the brackets around:
//!
//! | written | after an operand | elsewhere |
//! | --- | --- | --- |
//! | `+ - ++ --` | binary, postfix | prefix: a new statement may start with it |
//! | `&` | bit and | address of |
//! | `[` | index | start of a tuple |
//! | `;` | end of the statement | statement of its own; or part of a `for` head |
//! | `(` | call, directly after a name | parenthesis |
//!
//! An operand ends with a name, literal, `]`, postfix operator, or a `)` that does not belong to `if`, `while`,
//! `for`, `foreach`, `catch`. Further: adjacent string literals join; the touching pieces of a probe point
//! component (`fun*_x`) become one token; `<` after a probe point opens a body, and `>` closes it if the next
//! token starts a declaration or a second body, or ends the text: no operand can; nesting is limited, so that every later
//! walk over the tree may recurse.

mod nesting;
mod operators;
mod points;
mod words;

pub use words::is_keyword;

use crate::lex::Raw;
use crate::report::Report;
use crate::source::Span;
use crate::token::{Loc, Tok, Token};

/// How deep brackets, operators and statements may lie inside each other.
const MAX_NESTING: u32 = 500;

/// Tokens the grammar may refuse in a row before the parse gives up.
const MAX_REFUSED: u32 = 1000;

/// What the token before was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The end of an operand.
    Operand,
    /// A name: an operand that `(` makes a call.
    Callable,
    /// A complete statement without operand: `break`.
    Statement,
    /// `)` of an `if`, `while`, `for` or `foreach`: a statement must follow.
    Head,
    /// `else`: a statement must follow, and an `if` nests no deeper than the one before.
    Else,
    /// A keyword whose parentheses are a head.
    HeadKeyword,
    /// `for`.
    ForKeyword,
    /// `->`: a member's name follows, whatever it is spelled like.
    Arrow,
    /// `in`: an array's name follows.
    In,
    /// Anything else.
    Other,
}

/// What kind of bracket is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Brace,
    Angle,
    Alternatives,
    Paren,
    HeadParen,
    ForParen,
    Square,
}

impl Bracket {
    fn opening(self) -> char {
        match self {
            Bracket::Brace | Bracket::Alternatives => '{',
            Bracket::Angle => '<',
            Bracket::Paren | Bracket::HeadParen | Bracket::ForParen => '(',
            Bracket::Square => '[',
        }
    }
}

struct Open {
    bracket: Bracket,
    span: Span,
    seq: u32,
    /// See [`Loc::group`].
    group: u32,
    /// Operators and statements that may lie inside each other in this bracket.
    depth: u32,
}

/// Where in a list of probe points the stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Points {
    /// Not in one.
    Outside,
    /// A component must come.
    Component,
    /// A component stands before.
    After,
}

/// The token stream of the grammar.
pub struct Filter<'a, I: Iterator<Item = Token<'a>>> {
    input: I,
    report: &'a Report<'a>,
    lookahead: Option<Token<'a>>,
    open: Vec<Open>,
    total_depth: u32,
    /// Braces that a declaration cut off; a stray `}` later is theirs.
    orphans: Vec<u32>,
    before: Before,
    points: Points,
    seq: u32,
    /// Where the text ends, for errors at its end.
    end: Span,
    finished: bool,
}

impl<'a, I: Iterator<Item = Token<'a>>> Filter<'a, I> {
    /// Filters `input`; `end` is the empty span at the end of the text.
    pub fn new(mut input: I, end: Span, report: &'a Report<'a>) -> Filter<'a, I> {
        let lookahead = input.next();
        Filter {
            input,
            report,
            lookahead,
            open: Vec::new(),
            total_depth: 0,
            orphans: Vec::new(),
            before: Before::Other,
            points: Points::Outside,
            seq: 0,
            end,
            finished: false,
        }
    }

    fn advance(&mut self) -> Option<Token<'a>> {
        let token = self.lookahead.take()?;
        self.lookahead = self.input.next();
        Some(token)
    }

    fn peek(&self) -> Option<Raw> {
        self.lookahead.map(|token| token.kind)
    }

    fn peek_text(&self) -> &'a str {
        self.lookahead.map_or("", |token| token.text)
    }

    fn innermost(&self) -> Option<Bracket> {
        self.open.last().map(|open| open.bracket)
    }

    fn in_points(&self) -> bool {
        self.points != Points::Outside && matches!(self.innermost(), None | Some(Bracket::Alternatives))
    }

    /// A place with its number in the stream and the brackets around it.
    fn numbered(&self, loc: Loc) -> Loc {
        Loc { seq: self.seq, group: self.open.last().map_or(0, |open| open.group), ..loc }
    }

    /// Translates one token, possibly with those that follow it.
    fn translate(&mut self, token: Token<'a>) -> (Loc, Tok, Loc) {
        let loc = self.numbered(token.loc);
        let mut end = loc;
        let tok = match token.kind {
            _ if self.in_points() => self.point_token(token, &mut end),
            Raw::Word if self.before == Before::Arrow => self.member(token),
            Raw::Word => self.word(token, loc),
            Raw::String | Raw::ArgText | Raw::ArgCountText => self.joined_strings(token, &mut end),
            Raw::Number | Raw::ArgCount => self.number(token),
            Raw::Target => self.target(token),
            Raw::Dollars => Tok::Dollars(self.pretty(token, token.text.len())),
            Raw::Embedded => self.embedded(token),
            Raw::At => self.at_name(token),
            _ => self.operator(token, loc),
        };
        (loc, tok, end)
    }

    fn operand(&mut self, tok: Tok) -> Tok {
        self.start_operand();
        self.before = Before::Operand;
        tok
    }

    /// An operand that follows an operand starts a new statement, so operators before it nest no deeper.
    fn start_operand(&mut self) {
        if matches!(self.before, Before::Operand | Before::Callable | Before::Statement) {
            self.reset_depth();
        }
    }
}

impl<'a, I: Iterator<Item = Token<'a>>> Iterator for Filter<'a, I> {
    type Item = Result<(Loc, Tok, Loc), std::convert::Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        self.seq += 1;
        self.report.step(1);
        let refused = self.report.since_progress.get() + 1;
        self.report.since_progress.set(refused);
        if refused > MAX_REFUSED {
            self.report.stop();
        }
        if self.report.stopped() {
            return None;
        }
        let Some(token) = self.advance() else {
            if !self.finished {
                self.finished = true;
                let end = self.numbered(Loc::plain(self.end));
                self.unwind(end);
            }
            return None;
        };
        let translated = self.translate(token);
        (!self.report.stopped()).then_some(Ok(translated))
    }
}
