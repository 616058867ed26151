//! Walks over statements and expressions, and the one rule that both the generated code and the evaluator follow:
//! how many actions a run of statements costs.

use super::{BinaryOp, Expr, ExprKind, Foreach, Format, LocalId, Place, SiteId, StatRef, Stmt, Type};

/// A maximal run of statements that are charged together (MAXACTION), before the first of them is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many statements it has.
    pub len: usize,
    /// How many actions it costs. A loop costs nothing here: it is charged one action each time it tests whether to
    /// go on.
    pub cost: u64,
}

/// The run at the start of a list of statements that is not empty. It ends with the first statement after which
/// control may go elsewhere.
pub fn first_run(statements: &[Stmt]) -> Run {
    let mut run = Run { len: 0, cost: 0 };
    for statement in statements {
        run.len += 1;
        match statement {
            Stmt::Loop(..) | Stmt::Foreach(_) | Stmt::ForeachBucket(..) => break,
            Stmt::If(..)
            | Stmt::Try(..)
            | Stmt::Break
            | Stmt::Continue
            | Stmt::Return(_)
            | Stmt::Next
            | Stmt::Decline => {
                run.cost += 1;
                break;
            }
            _ => run.cost += 1,
        }
    }
    run
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

/// The statement lists in a statement.
pub fn nested(statement: &Stmt) -> Vec<&[Stmt]> {
    match statement {
        Stmt::If(_, then, otherwise) => vec![then, otherwise],
        Stmt::Loop(_, body, _) | Stmt::ForeachBucket(_, _, body) => vec![body],
        Stmt::Foreach(walk) => vec![&walk.body],
        Stmt::Try(body, _, catch) => vec![body, catch],
        _ => Vec::new(),
    }
}

/// The expressions that stand directly in a statement, in the order of evaluation.
pub fn expressions(statement: &Stmt) -> Vec<&Expr> {
    match statement {
        Stmt::Expr(expr) | Stmt::If(expr, ..) | Stmt::Return(Some(expr)) | Stmt::SaveEntry(_, expr) => {
            vec![expr]
        }
        Stmt::Aggregate(stat, value, _) => stat_parts(stat).chain([value]).collect(),
        Stmt::Print(Format { args, .. }, _) => args.iter().collect(),
        Stmt::PrintHistogram(stat) | Stmt::ForeachBucket(_, stat, _) => stat_parts(stat).collect(),
        Stmt::Loop(condition, _, step) => condition.iter().chain(step).collect(),
        Stmt::Foreach(walk) => {
            let Foreach { slice, limit, .. } = &**walk;
            slice.iter().flatten().chain(limit).collect()
        }
        Stmt::DeleteElement(_, key, _) => key.iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// The expression of a statement that adds to a long and does nothing else (`n++`, `a[k] += 2`): nobody uses its value.
pub fn statement_addition(statement: &Stmt) -> Option<&Expr> {
    let (Stmt::Expr(expr) | Stmt::Loop(_, _, Some(expr))) = statement else { return None };
    let adds = |op: &BinaryOp| matches!(op, BinaryOp::Add | BinaryOp::Sub);
    let ExprKind::Update { op, operand, .. } = &expr.kind else { return None };
    (adds(op) && operand.ty == Type::Long).then_some(expr)
}

/// The operands of an expression, in the order of evaluation.
pub fn operands(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Long(_)
        | ExprKind::Str(_)
        | ExprKind::Register(_)
        | ExprKind::EntryValue(_)
        | ExprKind::Bound(_) => Vec::new(),
        ExprKind::Read(place, _) => place_parts(place).collect(),
        ExprKind::Assign(place, value, _) => place_parts(place).chain([&**value]).collect(),
        ExprKind::Update { place, operand, .. } => place_parts(place).chain([&**operand]).collect(),
        ExprKind::Unary(_, a) | ExprKind::Memory(a, ..) | ExprKind::Regex(a, ..) => vec![a],
        ExprKind::Binary(_, a, b, _)
        | ExprKind::Compare(_, a, b)
        | ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::With(_, a, b)
        | ExprKind::Sequence(a, b) => vec![a, b],
        ExprKind::Ternary(a, b, c) => vec![a, b, c],
        ExprKind::Choose(subject, cases, otherwise) => [&**subject]
            .into_iter()
            .chain(cases.iter().map(|(_, value)| value))
            .chain([&**otherwise])
            .collect(),
        ExprKind::Contains(_, key, _) => key.iter().flatten().collect(),
        ExprKind::Call(_, args, _) | ExprKind::Builtin(_, args, _) => args.iter().collect(),
        ExprKind::Stat(stat, ..) | ExprKind::HistogramText(stat) => stat_parts(stat).collect(),
        ExprKind::StatAt(stat, _, index, _) => stat_parts(stat).chain([&**index]).collect(),
        ExprKind::Format(format, _) => format.args.iter().collect(),
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

/// The place an expression names when it fails.
pub fn site(expr: &Expr) -> Option<SiteId> {
    match &expr.kind {
        ExprKind::Read(_, site)
        | ExprKind::Assign(_, _, site)
        | ExprKind::Update { site, .. }
        | ExprKind::Binary(_, _, _, site)
        | ExprKind::Contains(_, _, site)
        | ExprKind::Call(_, _, site)
        | ExprKind::Builtin(_, _, site)
        | ExprKind::Stat(_, _, site)
        | ExprKind::StatAt(_, _, _, site)
        | ExprKind::Format(_, site)
        | ExprKind::Memory(_, _, _, site) => Some(*site),
        _ => None,
    }
}

/// The last place named in the statements: where a loop over them was when its actions ran out.
pub fn last_site(statements: &[Stmt]) -> Option<SiteId> {
    let mut last = None;
    each_expr_in(statements, &mut |expr| last = site(expr).or(last));
    last
}

/// The last place named in an expression.
pub fn last_site_in(expr: &Expr) -> Option<SiteId> {
    let mut last = None;
    each_expr(expr, &mut |part| last = site(part).or(last));
    last
}

/// The local an expression assigns, if it is an assignment to one.
pub fn assigned_local(expr: &Expr) -> Option<LocalId> {
    match expr.kind {
        ExprKind::Assign(Place::Local(local), ..) | ExprKind::Update { place: Place::Local(local), .. } => {
            Some(local)
        }
        _ => None,
    }
}

fn place_parts(place: &Place) -> impl Iterator<Item = &Expr> {
    match place {
        Place::Local(_) | Place::Global(_) => [].iter(),
        Place::Element(_, key) => key.iter(),
    }
}

fn stat_parts(stat: &StatRef) -> impl Iterator<Item = &Expr> {
    match stat {
        StatRef::Global(_) | StatRef::Local(_) => [].iter(),
        StatRef::Element(_, key) => key.iter(),
    }
}
