//! Raw tokens to the tokens the script means: macros, script arguments and `%( … %? … %: … %)` choices.
//!
//! This layer comes before the grammar because a macro body or a chosen part need not be balanced. It pulls
//! tokens from a stack of frames: the text, macro bodies, macro arguments, script arguments.

mod condition;
mod glob;
mod macros;

use std::collections::HashMap;
use std::rc::Rc;

pub use macros::MacroLibrary;
use macros::{Macro, Scope};

use crate::config::ParseConfig;
use crate::diagnostic::Diagnostic;
use crate::lex::{Lexer, Raw};
use crate::report::Report;
use crate::source::{SourceId, SourceMap, Span};
use crate::token::{Loc, Token};

/// Tokens that macros may bring into one text: far more than a script needs, far less than a machine has.
const MAX_EXPANDED_TOKENS: usize = 200_000;

/// Macro uses inside macro uses.
const MAX_EXPANSION_DEPTH: usize = 200;

/// `@name`s that are operators of the language, not macros.
pub const OPERATORS: &[&str] = &[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "variance",
    "hist_linear",
    "hist_log",
    "quantile",
    "cast",
    "var",
    "entry",
    "defined",
    "probewrite",
    "const",
    "enum",
    "enumname",
    "perf",
    "kregister",
    "uregister",
    "kderef",
    "uderef",
];

/// Where tokens come from.
enum Input<'a> {
    /// A text; tokens of a script argument all stand where the argument is used.
    Text { lexer: Lexer<'a>, source: SourceId, pinned: Option<Loc> },
    /// Tokens read before.
    Tokens { tokens: Rc<[Token<'a>]>, next: usize },
}

/// One level of expansion.
struct Frame<'a> {
    input: Input<'a>,
    /// What `@parameter` means here.
    scope: Option<Rc<Scope<'a>>>,
    /// The expansion a macro body's tokens get.
    expansion: Option<(u32, Span)>,
}

/// A `%(` whose condition was decided.
struct Choice {
    opened: Loc,
    seen_else: bool,
}

/// The stream of preprocessed tokens of one text.
pub struct Preprocessor<'a> {
    sources: &'a SourceMap,
    config: &'a ParseConfig,
    report: &'a Report<'a>,
    frames: Vec<Frame<'a>>,
    macros: HashMap<&'a str, Rc<Macro<'a>>>,
    choices: Vec<Choice>,
    expanded_tokens: usize,
    /// The newest token read for a condition.
    condition_token: Option<Raw>,
}

