//! Collects the findings of one parse, with what its layers must tell each other to report each mistake once.

use std::cell::{Cell, RefCell};

use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Span};
use crate::token::Loc;

/// Errors after which a parse gives up.
const MAX_ERRORS: usize = 20;

/// One use of a macro or of a script argument.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// Macro `@name` or argument `$1`.
    pub name: String,
    /// Where it is used.
    pub at: Loc,
}

/// An opening bracket that nothing closes.
#[derive(Clone, Copy, Debug)]
pub struct Unclosed {
    /// The token at which that became clear.
    pub seq: u32,
    /// The bracket.
    pub opener: Span,
    /// Its character.
    pub bracket: char,
}

/// The findings of one parse.
pub struct Report<'a> {
    sources: &'a SourceMap,
    /// Embedded code is an error here.
    pub refuse_embedded: bool,
    diagnostics: RefCell<Vec<Diagnostic>>,
    errors: Cell<usize>,
    expansions: RefCell<Vec<Expansion>>,
    /// Script arguments met so far.
    pub used_args: RefCell<Vec<bool>>,
    /// Openers met at the token that cannot follow them.
    pub unclosed: RefCell<Vec<Unclosed>>,
    /// Closing brackets: their number and that of the opener.
    pub closers: RefCell<Vec<(u32, u32)>>,
    /// Names other languages use as keywords, met at the start of a statement: number and place.
    pub foreign_keyword: Cell<Option<(u32, Span)>>,
    /// The newest token with a syntax error.
    pub last_error: Cell<Option<Loc>>,
    /// Tokens since the grammar last accepted one with a meaning of its own.
    pub since_progress: Cell<u32>,
    /// Steps taken so far.
    steps: Cell<u64>,
    /// The layers end their streams.
    stopped: Cell<bool>,
    /// Nothing more is said.
    silent: Cell<bool>,
}

impl<'a> Report<'a> {
    /// Starts without findings.
    pub fn new(sources: &'a SourceMap, refuse_embedded: bool) -> Report<'a> {
        Report {
            sources,
            refuse_embedded,
            diagnostics: RefCell::default(),
            errors: Cell::default(),
            expansions: RefCell::default(),
            used_args: RefCell::default(),
            unclosed: RefCell::default(),
            closers: RefCell::default(),
            foreign_keyword: Cell::default(),
            last_error: Cell::default(),
            since_progress: Cell::default(),
            steps: Cell::default(),
            stopped: Cell::default(),
            silent: Cell::default(),
        }
    }

    /// Adds an error at `loc`, naming the macros that led there.
    pub fn error(&self, loc: Loc, message: impl Into<String>, label: impl Into<String>) {
        self.add(self.located(Diagnostic::parse_error(message), loc, label));
    }

    /// `diagnostic` with the place `loc` and the macros that led there.
    pub fn located(&self, diagnostic: Diagnostic, loc: Loc, label: impl Into<String>) -> Diagnostic {
        let mut diagnostic = diagnostic.at(loc.span, label);
        let expansions = self.expansions.borrow();
        let mut id = loc.expansion;
        while let Some(expansion) = id.checked_sub(1).and_then(|index| expansions.get(index as usize)) {
            if expansion.at.span != loc.span {
                diagnostic =
                    diagnostic.see(expansion.at.span, format!("in expansion of '{}'", expansion.name));
            }
            id = expansion.at.expansion;
        }
        diagnostic
    }

    /// Adds a finding; after too many errors it says so once and asks the layers to stop.
    pub fn add(&self, diagnostic: Diagnostic) {
        if self.silent.get() {
            return;
        }
        let is_error = diagnostic.is_error();
        self.diagnostics.borrow_mut().push(diagnostic);
        if is_error {
            self.errors.set(self.errors.get() + 1);
            self.silent.set(self.stopped.get());
            if self.errors.get() == MAX_ERRORS {
                self.diagnostics
                    .borrow_mut()
                    .push(Diagnostic::parse_error(format!("stopped after {MAX_ERRORS} errors")));
                self.stop();
                self.silent.set(true);
            }
        }
    }

    /// Adds a last error: what follows it would only repeat it.
    pub fn fatal(&self, loc: Loc, message: impl Into<String>, label: impl Into<String>) {
        self.error(loc, message, label);
        self.stop();
        self.silent.set(true);
    }

    /// Counts steps: each loop of a layer over something that grows with the text says how often it goes round.
    pub fn step(&self, count: usize) {
        self.steps.set(self.steps.get() + count as u64);
    }

    /// The steps counted.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Whether the layers should end their streams.
    pub fn stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Ends the streams; an error that is being dealt with can still be reported.
    pub fn stop(&self) {
        self.stopped.set(true);
    }

    /// Whether an error was found.
    pub fn has_errors(&self) -> bool {
        self.errors.get() > 0
    }

    /// The grammar accepted a token with a meaning of its own.
    pub fn progress(&self) {
        self.since_progress.set(0);
    }

    /// Registers a use of a macro and gives it its number.
    pub fn expand(&self, name: String, at: Loc) -> u32 {
        let mut expansions = self.expansions.borrow_mut();
        expansions.push(Expansion { name, at });
        expansions.len() as u32
    }

    /// The names of the macros whose bodies led to `loc`, innermost first, as long as `visit` answers true.
    pub fn walk_expansions(&self, loc: Loc, mut visit: impl FnMut(&str) -> bool) {
        let expansions = self.expansions.borrow();
        let mut id = loc.expansion;
        while let Some(expansion) = id.checked_sub(1).and_then(|index| expansions.get(index as usize)) {
            self.step(1);
            if !visit(&expansion.name) {
                return;
            }
            id = expansion.at.expansion;
        }
    }

    /// The findings, in the order they were made.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics.into_inner()
    }

    /// The text at a place.
    pub fn text(&self, span: Span) -> &'a str {
        self.sources.text(span)
    }

    /// The text before a place, up to the blank before it.
    pub fn text_before(&self, span: Span) -> &'a str {
        let text = &self.sources.get(span.source).text;
        let before = text[..span.start as usize].rsplit(char::is_whitespace).next().unwrap_or("");
        self.step(before.len());
        before
    }

    /// Whether only blanks stand before a place on its line.
    pub fn starts_line(&self, span: Span) -> bool {
        let text = &self.sources.get(span.source).text[..span.start as usize];
        let line = text.rsplit('\n').next().unwrap_or(text);
        self.step(line.len());
        line.trim().is_empty()
    }

    /// A token as messages name it: its kind and its text.
    pub fn spelling(&self, loc: Loc) -> String {
        let text = self.text(loc.span);
        let kind =
            match text.chars().next() {
                Some('0'..='9') => "number",
                Some('"') => "string",
                Some('%') if text.starts_with("%{") => return "embedded code".to_owned(),
                Some(c) if c.is_ascii_alphabetic() || c == '_' || c == '$' => {
                    if crate::filter::is_keyword(text) { "keyword" } else { "identifier" }
                }
                _ => "operator",
            };
        let visible = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        let text: String = text.chars().take(40).map(visible).collect();
        format!("{kind} '{text}'")
    }

    /// Whether an error was already reported at this place.
    pub fn is_reported(&self, loc: Loc) -> bool {
        let same = |span: Span| (span.source, span.start) == (loc.span.source, loc.span.start);
        let is_here = |finding: &Diagnostic| {
            finding.is_error() && finding.labels.first().is_some_and(|label| same(label.span))
        };
        self.diagnostics.borrow().iter().rev().take(5).any(is_here)
    }
}
