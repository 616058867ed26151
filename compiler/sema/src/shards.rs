//! Which globals are sharded: those that handlers only add to (`++ += -= <<<`), so that each context can add to a part
//! of its own, without a lock, and readers sum the parts up.
//!
//! A global is sharded if
//! - all that is ever done to it is adding, as a statement whose value nobody uses, and it starts as 0 or empty;
//! - no handler both adds to it and reads it: such a handler wants to see its own addition, and nobody's in between;
//! - no condition of a probe point reads it: those are evaluated as soon as it changes;
//! - it is a long, a statistic, or an array of those that is not too large to have many times;
//! - an array is read by begin, end, error and timer probes only: to sum it up takes time;
//! - a probe in a program adds to it: others are not in a hurry.

use std::collections::{BTreeSet, HashSet};

use rstap_abi::layout::{GlobalShape, MapShape, ValueShape};
use rstap_abi::limits::Limits;
use rstap_program::Initial;

use crate::ir::visit::{each_expr, each_statement, expressions, statement_addition};
use crate::ir::{
    BinaryOp, Expr, ExprKind, FuncId, GlobalId, GlobalKind, Handler, Place, Script, StatRef, Stmt, Type,
};

/// Largest part of an array in one shard.
const MAX_PART_BYTES: u64 = 4 << 20;

/// Marks the globals that are sharded.
pub fn assign(script: &mut Script) {
    let marks: Vec<bool> = {
        let uses = Uses::of(script);
        (0..script.globals.len() as u32).map(|global| uses.is_sharded(GlobalId(global))).collect()
    };
    for (global, sharded) in script.globals.iter_mut().zip(marks) {
        global.sharded = sharded;
    }
}

/// What some statements do with globals.
#[derive(Clone, Default)]
struct Body {
    added: BTreeSet<GlobalId>,
    read: BTreeSet<GlobalId>,
    /// Set, or changed in another way than by adding.
    changed: BTreeSet<GlobalId>,
    calls: HashSet<FuncId>,
}

struct Uses<'s> {
    script: &'s Script,
    /// By handler, what it calls included.
    handlers: Vec<Body>,
    /// By handler: whether a probe in a program runs it.
    hot: Vec<bool>,
}

impl<'s> Uses<'s> {
    fn of(script: &'s Script) -> Uses<'s> {
        let functions: Vec<Body> = script.functions.iter().map(|function| Body::of(&function.body)).collect();
        let handlers = script.handlers.iter().map(|handler| Body::of_all(handler, &functions)).collect();
        Uses { script, handlers, hot: script.hot_handlers() }
    }

    fn is_sharded(&self, id: GlobalId) -> bool {
        let global = &self.script.globals[id.0 as usize];
        let limits = &self.script.limits;
        let kind = match global.kind {
            GlobalKind::Scalar(Type::Long) => true,
            GlobalKind::Scalar(Type::Str) => false,
            GlobalKind::Stat(_) => true,
            GlobalKind::Map(map) => can_be_split(&map, limits),
        };
        let is_map = matches!(global.kind, GlobalKind::Map(_));
        let conditions = self.script.conditions.iter().map(|condition| condition.handler.0 as usize);
        let mut added_in_a_program = false;
        let only_added = self.handlers.iter().zip(&self.hot).all(|(body, &hot)| {
            let (adds, reads) = (body.added.contains(&id), body.read.contains(&id));
            added_in_a_program |= adds && hot;
            !(body.changed.contains(&id) || reads && (adds || is_map && hot))
        });
        let in_a_condition = conditions.into_iter().any(|handler| self.handlers[handler].read.contains(&id));
        kind && !in_a_condition && global.initial == Initial::Zero && only_added && added_in_a_program
    }
}

fn can_be_split(map: &MapShape, limits: &Limits) -> bool {
    let value = map.value != ValueShape::String;
    let bytes = map.value.size(limits).saturating_mul(u64::from(map.capacity));
    value && !map.wrap && bytes <= MAX_PART_BYTES && GlobalShape::Map(*map).size(limits) < u64::MAX
}

impl Body {
    fn of(statements: &[Stmt]) -> Body {
        let mut body = Body::default();
        each_statement(statements, &mut |statement| body.statement(statement));
        body
    }

    fn of_all(handler: &Handler, functions: &[Body]) -> Body {
        let mut all = Body::of(&handler.body);
        let mut queue: Vec<FuncId> = all.calls.iter().copied().collect();
        while let Some(function) = queue.pop() {
            let body = &functions[function.0 as usize];
            all.added.extend(&body.added);
            all.read.extend(&body.read);
            all.changed.extend(&body.changed);
            queue.extend(body.calls.iter().filter(|callee| all.calls.insert(**callee)));
        }
        all
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Aggregate(StatRef::Global(global) | StatRef::Element(global, _), ..) => {
                self.added.insert(*global);
            }
            Stmt::PrintHistogram(stat) | Stmt::ForeachBucket(_, stat, _) => self.stat(stat),
            Stmt::Foreach(walk) => {
                self.read.insert(walk.map);
            }
            Stmt::DeleteGlobal(global, _) | Stmt::DeleteElement(global, ..) => {
                self.changed.insert(*global);
            }
            _ => {}
        }
        let addition = statement_addition(statement);
        self.added.extend(addition.and_then(added_to));
        for expr in expressions(statement) {
            each_expr(expr, &mut |expr| {
                if !addition.is_some_and(|addition| std::ptr::eq(addition, expr)) {
                    self.expr(expr);
                }
            });
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Read(Place::Global(global) | Place::Element(global, _), _)
            | ExprKind::Contains(global, ..) => {
                self.read.insert(*global);
            }
            ExprKind::Assign(Place::Global(global) | Place::Element(global, _), ..)
            | ExprKind::Update { place: Place::Global(global) | Place::Element(global, _), .. } => {
                self.changed.insert(*global);
            }
            ExprKind::Stat(stat, ..) | ExprKind::StatAt(stat, ..) | ExprKind::HistogramText(stat) => {
                self.stat(stat);
            }
            ExprKind::Call(candidates, ..) => self.calls.extend(candidates),
            _ => {}
        }
    }

    fn stat(&mut self, stat: &StatRef) {
        if let StatRef::Global(global) | StatRef::Element(global, _) = stat {
            self.read.insert(*global);
        }
    }
}

/// The global that the expression of an addition adds to.
fn added_to(expr: &Expr) -> Option<GlobalId> {
    match &expr.kind {
        ExprKind::Update {
            place: Place::Global(global) | Place::Element(global, _),
            op: BinaryOp::Add | BinaryOp::Sub,
            ..
        } => Some(*global),
        _ => None,
    }
}
