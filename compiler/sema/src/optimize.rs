//! Leaves out what has no effect, and says so: assignments to locals that nobody reads, expressions whose value nobody
//! uses, loops over nothing, handlers without anything left. Works on the resolved tree, before types are inferred, so
//! that code without effect needs no types.

use std::collections::{HashMap, HashSet};

use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::hir::{Code, Expr, ExprKind, Local, Place, Stmt, Tree, Var};
use crate::usage::{Effects, Usage};
use rstap_syntax::near::similar;

/// Rounds after which what is left stays: each leaves out what the one before made useless.
const MAX_ROUNDS: usize = 10;

/// Leaves out what has no effect in all functions and handlers.
pub fn drop_useless(tree: &mut Tree, diagnostics: &mut Vec<Diagnostic>) {
    for _ in 0..MAX_ROUNDS {
        let effects = Effects::of(tree);
        let mut changed = false;
        for body in &mut tree.bodies {
            let mut code = std::mem::take(&mut body.code);
            let advise = |span| body.is_own(span);
            let mut sweep = Sweep::new(&effects, &code, &body.locals, &advise, diagnostics);
            sweep.statements(&mut code);
            changed |= sweep.changed;
            body.code = code;
            while body.code.last().is_some_and(|last| only_ends(last, &effects)) {
                body.code.pop();
                changed = true;
            }
        }
        for function in &mut tree.functions {
            if let Code::Script(code) = &mut function.code {
                let advise = |span| !function.library && span != Span::default();
                let mut sweep = Sweep::new(&effects, code, &function.locals, &advise, diagnostics);
                sweep.statements(code);
                changed |= sweep.changed;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Whether a handler's last statement does nothing but end it: `next`, or a condition that chooses whether to.
fn only_ends(statement: &Stmt, effects: &Effects) -> bool {
    let mut branches = match statement {
        Stmt::Next => return true,
        Stmt::If(condition, then, otherwise) if effects.is_pure(condition) => then.iter().chain(otherwise),
        _ => return false,
    };
    branches.all(|s| only_ends(s, effects))
}

struct Sweep<'a> {
    effects: &'a Effects,
    read: HashSet<Var>,
    locals: &'a [Local],
    /// Whether a finding at a place is worth a word.
    advise: &'a dyn Fn(Span) -> bool,
    diagnostics: &'a mut Vec<Diagnostic>,
    changed: bool,
}

impl<'a> Sweep<'a> {
    fn new(
        effects: &'a Effects,
        code: &[Stmt],
        locals: &'a [Local],
        advise: &'a dyn Fn(Span) -> bool,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Sweep<'a> {
        Sweep { effects, read: Usage::of(code).read, locals, advise, diagnostics, changed: false }
    }

    fn statements(&mut self, code: &mut Vec<Stmt>) {
        code.retain_mut(|statement| {
            let keep = self.keep(statement);
            self.changed |= !keep;
            keep
        });
    }

    /// Shortens a statement; whether anything is left of it.
    fn keep(&mut self, statement: &mut Stmt) -> bool {
        match statement {
            Stmt::Expr(expr) => self.keep_expr(expr),
            Stmt::If(condition, then, otherwise) => {
                self.statements(then);
                self.statements(otherwise);
                if !then.is_empty() || !otherwise.is_empty() {
                    return true;
                }
                if self.effects.is_pure(condition) {
                    return false;
                }
                *statement = Stmt::Expr(condition.clone());
                true
            }
            Stmt::Loop { body, step, .. } => {
                self.statements(body);
                if let Some(e) = step
                    && !self.keep_expr(e)
                {
                    *step = None;
                }
                true
            }
            Stmt::Foreach(walk) => {
                self.statements(&mut walk.body);
                let bound = walk.keys.iter().chain(&walk.value).any(|&l| self.is_read(l));
                bound || !walk.body.is_empty() || walk.limit.iter().any(|e| !self.effects.is_pure(e))
            }
            Stmt::ForeachBucket(local, _, body) => {
                self.statements(body);
                !body.is_empty() || self.is_read(*local)
            }
            Stmt::Try(body, _, catch) => {
                self.statements(body);
                self.statements(catch);
                !body.is_empty()
            }
            _ => true,
        }
    }

    fn keep_expr(&mut self, expr: &mut Expr) -> bool {
        match &expr.kind {
            ExprKind::Assign(_, Place::Var(Var::Local(local)), value, _) if !self.is_read(*local) => {
                let value = (**value).clone();
                self.changed = true;
                self.say(
                    format!("Eliding assignment to '{}'", self.locals[*local].name),
                    expr.token,
                    "its value is never read",
                );
                *expr = value;
                return !self.effects.is_pure(expr);
            }
            ExprKind::Crement { place: Place::Var(Var::Local(local)), .. } if !self.is_read(*local) => {
                return false;
            }
            _ => {}
        }
        if self.effects.is_pure(expr) {
            if !self.effects.is_idle(expr) {
                self.say(
                    "Eliding side-effect-free expression".to_owned(),
                    expr.token,
                    "its value is not used",
                );
            }
            return false;
        }
        true
    }

    fn is_read(&self, local: usize) -> bool {
        self.read.contains(&Var::Local(local))
    }

    fn say(&mut self, message: String, span: Span, label: &str) {
        if (self.advise)(span) {
            self.diagnostics.push(Diagnostic::warning(message).at(span, label));
        }
    }
}

/// A handler or function, as far as advice about its variables needs it.
struct Unit<'t> {
    code: &'t [Stmt],
    locals: &'t [Local],
    param_count: usize,
    advise: Box<dyn Fn(Span) -> bool + 't>,
}

fn units<'t>(tree: &'t Tree, bodies: &[usize], functions: &[usize]) -> Vec<Unit<'t>> {
    let bodies = bodies.iter().map(|&index| {
        let body = &tree.bodies[index];
        let advise = Box::new(|span| body.is_own(span));
        Unit { code: &body.code, locals: &body.locals, param_count: 0, advise }
    });
    let functions = functions.iter().filter_map(|&index| {
        let function = &tree.functions[index];
        let Code::Script(code) = &function.code else { return None };
        let advise = Box::new(|_| !function.library);
        Some(Unit { code, locals: &function.locals, param_count: function.param_count, advise })
    });
    bodies.chain(functions).collect()
}

/// Warns of variables that are read and never assigned. `preset` are globals with a value from outside (`-G`).
pub fn warn_never_assigned(
    tree: &Tree,
    bodies: &[usize],
    functions: &[usize],
    preset: &dyn Fn(&str) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut globals: HashMap<usize, (bool, bool)> = HashMap::new();
    let names = || tree.globals.iter().filter(|g| !g.library).map(|g| g.name.as_str());
    for Unit { code, locals, param_count, advise } in units(tree, bodies, functions) {
        let usage = Usage::of(code);
        usage.globals_read().for_each(|g| globals.entry(g).or_default().0 = true);
        usage.globals_written().for_each(|g| globals.entry(g).or_default().1 = true);
        for (index, local) in locals.iter().enumerate().skip(param_count) {
            let var = Var::Local(index);
            if usage.read.contains(&var)
                && !usage.written.contains(&var)
                && !usage.bound.contains(&index)
                && !local.hidden
                && advise(local.span)
            {
                let near = similar(
                    &local.name,
                    locals.iter().map(|l| l.name.as_str()).chain(names()).filter(|n| *n != local.name),
                );
                diagnostics.push(
                    Diagnostic::warning(format!("never-assigned local variable '{}'{near}", local.name))
                        .at(local.span, ""),
                );
            }
        }
    }
    for (index, global) in tree.globals.iter().enumerate() {
        let (read, written) = globals.get(&index).copied().unwrap_or_default();
        if read && !written && global.init.is_none() && !global.library && !preset(&global.name) {
            let near = similar(&global.name, names().filter(|n| *n != global.name));
            diagnostics.push(
                Diagnostic::warning(format!("never-assigned global variable '{}'{near}", global.name))
                    .at(global.span, ""),
            );
        }
    }
}
