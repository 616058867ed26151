//! Types of variables and functions, inferred over the whole script by unification: each has a slot, each use says
//! that two slots are one or that a slot is a long, a string or a statistic. A clash names both places.

use rstap_abi::builtins::{Arg, Ret};
use rstap_syntax::ast::{BinaryOp, Sort, SortBy, TypeName};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::hir::{Code, Expr, ExprKind, Local, Place, Print, Printed, Stat, Stmt, Target, Tree, Var};
use crate::ir;
use crate::resolve::argument_types;

/// Type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// 64-bit integer.
    Long,
    /// String.
    Str,
    /// Statistic.
    Stat,
}

impl Ty {
    /// As messages and `-p2` name it.
    pub fn name(self) -> &'static str {
        match self {
            Ty::Long => "long",
            Ty::Str => "string",
            Ty::Stat => "stats",
        }
    }

    /// As the type of a value; a statistic has none and is handled by its address.
    pub fn value(self) -> ir::Type {
        if self == Ty::Str { ir::Type::Str } else { ir::Type::Long }
    }
}

/// Types of a global.
#[derive(Clone, Debug)]
pub struct GlobalType {
    /// Of its key parts.
    pub keys: Vec<Ty>,
    /// Of its value.
    pub value: Ty,
}

/// Types of a function.
#[derive(Clone, Debug)]
pub struct FunctionType {
    /// Of parameters and locals.
    pub locals: Vec<Ty>,
    /// Of its value, if it has one.
    pub ret: Option<Ty>,
}

/// All types. What nothing uses is a long.
#[derive(Clone, Debug)]
pub struct Types {
    /// By index of the global.
    pub globals: Vec<GlobalType>,
    /// By index of the function.
    pub functions: Vec<FunctionType>,
    /// Of the locals, by index of the body.
    pub bodies: Vec<Vec<Ty>>,
}

/// Infers the types of these bodies and functions.
pub fn infer(tree: &Tree, bodies: &[usize], functions: &[usize], diagnostics: &mut Vec<Diagnostic>) -> Types {
    let mut inference = Inference::new(tree);
    for &body in bodies {
        inference.unit = Unit::Body(body);
        inference.statements(&tree.bodies[body].code);
    }
    for &function in functions {
        if let Code::Script(code) = &tree.functions[function].code {
            inference.unit = Unit::Function(function);
            inference.statements(code);
        }
    }
    inference.check_reads();
    for &body in bodies {
        inference.check_locals(&tree.bodies[body].locals, inference.bodies[body].clone());
    }
    for &function in functions {
        inference
            .check_locals(&tree.functions[function].locals, inference.functions[function].locals.clone());
    }
    let types = inference.types();
    diagnostics.append(&mut inference.diagnostics);
    types
}

/// A variable of inference: index into [`Inference::slots`].
type Slot = usize;

#[derive(Clone, Copy)]
enum Link {
    To(Slot),
    Root(Option<(Ty, Span)>),
}

/// What an expression has for a type so far.
#[derive(Clone, Copy)]
enum Found {
    Known(Ty),
    Slot(Slot),
    /// The call of a function without value, or output.
    Nothing,
}

#[derive(Clone, Copy)]
enum Unit {
    Body(usize),
    Function(usize),
}

struct FunctionSlots {
    locals: Vec<Slot>,
    ret: Slot,
    has_value: bool,
}

