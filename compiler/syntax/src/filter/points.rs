//! Lists of probe points, where keywords are names, names have wildcards, and braces are alternatives.

use super::operators::plain_operator;
use super::words::starts_declaration;
use super::{Before, Bracket, Filter, Points};
use crate::lex::Raw;
use crate::token::{Loc, Tok, Token};

impl<'a, I: Iterator<Item = Token<'a>>> Filter<'a, I> {
    pub(super) fn point_token(&mut self, token: Token<'a>, end: &mut Loc) -> Tok {
        let loc = self.numbered(token.loc);
        let expected = self.points == Points::Component;
        match token.kind {
            Raw::Word if !expected && starts_declaration(token.text) => self.word(token, loc),
            Raw::Word if !expected && token.text == "if" => {
                self.before = Before::HeadKeyword;
                Tok::If
            }
            Raw::Word | Raw::Star if expected => {
                self.points = Points::After;
                self.before = Before::Other;
                Tok::Point(self.component(token, end))
            }
            Raw::LBrace if expected => {
                self.push(Bracket::Alternatives, loc);
                Tok::AltOpen
            }
            Raw::RBrace if self.innermost() == Some(Bracket::Alternatives) => {
                self.close(loc, &[Bracket::Alternatives]);
                self.points = Points::After;
                Tok::AltClose
            }
            Raw::LBrace => {
                self.leave_points(loc);
                self.operator(token, loc)
            }
            Raw::Less => {
                self.leave_points(loc);
                self.push(Bracket::Angle, loc);
                Tok::AngleOpen
            }
            Raw::Dot | Raw::Comma | Raw::Assign | Raw::AddAssign => {
                self.points = Points::Component;
                plain_operator(token.kind, true)
            }
            Raw::Question | Raw::Not => plain_operator(token.kind, true),
            Raw::Word => self.word(token, loc),
            Raw::Number | Raw::ArgCount => self.number(token),
            Raw::String | Raw::ArgText | Raw::ArgCountText => self.joined_strings(token, end),
            Raw::Target => self.target(token),
            Raw::Dollars => Tok::Dollars(1),
            Raw::Embedded => self.embedded(token),
            Raw::At => self.at_name(token),
            _ => {
                self.before = Before::Other;
                self.operator(token, loc)
            }
        }
    }

    pub(super) fn leave_points(&mut self, loc: Loc) {
        while !self.open.is_empty() {
            self.pop_unclosed(loc);
        }
        self.points = Points::Outside;
        self.before = Before::Other;
    }

    /// A component's name with the pieces that touch it.
    pub(super) fn component(&mut self, first: Token<'a>, end: &mut Loc) -> String {
        let mut name = first.text.to_owned();
        while let Some(next) = self.lookahead
            && matches!(next.kind, Raw::Word | Raw::Star | Raw::Number)
            && next.loc.expansion == end.expansion
            && next.loc.span.source == end.span.source
            && next.loc.span.start == end.span.end
        {
            name.push_str(next.text);
            *end = self.numbered(next.loc);
            self.advance();
        }
        name
    }
}
