//! Expressions.

use std::rc::Rc;

use rstap_syntax::ast::{self, AccessKind, AssignOp, Literal, TargetBase};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::{Resolver, fold};
use crate::hir::{Expr, ExprKind, Place, Target, Var};
use crate::target_var::Scope;
use rstap_syntax::near::similar;

impl Resolver<'_, '_, '_> {
    /// Resolves an expression. After an error the result stands for anything: the pass ends before it is looked at.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Expr {
        let token = match &expr.kind {
            // What can go wrong there is about the statistic.
            ast::ExprKind::Assign(AssignOp::Aggregate, left, _) => left.token,
            _ => expr.token,
        };
        Expr { kind: self.expr_kind(expr), token }
    }

    fn boxed(&mut self, expr: &ast::Expr) -> Box<Expr> {
        Box::new(self.expr(expr))
    }

    pub(super) fn exprs(&mut self, exprs: &[ast::Expr]) -> Vec<Expr> {
        exprs.iter().map(|e| self.expr(e)).collect()
    }

    fn expr_kind(&mut self, expr: &ast::Expr) -> ExprKind {
        match &expr.kind {
            ast::ExprKind::Literal(Literal::Number(n)) => ExprKind::Long(*n),
            ast::ExprKind::Literal(Literal::String(s)) => ExprKind::Str(up_to_nul(s)),
            ast::ExprKind::Symbol(_) => self.place(expr).map_or(ExprKind::Long(0), ExprKind::Read),
            ast::ExprKind::Index(base, parts) => self.index(expr, base, parts),
            ast::ExprKind::Call(name, args) => self.call(name, args, expr.token),
            ast::ExprKind::Unary(op, operand) => {
                let operand = self.boxed(operand);
                match fold::unary(*op, &operand) {
                    Some(value) => ExprKind::Long(value),
                    None => ExprKind::Unary(*op, operand),
                }
            }
            ast::ExprKind::Binary(op, left, right) => self.binary(*op, left, right),
            ast::ExprKind::Crement { increment, prefix, target } => match self.place(target) {
                Some(place) => {
                    self.note_write(&place, target.token);
                    let name = target.token;
                    ExprKind::Crement { increment: *increment, prefix: *prefix, place, name }
                }
                None => {
                    self.symbols.diagnostics.push(
                        Diagnostic::error("invalid lvalue type").at(target.token, "this cannot be changed").note(
                            "'++' and '--' change variables and elements of arrays; target variables with -g",
                        ),
                    );
                    ExprKind::Long(0)
                }
            },
            ast::ExprKind::Assign(op, left, right) => self.assign(*op, left, right, expr.token),
            ast::ExprKind::Ternary(condition, then, otherwise) => self.ternary(condition, then, otherwise),
            ast::ExprKind::In(parts, array) => match self.array(array, parts.len()) {
                Some(global) => ExprKind::Contains(global, self.parts(parts)),
                None => ExprKind::Long(0),
            },
            ast::ExprKind::Regex { negated, subject, pattern, place } => {
                self.regex(*negated, subject, pattern, *place, expr.token)
            }
            ast::ExprKind::Print(print) => self.print(print, expr.token),
            ast::ExprKind::Stat(op, base, args) => self.extract(*op, base, args, expr.token),
            ast::ExprKind::Target(target) => {
                self.target(target).map_or(ExprKind::Long(0), |t| ExprKind::Read(Place::Target(t)))
            }
            ast::ExprKind::AddressOf(operand) => match &operand.kind {
                ast::ExprKind::Target(target) => {
                    self.target(target).map_or(ExprKind::Long(0), ExprKind::AddressOf)
                }
                _ => {
                    self.poison("cannot take the address of this: '&' needs a target variable", operand.token)
                }
            },
            ast::ExprKind::Entry(operand) => {
                self.unit.per_point = true;
                ExprKind::Entry(self.boxed(operand))
            }
            ast::ExprKind::Defined(operand) => ExprKind::Long(i64::from(self.defined(operand))),
            ast::ExprKind::ProbeWrite(operand) => self.probe_write(operand),
            ast::ExprKind::Const(text) => self
                .target(&crate::target_var::constant(text))
                .map_or(ExprKind::Long(0), |t| ExprKind::Read(Place::Target(t))),
            ast::ExprKind::AtCall(name, args) if matches!(&**name, "uregister" | "uderef") => {
                self.call(&format!("__{name}"), args, expr.token)
            }
            ast::ExprKind::AtCall(name, _) => self.unknown_operator(name.trim_start_matches('@'), expr.token),
            ast::ExprKind::Embedded(embedded) => {
                if !self.symbols.is_library(self.unit.file) {
                    self.symbols.diagnostics.push(crate::symbols::no_embedded_code(embedded.span));
                }
                ExprKind::Long(0)
            }
        }
    }

    fn regex(
        &mut self,
        negated: bool,
        subject: &ast::Expr,
        pattern: &[u8],
        place: Span,
        token: Span,
    ) -> ExprKind {
        let subject = self.boxed(subject);
        let pattern = match crate::regex::parse(&up_to_nul(pattern)) {
            Ok(pattern) => Box::new(pattern),
            Err(mistake) => {
                let error =
                    format!("regex compilation error (at position {}): {}", mistake.at, mistake.message);
                return self.poison(&error, within(place, pattern.len(), mistake.at));
            }
        };
        let matches = ExprKind::Regex(subject, pattern);
        match negated {
            true => ExprKind::Unary(ast::UnaryOp::Not, Box::new(Expr { kind: matches, token })),
            false => matches,
        }
    }

    fn refuse(&mut self, message: &str, span: Span, instead: &str) -> ExprKind {
        self.symbols.diagnostics.push(Diagnostic::error(message).at(span, "").note(instead));
        ExprKind::Long(0)
    }

    /// An operator that SystemTap has and rstap has not, or that nobody has.
    fn unknown_operator(&mut self, name: &str, span: Span) -> ExprKind {
        match MISSING_OPERATORS.iter().find(|(missing, ..)| *missing == name) {
            Some((_, why, instead)) => {
                self.refuse(&format!("@{name} cannot exist here: {why}"), span, instead)
            }
            None => self.poison(&format!("unknown operator @{name}"), span),
        }
    }

    pub(super) fn poison(&mut self, message: &str, span: Span) -> ExprKind {
        self.error(message, span);
        ExprKind::Long(0)
    }

    fn binary(&mut self, op: ast::BinaryOp, left: &ast::Expr, right: &ast::Expr) -> ExprKind {
        let left = self.boxed(left);
        if let (false, ExprKind::Long(value), true) =
            (self.unoptimized, &left.kind, matches!(op, ast::BinaryOp::And | ast::BinaryOp::Or))
            && (*value != 0) == (op == ast::BinaryOp::Or)
        {
            return ExprKind::Long(i64::from(*value != 0));
        }
        let right = self.boxed(right);
        match fold::binary(op, &left, &right) {
            Some(folded) if !self.unoptimized => folded,
            _ => ExprKind::Binary(op, left, right),
        }
    }

    fn ternary(&mut self, condition: &ast::Expr, then: &ast::Expr, otherwise: &ast::Expr) -> ExprKind {
        // What @defined rules out must not be looked at. Of another constant the types are still to be compared.
        let chooses = asks_what_is_defined(condition);
        let condition = self.boxed(condition);
        match condition.kind {
            ExprKind::Long(0) if chooses => self.expr_kind(otherwise),
            ExprKind::Long(_) if chooses => self.expr_kind(then),
            _ => ExprKind::Ternary(condition, self.boxed(then), self.boxed(otherwise)),
        }
    }

    fn assign(&mut self, op: AssignOp, left: &ast::Expr, right: &ast::Expr, token: Span) -> ExprKind {
        if op == AssignOp::Aggregate {
            let Some(stat) = self.stat(left) else {
                self.exprs(std::slice::from_ref(right));
                return ExprKind::Long(0);
            };
            self.note_stat_write(&stat, left.token);
            return ExprKind::Aggregate(stat, self.boxed(right));
        }
        let Some(place) = self.place(left) else {
            self.symbols.diagnostics.push(
                Diagnostic::error("Expecting lvalue for assignment")
                    .at(token, "")
                    .see(left.token, "this cannot be assigned"),
            );
            return ExprKind::Long(0);
        };
        if matches!(place, Place::Target(_)) && !self.guru {
            self.symbols.diagnostics.push(
                Diagnostic::error("write to target variable not permitted; need stap -g")
                    .at(left.token, "")
                    .note("guru mode: rstap -g"),
            );
        }
        self.note_write(&place, left.token);
        let op = match op {
            AssignOp::With(op) => Some(op),
            AssignOp::Set | AssignOp::Aggregate => None,
        };
        let right = self.boxed(right);
        if op.is_none() {
            self.note_origin(&place, &right);
        }
        ExprKind::Assign(op, place, right, left.token)
    }

    /// What can be read or assigned at an expression; `None` without a word if it has no such form.
    pub(super) fn place(&mut self, expr: &ast::Expr) -> Option<Place> {
        match &expr.kind {
            ast::ExprKind::Symbol(name) => {
                let var = self.var(name, expr.token);
                if let Var::Global(global) = var {
                    self.note_arity(global, 0, expr.token);
                }
                Some(Place::Var(var))
            }
            ast::ExprKind::Index(base, parts) if matches!(base.kind, ast::ExprKind::Symbol(_)) => {
                if let Some(element) = self.typed_element(base, parts) {
                    return self.target(&element).map(Place::Target);
                }
                let global = self.array(base, parts.len());
                let key = self.full_parts(parts, expr.token);
                // Without the array the error is said; any place will do.
                Some(global.map_or(Place::Var(Var::Local(0)), |global| Place::Element(global, key)))
            }
            ast::ExprKind::Target(target) => self.target(target).map(Place::Target),
            _ => None,
        }
    }

    fn index(&mut self, expr: &ast::Expr, base: &ast::Expr, parts: &[Option<ast::Expr>]) -> ExprKind {
        match &base.kind {
            ast::ExprKind::Symbol(_) => self.place(expr).map_or(ExprKind::Long(0), ExprKind::Read),
            ast::ExprKind::Stat(op, operand, args) => self.bucket(*op, operand, args, parts, base.token),
            _ => self.poison("unknown type in dereference", expr.token),
        }
    }

    /// The array an expression names, used with this many key parts.
    pub(super) fn array(&mut self, expr: &ast::Expr, arity: usize) -> Option<usize> {
        let ast::ExprKind::Symbol(name) = &expr.kind else {
            self.error("an array must be named here", expr.token);
            return None;
        };
        let Some(global) = self.global(name) else {
            let similar = similar(name, self.symbols.global_names());
            let mut error = Diagnostic::error(format!(
                "unresolved arity-{arity} global array {name}, missing global declaration?{similar}"
            ))
            .at(expr.token, "")
            .note(format!("arrays are global: global {name}"));
            if self.unit.names.contains_key(name.as_str()) {
                error = error
                    .note(format!("for a character of a string: stringat({name}, 0), substr({name}, 0, 1)"));
            }
            self.symbols.diagnostics.push(error);
            return None;
        };
        self.note_arity(global, arity, expr.token);
        Some(global)
    }

    /// Key parts, `*` allowed.
    pub(super) fn parts(&mut self, parts: &[Option<ast::Expr>]) -> Vec<Option<Expr>> {
        parts.iter().map(|p| p.as_ref().map(|e| self.expr(e))).collect()
    }

    /// Key parts where `*` makes no sense.
    pub(super) fn full_parts(&mut self, parts: &[Option<ast::Expr>], token: Span) -> Vec<Expr> {
        if parts.iter().any(Option::is_none) {
            self.error(
                "'*' cannot stand here: only `in`, `delete` and the slice of a foreach take it",
                token,
            );
        }
        parts.iter().flatten().map(|e| self.expr(e)).collect()
    }

    fn call(&mut self, name: &str, args: &[ast::Expr], token: Span) -> ExprKind {
        let declared = self.symbols.functions(name, self.unit.file);
        if declared.is_empty()
            && let Some(printed) = self.json(name, args, token)
        {
            return printed;
        }
        let args = self.exprs(args);
        if declared.is_empty() {
            if let Some(why) = crate::unavailable::explain(name) {
                let error = Diagnostic::error(format!("unresolved function {name}"))
                    .at(token, "cannot exist in user space");
                self.symbols.diagnostics.push(why.into_iter().fold(error, Diagnostic::note));
                return ExprKind::Long(0);
            }
            let known = self.symbols.function_names();
            let similar = similar(name, known.into_iter().chain(PRINT_FUNCTIONS.iter().copied()));
            let mut error = Diagnostic::error(format!("unresolved function {name}{similar}")).at(token, "");
            if similar.is_empty() {
                error = error.note("the functions of the library: rstap --dump-functions");
            }
            self.symbols.diagnostics.push(error);
            return ExprKind::Long(0);
        }
        let fitting: Vec<usize> = declared
            .iter()
            .copied()
            .filter(|&f| self.symbols.functions[f].item.params.len() == args.len())
            .collect();
        if fitting.is_empty() {
            let function = self.symbols.functions[declared[0]].clone();
            let takes = function.item.params.len();
            self.symbols.diagnostics.push(
                Diagnostic::error(format!("arity mismatch found (function '{name}' takes {takes} args)"))
                    .at(token, format!("{} given", args.len()))
                    .see(function.item.name.span, "declared here"),
            );
            return ExprKind::Long(0);
        }
        if !self.guru
            && !self.symbols.is_library(self.unit.file)
            && fitting.iter().any(|&f| self.needs_guru(f))
        {
            self.symbols.diagnostics.push(
                Diagnostic::error("function may not be used unless -g is specified")
                    .at(token, "it changes the target's memory")
                    .note("guru mode: rstap -g"),
            );
        }
        ExprKind::Call(fitting.into_iter().map(|f| self.function(f)).collect(), args)
    }

    /// Whether a library function begins with the mark `%{ guru %}`.
    fn needs_guru(&self, declared: usize) -> bool {
        let ast::FunctionBody::Script(block) = &self.symbols.functions[declared].item.body else {
            return false;
        };
        block.statements.first().is_some_and(|first| match &first.kind {
            ast::StmtKind::Expr(ast::Expr { kind: ast::ExprKind::Embedded(embedded), .. }) => {
                embedded.text.trim() == "guru"
            }
            _ => false,
        })
    }

    fn target(&mut self, target: &ast::Target) -> Option<Target> {
        if let TargetBase::Value(value) = &target.base
            && let ast::ExprKind::Index(base, parts) = &value.kind
            && let Some(mut element) = self.typed_element(base, parts)
        {
            element.access.extend_from_slice(&target.access);
            element.pretty = target.pretty;
            return self.target(&element);
        }
        self.unit.per_point = true;
        let base = target.base.value().map(|base| self.boxed(base));
        let origin = match (&target.base, &base) {
            (TargetBase::Value(value), Some(base)) => {
                let origin = self.origin(base);
                if origin.is_none() {
                    self.symbols.diagnostics.push(no_origin(value, target));
                    return None;
                }
                origin
            }
            _ => None,
        };
        let mut indexes = Vec::new();
        for access in &target.access {
            if let AccessKind::Index(index) = &access.kind {
                indexes.push(self.expr(index));
            }
        }
        Some(Target { ast: Rc::new(target.clone()), base, origin, indexes })
    }

    fn defined(&mut self, operand: &ast::Expr) -> bool {
        all_defined(operand, |target, by_address| match &target.base {
            TargetBase::Value(value) => {
                let value = self.expr(value);
                let origin = self.origin(&value);
                let scope = self.unit.scope.as_deref();
                origin.is_some_and(|origin| {
                    scope.is_some_and(|scope| scope.is_defined_from(target, &origin, by_address))
                })
            }
            _ => is_defined(target, by_address, self.unit.scope.as_deref()),
        })
    }

    fn probe_write(&mut self, operand: &ast::Expr) -> ExprKind {
        let ast::ExprKind::Symbol(name) = &operand.kind else {
            return self.poison("@probewrite needs the name of a global variable", operand.token);
        };
        match self.global(name) {
            Some(global) => ExprKind::ProbeWrite(global),
            None => self.poison("@probewrite needs the name of a global variable", operand.token),
        }
    }

    /// Refuses a write to an array that is being walked.
    pub(super) fn note_write(&mut self, place: &Place, token: Span) {
        if let Place::Element(global, _) = place {
            self.note_array_write(*global, token);
        }
    }

    pub(super) fn note_array_write(&mut self, global: usize, token: Span) {
        if self.unit.walking.contains(&global) {
            let name = self.tree.globals[global].name.clone();
            self.error(&format!("variable '{name}' modified during 'foreach' iteration"), token);
        }
    }
}

