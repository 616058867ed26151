//! What code reads, writes and calls, and whether it does anything that can be seen from outside.

use std::collections::HashSet;

use rstap_abi::builtins::Builtin;

use crate::hir::{Code, Expr, ExprKind, Place, Print, Printed, Stat, Stmt, Tree, Var};
use crate::hir_walk::operands;

/// What some statements do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Variables whose value is used. `n++` as a statement does not use that of `n`.
    pub read: HashSet<Var>,
    /// Variables that are assigned, filled or deleted.
    pub written: HashSet<Var>,
    /// Locals that a `foreach` gives values to.
    pub bound: HashSet<usize>,
    /// Functions, by index in the tree.
    pub calls: HashSet<usize>,
    /// Whether it prints or writes to the target.
    pub outputs: bool,
}

impl Usage {
    /// What the statements do themselves, calls not followed.
    pub fn of(code: &[Stmt]) -> Usage {
        let mut usage = Usage::default();
        usage.statements(code);
        usage
    }

    /// What the expression does as a statement.
    pub fn of_expr(expr: &Expr) -> Usage {
        let mut usage = Usage::default();
        usage.expr(expr, false);
        usage
    }

    /// Globals that are read.
    pub fn globals_read(&self) -> impl Iterator<Item = usize> + '_ {
        self.read.iter().filter_map(as_global)
    }

    /// Globals that are written.
    pub fn globals_written(&self) -> impl Iterator<Item = usize> + '_ {
        self.written.iter().filter_map(as_global)
    }

    fn statements(&mut self, code: &[Stmt]) {
        for statement in code {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Expr(e) => self.expr(e, false),
            Stmt::If(condition, then, otherwise) => {
                self.expr(condition, true);
                self.statements(then);
                self.statements(otherwise);
            }
            Stmt::Loop { condition, body, step } => {
                condition.iter().for_each(|e| self.expr(e, true));
                self.statements(body);
                step.iter().for_each(|e| self.expr(e, false));
            }
            Stmt::Foreach(walk) => {
                self.read.insert(Var::Global(walk.map));
                self.bound.extend(walk.keys.iter().chain(&walk.value));
                walk.slice.iter().flatten().chain(&walk.limit).for_each(|e| self.expr(e, true));
                self.statements(&walk.body);
            }
            Stmt::ForeachBucket(local, stat, body) => {
                self.written.insert(Var::Local(*local));
                self.stat(stat);
                self.statements(body);
            }
            Stmt::Delete(var, _) => {
                self.written.insert(*var);
            }
            Stmt::DeleteElement(global, key, _) => {
                self.written.insert(Var::Global(*global));
                key.iter().flatten().for_each(|e| self.expr(e, true));
            }
            Stmt::Try(body, local, catch) => {
                self.written.extend(local.map(Var::Local));
                self.statements(body);
                self.statements(catch);
            }
            Stmt::Return(value) => value.iter().for_each(|e| self.expr(e, true)),
            Stmt::Next | Stmt::Break | Stmt::Continue => {}
        }
    }

    /// `used`: whether the value of the expression matters.
    fn expr(&mut self, expr: &Expr, used: bool) {
        match &expr.kind {
            ExprKind::Read(place) => {
                self.read.extend(variable(place));
            }
            ExprKind::Assign(op, place, ..) => {
                self.write(place);
                if used && op.is_some() {
                    self.read.extend(variable(place));
                }
            }
            ExprKind::Crement { place, .. } => {
                self.write(place);
                if used {
                    self.read.extend(variable(place));
                }
            }
            ExprKind::Aggregate(stat, _) => {
                self.written.insert(stat_variable(stat));
            }
            ExprKind::Stat(_, stat) | ExprKind::StatAt(stat, ..) => {
                self.read.insert(stat_variable(stat));
            }
            ExprKind::Contains(global, _) => {
                self.read.insert(Var::Global(*global));
            }
            ExprKind::Call(candidates, _) => self.calls.extend(candidates),
            // It leaves its groups behind.
            ExprKind::Regex(..) => self.outputs = true,
            ExprKind::Print(Print { to_string, what }) => {
                self.outputs |= !to_string;
                if let Printed::Json(global) = what {
                    self.read.insert(Var::Global(*global));
                }
                if let Printed::Histogram(stat) = what {
                    self.read.insert(stat_variable(stat));
                }
            }
            _ => {}
        }
        for operand in operands(expr) {
            self.expr(operand, true);
        }
    }

    fn write(&mut self, place: &Place) {
        match variable(place) {
            Some(var) => {
                self.written.insert(var);
            }
            None => self.outputs = true,
        }
    }

    fn stat(&mut self, stat: &Stat) {
        self.read.insert(stat_variable(stat));
        crate::hir_walk::stat_parts(stat).iter().for_each(|e| self.expr(e, true));
    }
}