impl<'a> Preprocessor<'a> {
    /// Starts at the first token of `source`.
    pub fn new(
        sources: &'a SourceMap,
        source: SourceId,
        config: &'a ParseConfig,
        report: &'a Report<'a>,
    ) -> Preprocessor<'a> {
        report.used_args.borrow_mut().resize(config.args.len(), false);
        let lexer = Lexer::new(&sources.get(source).text);
        let text = Frame { input: Input::Text { lexer, source, pinned: None }, scope: None, expansion: None };
        Preprocessor {
            sources,
            config,
            report,
            frames: vec![text],
            macros: HashMap::new(),
            choices: Vec::new(),
            expanded_tokens: 0,
            condition_token: None,
        }
    }

    /// The next token as written, from the innermost frame that has one.
    fn next_raw(&mut self) -> Option<Token<'a>> {
        loop {
            if self.report.stopped() {
                return None;
            }
            let frame = self.frames.last_mut()?;
            let Some(mut token) = frame.next() else {
                let finished = self.frames.pop()?;
                self.warn_unterminated_comment(&finished);
                continue;
            };
            if let Some((expansion, outer)) = frame.expansion {
                token.loc = Loc { outer, expansion, ..token.loc };
            }
            return self.count(token);
        }
    }

    /// Counts a token that was read; none, after an error, if macros have brought too many.
    fn count(&mut self, token: Token<'a>) -> Option<Token<'a>> {
        self.report.step(1);
        self.expanded_tokens += usize::from(self.frames.len() > 1);
        if self.expanded_tokens > MAX_EXPANDED_TOKENS {
            let label = format!("more than {MAX_EXPANDED_TOKENS}");
            self.report.fatal(token.loc, "macros expand to too many tokens", label);
        }
        (!self.report.stopped()).then_some(token)
    }

    fn warn_unterminated_comment(&self, frame: &Frame<'a>) {
        if let Input::Text { lexer, source, pinned: None } = &frame.input
            && let Some(start) = lexer.unterminated_comment
        {
            let span = Span::new(*source, start, start + 2);
            self.report.add(
                Diagnostic::parse_warning("comment without end")
                    .at(span, "everything after this is comment")
                    .note("write */ where the comment ends"),
            );
        }
    }

    /// The next token after macros and arguments; `%(` and its like come through.
    fn next_expanded(&mut self) -> Option<Token<'a>> {
        loop {
            let token = self.next_raw()?;
            match token.kind {
                Raw::At if token.text == "@define" => self.define_macro(token),
                Raw::At => {
                    if let Some(token) = self.expand_at(token) {
                        return Some(token);
                    }
                }
                Raw::ArgCode => match self.argument(token) {
                    Some(text) => self.paste_argument(token, text),
                    None => return Some(placeholder(token)),
                },
                Raw::ArgText => {
                    let text = self.argument(token).unwrap_or_default();
                    return Some(Token { text, ..token });
                }
                Raw::UnterminatedString => {
                    self.report.error(
                        token.loc,
                        "Could not find matching closing quote",
                        "this text has no end on its line",
                    );
                    return Some(token);
                }
                Raw::UnterminatedEmbedded => {
                    let opening = Span { end: token.loc.span.start + 2, ..token.loc.span };
                    self.report.fatal(
                        Loc { span: opening, ..token.loc },
                        "Could not find matching '%}' to close embedded function block",
                        "opened here",
                    );
                    return Some(token);
                }
                _ => return Some(token),
            }
        }
    }

    /// The argument that `$1` or `@1` names; reports one that was not given.
    fn argument(&self, token: Token<'a>) -> Option<&'a str> {
        let index = self.mark_argument(token);
        if index.is_none() {
            let count = self.config.args.len();
            self.report.add(
                self.report
                    .located(
                        Diagnostic::parse_error(format!("command line argument out of range [1-{count}]")),
                        token.loc,
                        "",
                    )
                    .note(match count {
                        0 => "no arguments were given after the script".to_owned(),
                        _ => format!("{count} given after the script"),
                    }),
            );
        }
        index.map(|index| self.config.args[index].as_str())
    }

    /// Notes that `$1` or `@1` is used and gives its index, if there is such an argument.
    fn mark_argument(&self, token: Token<'a>) -> Option<usize> {
        let index = token.text[1..].parse::<usize>().ok()?.checked_sub(1)?;
        *self.report.used_args.borrow_mut().get_mut(index)? = true;
        Some(index)
    }

    /// Puts the tokens of an argument in the place of `$1`.
    fn paste_argument(&mut self, token: Token<'a>, text: &'a str) {
        let nested =
            matches!(self.frames.last().map(|frame| &frame.input), Some(Input::Text { pinned: Some(_), .. }));
        if nested {
            self.report.error(token.loc, "invalid nested substitution of command line arguments", "");
        } else {
            let expansion = self.report.expand(token.text.to_owned(), token.loc);
            let pinned = Some(Loc { expansion, ..token.loc });
            let input = Input::Text { lexer: Lexer::new(text), source: token.loc.span.source, pinned };
            self.frames.push(Frame { input, scope: None, expansion: None });
        }
    }

    fn open_choice(&mut self, opened: Token<'a>) {
        match self.evaluate_condition(opened) {
            Some(true) => self.choices.push(Choice { opened: opened.loc, seen_else: false }),
            Some(false) => self.skip_part(opened.loc, false),
            // A wrong condition was reported: neither part is read, so that nothing is said about them.
            None => self.skip_to_end(),
        }
    }

    /// Skips the part not taken, up to `%:` (whose part is then taken) or `%)`.
    fn skip_part(&mut self, opened: Loc, seen_else: bool) {
        let mut depth = 0;
        while let Some(token) = self.next_raw() {
            match token.kind {
                Raw::If => depth += 1,
                Raw::EndIf if depth == 0 => return,
                Raw::EndIf => depth -= 1,
                Raw::Else if depth == 0 && seen_else => self.report_duplicate_else(token),
                Raw::Else if depth == 0 => return self.choices.push(Choice { opened, seen_else: true }),
                Raw::ArgCode | Raw::ArgText => {
                    self.mark_argument(token);
                }
                _ => {}
            }
        }
        self.report_unterminated_choice(opened);
    }

    fn skip_to_end(&mut self) {
        let mut depth = match self.condition_token {
            Some(Raw::EndIf) => return,
            Some(Raw::If) => 1,
            _ => 0,
        };
        while let Some(token) = self.next_raw() {
            match token.kind {
                Raw::If => depth += 1,
                Raw::EndIf if depth == 0 => return,
                Raw::EndIf => depth -= 1,
                _ => {}
            }
        }
    }

    fn report_unterminated_choice(&self, opened: Loc) {
        self.report.fatal(opened, "incomplete conditional at end of file", "no '%)' closes this");
    }

    fn report_duplicate_else(&self, token: Token<'a>) {
        self.report.error(token.loc, "invalid conditional - duplicate '%:'", "");
    }

    fn report_stray(&self, token: Token<'a>) {
        self.report.error(
            token.loc,
            "incomplete conditional - missing '%('",
            format!("saw operator '{}'", token.text),
        );
    }
}

/// What stands for a token whose mistake was reported: an operand, about which nothing more is said.
fn placeholder(token: Token<'_>) -> Token<'_> {
    Token { kind: Raw::Number, text: "0", ..token }
}

impl<'a> Iterator for Preprocessor<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        while let Some(token) = self.next_expanded() {
            match token.kind {
                Raw::If => self.open_choice(token),
                Raw::Else => match self.choices.pop() {
                    Some(choice) if choice.seen_else => {
                        self.report_duplicate_else(token);
                        self.choices.push(choice);
                    }
                    Some(choice) => self.skip_part(choice.opened, true),
                    None => self.report_stray(token),
                },
                Raw::EndIf if self.choices.pop().is_some() => {}
                Raw::EndIf | Raw::Then => self.report_stray(token),
                _ => return Some(token),
            }
        }
        if let Some(choice) = self.choices.pop() {
            self.choices.clear();
            self.report_unterminated_choice(choice.opened);
        }
        None
    }
}

impl<'a> Frame<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        match &mut self.input {
            Input::Text { lexer, source, pinned } => {
                let lexeme = lexer.next()?;
                let end = lexeme.start + lexeme.text.len() as u32;
                let loc = pinned.unwrap_or_else(|| Loc::plain(Span::new(*source, lexeme.start, end)));
                Some(Token { kind: lexeme.kind, text: lexeme.text, loc })
            }
            Input::Tokens { tokens, next } => {
                let token = tokens.get(*next).copied();
                *next += 1;
                token
            }
        }
    }
}
