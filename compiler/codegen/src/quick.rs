//! Quick forms of handlers: code that calls nothing, so that whoever runs it need not prepare for anything. It does all that
//! the handler does or nothing of it. Where the handler would call something, the quick form declines the hit, and the
//! handler is run for it: a new element of an array, the branch that is not taken as a rule. So nothing may be done before
//! a place where it may decline.
//!
//! There is none of a handler that takes locks, counts its actions, or always calls something.

use rstap_abi::layout::{GlobalShape, ValueShape};
use rstap_program::ArenaPlan;
use rstap_sema::ir::visit::statement_addition;
use rstap_sema::ir::{Directive, Expr, ExprKind, Format, GlobalId, Key, Place, Script, StatRef, Stmt};

use crate::needs::{Needs, is_plain_effect, is_plain_value};
use crate::print::{MOST_ARGUMENTS, reads_memory};
use crate::shard::is_added_to_here;

/// The handlers that have a quick form, each with its body there: [`Stmt::Decline`] stands for what it declines.
pub(crate) fn forms(script: &Script, arena: &ArenaPlan, needs: &Needs) -> Vec<(usize, Vec<Stmt>)> {
    let hot = script.hot_handlers();
    let former = Former { arena };
    let form = |(index, handler): (usize, &rstap_sema::ir::Handler)| {
        let is_free = handler.locks.is_empty() && handler.conditions.is_empty();
        let may_be = hot[index] && is_free && !needs.handlers_counted[index];
        let body = may_be.then(|| former.list(&handler.body, &mut false)).flatten()?;
        Some((index, body))
    };
    script.handlers.iter().enumerate().filter_map(form).collect()
}

struct Former<'a> {
    arena: &'a ArenaPlan,
}

impl Former<'_> {
    /// What stands for these statements; `None`: they are to be declined. `begun`: something is done already, so that
    /// nothing can be declined any more.
    fn list(&self, list: &[Stmt], begun: &mut bool) -> Option<Vec<Stmt>> {
        list.iter().map(|statement| self.statement(statement, begun)).collect()
    }

    fn statement(&self, statement: &Stmt, begun: &mut bool) -> Option<Stmt> {
        let is_done = match statement {
            Stmt::If(condition, then, otherwise) => {
                return self.choice(condition, then, otherwise, begun);
            }
            Stmt::Return(None) | Stmt::Next => true,
            Stmt::Print(format, _) => {
                let is_done = is_put_in_the_ring(format) && !*begun;
                *begun = true;
                is_done
            }
            Stmt::Aggregate(stat, value, _) if is_plain_value(value) => {
                let may_decline = self.is_added_to(stat);
                let is_done = may_decline && !*begun;
                *begun = true;
                is_done
            }
            Stmt::Expr(expr) => match addition(statement) {
                Some((Place::Global(global), operand)) if self.is_sharded(*global) => {
                    *begun = true;
                    is_plain_value(operand)
                }
                Some((Place::Element(global, key), operand)) if self.is_sharded(*global) => {
                    let is_done = is_found(key) && is_plain_value(operand) && !*begun;
                    *begun = true;
                    is_done
                }
                _ => is_local(expr),
            },
            _ => false,
        };
        is_done.then(|| statement.clone())
    }

    fn choice(&self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt], begun: &mut bool) -> Option<Stmt> {
        let before = *begun;
        let branches = [then, otherwise].map(|branch| {
            let mut begun = before;
            let form = self.list(branch, &mut begun);
            (form, begun)
        });
        let declined = branches.iter().filter(|(form, _)| form.is_none()).count();
        if !is_plain_value(condition) || declined == 2 || declined > 0 && before {
            return None;
        }
        let [then, otherwise] = branches.map(|(form, has_begun)| {
            *begun |= form.is_some() && has_begun;
            form.unwrap_or_else(|| vec![Stmt::Decline])
        });
        Some(Stmt::If(condition.clone(), then, otherwise))
    }

    fn is_sharded(&self, global: GlobalId) -> bool {
        self.arena.globals[global.0 as usize].part.is_some()
    }

    /// Whether generated code adds to a statistic, as a rule.
    fn is_added_to(&self, stat: &StatRef) -> bool {
        let (StatRef::Global(global) | StatRef::Element(global, _)) = stat else { return false };
        let is_here = match &self.arena.globals[global.0 as usize].shape {
            GlobalShape::Stat(shape) => is_added_to_here(shape),
            GlobalShape::Map(map) => matches!(&map.value, ValueShape::Stat(shape) if is_added_to_here(shape)),
            GlobalShape::Long | GlobalShape::String => false,
        };
        let is_found = !matches!(stat, StatRef::Element(_, key) if !is_found(key));
        is_here && is_found && self.is_sharded(*global)
    }
}

/// Whether generated code hands the arguments of a `printf` to rstap, as a rule: some longs, computed without calls.
fn is_put_in_the_ring(format: &Format) -> bool {
    let is_one_text = matches!(&*format.directives, [Directive::Literal(_)]);
    !is_one_text
        && !reads_memory(format)
        && (1..=MOST_ARGUMENTS).contains(&format.args.len())
        && format.args.iter().all(is_plain_value)
}

/// `p += e` as a statement.
fn addition(statement: &Stmt) -> Option<(&Place, &Expr)> {
    match &statement_addition(statement)?.kind {
        ExprKind::Update { place, operand, .. } => Some((place, operand)),
        _ => None,
    }
}

/// Whether generated code finds the element of a key, as a rule: one long, computed without calls.
fn is_found(key: &Key) -> bool {
    matches!(&**key, [part] if is_plain_value(part))
}

/// Whether an expression changes nothing but locals, without calls.
fn is_local(expr: &Expr) -> bool {
    let place = match &expr.kind {
        ExprKind::Assign(place, ..) | ExprKind::Update { place, .. } => Some(place),
        _ => None,
    };
    is_plain_effect(expr) && place.is_none_or(|place| matches!(place, Place::Local(_)))
}
