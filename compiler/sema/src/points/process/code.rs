//! Points on code: `.function(…)` and `.statement(…)` of one ELF file, from its debug information or its symbols.

use std::rc::Rc;

use rstap_abi::address::{FileOffset, LinkAddr, TargetAddr};
use rstap_abi::context::flags;
use rstap_debuginfo::{Function, Instances, Lines, Listed, Pattern, Statements};
use rstap_program::{CodeKind, Point, ProcessFilter};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::Purpose;
use super::no_match;
use super::spec::{FunctionKind, StatementKind, Which};
use crate::modules::{Binary, Modules};
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::{CodeScope, Frame, ListedScope, Scope};

/// Where functions and statements are looked for, and how the points are named.
pub struct Search<'s, 'd> {
    /// All files.
    pub modules: &'s Rc<Modules<'d>>,
    /// This file.
    pub binary: Rc<Binary<'d>>,
    /// The program whose library it may be.
    pub program: Rc<Binary<'d>>,
    /// In which processes.
    pub filter: ProcessFilter,
    /// What `pp()` begins with: `process("PATH")`.
    pub pp: String,
    /// What `pn()` begins with.
    pub pn: String,
    /// The component that is resolved, for messages.
    pub span: Span,
    /// What the points are for.
    pub purpose: Purpose,
}

/// A place that was found, before it becomes a derived point.
struct Spot<'t> {
    at: LinkAddr,
    kind: CodeKind,
    frame: Frame,
    /// The last components of `pp()` and `pn()`.
    pp: &'t str,
    pn: &'t str,
    function: &'t str,
}

/// After so many names, the memory that files are mapped to is given back.
const NAMES_AT_ONCE: usize = 16384;

