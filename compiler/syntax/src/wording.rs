//! Says what the parser expected and saw, and adds what may help. Words are SystemTap's where they say enough.

use std::convert::Infallible;

use lalrpop_util::ParseError;

use crate::diagnostic::Diagnostic;
use crate::report::Report;
use crate::source::Span;
use crate::token::{Loc, Tok};

/// An error of the generated parser.
pub type SyntaxError = ParseError<Loc, Tok, Infallible>;

/// Tokens after a word of another language in which an error is blamed on it.
const FOREIGN_REACH: u32 = 12;

/// Tokens after an error in which another one in the same parentheses is blamed on it.
const NEAR: u32 = 8;

/// Reports an error of the generated parser, unless it only follows from one reported before.
pub fn report_syntax_error(report: &Report<'_>, error: SyntaxError) {
    let (loc, saw, expected) = match error {
        ParseError::UnrecognizedToken { token: (loc, tok, _), expected } => (loc, Some(tok), expected),
        ParseError::UnrecognizedEof { location, expected } => {
            let span = Span { start: location.span.end, ..location.span };
            (Loc { seq: location.seq + 1, span, ..location }, None, expected)
        }
        ParseError::ExtraToken { token: (loc, tok, _) } => (loc, Some(tok), Vec::new()),
        ParseError::InvalidToken { location } => (location, None, Vec::new()),
        ParseError::User { error } => match error {},
    };
    let follows = is_consequence(report, loc);
    report.last_error.set(Some(loc));
    if follows || report.is_reported(loc) {
        return;
    }
    report.add(diagnose(report, loc, saw.as_ref(), &Expected(expected)));
}

/// Whether an error only follows from the last one: it comes directly after, or soon after in the same parentheses,
/// or closes a brace that was opened before it, so that what lies between was not read.
fn is_consequence(report: &Report<'_>, loc: Loc) -> bool {
    let Some(last) = report.last_error.get() else { return false };
    let closers = report.closers.borrow();
    let closes_before = closers
        .binary_search_by_key(&loc.seq, |&(closer, _)| closer)
        .is_ok_and(|index| closers[index].1 < last.seq);
    let distance = loc.seq.saturating_sub(last.seq);
    let same_parentheses = last.group != 0 && last.group == loc.group;
    closes_before || distance <= 1 || distance <= NEAR && same_parentheses
}

fn diagnose(report: &Report<'_>, loc: Loc, saw: Option<&Tok>, expected: &Expected) -> Diagnostic {
    let message = expected.wording(saw);
    let label = match saw {
        Some(_) => format!("saw {}", report.spelling(loc)),
        None => "the text ends here".to_owned(),
    };
    let mut diagnostic = report.located(Diagnostic::parse_error(message), loc, label);
    let unclosed = report.unclosed.borrow();
    if let Some(open) = unclosed.iter().find(|open| open.seq == loc.seq) {
        diagnostic = diagnostic.see(open.opener, format!("this '{}' is not closed", open.bracket));
    }
    if let Some(note) = note(report, loc, saw, expected) {
        diagnostic = diagnostic.note(note);
    }
    diagnostic
}

/// The names of the terminals that could have come.
struct Expected(Vec<String>);

impl Expected {
    fn has(&self, terminal: &str) -> bool {
        self.0.iter().any(|name| name.trim_matches('"') == terminal)
    }

    fn operand(&self) -> bool {
        self.has("number") && self.has("name") && self.has("@cast")
    }

    fn statement(&self) -> bool {
        self.operand() && self.has("while")
    }

    fn declaration(&self) -> bool {
        self.has("probe") && self.has("global") && self.has("function")
    }

    /// What is said in this place.
    fn wording(&self, saw: Option<&Tok>) -> String {
        if self.declaration() && saw == Some(&Tok::Assign) {
            return "only scalar globals can be initialized".to_owned();
        }
        if self.declaration() {
            return "expected 'probe', 'global', 'private', 'function', or '%{'".to_owned();
        }
        if self.statement() && saw.is_none_or(is_keyword) {
            return "expected statement".to_owned();
        }
        if self.operand() {
            return "expected an expression".to_owned();
        }
        if self.has("point") {
            return "expected the name of a probe point, '*' or '{'".to_owned();
        }
        if self.has("= ") || self.has("< body") {
            return "expected ',', '{', '=' or '+='".to_owned();
        }
        let bracket = |close: &str| self.has(close);
        match (self.has(","), bracket(")"), bracket("]")) {
            (true, true, _) => return "expected ',' or ')'".to_owned(),
            (true, _, true) => return "expected ',' or ']'".to_owned(),
            _ => {}
        }
        self.single_wording()
    }

