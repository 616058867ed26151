//! Walks over the resolved tree: what a statement or expression is made of, in the order of evaluation.

use crate::hir::{Expr, ExprKind, Foreach, Place, Print, Printed, Stat, Stmt, Target};

/// The statement lists in a statement.
pub fn nested(statement: &Stmt) -> Vec<&[Stmt]> {
    match statement {
        Stmt::If(_, then, otherwise) => vec![then, otherwise],
        Stmt::Loop { body, .. } | Stmt::ForeachBucket(_, _, body) => vec![body],
        Stmt::Foreach(walk) => vec![&walk.body],
        Stmt::Try(body, _, catch) => vec![body, catch],
        _ => Vec::new(),
    }
}

/// Calls `visit` on each statement, nested ones included, in the order of the text.
pub fn each_statement<'a>(statements: &'a [Stmt], visit: &mut impl FnMut(&'a Stmt)) {
    for statement in statements {
        visit(statement);
        for list in nested(statement) {
            each_statement(list, visit);
        }
    }
}

/// The expressions that stand directly in a statement. The step of a loop comes last.
pub fn expressions(statement: &Stmt) -> Vec<&Expr> {
    match statement {
        Stmt::Expr(e) | Stmt::If(e, ..) | Stmt::Return(Some(e)) => vec![e],
        Stmt::Loop { condition, step, .. } => condition.iter().chain(step).collect(),
        Stmt::Foreach(walk) => {
            let Foreach { slice, limit, .. } = &**walk;
            slice.iter().flatten().chain(limit).collect()
        }
        Stmt::ForeachBucket(_, stat, _) => stat_parts(stat).iter().collect(),
        Stmt::DeleteElement(_, key, _) => key.iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// The operands of an expression.
pub fn operands(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Long(_) | ExprKind::Str(_) | ExprKind::ProbeWrite(_) => Vec::new(),
        ExprKind::Read(place) | ExprKind::Crement { place, .. } => place_parts(place),
        ExprKind::AddressOf(target) => target_parts(target),
        ExprKind::Assign(_, place, value, _) => {
            let mut parts = place_parts(place);
            parts.push(value);
            parts
        }
        ExprKind::Aggregate(stat, value) | ExprKind::StatAt(stat, _, value) => {
            stat_parts(stat).iter().chain([&**value]).collect()
        }
        ExprKind::Unary(_, a) | ExprKind::Entry(a) | ExprKind::Regex(a, _) => vec![a],
        ExprKind::Binary(_, a, b) => vec![a, b],
        ExprKind::Ternary(a, b, c) => vec![a, b, c],
        ExprKind::Contains(_, key) => key.iter().flatten().collect(),
        ExprKind::Call(_, args) => args.iter().collect(),
        ExprKind::Print(Print { what, .. }) => match what {
            Printed::Values { args, .. } | Printed::Format { args, .. } => args.iter().collect(),
            Printed::Event { fields, .. } => fields.iter().map(|(_, value)| value).collect(),
            Printed::Histogram(stat) => stat_parts(stat).iter().collect(),
            Printed::Json(_) => Vec::new(),
        },
        ExprKind::Stat(_, stat) => stat_parts(stat).iter().collect(),
    }
}

/// Calls `visit` on an expression and everything in it.
pub fn each_expr<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    for operand in operands(expr) {
        each_expr(operand, visit);
    }
}

/// Calls `visit` on every expression in the statements.
pub fn each_expr_in<'a>(statements: &'a [Stmt], visit: &mut impl FnMut(&'a Expr)) {
    each_statement(statements, &mut |statement| {
        for expr in expressions(statement) {
            each_expr(expr, visit);
        }
    });
}

fn place_parts(place: &Place) -> Vec<&Expr> {
    match place {
        Place::Var(_) => Vec::new(),
        Place::Element(_, key) => key.iter().collect(),
        Place::Target(target) => target_parts(target),
    }
}

fn target_parts(target: &Target) -> Vec<&Expr> {
    target.base.as_deref().into_iter().chain(&target.indexes).collect()
}

/// The key of an element.
pub fn stat_parts(stat: &Stat) -> &[Expr] {
    match stat {
        Stat::Var(_) => &[],
        Stat::Element(_, key) => key,
    }
}
