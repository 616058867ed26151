//! Operators and brackets inside of bodies and heads.

use super::{Before, Bracket, Filter};
use crate::lex::Raw;
use crate::token::{Loc, Tok, Token};

impl<'a, I: Iterator<Item = Token<'a>>> Filter<'a, I> {
    pub(super) fn operator(&mut self, token: Token<'a>, loc: Loc) -> Tok {
        let after_operand = matches!(self.before, Before::Operand | Before::Callable);
        match token.kind {
            Raw::LBrace => {
                self.start_statement(loc);
                self.push(Bracket::Brace, loc);
                Tok::LBrace
            }
            Raw::RBrace => {
                self.close(loc, &[Bracket::Brace, Bracket::Alternatives]);
                self.before = Before::Other;
                Tok::RBrace
            }
            Raw::LParen => self.left_paren(loc),
            Raw::RParen => {
                let closed = self.close(loc, &[Bracket::Paren, Bracket::HeadParen, Bracket::ForParen]);
                let head = matches!(closed, Some(Bracket::HeadParen | Bracket::ForParen));
                self.before = if head { Before::Head } else { Before::Operand };
                Tok::RParen
            }
            Raw::LBracket => {
                if !after_operand {
                    self.start_operand();
                }
                self.push(Bracket::Square, loc);
                if after_operand { Tok::IndexBracket } else { Tok::LBracket }
            }
            Raw::RBracket => {
                self.close(loc, &[Bracket::Square]);
                self.before = Before::Operand;
                Tok::RBracket
            }
            Raw::Semicolon => self.semicolon(after_operand, loc),
            Raw::Comma => {
                self.reset_depth();
                self.before = Before::Other;
                Tok::Comma
            }
            Raw::Increment | Raw::Decrement if after_operand => {
                self.before = Before::Operand;
                if token.kind == Raw::Increment { Tok::PostIncrement } else { Tok::PostDecrement }
            }
            Raw::Arrow => {
                self.before = Before::Arrow;
                Tok::Arrow
            }
            // Outside of all brackets there are no comparisons: the second body of an alias.
            Raw::Less if self.open.is_empty() => {
                self.push(Bracket::Angle, loc);
                Tok::AngleOpen
            }
            Raw::Greater if self.closes_angle() => {
                self.close(loc, &[Bracket::Angle]);
                self.before = Before::Other;
                Tok::AngleClose
            }
            Raw::Junk | Raw::UnterminatedString | Raw::UnterminatedEmbedded => {
                self.skip_junk();
                self.before = Before::Other;
                Tok::Junk
            }
            kind => {
                if !after_operand || matches!(kind, Raw::Not | Raw::Tilde) {
                    self.start_operand();
                }
                self.deepen(loc);
                self.before = Before::Other;
                plain_operator(kind, after_operand)
            }
        }
    }

    pub(super) fn left_paren(&mut self, loc: Loc) -> Tok {
        let (bracket, tok) = match self.before {
            Before::Callable => (Bracket::Paren, Tok::CallParen),
            Before::HeadKeyword => (Bracket::HeadParen, Tok::LParen),
            Before::ForKeyword => (Bracket::ForParen, Tok::LParen),
            _ => {
                self.start_operand();
                (Bracket::Paren, Tok::LParen)
            }
        };
        self.push(bracket, loc);
        tok
    }

    pub(super) fn semicolon(&mut self, after_operand: bool, loc: Loc) -> Tok {
        let ends_statement = after_operand || self.before == Before::Statement;
        let in_for = self.innermost() == Some(Bracket::ForParen);
        if !in_for {
            self.close_parens(loc);
        }
        // What an `else` may still hang on keeps its depth.
        if !matches!(self.peek_text(), "else") {
            self.reset_depth();
        }
        self.before = Before::Other;
        match (in_for, ends_statement) {
            (true, _) => Tok::ForSemicolon,
            (false, true) => Tok::Terminator,
            (false, false) => Tok::Empty,
        }
    }

    pub(super) fn closes_angle(&self) -> bool {
        self.innermost() == Some(Bracket::Angle)
            && match self.peek() {
                None | Some(Raw::Embedded | Raw::Comma) => true,
                Some(Raw::Word) => {
                    matches!(self.peek_text(), "probe" | "function" | "global" | "private")
                }
                _ => false,
            }
    }

    /// One piece of junk is enough to report.
    pub(super) fn skip_junk(&mut self) {
        while self.peek() == Some(Raw::Junk) {
            self.advance();
        }
    }
}

/// Operators that are written in one way for one meaning, or for two by what stands before.
pub(super) fn plain_operator(kind: Raw, after_operand: bool) -> Tok {
    match kind {
        Raw::Colon => Tok::Colon,
        Raw::Comma => Tok::Comma,
        Raw::Question => Tok::Question,
        Raw::Dot => Tok::Dot,
        Raw::Not => Tok::Not,
        Raw::Tilde => Tok::Tilde,
        Raw::Increment => Tok::PreIncrement,
        Raw::Decrement => Tok::PreDecrement,
        Raw::Plus if after_operand => Tok::Plus,
        Raw::Plus => Tok::PrePlus,
        Raw::Minus if after_operand => Tok::Minus,
        Raw::Minus => Tok::PreMinus,
        Raw::Star => Tok::Star,
        Raw::Slash => Tok::Slash,
        Raw::Percent => Tok::Percent,
        Raw::Ampersand if after_operand => Tok::BitAnd,
        Raw::Ampersand => Tok::AddressOf,
        Raw::Bar => Tok::Bar,
        Raw::Caret => Tok::Caret,
        Raw::ShiftLeft => Tok::ShiftLeft,
        Raw::ShiftRight => Tok::ShiftRight,
        Raw::UnsignedShiftRight => Tok::UnsignedShiftRight,
        Raw::And => Tok::And,
        Raw::Or => Tok::Or,
        Raw::Equal => Tok::Equal,
        Raw::NotEqual => Tok::NotEqual,
        Raw::Less => Tok::Less,
        Raw::LessEqual => Tok::LessEqual,
        Raw::Greater => Tok::Greater,
        Raw::GreaterEqual => Tok::GreaterEqual,
        Raw::Match => Tok::Match,
        Raw::NoMatch => Tok::NoMatch,
        Raw::Assign => Tok::Assign,
        Raw::AddAssign => Tok::AddAssign,
        Raw::SubAssign => Tok::SubAssign,
        Raw::MulAssign => Tok::MulAssign,
        Raw::DivAssign => Tok::DivAssign,
        Raw::ModAssign => Tok::ModAssign,
        Raw::AndAssign => Tok::AndAssign,
        Raw::OrAssign => Tok::OrAssign,
        Raw::XorAssign => Tok::XorAssign,
        Raw::ShiftLeftAssign => Tok::ShiftLeftAssign,
        Raw::ShiftRightAssign => Tok::ShiftRightAssign,
        Raw::ConcatAssign => Tok::ConcatAssign,
        Raw::Aggregate => Tok::Aggregate,
        _ => Tok::Junk,
    }
}