/// Operators of SystemTap's that are missing: why, and what to do without.
const MISSING_OPERATORS: &[(&str, &str, &str)] = &[
    (
        "perf",
        "it reads a counter that perf.….process(\"PATH\") probes keep, and rstap has no perf probes",
        "for cycles: get_cycles(); for time on the cpu: timer.profile",
    ),
    (
        "kregister",
        "there are no registers of the kernel in user space",
        "for those of the program: @uregister",
    ),
    (
        "kderef",
        "there is no memory of the kernel in user space",
        "for that of the program: @uderef(SIZE, ADDRESS)",
    ),
    (
        "kread",
        "there is no memory of the kernel in user space",
        "for that of the program: @uderef(SIZE, ADDRESS)",
    ),
];

/// The error for a member or element of a value that was not made of a target variable.
fn no_origin(value: &ast::Expr, target: &ast::Target) -> Diagnostic {
    let error = Diagnostic::error("the type of this value is not known").at(value.token, "");
    match (&value.kind, target.access.first().map(|access| &access.kind)) {
        (ast::ExprKind::Index(..), Some(AccessKind::Index(_))) => {
            error.note("the keys of an array stand together: a[1, 2]")
        }
        _ => error
            .note("a local has the type of the target variable that it is assigned first, as in p = $list")
            .note("for others: @cast(VALUE, \"TYPE\")->MEMBER"),
    }
}

