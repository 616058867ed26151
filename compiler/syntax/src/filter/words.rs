//! Keywords, names and literals.

use super::{Before, Bracket, Filter, Points};
use crate::ast::StatOp;
use crate::diagnostic::Diagnostic;
use crate::lex::{Raw, number_value, string_value};
use crate::token::{Loc, PrintName, Tok, Token};

impl<'a, I: Iterator<Item = Token<'a>>> Filter<'a, I> {
    pub(super) fn member(&mut self, token: Token<'a>) -> Tok {
        let (name, pretty) = self.split_pretty(token, token.text);
        self.before = Before::Operand;
        Tok::Member(name, pretty)
    }

    pub(super) fn word(&mut self, token: Token<'a>, loc: Loc) -> Tok {
        match keyword(token.text) {
            Some(Tok::Return) => self.return_keyword(loc),
            Some(tok) => self.keyword(tok, loc),
            None => self.name(token, loc),
        }
    }

    pub(super) fn return_keyword(&mut self, loc: Loc) -> Tok {
        self.start_statement(loc);
        let bare = match self.peek() {
            None | Some(Raw::Semicolon | Raw::RBrace) => true,
            Some(Raw::Greater) => self.innermost() == Some(Bracket::Angle),
            Some(Raw::Word) => keyword(self.peek_text()).is_some(),
            _ => false,
        };
        self.before = if bare { Before::Statement } else { Before::Other };
        if bare { Tok::BareReturn } else { Tok::Return }
    }

    /// A statement directly after a head lies inside it; any other starts anew.
    pub(super) fn start_statement(&mut self, loc: Loc) {
        self.close_parens(loc);
        if !matches!(self.before, Before::Head | Before::Else) {
            self.reset_depth();
        }
    }

    pub(super) fn keyword(&mut self, tok: Tok, loc: Loc) -> Tok {
        match tok {
            Tok::Probe | Tok::Global | Tok::Private | Tok::Function => {
                self.unwind(loc);
                if tok == Tok::Probe {
                    self.points = Points::Component;
                }
                return tok;
            }
            Tok::If | Tok::While | Tok::For | Tok::Foreach => {
                self.start_statement(loc);
                if self.before != Before::Else {
                    self.deepen(loc);
                }
                self.before = if tok == Tok::For { Before::ForKeyword } else { Before::HeadKeyword };
            }
            Tok::ElseKw => {
                self.deepen(loc);
                self.before = Before::Else;
            }
            Tok::Catch => self.before = Before::HeadKeyword,
            Tok::In => self.before = Before::In,
            Tok::Next | Tok::Break | Tok::Continue => {
                self.start_statement(loc);
                self.before = Before::Statement;
            }
            Tok::Try | Tok::Delete => {
                self.start_statement(loc);
                self.before = Before::Other;
            }
            _ => self.before = Before::Other,
        }
        tok
    }

    pub(super) fn name(&mut self, token: Token<'a>, loc: Loc) -> Tok {
        let called = self.peek() == Some(Raw::LParen) && self.before != Before::In;
        let starts_statement = !matches!(self.before, Before::In | Before::HeadKeyword | Before::ForKeyword);
        if starts_statement && is_foreign_keyword(token.text) {
            self.report.foreign_keyword.set(Some((loc.seq, loc.span)));
            if token.text == "do" && self.peek() == Some(Raw::LBrace) {
                self.warn_do(loc);
            }
        }
        self.start_operand();
        if called && let Some(print) = PrintName::from_name(token.text) {
            self.before = Before::Other;
            return Tok::Print(print);
        }
        self.before = if self.before == Before::In { Before::Operand } else { Before::Callable };
        Tok::Name(token.text.to_owned())
    }

    pub(super) fn warn_do(&self, loc: Loc) {
        self.report.add(
            self.report
                .located(Diagnostic::parse_warning("'do' is an ordinary name"), loc, "read as a variable")
                .note("there is no do loop: write while (1) { ... if (!(condition)) break }"),
        );
    }

    /// A literal with the literals that follow it.
    pub(super) fn joined_strings(&mut self, token: Token<'a>, end: &mut Loc) -> Tok {
        let mut value = self.string_bytes(token);
        while let Some(Raw::String | Raw::ArgText | Raw::ArgCountText) = self.peek() {
            if let Some(next) = self.advance() {
                value.extend(self.string_bytes(next));
                *end = self.numbered(next.loc);
            }
        }
        self.operand(Tok::String(value))
    }

    pub(super) fn string_bytes(&self, token: Token<'a>) -> Vec<u8> {
        match token.kind {
            Raw::ArgText => token.text.as_bytes().to_vec(),
            Raw::ArgCountText => self.arg_count().to_string().into_bytes(),
            _ => string_value(token.text),
        }
    }

    pub(super) fn arg_count(&self) -> usize {
        self.report.used_args.borrow().len()
    }

    pub(super) fn number(&mut self, token: Token<'a>) -> Tok {
        let value = match token.kind {
            Raw::ArgCount => self.arg_count() as i64,
            _ => number_value(token.text).unwrap_or_else(|| {
                let label = format!("saw number '{}'", token.text);
                self.report.error(token.loc, "number invalid or out of range", label);
                0
            }),
        };
        self.operand(Tok::Number(value))
    }

    pub(super) fn target(&mut self, token: Token<'a>) -> Tok {
        let (name, pretty) = self.split_pretty(token, &token.text[1..]);
        self.operand(Tok::Target(name, pretty))
    }

    /// Splits the `$` or `$$` of pretty-printing off.
    pub(super) fn split_pretty(&self, token: Token<'a>, text: &str) -> (String, u8) {
        let name = text.trim_end_matches('$');
        let count = text.len() - name.len();
        (name.to_owned(), self.pretty(token, count))
    }

    pub(super) fn pretty(&self, token: Token<'a>, count: usize) -> u8 {
        if count > 2 {
            self.report.error(token.loc, "too many '$' of pretty-printing", "'$' or '$$' can stand here");
        }
        count.min(2) as u8
    }

    pub(super) fn embedded(&mut self, token: Token<'a>) -> Tok {
        let text = token.text.strip_prefix("%{").and_then(|text| text.strip_suffix("%}")).unwrap_or("");
        self.operand(Tok::Embedded(text.to_owned()))
    }

    pub(super) fn at_name(&mut self, token: Token<'a>) -> Tok {
        self.start_operand();
        // Without parentheses it is an operand; with them their end makes it one.
        self.before = if self.peek() == Some(Raw::LParen) { Before::Other } else { Before::Operand };
        match &token.text[1..] {
            "count" => Tok::Stat(StatOp::Count),
            "sum" => Tok::Stat(StatOp::Sum),
            "min" => Tok::Stat(StatOp::Min),
            "max" => Tok::Stat(StatOp::Max),
            "avg" => Tok::Stat(StatOp::Avg),
            "variance" => Tok::Stat(StatOp::Variance),
            "hist_linear" => Tok::Stat(StatOp::HistLinear),
            "hist_log" => Tok::Stat(StatOp::HistLog),
            "quantile" => Tok::Stat(StatOp::Quantile),
            "cast" => Tok::AtCast,
            "var" => Tok::AtVar,
            "enum" => Tok::AtEnum,
            "enumname" => Tok::AtEnumName,
            "entry" => Tok::AtEntry,
            "defined" => Tok::AtDefined,
            "probewrite" => Tok::AtProbeWrite,
            "const" => Tok::AtConst,
            name => {
                self.before = Before::Callable;
                Tok::At(name.to_owned())
            }
        }
    }
}

/// Words that mean something in other languages and are ordinary names here.
fn is_foreign_keyword(name: &str) -> bool {
    matches!(name, "switch" | "case" | "do" | "goto" | "elif" | "elsif" | "unless" | "until")
}

pub(super) fn starts_declaration(word: &str) -> bool {
    matches!(word, "probe" | "global" | "private" | "function")
}

/// Whether a word is reserved.
pub fn is_keyword(word: &str) -> bool {
    keyword(word).is_some()
}

fn keyword(word: &str) -> Option<Tok> {
    Some(match word {
        "probe" => Tok::Probe,
        "global" => Tok::Global,
        "private" => Tok::Private,
        "function" => Tok::Function,
        "if" => Tok::If,
        "else" => Tok::ElseKw,
        "for" => Tok::For,
        "foreach" => Tok::Foreach,
        "in" => Tok::In,
        "limit" => Tok::Limit,
        "while" => Tok::While,
        "next" => Tok::Next,
        "string" => Tok::StringType,
        "long" => Tok::LongType,
        "try" => Tok::Try,
        "catch" => Tok::Catch,
        "delete" => Tok::Delete,
        "break" => Tok::Break,
        "continue" => Tok::Continue,
        "return" => Tok::Return,
        _ => return None,
    })
}
