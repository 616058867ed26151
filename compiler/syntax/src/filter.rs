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

use crate::ast::StatOp;
use crate::diagnostic::Diagnostic;
use crate::lex::{Raw, number_value, string_value};
use crate::report::{Report, Unclosed};
use crate::source::Span;
use crate::token::{Loc, PrintName, Tok, Token};

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

    fn reset_depth(&mut self) {
        if let Some(open) = self.open.last_mut() {
            self.total_depth -= open.depth;
            open.depth = 0;
        }
    }

    /// An operator or statement that the next one may lie inside of.
    fn deepen(&mut self, loc: Loc) {
        if let Some(open) = self.open.last_mut() {
            open.depth += 1;
            self.total_depth += 1;
            self.check_depth(loc);
        }
    }

    fn check_depth(&self, loc: Loc) {
        if self.total_depth > MAX_NESTING {
            self.report.fatal(
                loc,
                "nesting too deep",
                format!("more than {MAX_NESTING} brackets, operators or statements inside each other"),
            );
        }
    }

    fn push(&mut self, bracket: Bracket, loc: Loc) {
        let group = match bracket {
            Bracket::Brace | Bracket::Angle | Bracket::Alternatives => 0,
            _ if loc.group == 0 => loc.seq,
            _ => loc.group,
        };
        self.open.push(Open { bracket, span: loc.span, seq: loc.seq, group, depth: 0 });
        self.total_depth += 1;
        self.check_depth(loc);
        self.before = Before::Other;
    }

    fn pop(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        self.total_depth -= 1 + open.depth;
        Some(open)
    }

    /// Closes the innermost bracket of a kind; those inside it were not closed. A closing bracket without
    /// opening one changes nothing.
    fn close(&mut self, loc: Loc, wanted: &[Bracket]) -> Option<Bracket> {
        let Some(at) = self.open.iter().rposition(|open| wanted.contains(&open.bracket)) else {
            if wanted.contains(&Bracket::Brace)
                && let Some(orphan) = self.orphans.pop()
            {
                self.report.closers.borrow_mut().push((loc.seq, orphan));
            }
            return None;
        };
        while self.open.len() > at + 1 {
            self.pop_unclosed(loc);
        }
        let open = self.pop()?;
        self.report.closers.borrow_mut().push((loc.seq, open.seq));
        Some(open.bracket)
    }

    fn pop_unclosed(&mut self, loc: Loc) {
        if let Some(open) = self.pop() {
            let bracket = open.bracket.opening();
            self.report.unclosed.borrow_mut().push(Unclosed { seq: loc.seq, opener: open.span, bracket });
        }
    }

    /// No statement can stand in parentheses, so those were not closed.
    fn close_parens(&mut self, loc: Loc) {
        while let Some(Bracket::Paren | Bracket::HeadParen | Bracket::ForParen | Bracket::Square) =
            self.innermost()
        {
            self.pop_unclosed(loc);
        }
    }

    /// A declaration starts, or the text ends: nothing can be open.
    fn unwind(&mut self, loc: Loc) {
        self.orphans = self.open.iter().filter(|o| o.bracket == Bracket::Brace).map(|o| o.seq).collect();
        while !self.open.is_empty() {
            self.pop_unclosed(loc);
        }
        self.total_depth = 0;
        self.report.foreign_keyword.set(None);
        self.points = Points::Outside;
        self.before = Before::Other;
    }

    // Words and literals.

    fn member(&mut self, token: Token<'a>) -> Tok {
        let (name, pretty) = self.split_pretty(token, token.text);
        self.before = Before::Operand;
        Tok::Member(name, pretty)
    }

    fn word(&mut self, token: Token<'a>, loc: Loc) -> Tok {
        match keyword(token.text) {
            Some(Tok::Return) => self.return_keyword(loc),
            Some(tok) => self.keyword(tok, loc),
            None => self.name(token, loc),
        }
    }

    fn return_keyword(&mut self, loc: Loc) -> Tok {
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
    fn start_statement(&mut self, loc: Loc) {
        self.close_parens(loc);
        if !matches!(self.before, Before::Head | Before::Else) {
            self.reset_depth();
        }
    }

    fn keyword(&mut self, tok: Tok, loc: Loc) -> Tok {
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

    fn name(&mut self, token: Token<'a>, loc: Loc) -> Tok {
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

    fn warn_do(&self, loc: Loc) {
        self.report.add(
            self.report
                .located(Diagnostic::parse_warning("'do' is an ordinary name"), loc, "read as a variable")
                .note("there is no do loop: write while (1) { ... if (!(condition)) break }"),
        );
    }

    /// A literal with the literals that follow it.
    fn joined_strings(&mut self, token: Token<'a>, end: &mut Loc) -> Tok {
        let mut value = self.string_bytes(token);
        while let Some(Raw::String | Raw::ArgText | Raw::ArgCountText) = self.peek() {
            if let Some(next) = self.advance() {
                value.extend(self.string_bytes(next));
                *end = self.numbered(next.loc);
            }
        }
        self.operand(Tok::String(value))
    }

    fn string_bytes(&self, token: Token<'a>) -> Vec<u8> {
        match token.kind {
            Raw::ArgText => token.text.as_bytes().to_vec(),
            Raw::ArgCountText => self.arg_count().to_string().into_bytes(),
            _ => string_value(token.text),
        }
    }

    fn arg_count(&self) -> usize {
        self.report.used_args.borrow().len()
    }

    fn number(&mut self, token: Token<'a>) -> Tok {
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

    fn target(&mut self, token: Token<'a>) -> Tok {
        let (name, pretty) = self.split_pretty(token, &token.text[1..]);
        self.operand(Tok::Target(name, pretty))
    }

    /// Splits the `$` or `$$` of pretty-printing off.
    fn split_pretty(&self, token: Token<'a>, text: &str) -> (String, u8) {
        let name = text.trim_end_matches('$');
        let count = text.len() - name.len();
        (name.to_owned(), self.pretty(token, count))
    }

    fn pretty(&self, token: Token<'a>, count: usize) -> u8 {
        if count > 2 {
            self.report.error(token.loc, "too many '$' of pretty-printing", "'$' or '$$' can stand here");
        }
        count.min(2) as u8
    }

    fn embedded(&mut self, token: Token<'a>) -> Tok {
        let text = token.text.strip_prefix("%{").and_then(|text| text.strip_suffix("%}")).unwrap_or("");
        self.operand(Tok::Embedded(text.to_owned()))
    }

    fn at_name(&mut self, token: Token<'a>) -> Tok {
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
            "cast" => Tok::AtCast,
            "var" => Tok::AtVar,
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

    // Operators and brackets.

    fn operator(&mut self, token: Token<'a>, loc: Loc) -> Tok {
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

    fn left_paren(&mut self, loc: Loc) -> Tok {
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

    fn semicolon(&mut self, after_operand: bool, loc: Loc) -> Tok {
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

    fn closes_angle(&self) -> bool {
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
    fn skip_junk(&mut self) {
        while self.peek() == Some(Raw::Junk) {
            self.advance();
        }
    }

    // Probe points.

    fn point_token(&mut self, token: Token<'a>, end: &mut Loc) -> Tok {
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

    fn leave_points(&mut self, loc: Loc) {
        while !self.open.is_empty() {
            self.pop_unclosed(loc);
        }
        self.points = Points::Outside;
        self.before = Before::Other;
    }

    /// A component's name with the pieces that touch it.
    fn component(&mut self, first: Token<'a>, end: &mut Loc) -> String {
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

impl<'a, I: Iterator<Item = Token<'a>>> Iterator for Filter<'a, I> {
    type Item = Result<(Loc, Tok, Loc), std::convert::Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        self.seq += 1;
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

/// Words that mean something in other languages and are ordinary names here.
fn is_foreign_keyword(name: &str) -> bool {
    matches!(name, "switch" | "case" | "do" | "goto" | "elif" | "elsif" | "unless" | "until")
}

fn starts_declaration(word: &str) -> bool {
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

/// Operators that are written in one way for one meaning, or for two by what stands before.
fn plain_operator(kind: Raw, after_operand: bool) -> Tok {
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
