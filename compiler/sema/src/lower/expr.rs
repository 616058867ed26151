//! Expressions.

use rstap_abi::builtins::Builtin;
use rstap_syntax::ast::{self, BinaryOp};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::stmt::extractor;
use super::{Lowerer, can_decline};
use crate::hir::{Code, Expr, ExprKind, Place, Print, Printed, Target, Tree, Var};
use crate::ir::{self, CompareOp, LocalId, Type};
use crate::target_var::{Request, Use};
use crate::types::Ty;

/// How an operator is written in the IR.
enum Operator {
    Binary(ir::BinaryOp),
    Compare(CompareOp),
    And,
    Or,
}

impl Lowerer<'_, '_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> ir::Expr {
        match &expr.kind {
            ExprKind::Long(n) => long(ir::ExprKind::Long(*n)),
            ExprKind::Str(s) => string(ir::ExprKind::Str(s.clone())),
            ExprKind::Read(Place::Target(target)) => self.target(target, expr.token, Use::Read),
            ExprKind::Read(place) => {
                let (place, ty) = self.place(place);
                ir::Expr { ty, kind: ir::ExprKind::Read(place, self.site(expr.token)) }
            }
            ExprKind::AddressOf(target) => self.target(target, expr.token, Use::Address),
            ExprKind::Assign(op, place, value, name) => self.assign(*op, place, value, *name),
            ExprKind::Aggregate(..) => {
                self.error(
                    Diagnostic::error("'<<<' yields no value").at(expr.token, "it can only be a statement"),
                );
                long(ir::ExprKind::Long(0))
            }
            ExprKind::Crement { increment, prefix, place, name } => {
                self.crement(*increment, *prefix, place, *name)
            }
            ExprKind::Unary(op, operand) => {
                let operand = self.expr(operand);
                match op {
                    ast::UnaryOp::Plus => operand,
                    ast::UnaryOp::Negate => unary(ir::UnaryOp::Negate, operand),
                    ast::UnaryOp::Not => unary(ir::UnaryOp::Not, operand),
                    ast::UnaryOp::Complement => unary(ir::UnaryOp::Complement, operand),
                }
            }
            ExprKind::Binary(op, left, right) => {
                let (left, right) = (Box::new(self.expr(left)), Box::new(self.expr(right)));
                self.binary(*op, left, right, expr.token)
            }
            ExprKind::Ternary(condition, then, otherwise) => {
                if let Some(chosen) = chosen(condition, then, otherwise) {
                    return self.expr(chosen);
                }
                let condition = Box::new(self.expr(condition));
                let (then, otherwise) = (Box::new(self.expr(then)), Box::new(self.expr(otherwise)));
                ir::Expr { ty: then.ty, kind: ir::ExprKind::Ternary(condition, then, otherwise) }
            }
            ExprKind::Contains(global, key) => {
                let id = self.map_id(*global);
                let key = self.parts(key).into();
                long(ir::ExprKind::Contains(id, key, self.site(expr.token)))
            }
            ExprKind::Regex(subject, pattern) => {
                let subject = Box::new(self.expr(subject));
                long(ir::ExprKind::Regex(subject, pattern.clone(), asks_for_groups(self.tree)))
            }
            ExprKind::Call(candidates, args) => self.call(candidates, args, expr.token),
            ExprKind::Print(Print { what: Printed::Histogram(stat), .. }) => {
                string(ir::ExprKind::HistogramText(self.stat(stat)))
            }
            ExprKind::Print(Print { what, .. }) => {
                let format = self.format(what);
                string(ir::ExprKind::Format(format, self.site(expr.token)))
            }
            ExprKind::Stat(op, stat) => {
                let stat = self.stat(stat);
                long(ir::ExprKind::Stat(stat, extractor(*op), self.site(expr.token)))
            }
            ExprKind::StatAt(stat, which, index) => {
                let stat = self.stat(stat);
                let index = Box::new(self.expr(index));
                long(ir::ExprKind::StatAt(stat, *which, index, self.site(expr.token)))
            }
            ExprKind::Entry(operand) => self.entry(operand, expr.token),
            ExprKind::ProbeWrite(global) => long(ir::ExprKind::Long(i64::from(self.probe_writes[*global]))),
        }
    }

    fn place(&mut self, place: &Place) -> (ir::Place, Type) {
        match place {
            Place::Var(Var::Local(local)) => {
                let id = self.local_id(*local);
                (ir::Place::Local(id), self.unit.locals[id.0 as usize].ty)
            }
            Place::Var(Var::Global(global)) => {
                (ir::Place::Global(self.map_id(*global)), self.types.globals[*global].value.value())
            }
            Place::Element(global, key) => {
                let id = self.map_id(*global);
                let key = self.key(key);
                (ir::Place::Element(id, key), self.types.globals[*global].value.value())
            }
            Place::Target(_) => unreachable!("target variables are asked of the scope"),
        }
    }

    fn assign(&mut self, op: Option<BinaryOp>, place: &Place, value: &Expr, token: Span) -> ir::Expr {
        if let Place::Target(target) = place {
            let mut value = self.expr(value);
            if let Some(op) = op {
                let old = Box::new(self.target(target, token, Use::Read));
                value = self.binary(op, old, Box::new(value), token);
            }
            return self.write_target(target, token, value);
        }
        let (place, ty) = self.place(place);
        let value_token = value.token;
        let value = Box::new(self.expr(value));
        let divides = matches!(op, Some(BinaryOp::Div | BinaryOp::Mod));
        // A division fails for its divisor, everything else for the place.
        let site = self.site(if divides { value_token } else { token });
        match op.map(operator) {
            Some(Operator::Binary(op)) => ir::Expr {
                ty,
                kind: ir::ExprKind::Update { place, op, operand: value, yields_old: false, site },
            },
            _ => ir::Expr { ty, kind: ir::ExprKind::Assign(place, value, site) },
        }
    }

    pub(super) fn crement(&mut self, increment: bool, prefix: bool, place: &Place, token: Span) -> ir::Expr {
        let op = if increment { ir::BinaryOp::Add } else { ir::BinaryOp::Sub };
        let one = Box::new(long(ir::ExprKind::Long(1)));
        let site = self.site(token);
        if let Place::Target(target) = place {
            let old = Box::new(self.target(target, token, Use::Read));
            let new = long(ir::ExprKind::Binary(op, old, one.clone(), site));
            let written = self.write_target(target, token, new);
            // The value written is the new one; the old one is one less or more.
            let back = if increment { ir::BinaryOp::Sub } else { ir::BinaryOp::Add };
            return if prefix {
                written
            } else {
                long(ir::ExprKind::Binary(back, Box::new(written), one, site))
            };
        }
        let (place, ty) = self.place(place);
        ir::Expr { ty, kind: ir::ExprKind::Update { place, op, operand: one, yields_old: !prefix, site } }
    }

    fn binary(&mut self, op: BinaryOp, left: Box<ir::Expr>, right: Box<ir::Expr>, token: Span) -> ir::Expr {
        match operator(op) {
            Operator::Binary(op) => {
                if op == ir::BinaryOp::Concat
                    && let Some(whole) = self.whole_text(&left, &right)
                {
                    return whole;
                }
                let ty = if op == ir::BinaryOp::Concat { Type::Str } else { Type::Long };
                ir::Expr { ty, kind: ir::ExprKind::Binary(op, left, right, self.site(token)) }
            }
            Operator::Compare(op) => long(ir::ExprKind::Compare(op, left, right)),
            Operator::And => long(ir::ExprKind::And(left, right)),
            Operator::Or => long(ir::ExprKind::Or(left, right)),
        }
    }

    /// Two literals put together, unless the result would be cut.
    fn whole_text(&self, left: &ir::Expr, right: &ir::Expr) -> Option<ir::Expr> {
        let (ir::ExprKind::Str(a), ir::ExprKind::Str(b)) = (&left.kind, &right.kind) else { return None };
        let whole = [a.as_slice(), b].concat();
        ((whole.len() as u64) < self.limits.max_string_len).then(|| string(ir::ExprKind::Str(whole)))
    }

    fn call(&mut self, candidates: &[usize], args: &[Expr], token: Span) -> ir::Expr {
        let args: Vec<ir::Expr> = args.iter().map(|e| self.expr(e)).collect();
        let site = self.site(token);
        let ty = candidates.iter().find_map(|&f| self.types.functions[f].ret).map_or(Type::Long, Ty::value);
        let mut ids = Vec::new();
        for &candidate in candidates {
            match &self.tree.functions[candidate].code {
                Code::Builtin(builtin) => {
                    return ir::Expr { ty, kind: ir::ExprKind::Builtin(*builtin, args, site) };
                }
                Code::Script(code) => {
                    ids.push(self.function_ids[&candidate]);
                    if !can_decline(code) {
                        break;
                    }
                }
            }
        }
        ir::Expr { ty, kind: ir::ExprKind::Call(ids, args, site) }
    }

    // Target variables.

    fn target(&mut self, target: &Target, token: Span, usage: Use) -> ir::Expr {
        let Some(scope) = self.unit.scope.clone() else {
            let name = self.sources.text(token);
            let error = Diagnostic::error("unresolved target-symbol expression")
                .at(token, "")
                .note(format!("'{name}' exists only where a process is probed: process(\"PATH\").function(\"NAME\") and its like"));
            self.error(error);
            return long(ir::ExprKind::Long(0));
        };
        let is_saved = self.unit.is_return && !self.unit.at_entry && scope.at_entry(&target.ast);
        if !is_saved {
            return self.ask(&*scope, target, token, usage);
        }
        if usage != Use::Read {
            self.error(
                Diagnostic::error(
                    "a variable of the function's entry cannot be changed or addressed at its return",
                )
                .at(token, ""),
            );
            return long(ir::ExprKind::Long(0));
        }
        let name = self.sources.text(token);
        self.unit.warnings.push(
            Diagnostic::warning(format!(
                "confusing usage, value is captured as @entry({name}) in .return probe"
            ))
            .at(token, ""),
        );
        self.unit.at_entry = true;
        let value = self.ask(&*scope, target, token, usage);
        self.unit.at_entry = false;
        self.save(value)
    }

    /// The scope may use the value more than once, so it is computed into a local before.
    fn write_target(&mut self, target: &Target, token: Span, value: ir::Expr) -> ir::Expr {
        let ty = value.ty;
        let local = LocalId(self.unit.locals.len() as u32);
        self.unit.locals.push(ir::Local { name: "_written".to_owned(), ty });
        let site = self.site(token);
        let place = ir::Place::Local(local);
        let kept = ir::Expr { ty, kind: ir::ExprKind::Assign(place.clone(), Box::new(value), site) };
        let read = ir::Expr { ty, kind: ir::ExprKind::Read(place, site) };
        let written = self.target(target, token, Use::Write(read));
        ir::Expr { ty: written.ty, kind: ir::ExprKind::Sequence(Box::new(kept), Box::new(written)) }
    }

    fn ask(
        &mut self,
        scope: &dyn crate::target_var::Scope,
        target: &Target,
        token: Span,
        usage: Use,
    ) -> ir::Expr {
        let base = target.base.as_ref().map(|e| self.expr(e));
        let indexes = target.indexes.iter().map(|e| self.expr(e)).collect();
        let site = self.site(token);
        let kept = if self.unit.is_return { scope.kept(&target.ast) } else { None };
        let kept = if self.unit.at_entry { kept } else { kept.map(|kept| self.save(kept)) };
        let origin = target.origin.as_deref();
        let request = Request { target: &target.ast, base, origin, indexes, usage, kept, site, span: token };
        match scope.resolve(request) {
            Ok(value) => value,
            Err(error) => {
                if !self.skip_badvars {
                    self.error(*error);
                }
                let (ty, kind) = match target.is_string() {
                    true => (Type::Str, ir::ExprKind::Str(Vec::new())),
                    false => (Type::Long, ir::ExprKind::Long(0)),
                };
                ir::Expr { ty, kind }
            }
        }
    }

    fn entry(&mut self, operand: &Expr, token: Span) -> ir::Expr {
        if !self.unit.is_return || self.unit.at_entry {
            self.error(
                Diagnostic::error("@entry is only valid in .return probes")
                    .at(token, "")
                    .note("as in process(\"PATH\").function(\"NAME\").return { … }"),
            );
            return long(ir::ExprKind::Long(0));
        }
        self.unit.at_entry = true;
        let value = self.expr(operand);
        self.unit.at_entry = false;
        self.save(value)
    }

    /// Has a value computed at entry and kept for here. The same value is kept once.
    pub(super) fn save(&mut self, value: ir::Expr) -> ir::Expr {
        let ty = value.ty;
        if let Some((_, offset)) = self.unit.saved.iter().find(|(saved, _)| *saved == value) {
            return ir::Expr { ty, kind: ir::ExprKind::EntryValue(*offset) };
        }
        let offset = self.unit.entry_bytes;
        self.unit.entry_bytes += match ty {
            Type::Long => 8,
            Type::Str => rstap_abi::layout::string_size(&self.limits) as u32,
        };
        self.unit.saves.push(ir::Stmt::SaveEntry(offset, value.clone()));
        self.unit.saved.push((value, offset));
        ir::Expr { ty, kind: ir::ExprKind::EntryValue(offset) }
    }
}

