//! Statements.

use rstap_abi::format::{UNSET, conversion};
use rstap_abi::layout::{order, stat_op};
use rstap_syntax::ast::{SortBy, StatOp};

use super::Lowerer;
use super::expr::chosen;
use crate::hir::{Expr, ExprKind, Foreach, Place, Print, Printed, Stat, Stmt, Var};
use crate::ir::{self, Directive};
use crate::types::Ty;

impl Lowerer<'_, '_> {
    pub(super) fn statements(&mut self, code: &[Stmt]) -> Vec<ir::Stmt> {
        code.iter().flat_map(|s| self.statement(s)).collect()
    }

    fn statement(&mut self, statement: &Stmt) -> Vec<ir::Stmt> {
        vec![match statement {
            Stmt::Expr(expr) => return self.effect(expr),
            Stmt::If(condition, then, otherwise) => {
                ir::Stmt::If(self.expr(condition), self.statements(then), self.statements(otherwise))
            }
            Stmt::Loop { condition, body, step } => ir::Stmt::Loop(
                condition.as_ref().map(|e| self.expr(e)),
                self.statements(body),
                step.as_ref().map(|e| self.effect_expr(e)),
            ),
            Stmt::Foreach(walk) => ir::Stmt::Foreach(Box::new(self.foreach(walk))),
            Stmt::ForeachBucket(local, stat, body) => {
                ir::Stmt::ForeachBucket(self.local_id(*local), self.stat(stat), self.statements(body))
            }
            Stmt::Delete(Var::Global(global), span) => {
                // A global that is only deleted is not there at all.
                let Some(id) = self.global_id(*global) else { return Vec::new() };
                ir::Stmt::DeleteGlobal(id, self.site(*span))
            }
            Stmt::Delete(Var::Local(local), span) => {
                let id = self.local_id(*local);
                let ty = self.unit.locals[id.0 as usize].ty;
                let empty = match ty {
                    ir::Type::Long => ir::ExprKind::Long(0),
                    ir::Type::Str => ir::ExprKind::Str(Vec::new()),
                };
                let site = self.site(*span);
                let empty = Box::new(ir::Expr { ty, kind: empty });
                ir::Stmt::Expr(ir::Expr { ty, kind: ir::ExprKind::Assign(ir::Place::Local(id), empty, site) })
            }
            Stmt::DeleteElement(global, key, span) => {
                let id = self.map_id(*global);
                let key = self.parts(key).into();
                ir::Stmt::DeleteElement(id, key, self.site(*span))
            }
            Stmt::Try(body, message, catch) => {
                let body = self.statements(body);
                ir::Stmt::Try(body, message.map(|l| self.local_id(l)), self.statements(catch))
            }
            Stmt::Return(value) => ir::Stmt::Return(value.as_ref().map(|e| self.expr(e))),
            Stmt::Next if self.unit.is_function => ir::Stmt::Decline,
            Stmt::Next => ir::Stmt::Next,
            Stmt::Break => ir::Stmt::Break,
            Stmt::Continue => ir::Stmt::Continue,
        }]
    }

    /// An expression whose value is dropped.
    fn effect(&mut self, expr: &Expr) -> Vec<ir::Stmt> {
        vec![match &expr.kind {
            ExprKind::Aggregate(stat, value) => {
                let stat = self.stat(stat);
                let value = self.expr(value);
                ir::Stmt::Aggregate(stat, value, self.site(expr.token))
            }
            ExprKind::Print(Print { to_string: false, what: Printed::Histogram(stat) }) => {
                ir::Stmt::PrintHistogram(self.stat(stat))
            }
            ExprKind::Print(Print { to_string: false, what: Printed::Json(global) }) => {
                return self.json(*global, expr.token);
            }
            ExprKind::Print(Print { to_string: false, what }) => {
                let format = self.format(what);
                if format.directives.is_empty() {
                    return Vec::new();
                }
                ir::Stmt::Print(format, self.site(expr.token))
            }
            ExprKind::Ternary(condition, then, otherwise) => {
                if let Some(chosen) = chosen(condition, then, otherwise) {
                    return self.effect(chosen);
                }
                let condition = self.expr(condition);
                let (then, otherwise) = (self.effect(then), self.effect(otherwise));
                ir::Stmt::If(condition, then, otherwise)
            }
            _ => ir::Stmt::Expr(self.effect_expr(expr)),
        }]
    }

    /// The same where only an expression can stand. `x++` does not need its old value here.
    fn effect_expr(&mut self, expr: &Expr) -> ir::Expr {
        match &expr.kind {
            ExprKind::Crement { increment, place, name, .. } if !matches!(place, Place::Target(_)) => {
                self.crement(*increment, true, place, *name)
            }
            _ => self.expr(expr),
        }
    }