struct Inference<'t> {
    tree: &'t Tree,
    slots: Vec<Link>,
    globals: Vec<(Vec<Slot>, Slot)>,
    functions: Vec<FunctionSlots>,
    bodies: Vec<Vec<Slot>>,
    unit: Unit,
    /// Variables and calls whose value is used.
    reads: Vec<(Slot, Span)>,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Inference<'t> {
    fn new(tree: &'t Tree) -> Inference<'t> {
        let mut inference = Inference {
            tree,
            slots: Vec::new(),
            globals: Vec::new(),
            functions: Vec::new(),
            bodies: Vec::new(),
            unit: Unit::Body(0),
            reads: Vec::new(),
            diagnostics: Vec::new(),
        };
        for global in &tree.globals {
            let arity = global.arity.map_or(0, |(arity, _)| arity);
            let keys = inference.fresh_many(arity);
            let known = global.init.as_ref().map(|init| match init {
                rstap_syntax::ast::Literal::Number(_) => Ty::Long,
                rstap_syntax::ast::Literal::String(_) => Ty::Str,
            });
            let value = inference.fresh(known.map(|ty| (ty, global.span)));
            inference.globals.push((keys, value));
        }
        for body in &tree.bodies {
            let locals = inference.fresh_many(body.locals.len());
            inference.bodies.push(locals);
        }
        for function in &tree.functions {
            let slots = inference.function_slots(function);
            inference.functions.push(slots);
        }
        inference
    }

    fn function_slots(&mut self, function: &crate::hir::Function) -> FunctionSlots {
        let declared =
            |ty: Option<TypeName>| ty.map(|ty| if ty == TypeName::Long { Ty::Long } else { Ty::Str });
        let mut locals: Vec<Slot> = Vec::new();
        for (i, local) in function.locals.iter().enumerate() {
            let known = function.param_types.get(i).copied().flatten();
            locals.push(self.fresh(declared(known).map(|ty| (ty, local.span))));
        }
        let mut ret = declared(function.return_type);
        let mut has_value = ret.is_some();
        match &function.code {
            Code::Builtin(builtin) => {
                let signature = builtin.signature();
                for (slot, arg) in locals.iter().zip(signature.args) {
                    self.slots[*slot] =
                        Link::Root(Some((if *arg == Arg::Str { Ty::Str } else { Ty::Long }, function.span)));
                }
                ret = match signature.ret {
                    Ret::Void => None,
                    Ret::Long => Some(Ty::Long),
                    Ret::Str => Some(Ty::Str),
                };
                has_value = ret.is_some();
            }
            Code::Script(code) => crate::hir_walk::each_statement(code, &mut |statement| {
                has_value |= matches!(statement, Stmt::Return(Some(_)));
            }),
        }
        let ret = self.fresh(ret.map(|ty| (ty, function.span)));
        FunctionSlots { locals, ret, has_value }
    }

    fn fresh(&mut self, known: Option<(Ty, Span)>) -> Slot {
        self.slots.push(Link::Root(known));
        self.slots.len() - 1
    }

    fn fresh_many(&mut self, count: usize) -> Vec<Slot> {
        (0..count).map(|_| self.fresh(None)).collect()
    }

    fn root(&mut self, slot: Slot) -> (Slot, Option<(Ty, Span)>) {
        match self.slots[slot] {
            Link::Root(known) => (slot, known),
            Link::To(next) => {
                let (root, known) = self.root(next);
                self.slots[slot] = Link::To(root);
                (root, known)
            }
        }
    }

    fn known(&mut self, slot: Slot) -> Option<Ty> {
        self.root(slot).1.map(|(ty, _)| ty)
    }

    // What uses say.

    /// The expression at `span` has to be of this type.
    fn require(&mut self, found: Found, ty: Ty, span: Span) {
        match found {
            Found::Known(known) if known == ty => {}
            Found::Known(known) => self.mismatch(ty, known, span, &[]),
            Found::Nothing => self.no_value(span),
            Found::Slot(slot) => match self.root(slot) {
                (root, None) => self.slots[root] = Link::Root(Some((ty, span))),
                (_, Some((known, _))) if known == ty => {}
                (_, Some((known, first))) => self.mismatch(ty, known, span, &[(first, known)]),
            },
        }
    }

    /// The expression at `span` and the slot are of one type.
    fn unify(&mut self, slot: Slot, found: Found, span: Span) {
        let other = match found {
            Found::Nothing => return self.no_value(span),
            Found::Known(ty) => {
                return match self.root(slot) {
                    (root, None) => self.slots[root] = Link::Root(Some((ty, span))),
                    (_, Some((known, _))) if known == ty => {}
                    (_, Some((known, first))) => self.mismatch(known, ty, span, &[(first, known)]),
                };
            }
            Found::Slot(other) => other,
        };
        match (self.root(slot), self.root(other)) {
            ((a, _), (b, _)) if a == b => {}
            ((a, None), (b, _)) => self.slots[a] = Link::To(b),
            ((a, _), (b, None)) => self.slots[b] = Link::To(a),
            ((a, Some((x, _))), (b, Some((y, _)))) if x == y => self.slots[b] = Link::To(a),
            ((_, Some((x, first))), (_, Some((y, second)))) => {
                self.mismatch(x, y, span, &[(first, x), (second, y)])
            }
        }
    }

    fn mismatch(&mut self, expected: Ty, found: Ty, span: Span, first: &[(Span, Ty)]) {
        let mut error = Diagnostic::error(format!(
            "type mismatch: expected {} but found {}",
            expected.name(),
            found.name()
        ))
        .at(span, format!("this is {}", with_article(found)));
        for &(place, ty) in first {
            if place != span {
                error = error.see(place, format!("type was first inferred here ({})", ty.name()));
            }
        }
        self.diagnostics.push(error);
    }

    fn no_value(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::error("unresolved type: this has no value")
                .at(span, "")
                .note("a function has a value when it has `return EXPRESSION`"),
        );
    }

    // Statements.

    fn statements(&mut self, code: &'t [Stmt]) {
        for statement in code {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'t Stmt) {
        match statement {
            Stmt::Expr(e) => {
                self.expr(e, false);
            }
            Stmt::If(condition, then, otherwise) => {
                self.long(condition);
                self.statements(then);
                self.statements(otherwise);
            }
            Stmt::Loop { condition, body, step } => {
                condition.iter().for_each(|e| self.long(e));
                self.statements(body);
                if let Some(step) = step {
                    self.expr(step, false);
                }
            }
            Stmt::Foreach(walk) => {
                let (keys, value) = self.globals[walk.map].clone();
                for (&key, &local) in keys.iter().zip(&walk.keys) {
                    let local = self.local(local);
                    self.unify(local, Found::Slot(key), walk.token);
                }
                if let Some(local) = walk.value {
                    let local = self.local(local);
                    self.unify(local, Found::Slot(value), walk.token);
                }
                if let Some(Sort { by: SortBy::Value(Some(_)), .. }) = walk.sort {
                    self.require(Found::Slot(value), Ty::Stat, walk.token);
                }
                self.parts(walk.map, &walk.slice);
                walk.limit.iter().for_each(|e| self.long(e));
                self.statements(&walk.body);
            }
            Stmt::ForeachBucket(local, stat, body) => {
                self.stat(stat, self.stat_token(stat));
                let slot = self.local(*local);
                self.require(Found::Slot(slot), Ty::Long, self.stat_token(stat));
                self.statements(body);
            }
            Stmt::DeleteElement(global, key, _) => self.parts(*global, key),
            Stmt::Try(body, message, catch) => {
                self.statements(body);
                if let Some(local) = message {
                    let slot = self.local(*local);
                    let span = self.locals()[*local].span;
                    self.require(Found::Slot(slot), Ty::Str, span);
                }
                self.statements(catch);
            }
            Stmt::Return(Some(value)) => {
                let found = self.expr(value, true);
                if let Unit::Function(function) = self.unit {
                    self.unify(self.functions[function].ret, found, value.token);
                }
            }
            Stmt::Delete(..) | Stmt::Return(None) | Stmt::Next | Stmt::Break | Stmt::Continue => {}
        }
    }

    fn locals(&self) -> &'t [Local] {
        match self.unit {
            Unit::Body(body) => &self.tree.bodies[body].locals,
            Unit::Function(function) => &self.tree.functions[function].locals,
        }
    }

    fn local(&self, local: usize) -> Slot {
        match self.unit {
            Unit::Body(body) => self.bodies[body][local],
            Unit::Function(function) => self.functions[function].locals[local],
        }
    }

    fn var(&self, var: Var) -> Slot {
        match var {
            Var::Global(global) => self.globals[global].1,
            Var::Local(local) => self.local(local),
        }
    }

    // Expressions.

    fn long(&mut self, expr: &'t Expr) {
        let found = self.expr(expr, true);
        self.require(found, Ty::Long, expr.token);
    }

    /// A value of any type.
    fn any(&mut self, expr: &'t Expr) {
        if let Found::Nothing = self.expr(expr, true) {
            self.no_value(expr.token);
        }
    }

    /// `used`: whether the value matters.
    fn expr(&mut self, expr: &'t Expr, used: bool) -> Found {
        match &expr.kind {
            ExprKind::Long(_) | ExprKind::ProbeWrite(_) => Found::Known(Ty::Long),
            ExprKind::Str(_) => Found::Known(Ty::Str),
            ExprKind::Read(place) => {
                let found = self.place(place);
                self.note_read(found, used, expr.token)
            }
            ExprKind::AddressOf(target) => {
                self.target(target);
                Found::Known(Ty::Long)
            }
            ExprKind::Assign(op, place, value, name) => self.assign(*op, place, value, *name),
            ExprKind::Aggregate(stat, value) => {
                self.stat(stat, expr.token);
                self.long(value);
                Found::Known(Ty::Long)
            }
            ExprKind::Crement { place, name, .. } => {
                let found = self.place(place);
                self.require(found, Ty::Long, *name);
                Found::Known(Ty::Long)
            }
            ExprKind::Unary(_, operand) => {
                self.long(operand);
                Found::Known(Ty::Long)
            }
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right),
            ExprKind::Ternary(condition, then, otherwise) => {
                self.long(condition);
                let then_found = self.expr(then, used);
                let otherwise_found = self.expr(otherwise, used);
                self.same(then_found, then.token, otherwise_found, otherwise.token, used)
            }
            ExprKind::Contains(global, key) => {
                self.parts(*global, key);
                Found::Known(Ty::Long)
            }
            ExprKind::Regex(subject, _) => {
                let found = self.expr(subject, true);
                self.require(found, Ty::Str, subject.token);
                Found::Known(Ty::Long)
            }
            ExprKind::Call(candidates, args) => self.call(candidates, args, expr.token, used),
            ExprKind::Print(print) => self.print(print, expr.token),
            ExprKind::Stat(_, stat) => {
                self.stat(stat, expr.token);
                Found::Known(Ty::Long)
            }
            ExprKind::StatAt(stat, _, index) => {
                self.stat(stat, expr.token);
                self.long(index);
                Found::Known(Ty::Long)
            }
            ExprKind::Entry(operand) => self.expr(operand, true),
        }
    }

    fn note_read(&mut self, found: Found, used: bool, span: Span) -> Found {
        if let (Found::Slot(slot), true) = (found, used) {
            self.reads.push((slot, span));
        }
        found
    }

    fn place(&mut self, place: &'t Place) -> Found {
        match place {
            Place::Var(var) => Found::Slot(self.var(*var)),
            Place::Element(global, key) => {
                self.key(*global, key.iter().map(Some));
                Found::Slot(self.globals[*global].1)
            }
            Place::Target(target) => {
                self.target(target);
                Found::Known(if target.is_string() { Ty::Str } else { Ty::Long })
            }
        }
    }

    fn target(&mut self, target: &'t Target) {
        target.base.iter().for_each(|e| self.long(e));
        target.indexes.iter().for_each(|e| self.long(e));
    }

    fn parts(&mut self, global: usize, key: &'t [Option<Expr>]) {
        self.key(global, key.iter().map(Option::as_ref));
    }

    fn key(&mut self, global: usize, key: impl Iterator<Item = Option<&'t Expr>>) {
        for (i, part) in key.enumerate() {
            let Some(part) = part else { continue };
            let found = self.expr(part, true);
            if let Some(&slot) = self.globals[global].0.get(i) {
                self.unify(slot, found, part.token);
            }
        }
    }

    fn stat(&mut self, stat: &'t Stat, span: Span) {
        let slot = match stat {
            Stat::Var(var) => self.var(*var),
            Stat::Element(global, key) => {
                self.key(*global, key.iter().map(Some));
                self.globals[*global].1
            }
        };
        self.require(Found::Slot(slot), Ty::Stat, span);
    }

    fn stat_token(&self, stat: &Stat) -> Span {
        match stat {
            Stat::Var(Var::Local(local)) => self.locals()[*local].span,
            Stat::Var(Var::Global(global)) | Stat::Element(global, _) => self.tree.globals[*global].span,
        }
    }

    fn assign(&mut self, op: Option<BinaryOp>, place: &'t Place, value: &'t Expr, token: Span) -> Found {
        let target = self.place(place);
        let found = self.expr(value, true);
        match op {
            Some(op) => {
                let ty = if op == BinaryOp::Concat { Ty::Str } else { Ty::Long };
                self.require(target, ty, token);
                self.require(found, ty, value.token);
                Found::Known(ty)
            }
            None => match target {
                Found::Slot(slot) => {
                    self.unify(slot, found, value.token);
                    target
                }
                _ => {
                    self.require(found, Ty::Long, value.token);
                    Found::Known(Ty::Long)
                }
            },
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &'t Expr, right: &'t Expr) -> Found {
        let (l, r) = (self.expr(left, true), self.expr(right, true));
        if let (BinaryOp::Add, Found::Known(Ty::Str), _) | (BinaryOp::Add, _, Found::Known(Ty::Str)) =
            (op, l, r)
        {
            let string = if let Found::Known(Ty::Str) = l { left } else { right };
            self.diagnostics.push(
                Diagnostic::error("type mismatch: expected long but found string")
                    .at(string.token, "this is a string")
                    .note("strings are joined with '.'; numbers are made of them with strtol(TEXT, BASE)"),
            );
            return Found::Known(Ty::Long);
        }
        match op {
            BinaryOp::Concat => {
                self.require(l, Ty::Str, left.token);
                self.require(r, Ty::Str, right.token);
                Found::Known(Ty::Str)
            }
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                self.same(l, left.token, r, right.token, true);
                Found::Known(Ty::Long)
            }
            _ => {
                self.require(l, Ty::Long, left.token);
                self.require(r, Ty::Long, right.token);
                Found::Known(Ty::Long)
            }
        }
    }

    /// Two expressions are of one type.
    fn same(&mut self, left: Found, left_at: Span, right: Found, right_at: Span, used: bool) -> Found {
        match (left, right) {
            (Found::Nothing, _) | (_, Found::Nothing) => {
                if used {
                    self.no_value(if matches!(left, Found::Nothing) { left_at } else { right_at });
                }
                Found::Nothing
            }
            (Found::Slot(slot), other) => {
                self.unify(slot, other, right_at);
                left
            }
            (other, Found::Slot(slot)) => {
                self.unify(slot, other, left_at);
                right
            }
            (Found::Known(a), Found::Known(b)) => {
                if a != b {
                    self.mismatch(a, b, right_at, &[(left_at, a)]);
                }
                left
            }
        }
    }

    fn call(&mut self, candidates: &[usize], args: &'t [Expr], token: Span, used: bool) -> Found {
        let found: Vec<Found> = args.iter().map(|arg| self.expr(arg, true)).collect();
        for &candidate in candidates {
            for (i, (&found, arg)) in found.iter().zip(args).enumerate() {
                let slot = self.functions[candidate].locals[i];
                self.unify(slot, found, arg.token);
            }
        }
        let Some(&first) = candidates.first() else { return Found::Nothing };
        for &other in &candidates[1..] {
            if self.functions[first].has_value && self.functions[other].has_value {
                self.unify(self.functions[first].ret, Found::Slot(self.functions[other].ret), token);
            }
        }
        if !candidates.iter().any(|&c| self.functions[c].has_value) {
            return Found::Nothing;
        }
        let valued = candidates.iter().copied().find(|&c| self.functions[c].has_value).unwrap_or(first);
        let found = Found::Slot(self.functions[valued].ret);
        self.note_read(found, used, token)
    }

    fn print(&mut self, print: &'t Print, token: Span) -> Found {
        match &print.what {
            Printed::Values { args, .. } => args.iter().for_each(|arg| self.any(arg)),
            Printed::Event { fields, .. } => fields.iter().for_each(|(_, value)| self.any(value)),
            Printed::Json(_) => {}
            Printed::Format { directives, args } => {
                for (arg, is_string) in args.iter().zip(argument_types(directives)) {
                    let found = self.expr(arg, true);
                    self.require(found, if is_string { Ty::Str } else { Ty::Long }, arg.token);
                }
            }
            Printed::Histogram(stat) => self.stat(stat, token),
        }
        if print.to_string { Found::Known(Ty::Str) } else { Found::Nothing }
    }

    // The end.

    /// Reads of what has no type, and of statistics as values.
    fn check_reads(&mut self) {
        let mut unresolved = Vec::new();
        for (slot, span) in std::mem::take(&mut self.reads) {
            match self.root(slot) {
                (root, None) if !unresolved.contains(&root) => {
                    unresolved.push(root);
                    self.diagnostics.push(
                        Diagnostic::error("unresolved type")
                            .at(span, "neither a number nor a string is ever put here"),
                    );
                }
                (_, Some((Ty::Stat, first))) => {
                    let error = Diagnostic::error("invalid type stats")
                        .at(span, "a statistic has no value of its own")
                        .see(first, "used as a statistic here")
                        .note("read it with @count, @sum, @min, @max, @avg, @variance, @quantile, @hist_linear or @hist_log");
                    self.diagnostics.push(error);
                }
                _ => {}
            }
        }
    }

    /// Locals that would be statistics.
    fn check_locals(&mut self, locals: &[Local], slots: Vec<Slot>) {
        if !self.diagnostics.is_empty() {
            return;
        }
        for (local, slot) in locals.iter().zip(slots) {
            if local.walks.is_none() && self.known(slot) == Some(Ty::Stat) {
                self.diagnostics.push(
                    Diagnostic::error("stat locals not supported, missing global declaration?")
                        .at(local.span, "")
                        .note(format!("statistics are global: global {}", local.name)),
                );
            }
        }
    }

    fn types(&mut self) -> Types {
        let globals = std::mem::take(&mut self.globals);
        let globals = globals
            .into_iter()
            .map(|(keys, value)| GlobalType { keys: self.finish(&keys), value: self.finish_one(value) });
        let globals = globals.collect();
        let functions = std::mem::take(&mut self.functions);
        let functions = functions.into_iter().map(|f| FunctionType {
            locals: self.finish(&f.locals),
            ret: f.has_value.then(|| self.finish_one(f.ret)),
        });
        let functions = functions.collect();
        let bodies = std::mem::take(&mut self.bodies).iter().map(|locals| self.finish(locals)).collect();
        Types { globals, functions, bodies }
    }

    fn finish(&mut self, slots: &[Slot]) -> Vec<Ty> {
        slots.iter().map(|&slot| self.finish_one(slot)).collect()
    }

    fn finish_one(&mut self, slot: Slot) -> Ty {
        self.known(slot).unwrap_or(Ty::Long)
    }
}

fn with_article(ty: Ty) -> &'static str {
    match ty {
        Ty::Long => "a long",
        Ty::Str => "a string",
        Ty::Stat => "a statistic",
    }
}