impl<'d> Search<'_, 'd> {
    /// `.function(WHICH)` with its suffix.
    pub fn functions(
        &self,
        which: &Which,
        kind: FunctionKind,
        warnings: &mut Vec<Diagnostic>,
    ) -> Resolved<'d> {
        let module = self.binary.module();
        let (functions, pattern) = match which {
            Which::Address(address) => {
                let function = self.function_at(LinkAddr(*address))?;
                let pattern = Pattern::function(&function.name);
                (vec![function], pattern)
            }
            Which::Pattern(text) => {
                let pattern = self.pattern(text)?;
                if pattern.lines != Lines::None {
                    let warning = "for probing a particular line, use a .statement() probe, not .function()";
                    warnings.push(Diagnostic::warning(warning).at(self.span, "the line is ignored"));
                }
                // What a function returns is known where all of it is read.
                let returns = matches!(kind, FunctionKind::Return(_));
                if self.purpose == Purpose::List || self.purpose == Purpose::ListVariables && !returns {
                    let listed = self.listed(&pattern, kind);
                    // Why there are none is found out below.
                    if !listed.is_empty() {
                        return Ok(listed);
                    }
                }
                (module.functions(&pattern).map_err(|error| self.broken(&error))?, pattern)
            }
        };
        let mut points = Vec::new();
        for function in &functions {
            self.function(function, kind, &mut points);
        }
        if points.is_empty() {
            return Err(no_match::function(&self.binary, &pattern, &functions, kind, self.span));
        }
        self.warn_of_inlined_returns(&functions, kind, warnings);
        Ok(points)
    }

    /// Functions as `-l` shows them: the place of a point is any, only its text counts.
    fn listed(&self, pattern: &Pattern, kind: FunctionKind) -> Vec<DerivedPoint<'d>> {
        let module = self.modules.number(&self.binary);
        let binary = self.binary.module();
        let functions: Box<dyn Iterator<Item = Listed<'d>>> = match self.purpose {
            Purpose::ListVariables => Box::new(binary.list_functions_with_variables(pattern, wanted(kind))),
            Purpose::List | Purpose::Run => Box::new(binary.list_functions(pattern)),
        };
        let functions = functions.filter(|function| match kind {
            FunctionKind::Any => true,
            FunctionKind::Call | FunctionKind::Return(_) => function.has.code,
            FunctionKind::Exported => function.has.external,
            FunctionKind::Inline => function.has.inlined,
        });
        let point = |function: Listed<'d>| {
            let place = place_text(&function.name, function.decl_file.as_deref(), function.decl_line);
            DerivedPoint {
                point: Point::Code {
                    process: self.filter.clone(),
                    module,
                    at: FileOffset(0),
                    kind: CodeKind::Hit,
                },
                pp: String::new(),
                pn: [&self.pn, &*function_text(&place, kind)].concat(),
                function: String::new(),
                flags: 0,
                scope: (!function.variables.is_empty())
                    .then(|| Rc::new(ListedScope::new(function.variables)) as Rc<dyn Scope + 'd>),
            }
        };
        let mut points = Vec::with_capacity(functions.size_hint().1.unwrap_or(0));
        for (index, function) in functions.enumerate() {
            points.push(point(function));
            // Names are all over the debug information.
            if index % NAMES_AT_ONCE == NAMES_AT_ONCE - 1 {
                binary.release();
            }
        }
        points
    }

    fn warn_of_inlined_returns(
        &self,
        functions: &[Function<'d>],
        kind: FunctionKind,
        warnings: &mut Vec<Diagnostic>,
    ) {
        let inlined: Vec<&str> =
            functions.iter().filter(|f| !f.inlines.is_empty()).map(|f| f.name.as_ref()).collect();
        if matches!(kind, FunctionKind::Return(_)) && !inlined.is_empty() && self.purpose == Purpose::Run {
            let shown = inlined.iter().take(10).copied().collect::<Vec<_>>().join(", ");
            let message = format!("cannot probe .return of {} inlined functions", inlined.len());
            let more = if inlined.len() > 10 { ", …" } else { "" };
            warnings.push(
                Diagnostic::warning(message)
                    .at(self.span, "")
                    .note(format!("calls of these that were inlined do not return: {shown}{more}")),
            );
        }
    }

    /// The points of one function.
    fn function(&self, function: &Function<'d>, kind: FunctionKind, points: &mut Vec<DerivedPoint<'d>>) {
        let module = self.binary.module();
        let itself = match kind {
            FunctionKind::Any | FunctionKind::Call => module.probe_address(function),
            FunctionKind::Exported if function.external => module.probe_address(function),
            // Nothing calls a part of a function, so it does not return either.
            FunctionKind::Return(_) => function.entry.filter(|_| !function.cold),
            _ => None,
        };
        let inlines: &[_] = match kind {
            FunctionKind::Any | FunctionKind::Inline => &function.inlines,
            _ => &[],
        };
        if itself.is_none() && inlines.is_empty() {
            return;
        }
        let text = function_text(&function_place(function), kind);
        if let Some(at) = itself {
            let returns = matches!(kind, FunctionKind::Return(_));
            let frame = if returns { self.return_frame(function, at) } else { inside(function, at) };
            let code_kind = if returns { CodeKind::Return } else { CodeKind::Hit };
            let spot = Spot { at, kind: code_kind, frame, pp: &text, pn: &text, function: &function.name };
            points.extend(self.derive(&spot));
        }
        for inline in inlines {
            let frame = Frame::Inside { die: Some(inline.die), outer: None, entry: None, at: inline.entry };
            let spot = Spot {
                at: inline.entry,
                kind: CodeKind::Hit,
                frame,
                pp: &text,
                pn: &text,
                function: &function.name,
            };
            points.extend(self.derive(&spot));
        }
    }

    pub(super) fn return_frame(&self, function: &Function<'d>, entry: LinkAddr) -> Frame {
        let module = self.binary.module();
        let body = module.body_address(function).unwrap_or(entry);
        Frame::Return { die: function.die, entry, body, result: module.return_type(function) }
    }

    /// `.statement(WHICH)` with its suffix.
    pub fn statements(&self, which: &Which, kind: StatementKind) -> Resolved<'d> {
        match which {
            Which::Address(address) => self.statement_at(LinkAddr(*address)),
            Which::Pattern(text) => {
                let pattern = self.pattern(text)?;
                if pattern.lines == Lines::None {
                    return self.function_starts(&pattern);
                }
                let found = self.binary.module().statements(&pattern).map_err(|error| self.broken(&error))?;
                let nearest = kind == StatementKind::Nearest;
                let points = if nearest { self.nearest(&pattern, found)? } else { self.lines(&found, None) };
                if points.is_empty() {
                    return Err(no_match::line(&self.binary, &pattern, self.span));
                }
                Ok(points)
            }
        }
    }

    /// The points of statements; `asked` is the line that `.nearest` was asked for.
    fn lines(&self, statements: &Statements<'d>, asked: Option<u32>) -> Vec<DerivedPoint<'d>> {
        let mut points = Vec::new();
        for statement in &statements.found {
            let text = |line| format!(".statement(\"{}@{}:{line}\")", statement.function, statement.file);
            let pp = text(statement.line);
            let pn = asked.map_or_else(|| pp.clone(), |line| text(line) + ".nearest");
            let frame =
                Frame::Inside { die: Some(statement.die), outer: None, entry: None, at: statement.address };
            points.extend(self.derive(&Spot {
                at: statement.address,
                kind: CodeKind::Hit,
                frame,
                pp: &pp,
                pn: &pn,
                function: &statement.function,
            }));
        }
        points
    }

    /// The points of the lines asked for, and for each that has no code those of the nearest one that has.
    fn nearest(&self, pattern: &Pattern, exact: Statements<'d>) -> Resolved<'d> {
        let mut points = Vec::new();
        for statement in &exact.found {
            let one = Statements { found: vec![statement.clone()], missing: Vec::new() };
            points.extend(self.lines(&one, Some(statement.line)));
        }
        for missing in &exact.missing {
            let Some(line) = nearest_line(missing.line, missing.before, missing.after) else { continue };
            let pattern = Pattern { lines: Lines::Absolute(vec![(line, line)]), ..pattern.clone() };
            let found = self.binary.module().statements(&pattern).map_err(|error| self.broken(&error))?;
            points.extend(self.lines(&found, Some(missing.line)));
        }
        Ok(points)
    }

    /// `.statement("FUNCTION")`: the first instruction, before the prologue.
    fn function_starts(&self, pattern: &Pattern) -> Resolved<'d> {
        let functions = self.binary.module().functions(pattern).map_err(|error| self.broken(&error))?;
        let mut points = Vec::new();
        for function in &functions {
            let text = format!(".statement(\"{}\")", function_place(function));
            let places = function.entry.map(|entry| (entry, function.die, Some(entry)));
            let inlined = function.inlines.iter().map(|inline| (inline.entry, Some(inline.die), None));
            for (at, die, entry) in places.into_iter().chain(inlined) {
                let frame = Frame::Inside { die, outer: None, entry, at };
                points.extend(self.derive(&Spot {
                    at,
                    kind: CodeKind::Hit,
                    frame,
                    pp: &text,
                    pn: &text,
                    function: &function.name,
                }));
            }
        }
        if points.is_empty() {
            return Err(no_match::function(&self.binary, pattern, &functions, FunctionKind::Any, self.span));
        }
        Ok(points)
    }

    /// `.statement(0xADDR)`, an address as in the ELF file.
    fn statement_at(&self, at: LinkAddr) -> Resolved<'d> {
        let module = self.binary.module();
        if !module.is_executable(at) || module.file_offset(at).is_none() {
            return Err(no_match::address(&self.binary, at, self.span));
        }
        let function = module.function_at(at).ok().flatten();
        // Of what is inlined there, the innermost counts.
        let die = function.as_ref().and_then(|function| function.die);
        let inlined = die.and_then(|die| module.instances_at(die, at).ok()?.into_iter().next());
        let frame = Frame::Inside {
            die: inlined.or(die),
            outer: die,
            entry: function.as_ref().and_then(|function| function.entry),
            at,
        };
        let text = format!(".statement({at:#x})");
        let name = function.as_ref().map_or("", |function| function.name.as_ref());
        let spot = Spot { at, kind: CodeKind::Hit, frame, pp: &text, pn: &text, function: name };
        Ok(self.derive(&spot).into_iter().collect())
    }

    pub(super) fn function_at(&self, at: LinkAddr) -> Result<Function<'d>, Box<Diagnostic>> {
        let found = self.binary.module().function_at(at).map_err(|error| self.broken(&error))?;
        found.ok_or_else(|| no_match::address(&self.binary, at, self.span))
    }

    fn derive(&self, spot: &Spot<'_>) -> Option<DerivedPoint<'d>> {
        let at = self.binary.module().file_offset(spot.at)?;
        let module = self.modules.number(&self.binary);
        let mut bits = flags::HAS_REGISTERS;
        if spot.kind == CodeKind::Return {
            bits |= flags::IS_RETURN;
        }
        let scope = || -> Rc<dyn Scope + 'd> {
            let (binary, program) = (Rc::clone(&self.binary), Rc::clone(&self.program));
            Rc::new(CodeScope::new(Rc::clone(self.modules), binary, program, spot.frame))
        };
        // A list of all functions of a big program is long, and only `pn` of it is shown.
        let listed = self.purpose == Purpose::List;
        Some(DerivedPoint {
            point: Point::Code { process: self.filter.clone(), module, at, kind: spot.kind },
            pp: if listed { String::new() } else { [&self.pp, spot.pp].concat() },
            pn: [&self.pn, spot.pn].concat(),
            function: spot.function.to_owned(),
            flags: bits,
            scope: (!listed).then(scope),
        })
    }

    pub(super) fn pattern(&self, text: &str) -> Result<Pattern, Box<Diagnostic>> {
        Pattern::parse(text).map_err(|error| {
            Box::new(
                Diagnostic::error(error.to_string())
                    .at(self.span, "")
                    .note("a pattern is FUNCTION, FUNCTION@FILE or FUNCTION@FILE:LINE"),
            )
        })
    }

    pub(super) fn broken(&self, error: &rstap_debuginfo::DwarfError) -> Box<Diagnostic> {
        let message =
            format!("the debug information of '{}' cannot be read: {error}", self.binary.path().display());
        Box::new(Diagnostic::error(message).at(self.span, ""))
    }
}

