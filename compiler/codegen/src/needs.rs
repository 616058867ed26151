//! What a handler needs of its context, so that the runtime can leave out the rest: whether it can run out of actions,
//! whether it looks at registers, whether it touches anything but numbers.

use rstap_abi::builtins::Builtin;
use rstap_abi::image::needs::{REGISTERS, STATE};
use rstap_sema::ir::visit::{each_expr_in, each_statement};
use rstap_sema::ir::{BinaryOp, Expr, ExprKind, Place, Script, Stmt, Type};

use crate::handler::callees;

/// By function and by handler.
pub(crate) struct Needs {
    /// Whether statements of functions are counted (MAXACTION).
    pub(crate) functions_counted: Vec<bool>,
    /// The same of handlers.
    pub(crate) handlers_counted: Vec<bool>,
    /// Bits of `rstap_abi::image::needs`, by handler.
    pub(crate) handlers: Vec<u32>,
}

impl Needs {
    pub(crate) fn of(script: &Script) -> Needs {
        let limits = &script.limits;
        let most = limits.max_action.min(limits.max_action_interruptible);
        let costs = function_costs(script);
        let mut functions_counted = vec![false; script.functions.len()];
        let mut handlers_counted = Vec::with_capacity(script.handlers.len());
        let mut handlers = Vec::with_capacity(script.handlers.len());
        let looks = functions_that_look(script);
        for handler in &script.handlers {
            let counted = cost(&handler.body, &costs).is_none_or(|cost| cost > most);
            let reached = reachable(script, &handler.body);
            if counted {
                reached.iter().for_each(|&function| functions_counted[function] = true);
            }
            handlers_counted.push(counted);
            let looks = looks_at_registers(&handler.body) || reached.iter().any(|&function| looks[function]);
            let state = counted || !handler.body.iter().all(is_plain);
            handlers.push(if looks { REGISTERS } else { 0 } | if state { STATE } else { 0 });
        }
        Needs { functions_counted, handlers_counted, handlers }
    }
}

/// The most actions that statements can cost; `None` if nothing bounds them.
fn cost(body: &[Stmt], functions: &[Option<u64>]) -> Option<u64> {
    let mut cost = Some(0u64);
    let mut add = |more: Option<u64>| cost = cost.zip(more).map(|(cost, more)| cost.saturating_add(more));
    each_statement(body, &mut |statement| {
        let is_loop = matches!(statement, Stmt::Loop(..) | Stmt::Foreach(_) | Stmt::ForeachBucket(..));
        add((!is_loop).then_some(1));
    });
    each_expr_in(body, &mut |expr| {
        if let ExprKind::Call(candidates, ..) = &expr.kind {
            candidates.iter().for_each(|candidate| add(functions[candidate.0 as usize]));
        }
    });
    cost
}

/// By function: the most actions a call costs. Those that call themselves have no bound.
fn function_costs(script: &Script) -> Vec<Option<u64>> {
    let mut costs = vec![None; script.functions.len()];
    // Each round settles the functions whose callees are settled.
    for _ in &script.functions {
        let before = costs.clone();
        for (function, known) in script.functions.iter().zip(&mut costs) {
            *known = known.or_else(|| cost(&function.body, &before));
        }
        if costs == before {
            break;
        }
    }
    costs
}

/// Indices of the functions that are called, by these statements or by one another.
pub(crate) fn reachable(script: &Script, body: &[Stmt]) -> Vec<usize> {
    let mut queue: Vec<usize> = callees(body).collect();
    let mut seen = Vec::new();
    while let Some(function) = queue.pop() {
        if !seen.contains(&function) {
            seen.push(function);
            queue.extend(callees(&script.functions[function].body));
        }
    }
    seen
}

fn functions_that_look(script: &Script) -> Vec<bool> {
    script.functions.iter().map(|function| looks_at_registers(&function.body)).collect()
}

/// Whether the registers may be looked at, by the code itself or by a builtin (an environment may want to know where
/// the stack is to read memory).
fn looks_at_registers(body: &[Stmt]) -> bool {
    let mut looks = false;
    each_expr_in(body, &mut |expr| {
        looks |= match &expr.kind {
            ExprKind::Register(_) | ExprKind::Memory(..) => true,
            ExprKind::Builtin(builtin, ..) => !is_blind(*builtin),
            _ => false,
        };
    });
    each_statement(body, &mut |statement| {
        if let Stmt::Print(format, _) = statement {
            looks |= crate::print::reads_memory(format);
        }
    });
    each_expr_in(body, &mut |expr| {
        if let ExprKind::Format(format, _) = &expr.kind {
            looks |= crate::print::reads_memory(format);
        }
    });
    looks
}

/// Builtins that are known not to look at registers.
fn is_blind(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        raise
            | fault_text
            | exit
            | abort
            | warn
            | log
            | concat
            | copy
            | compare
            | strlen
            | substr
            | stringat
            | strpos
            | str_replace
            | strtol
            | isdigit
            | tokenize
            | string_quoted
            | ctime
            | matched
            | ngroups
            | pid
            | tid
            | cpu
            | target
            | execname
            | is_return
            | registers_valid
            | pp
            | pn
            | ppfunc
            | time_ns
            | get_cycles
            | randint
    )
}

/// Whether a statement works on numbers only, calls nothing, and cannot fail.
fn is_plain(statement: &Stmt) -> bool {
    match statement {
        Stmt::Expr(expr) => is_plain_effect(expr),
        Stmt::If(condition, then, otherwise) => {
            is_plain_value(condition) && then.iter().chain(otherwise).all(is_plain)
        }
        Stmt::Return(None) | Stmt::Next => true,
        _ => false,
    }
}

pub(crate) fn is_plain_effect(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Assign(Place::Local(_) | Place::Global(_), value, _) => is_plain_value(value),
        ExprKind::Update { place: Place::Local(_) | Place::Global(_), op, operand, .. } => {
            !matches!(op, BinaryOp::Div | BinaryOp::Mod | BinaryOp::Concat) && is_plain_value(operand)
        }
        _ => is_plain_value(expr),
    }
}

pub(crate) fn is_plain_value(expr: &Expr) -> bool {
    if expr.ty != Type::Long {
        return false;
    }
    match &expr.kind {
        ExprKind::Long(_)
        | ExprKind::Register(_)
        | ExprKind::Bound(_)
        | ExprKind::Builtin(Builtin::pid | Builtin::tid, ..)
        | ExprKind::Read(Place::Local(_) | Place::Global(_), _) => true,
        ExprKind::With(_, a, b) => is_plain_value(a) && is_plain_value(b),
        ExprKind::Unary(_, operand) => is_plain_value(operand),
        ExprKind::Binary(BinaryOp::Div | BinaryOp::Mod, a, b, _) => {
            is_plain_value(a) && matches!(b.kind, ExprKind::Long(number) if number != 0)
        }
        ExprKind::Binary(_, a, b, _) | ExprKind::And(a, b) | ExprKind::Or(a, b) => {
            is_plain_value(a) && is_plain_value(b)
        }
        ExprKind::Compare(_, a, b) => is_plain_value(a) && is_plain_value(b),
        ExprKind::Ternary(a, b, c) => is_plain_value(a) && is_plain_value(b) && is_plain_value(c),
        _ => false,
    }
}
