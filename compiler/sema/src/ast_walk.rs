//! Walks over the AST: every expression in a block.

use rstap_syntax::ast::{AccessKind, Block, Expr, ExprKind, PrintStyle, Stmt, StmtKind, Target};

/// Calls `visit` on every expression in a block, outer ones first.
pub fn each_expr_in<'a>(block: &'a Block, visit: &mut impl FnMut(&'a Expr)) {
    for statement in &block.statements {
        in_statement(statement, visit);
    }
}

fn in_statement<'a>(statement: &'a Stmt, visit: &mut impl FnMut(&'a Expr)) {
    match &statement.kind {
        StmtKind::Block(block) => each_expr_in(block, visit),
        StmtKind::Expr(e) | StmtKind::Delete(e) | StmtKind::Return(Some(e)) => each_expr(e, visit),
        StmtKind::If(condition, then, otherwise) => {
            each_expr(condition, visit);
            in_statement(then, visit);
            if let Some(otherwise) = otherwise {
                in_statement(otherwise, visit);
            }
        }
        StmtKind::For(init, condition, step, body) => {
            init.iter().chain(condition).chain(step).for_each(|e| each_expr(e, visit));
            in_statement(body, visit);
        }
        StmtKind::While(condition, body) => {
            each_expr(condition, visit);
            in_statement(body, visit);
        }
        StmtKind::Foreach(walk) => {
            each_expr(&walk.array, visit);
            walk.slice.iter().flatten().flatten().chain(&walk.limit).for_each(|e| each_expr(e, visit));
            in_statement(&walk.body, visit);
        }
        StmtKind::Try(body, _, catch) => {
            each_expr_in(body, visit);
            each_expr_in(catch, visit);
        }
        StmtKind::Empty | StmtKind::Return(None) | StmtKind::Next | StmtKind::Break | StmtKind::Continue => {}
    }
}

/// Calls `visit` on an expression and everything in it.
pub fn each_expr<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    let mut each = |e: &'a Expr| each_expr(e, visit);
    match &expr.kind {
        ExprKind::Index(base, parts) => {
            each(base);
            parts.iter().flatten().for_each(each);
        }
        ExprKind::In(parts, array) => {
            parts.iter().flatten().for_each(&mut each);
            each(array);
        }
        ExprKind::Call(_, args) | ExprKind::AtCall(_, args) => args.iter().for_each(each),
        ExprKind::Unary(_, a)
        | ExprKind::Crement { target: a, .. }
        | ExprKind::AddressOf(a)
        | ExprKind::Entry(a)
        | ExprKind::Defined(a)
        | ExprKind::ProbeWrite(a)
        | ExprKind::Regex { subject: a, .. } => each(a),
        ExprKind::Binary(_, a, b) | ExprKind::Assign(_, a, b) => {
            each(a);
            each(b);
        }
        ExprKind::Ternary(a, b, c) => {
            each(a);
            each(b);
            each(c);
        }
        ExprKind::Print(print) => {
            if let PrintStyle::Delimited(e) | PrintStyle::Format(e) = &print.style {
                each(e);
            }
            print.args.iter().for_each(each);
        }
        ExprKind::Stat(_, base, args) => {
            each(base);
            args.iter().for_each(each);
        }
        ExprKind::Target(target) => target_parts(target).into_iter().for_each(each),
        ExprKind::Literal(_) | ExprKind::Symbol(_) | ExprKind::Const(_) | ExprKind::Embedded(_) => {}
    }
}

/// The script expressions in a target variable.
pub fn target_parts(target: &Target) -> Vec<&Expr> {
    let base = target.base.value();
    let indexes = target.access.iter().filter_map(|a| match &a.kind {
        AccessKind::Index(e) => Some(e),
        AccessKind::Member(_) => None,
    });
    base.into_iter().chain(indexes).collect()
}