/// `.statement(0xADDR)` of a running process: whatever is there.
pub fn absolute<'d>(filter: ProcessFilter, prefix: &str, suffix: &str, address: u64) -> DerivedPoint<'d> {
    let text = format!("{prefix}.statement({address:#x}){suffix}");
    DerivedPoint {
        point: Point::Address { process: filter, at: TargetAddr(address) },
        pp: text.clone(),
        pn: text,
        function: String::new(),
        flags: flags::HAS_REGISTERS,
        scope: None,
    }
}

pub(super) fn inside(function: &Function<'_>, at: LinkAddr) -> Frame {
    let entry = function.entry.filter(|_| !function.cold);
    Frame::Inside { die: function.die, outer: None, entry, at }
}

/// The instances that a point stands for.
fn wanted(kind: FunctionKind) -> Instances {
    let (code, external, inlined) = match kind {
        FunctionKind::Any => (true, true, true),
        FunctionKind::Call | FunctionKind::Return(_) => (true, true, false),
        FunctionKind::Exported => (false, true, false),
        FunctionKind::Inline => (false, false, true),
    };
    Instances { code, external, inlined }
}

fn function_text(place: &str, kind: FunctionKind) -> String {
    let suffix = match kind {
        FunctionKind::Any => "",
        FunctionKind::Call => ".call",
        FunctionKind::Inline => ".inline",
        FunctionKind::Exported => ".exported",
        FunctionKind::Return(None) => ".return",
        FunctionKind::Return(Some(number)) => {
            return format!(".function(\"{place}\").return.maxactive({number})");
        }
    };
    [".function(\"", place, "\")", suffix].concat()
}

pub(super) fn function_place(function: &Function<'_>) -> String {
    place_text(&function.name, function.decl_file.as_deref(), function.decl_line)
}

/// `NAME@FILE:LINE`, or the name alone where the file is not known.
fn place_text(name: &str, file: Option<&str>, line: u32) -> String {
    match file {
        Some(file) => format!("{name}@{file}:{line}"),
        None => name.to_owned(),
    }
}

/// The nearer one; nothing for a line after all code.
fn nearest_line(line: u32, before: Option<u32>, after: Option<u32>) -> Option<u32> {
    match (before, after?) {
        (Some(before), after) if line - before < after - line => Some(before),
        (_, after) => Some(after),
    }
}