/// Whether the script calls `matched` or `ngroups`.
fn asks_for_groups(tree: &Tree) -> bool {
    tree.functions
        .iter()
        .any(|function| matches!(function.code, Code::Builtin(Builtin::matched | Builtin::ngroups)))
}

fn operator(op: BinaryOp) -> Operator {
    match op {
        BinaryOp::Add => Operator::Binary(ir::BinaryOp::Add),
        BinaryOp::Sub => Operator::Binary(ir::BinaryOp::Sub),
        BinaryOp::Mul => Operator::Binary(ir::BinaryOp::Mul),
        BinaryOp::Div => Operator::Binary(ir::BinaryOp::Div),
        BinaryOp::Mod => Operator::Binary(ir::BinaryOp::Mod),
        BinaryOp::BitAnd => Operator::Binary(ir::BinaryOp::And),
        BinaryOp::BitOr => Operator::Binary(ir::BinaryOp::Or),
        BinaryOp::BitXor => Operator::Binary(ir::BinaryOp::Xor),
        BinaryOp::ShiftLeft => Operator::Binary(ir::BinaryOp::ShiftLeft),
        BinaryOp::ShiftRight => Operator::Binary(ir::BinaryOp::ShiftRight),
        BinaryOp::UnsignedShiftRight => Operator::Binary(ir::BinaryOp::UnsignedShiftRight),
        BinaryOp::Concat => Operator::Binary(ir::BinaryOp::Concat),
        BinaryOp::And => Operator::And,
        BinaryOp::Or => Operator::Or,
        BinaryOp::Eq => Operator::Compare(CompareOp::Eq),
        BinaryOp::Ne => Operator::Compare(CompareOp::Ne),
        BinaryOp::Lt => Operator::Compare(CompareOp::Lt),
        BinaryOp::Le => Operator::Compare(CompareOp::Le),
        BinaryOp::Gt => Operator::Compare(CompareOp::Gt),
        BinaryOp::Ge => Operator::Compare(CompareOp::Ge),
    }
}

fn long(kind: ir::ExprKind) -> ir::Expr {
    ir::Expr { ty: Type::Long, kind }
}

fn string(kind: ir::ExprKind) -> ir::Expr {
    ir::Expr { ty: Type::Str, kind }
}

fn unary(op: ir::UnaryOp, operand: ir::Expr) -> ir::Expr {
    long(ir::ExprKind::Unary(op, Box::new(operand)))
}

/// Which result a conditional has, if that is known.
pub(super) fn chosen<'e>(condition: &Expr, then: &'e Expr, otherwise: &'e Expr) -> Option<&'e Expr> {
    match condition.kind {
        ExprKind::Long(0) => Some(otherwise),
        ExprKind::Long(_) => Some(then),
        _ => None,
    }
}