    fn single_wording(&self) -> String {
        // More telling ones first: what else could come is mostly an operator.
        let words: [(&str, &str); 18] = [
            ("@stat", "expected identifier or statistical operation"),
            ("function", "expected 'function' or identifier"),
            ("} points", "expected ',' or '}'"),
            ("string", "expected 'string' or 'long'"),
            ("text", "expected literal string"),
            ("number", "expected number"),
            ("member", "expected identifier or keyword"),
            ("name", "expected identifier"),
            (")", "expected ')'"),
            ("]", "expected ']'"),
            ("; for", "expected ';'"),
            ("in", "expected 'in'"),
            ("catch", "expected 'catch'"),
            ("(", "expected '('"),
            ("{", "expected '{'"),
            (":", "expected ':'"),
            ("+", "expected sort directive"),
            (",", "expected ','"),
        ];
        // Where a literal is asked for, a sign is possible too, and does not need saying.
        if self.has("text") && self.has("number") {
            return "expected literal string or number".to_owned();
        }
        match words.iter().find(|(terminal, _)| self.has(terminal)) {
            Some((_, wording)) => (*wording).to_owned(),
            None => "syntax error".to_owned(),
        }
    }
}

fn is_keyword(tok: &Tok) -> bool {
    matches!(
        tok,
        Tok::Probe
            | Tok::Global
            | Tok::Private
            | Tok::Function
            | Tok::If
            | Tok::ElseKw
            | Tok::For
            | Tok::Foreach
            | Tok::In
            | Tok::Limit
            | Tok::While
            | Tok::Next
            | Tok::StringType
            | Tok::LongType
            | Tok::Try
            | Tok::Catch
            | Tok::Delete
            | Tok::Break
            | Tok::Continue
            | Tok::Return
            | Tok::BareReturn
    )
}

/// What a person who wrote this may not know.
fn note(report: &Report<'_>, loc: Loc, saw: Option<&Tok>, expected: &Expected) -> Option<String> {
    if let Some((seq, word)) = report.foreign_keyword.get()
        && loc.seq >= seq
        && loc.seq - seq <= FOREIGN_REACH
    {
        return Some(foreign_note(report.text(word)));
    }
    let note = match saw? {
        Tok::ElseKw => "an 'else' must directly follow the statement of its 'if'",
        Tok::Function | Tok::Global | Tok::Private | Tok::Probe
            if expected.statement() && report.starts_line(loc.span) =>
        {
            "a closing brace is missing before this"
        }
        Tok::Function | Tok::Global | Tok::Private | Tok::Probe if expected.statement() => {
            "declarations stand at the top level, outside of every handler and function"
        }
        Tok::StringType | Tok::LongType | Tok::In | Tok::Limit | Tok::Catch if expected.statement() => {
            "this word is reserved: it cannot name a variable"
        }
        Tok::Colon => "only parameters and results of functions have declared types; others are inferred",
        Tok::Comma if expected.has("; for") => "each part of a 'for' head is one expression",
        Tok::Equal | Tok::NotEqual | Tok::Less | Tok::Greater | Tok::LessEqual | Tok::GreaterEqual
            if expected.has("&&") =>
        {
            "put a membership test in parentheses to compare it: (k in a) == 1"
        }
        Tok::Junk if report.text(loc.span).starts_with('\'') => "text is written in double quotes",
        Tok::RBrace | Tok::AltClose if expected.declaration() => "this '}' closes nothing",
        Tok::Plus | Tok::Minus | Tok::Star | Tok::Slash if expected.declaration() => {
            "the first value of a global is one literal: compute it in probe begin { ... }"
        }
        Tok::Empty | Tok::Terminator if expected.declaration() => "no ';' is needed between declarations",
        Tok::Percent if expected.declaration() => "the '%' of a wrapping array stands before its size: a%[3]",
        Tok::Name(_) | Tok::Print(_) | Tok::Target(..) if expected.declaration() => {
            "statements stand inside of a probe or function: probe begin { ... }"
        }
        Tok::Assign if report.text_before(loc.span) == ">>>" => "there is no '>>>=': write x = x >>> n",
        _ => return None,
    };
    Some(note.to_owned())
}

fn foreign_note(word: &str) -> String {
    match word {
        "switch" | "case" => "there is no 'switch': write if (...) ... else if (...) ...".to_owned(),
        "do" => "there is no do loop: write while (1) { ... if (!(condition)) break }".to_owned(),
        "goto" => "there is no 'goto'".to_owned(),
        "elif" | "elsif" => "write 'else if'".to_owned(),
        "unless" => "write if (!(...))".to_owned(),
        _ => "write while (!(...))".to_owned(),
    }
}