fn as_global(var: &Var) -> Option<usize> {
    match var {
        Var::Global(global) => Some(*global),
        Var::Local(_) => None,
    }
}

fn variable(place: &Place) -> Option<Var> {
    match place {
        Place::Var(var) => Some(*var),
        Place::Element(global, _) => Some(Var::Global(*global)),
        Place::Target(_) => None,
    }
}

fn stat_variable(stat: &Stat) -> Var {
    match stat {
        Stat::Var(var) => *var,
        Stat::Element(global, _) => Var::Global(*global),
    }
}

/// What each function does, those it calls included.
#[derive(Debug, Default)]
pub struct Effects {
    functions: Vec<Function>,
}

#[derive(Clone, Debug, Default)]
struct Function {
    written: HashSet<usize>,
    /// Prints, ends the session, or writes a global: a call of it cannot be left out.
    impure: bool,
    /// Of the library, and does nothing: what it did elsewhere has no meaning here.
    idle: bool,
}

impl Effects {
    /// The effects of all functions of a tree.
    pub fn of(tree: &Tree) -> Effects {
        let own: Vec<Usage> = tree
            .functions
            .iter()
            .map(|f| match &f.code {
                Code::Script(code) => Usage::of(code),
                Code::Builtin(builtin) => Usage { outputs: has_effect(*builtin), ..Usage::default() },
            })
            .collect();
        let mut functions: Vec<Function> = own
            .iter()
            .zip(&tree.functions)
            .map(|(usage, function)| {
                let written: HashSet<usize> = usage.globals_written().collect();
                let empty = matches!(&function.code, Code::Script(code) if code.is_empty());
                let idle = function.library && empty;
                Function { impure: usage.outputs || !written.is_empty(), written, idle }
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (index, usage) in own.iter().enumerate() {
                for &callee in &usage.calls {
                    let callee = functions[callee].clone();
                    let function = &mut functions[index];
                    let before = (function.impure, function.written.len());
                    function.impure |= callee.impure;
                    function.written.extend(callee.written);
                    changed |= before != (function.impure, function.written.len());
                }
            }
        }
        Effects { functions }
    }

    /// Whether a call of the function writes the global.
    pub fn writes(&self, function: usize, global: usize) -> bool {
        self.functions[function].written.contains(&global)
    }

    /// Whether the expression calls a function of the library that does nothing, as `asmlinkage()`: scripts call it for
    /// what it does elsewhere.
    pub fn is_idle(&self, expr: &Expr) -> bool {
        matches!(&expr.kind, ExprKind::Call(candidates, _) if candidates.iter().all(|&f| self.functions[f].idle))
    }

    /// Whether evaluating the expression can be left out when nobody uses its value.
    pub fn is_pure(&self, expr: &Expr) -> bool {
        let usage = Usage::of_expr(expr);
        usage.written.is_empty() && !usage.outputs && usage.calls.iter().all(|&f| !self.functions[f].impure)
    }
}

/// Whether a builtin does more than yield a value.
fn has_effect(builtin: Builtin) -> bool {
    matches!(
        builtin,
        Builtin::raise
            | Builtin::exit
            | Builtin::abort
            | Builtin::warn
            | Builtin::log
            | Builtin::system
            | Builtin::switch_file
            | Builtin::send_signal
            | Builtin::delay_us
            | Builtin::tokenize
            | Builtin::write_memory
            | Builtin::write_string
            | Builtin::write_register
            | Builtin::speculation
            | Builtin::speculate
            | Builtin::commit
            | Builtin::discard
    )
}

/// The functions that these bodies call, directly or not, by rising index.
pub fn reachable(tree: &Tree, bodies: &[usize]) -> Vec<usize> {
    let mut found = HashSet::new();
    let mut queue: Vec<usize> = bodies.iter().flat_map(|&b| Usage::of(&tree.bodies[b].code).calls).collect();
    while let Some(function) = queue.pop() {
        if found.insert(function)
            && let Code::Script(code) = &tree.functions[function].code
        {
            queue.extend(Usage::of(code).calls);
        }
    }
    let mut found: Vec<usize> = found.into_iter().collect();
    found.sort_unstable();
    found
}