/// Functions of the language itself.
const PRINT_FUNCTIONS: &[&str] = &[
    "print",
    "println",
    "printf",
    "printd",
    "printdln",
    "sprint",
    "sprintln",
    "sprintf",
    "sprintd",
    "sprintdln",
    "print_json",
    "event",
];

/// The byte of a string literal's text in its source; the whole literal where escapes, or several literals in a row,
/// make text and source differ.
fn within(literal: Span, len: usize, at: usize) -> Span {
    if (literal.end - literal.start) as usize != len + 2 {
        return literal;
    }
    let start = literal.start + 1 + at.min(len) as u32;
    Span { start, end: start + 1, ..literal }
}

/// A literal's text: strings end at a NUL.
pub(super) fn up_to_nul(text: &[u8]) -> Vec<u8> {
    text.iter().copied().take_while(|&b| b != 0).collect()
}

fn asks_what_is_defined(condition: &ast::Expr) -> bool {
    let mut asks = false;
    let mut look = |e: &ast::Expr| asks |= matches!(e.kind, ast::ExprKind::Defined(_));
    crate::ast_walk::each_expr(condition, &mut look);
    asks
}

/// The answer of `@defined(expr)`: whether all target variables in it exist. `exists` is asked about each, and told
/// whether its address is meant.
pub fn all_defined(expr: &ast::Expr, mut exists: impl FnMut(&ast::Target, bool) -> bool) -> bool {
    let mut defined = true;
    // What stands after `&`: the walk comes to it next.
    let mut addressed: Option<&ast::Expr> = None;
    crate::ast_walk::each_expr(expr, &mut |e| match &e.kind {
        ast::ExprKind::AddressOf(operand) => addressed = Some(operand),
        ast::ExprKind::Target(target) => {
            let by_address = addressed.take().is_some_and(|operand| std::ptr::eq(operand, e));
            defined &= exists(target, by_address);
        }
        _ => {}
    });
    defined
}

/// Whether a place knows a target variable that needs no value of the script.
pub fn is_defined(target: &ast::Target, by_address: bool, scope: Option<&(dyn Scope + '_)>) -> bool {
    scope.is_some_and(|scope| match by_address {
        true => scope.has_address(target),
        false => scope.is_defined(target),
    })
}
