//! `@define NAME %( … %)`, `@define NAME(a, b) %( … %)` and their uses.
//!
//! Arguments are token sequences, split at top-level commas and read where the macro is used; they are expanded
//! when the body asks for them, with the meaning `@parameter` has at the place of use.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Frame, Input, MAX_EXPANSION_DEPTH, OPERATORS, Preprocessor, placeholder};
use crate::config::ParseConfig;
use crate::diagnostic::Diagnostic;
use crate::lex::Raw;
use crate::near;
use crate::report::Report;
use crate::source::{SourceId, SourceMap, Span};
use crate::token::{Loc, Token};

/// Brackets inside brackets in the arguments of a macro.
const MAX_ARGUMENT_NESTING: usize = 200;

/// Parameters of a macro: each use of one looks through them.
const MAX_PARAMETERS: usize = 100;

/// A macro of the text being parsed.
pub struct Macro<'a> {
    name: &'a str,
    /// `None`: used without parentheses.
    params: Option<Vec<Token<'a>>>,
    body: Rc<[Token<'a>]>,
    defined: Loc,
}

/// What the parameters of a macro mean inside its body.
pub struct Scope<'a> {
    definition: Rc<Macro<'a>>,
    args: Vec<Rc<[Token<'a>]>>,
    /// What `@parameter` means in the arguments themselves.
    outer: Option<Rc<Scope<'a>>>,
}

/// The macros of `.stpm` files, read once and given to every parse.
#[derive(Clone, Debug, Default)]
pub struct MacroLibrary {
    macros: HashMap<String, LibraryMacro>,
}

#[derive(Clone, Debug)]
struct LibraryMacro {
    params: Option<Vec<Span>>,
    body: Vec<(Raw, Span)>,
    defined: Span,
}

impl MacroLibrary {
    /// Adds the macros of one `.stpm` text, which may hold nothing else.
    pub fn add(&mut self, sources: &SourceMap, source: SourceId, config: &ParseConfig) -> Vec<Diagnostic> {
        let report = Report::new(sources, true);
        let mut tokens = Preprocessor::new(sources, source, config, &report);
        if let Some(token) = tokens.next() {
            report.error(token.loc, "expected '@define'", "only macros can be defined in a .stpm file");
        }
        while tokens.next().is_some() {}
        for (name, definition) in &tokens.macros {
            self.macros.insert((*name).to_owned(), LibraryMacro::new(definition));
        }
        report.into_diagnostics()
    }

    /// Whether a macro has this name, without `@`.
    pub fn contains(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }
}

impl LibraryMacro {
    fn new(definition: &Macro<'_>) -> LibraryMacro {
        LibraryMacro {
            params: definition
                .params
                .as_ref()
                .map(|params| params.iter().map(|param| param.loc.span).collect()),
            body: definition.body.iter().map(|token| (token.kind, token.loc.span)).collect(),
            defined: definition.defined.span,
        }
    }

    fn load<'a>(&self, name: &'a str, sources: &'a SourceMap) -> Macro<'a> {
        let token = |kind, span| Token { kind, text: sources.text(span), loc: Loc::plain(span) };
        let params = |spans: &Vec<Span>| spans.iter().map(|&span| token(Raw::Word, span)).collect();
        Macro {
            name,
            params: self.params.as_ref().map(params),
            body: self.body.iter().map(|&(kind, span)| token(kind, span)).collect(),
            defined: Loc::plain(self.defined),
        }
    }
}

impl<'a> Preprocessor<'a> {
    /// Reads a definition after `@define`.
    pub(super) fn define_macro(&mut self, define: Token<'a>) {
        if let Err((at, message)) = self.read_definition() {
            let (loc, label) = match at {
                Some(token) => (token.loc, format!("saw '{}'", token.text)),
                None => (define.loc, "the text ends before this definition does".to_owned()),
            };
            self.report.error(loc, message, label);
            self.skip_body(at);
        }
    }

    fn read_definition(&mut self) -> Result<(), (Option<Token<'a>>, String)> {
        let name = self.expect_raw(Raw::Word, "expected identifier")?;
        let mut next = self.next_raw().ok_or((None, "expected '%(' or '('".to_owned()))?;
        let mut params = None;
        if next.kind == Raw::LParen {
            params = Some(self.read_params()?);
            next = self.expect_raw(Raw::If, "expected '%('")?;
        }
        if next.kind != Raw::If {
            return Err((Some(next), "expected '%(' or '('".to_owned()));
        }
        let Some(body) = self.read_body() else {
            self.report.fatal(name.loc, "incomplete macro definition - missing '%)'", "");
            return Ok(());
        };
        self.add_macro(Macro { name: name.text, params, body: body.into(), defined: name.loc });
        Ok(())
    }