    fn foreach(&mut self, walk: &Foreach) -> ir::Foreach {
        let map = self.map_id(walk.map);
        let slice = self.parts(&walk.slice);
        let limit = walk.limit.as_ref().map(|e| self.expr(e));
        let order = self.order(walk);
        let body = self.statements(&walk.body);
        let site = self.site(walk.token);
        ir::Foreach {
            map,
            keys: walk.keys.iter().map(|&l| self.unit.bound(l)).collect(),
            value: walk.value.and_then(|l| self.unit.bound(l)),
            slice,
            order,
            limit,
            body,
            site,
        }
    }

    fn order(&self, walk: &Foreach) -> u64 {
        let Some(sort) = walk.sort else { return order::NONE };
        let is_stat = self.types.globals[walk.map].value == Ty::Stat;
        let by = match sort.by {
            SortBy::Key(part) => order::KEY + u64::from(part),
            SortBy::Value(op) if is_stat => order::STAT + op.map_or(stat_op::COUNT, extractor),
            SortBy::Value(_) => order::VALUE,
        };
        by + if sort.descending { order::DESCENDING } else { 0 }
    }

    /// Directives and arguments of a print function.
    pub(super) fn format(&mut self, what: &Printed) -> ir::Format {
        match what {
            Printed::Format { directives, args } => {
                let args = args.iter().map(|e| self.expr(e)).collect();
                ir::Format { directives: directives.clone(), args }
            }
            Printed::Values { delimiter, end, args } => {
                let mut format = ir::Format { directives: Vec::new(), args: Vec::new() };
                for (i, arg) in args.iter().enumerate() {
                    if i > 0 {
                        add_text(&mut format.directives, delimiter);
                    }
                    let arg = self.expr(arg);
                    add_value(&mut format, arg);
                }
                add_text(&mut format.directives, end);
                format
            }
            Printed::Event { head, fields } => {
                let mut format = ir::Format { directives: Vec::new(), args: Vec::new() };
                add_text(&mut format.directives, head);
                for (before, value) in fields {
                    add_text(&mut format.directives, before);
                    let value = self.expr(value);
                    super::json::add(&mut format, value);
                }
                add_text(&mut format.directives, b"}\n");
                format
            }
            Printed::Json(_) | Printed::Histogram(_) => {
                unreachable!("they are printed by statements of their own")
            }
        }
    }

    pub(super) fn stat(&mut self, stat: &Stat) -> ir::StatRef {
        match stat {
            Stat::Var(Var::Global(global)) => ir::StatRef::Global(self.map_id(*global)),
            Stat::Var(Var::Local(local)) => ir::StatRef::Local(self.local_id(*local)),
            Stat::Element(global, key) => {
                let id = self.map_id(*global);
                ir::StatRef::Element(id, self.key(key))
            }
        }
    }

    pub(super) fn key(&mut self, key: &[Expr]) -> ir::Key {
        ir::Key::from(key.iter().map(|part| self.expr(part)).collect::<Vec<_>>())
    }

    pub(super) fn parts(&mut self, key: &[Option<Expr>]) -> Vec<Option<ir::Expr>> {
        key.iter().map(|part| part.as_ref().map(|e| self.expr(e))).collect()
    }

    pub(super) fn map_id(&self, global: usize) -> ir::GlobalId {
        self.global_id(global).expect("every global that code refers to is used")
    }
}

/// Appends a value as `print` shows it.
pub fn add_value(format: &mut ir::Format, value: ir::Expr) {
    match &value.kind {
        ir::ExprKind::Long(n) => add_text(&mut format.directives, n.to_string().as_bytes()),
        ir::ExprKind::Str(s) => add_text(&mut format.directives, s),
        _ => {
            let conversion = match value.ty {
                ir::Type::Long => conversion::SIGNED,
                ir::Type::Str => conversion::STRING,
            };
            format.directives.push(Directive::Conversion {
                conversion,
                flags: 0,
                width: UNSET,
                precision: UNSET,
            });
            format.args.push(value);
        }
    }
}

/// Appends literal text.
pub fn add_text(directives: &mut Vec<Directive>, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    match directives.last_mut() {
        Some(Directive::Literal(last)) => last.extend_from_slice(text),
        _ => directives.push(Directive::Literal(text.to_vec())),
    }
}

/// The number of an extractor.
pub fn extractor(op: StatOp) -> u64 {
    match op {
        StatOp::Count | StatOp::HistLinear | StatOp::HistLog | StatOp::Quantile => stat_op::COUNT,
        StatOp::Sum => stat_op::SUM,
        StatOp::Min => stat_op::MIN,
        StatOp::Max => stat_op::MAX,
        StatOp::Avg => stat_op::AVG,
        StatOp::Variance => stat_op::VARIANCE,
    }
}