    fn expect_raw(&mut self, kind: Raw, message: &str) -> Result<Token<'a>, (Option<Token<'a>>, String)> {
        match self.next_raw() {
            Some(token) if token.kind == kind => Ok(token),
            other => Err((other, message.to_owned())),
        }
    }

    fn read_params(&mut self) -> Result<Vec<Token<'a>>, (Option<Token<'a>>, String)> {
        let mut params = Vec::new();
        loop {
            params.push(self.expect_raw(Raw::Word, "expected identifier")?);
            if params.len() > MAX_PARAMETERS {
                let last = params.pop();
                return Err((last, format!("a macro has at most {MAX_PARAMETERS} parameters")));
            }
            match self.next_raw() {
                Some(token) if token.kind == Raw::Comma => {}
                Some(token) if token.kind == Raw::RParen => return Ok(params),
                other => return Err((other, "expected ',' or ')'".to_owned())),
            }
        }
    }

    fn read_body(&mut self) -> Option<Vec<Token<'a>>> {
        let mut body = Vec::new();
        let mut depth = 0;
        loop {
            let token = self.next_raw()?;
            match token.kind {
                Raw::If => depth += 1,
                Raw::EndIf if depth == 0 => return Some(body),
                Raw::EndIf => depth -= 1,
                _ => {}
            }
            body.push(token);
        }
    }

    /// After a wrong definition: skips its body, so that nothing is said about it.
    fn skip_body(&mut self, at: Option<Token<'a>>) {
        let mut depth = 0;
        let mut next = at;
        while let Some(token) = next {
            match token.kind {
                Raw::If => depth += 1,
                Raw::EndIf if depth <= 1 => return,
                Raw::EndIf => depth -= 1,
                _ => {}
            }
            next = self.next_raw();
        }
    }

    fn add_macro(&mut self, definition: Macro<'a>) {
        let name = definition.name;
        if let Some(first) = self.macros.get(name) {
            self.report.add(
                Diagnostic::parse_error(format!("attempt to redefine macro '@{name}' in the same file"))
                    .at(definition.defined.span, "")
                    .see(first.defined.span, format!("macro '@{name}' first defined here")),
            );
            return;
        }
        if OPERATORS.contains(&name) {
            self.report.add(
                Diagnostic::parse_warning(format!("macro redefines built-in operator '@{name}'"))
                    .at(definition.defined.span, ""),
            );
        }
        self.macros.insert(name, Rc::new(definition));
    }

    /// Expands `@name`. An operator of the language comes back, as does an unknown name, which is reported.
    pub(super) fn expand_at(&mut self, token: Token<'a>) -> Option<Token<'a>> {
        let name = &token.text[1..];
        if let Some(argument) = self.parameter(name) {
            self.frames.push(argument);
            return None;
        }
        let Some(definition) = self.find_macro(name) else {
            if !OPERATORS.contains(&name) {
                self.report_unknown(token);
            }
            return Some(token);
        };
        if self.check_depth(token) {
            return (!self.invoke(token, definition)).then(|| placeholder(token));
        }
        if definition.params.is_some() && self.takes_paren() {
            self.skip_args();
        }
        Some(placeholder(token))
    }

    /// The frame for a parameter of the macro whose body is being read.
    fn parameter(&self, name: &str) -> Option<Frame<'a>> {
        let scope = self.frames.last()?.scope.as_ref()?;
        let params = scope.definition.params.as_ref()?;
        self.report.step(params.len());
        let index = params.iter().position(|param| param.text == name)?;
        let input = Input::Tokens { tokens: Rc::clone(scope.args.get(index)?), next: 0 };
        Some(Frame { input, scope: scope.outer.clone(), expansion: None })
    }

    fn find_macro(&mut self, name: &'a str) -> Option<Rc<Macro<'a>>> {
        if let Some(definition) = self.macros.get(name) {
            return Some(Rc::clone(definition));
        }
        Some(Rc::new(self.config.macros.macros.get(name)?.load(name, self.sources)))
    }

    fn report_unknown(&self, token: Token<'a>) {
        let diagnostic = Diagnostic::parse_error(format!("unknown operator {}", token.text));
        let diagnostic = self.report.located(diagnostic, token.loc, "neither an operator nor a macro");
        let library = self.config.macros.macros.keys().map(|name| &**name);
        let known = OPERATORS.iter().copied().chain(self.macros.keys().copied()).chain(library);
        self.report.add(diagnostic.note(match near::best(&token.text[1..], known) {
            Some(similar) => format!("did you mean '@{similar}'?"),
            None => "a macro must be defined before the place where it is used".to_owned(),
        }));
    }

    /// Reports a macro that leads to itself.
    fn check_depth(&self, token: Token<'a>) -> bool {
        let mut depth = 0;
        let mut recursive = false;
        self.report.walk_expansions(token.loc, |name| {
            depth += 1;
            recursive |= name == token.text;
            !recursive
        });
        if recursive {
            self.report.error(
                token.loc,
                format!("recursive use of macro '{}'", token.text),
                "its own body leads here",
            );
        } else if depth > MAX_EXPANSION_DEPTH || self.frames.len() > 2 * MAX_EXPANSION_DEPTH {
            self.report.fatal(
                token.loc,
                "macros nested too deep",
                format!("more than {MAX_EXPANSION_DEPTH} macros inside each other"),
            );
            return false;
        }
        !recursive
    }

    /// Starts to read a macro's body; false if the use is wrong, which is reported.
    fn invoke(&mut self, token: Token<'a>, definition: Rc<Macro<'a>>) -> bool {
        let args = match &definition.params {
            None => Vec::new(),
            Some(params) => match self.read_args(token, params.len()) {
                Some(args) => args,
                None => return false,
            },
        };
        let expansion = self.report.expand(token.text.to_owned(), token.loc);
        let outer = self.frames.last().and_then(|frame| frame.scope.clone());
        let input = Input::Tokens { tokens: Rc::clone(&definition.body), next: 0 };
        let scope = Some(Rc::new(Scope { definition, args, outer }));
        self.frames.push(Frame { input, scope, expansion: Some((expansion, token.loc.outer)) });
        true
    }

    /// Reads `(a, b)` after the name of a macro, from the frame that holds the name.
    fn read_args(&mut self, token: Token<'a>, expected: usize) -> Option<Vec<Rc<[Token<'a>]>>> {
        let name = token.text;
        if !self.takes_paren() {
            let s = if expected == 1 { "" } else { "s" };
            let message =
                format!("expected '(' in invocation of macro '{name}' taking {expected} parameter{s}");
            self.report.error(token.loc, message, "");
            return None;
        }
        let mut args = Vec::new();
        let mut current = Vec::new();
        let mut nesting = 0usize;
        loop {
            let Some(next) = self.next_in_frame() else {
                self.report.fatal(token.loc, "could not find end of macro invocation", "no ')' closes this");
                return None;
            };
            match next.kind {
                Raw::LParen | Raw::LBracket | Raw::LBrace => nesting += 1,
                Raw::RParen if nesting == 0 => {
                    args.push(current.into());
                    return self.check_arg_count(name, args, expected, next);
                }
                Raw::RParen | Raw::RBracket | Raw::RBrace => nesting = nesting.saturating_sub(1),
                Raw::Comma if nesting == 0 => {
                    args.push(std::mem::take(&mut current).into());
                    if args.len() == expected {
                        let message = format!("too many parameters for macro '{name}' (expected {expected})");
                        self.report.error(next.loc, message, "");
                        self.skip_args();
                        return None;
                    }
                    continue;
                }
                _ => {}
            }
            if nesting > MAX_ARGUMENT_NESTING {
                self.report.fatal(
                    next.loc,
                    "nesting too deep",
                    format!("more than {MAX_ARGUMENT_NESTING} brackets inside each other"),
                );
                return None;
            }
            current.push(next);
        }
    }

    fn check_arg_count(
        &self,
        name: &str,
        args: Vec<Rc<[Token<'a>]>>,
        expected: usize,
        end: Token<'a>,
    ) -> Option<Vec<Rc<[Token<'a>]>>> {
        if args.len() == expected {
            return Some(args);
        }
        let message = format!("too few parameters for macro '{name}' (expected {expected})");
        self.report.error(end.loc, message, format!("{} given", args.len()));
        None
    }

    fn skip_args(&mut self) {
        let mut nesting = 0usize;
        while let Some(token) = self.next_in_frame() {
            match token.kind {
                Raw::LParen => nesting += 1,
                Raw::RParen if nesting == 0 => return,
                Raw::RParen => nesting -= 1,
                _ => {}
            }
        }
    }

    /// Takes the next token of the innermost frame if it is `(`.
    fn takes_paren(&mut self) -> bool {
        let next = match self.frames.last().map(|frame| &frame.input) {
            Some(Input::Text { lexer, .. }) => lexer.clone().next().map(|lexeme| lexeme.kind),
            Some(Input::Tokens { tokens, next }) => tokens.get(*next).map(|token| token.kind),
            None => None,
        };
        next == Some(Raw::LParen) && self.next_in_frame().is_some()
    }

    /// The next token of the innermost frame only.
    fn next_in_frame(&mut self) -> Option<Token<'a>> {
        let frame = self.frames.last_mut()?;
        let mut token = frame.next()?;
        if let Some((expansion, outer)) = frame.expansion {
            token.loc = Loc { outer, expansion, ..token.loc };
        }
        self.count(token)
    }
}
