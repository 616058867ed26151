//! Which globals a handler locks, and how: those that it and the functions it calls use.

use std::collections::{BTreeMap, HashSet};

use crate::ir::visit::{each_expr_in, each_statement};
use crate::ir::{ExprKind, FuncId, GlobalId, Lock, Place, Script, StatRef, Stmt};

/// Fills in the lock sets of the handlers. To add to a sharded global needs no lock. Who reads one changes it before,
/// when its parts are gathered, and needs the lock for writing.
pub fn assign(script: &mut Script) {
    let own: Vec<Uses> = script.functions.iter().map(|f| Uses::of(&f.body)).collect();
    let globals = &script.globals;
    for handler in &mut script.handlers {
        let uses = Uses::of(&handler.body);
        let mut used = uses.globals;
        let mut seen = HashSet::new();
        let mut queue = uses.calls;
        while let Some(function) = queue.pop() {
            if !seen.insert(function) {
                continue;
            }
            let uses = &own[function.0 as usize];
            for (&global, &write) in &uses.globals {
                *used.entry(global).or_default() |= write;
            }
            queue.extend(&uses.calls);
        }
        let lock = |(global, write): (GlobalId, bool)| {
            let gather = globals[global.0 as usize].sharded;
            // No handler both adds to it and reads it.
            (!(gather && write)).then_some(Lock { global, write: write || gather, gather })
        };
        handler.locks = used.into_iter().filter_map(lock).collect();
    }
}

/// Globals (and whether they are written) and functions that statements name.
#[derive(Default)]
struct Uses {
    globals: BTreeMap<GlobalId, bool>,
    calls: Vec<FuncId>,
}

impl Uses {
    fn of(body: &[Stmt]) -> Uses {
        let mut uses = Uses::default();
        each_statement(body, &mut |statement| match statement {
            Stmt::Aggregate(stat, ..) => uses.stat(stat, true),
            Stmt::PrintHistogram(stat) | Stmt::ForeachBucket(_, stat, _) => uses.stat(stat, false),
            Stmt::Foreach(walk) => uses.note(walk.map, false),
            Stmt::DeleteGlobal(global, _) | Stmt::DeleteElement(global, ..) => uses.note(*global, true),
            _ => {}
        });
        each_expr_in(body, &mut |expr| match &expr.kind {
            ExprKind::Read(place, _) => uses.place(place, false),
            ExprKind::Assign(place, ..) | ExprKind::Update { place, .. } => uses.place(place, true),
            ExprKind::Contains(global, ..) => uses.note(*global, false),
            ExprKind::Stat(stat, ..) | ExprKind::StatAt(stat, ..) | ExprKind::HistogramText(stat) => {
                uses.stat(stat, false);
            }
            ExprKind::Call(candidates, ..) => uses.calls.extend(candidates),
            _ => {}
        });
        uses
    }

    fn note(&mut self, global: GlobalId, write: bool) {
        *self.globals.entry(global).or_default() |= write;
    }

    fn place(&mut self, place: &Place, write: bool) {
        match place {
            Place::Local(_) => {}
            Place::Global(global) | Place::Element(global, _) => self.note(*global, write),
        }
    }

    fn stat(&mut self, stat: &StatRef, write: bool) {
        match stat {
            StatRef::Global(global) | StatRef::Element(global, _) => self.note(*global, write),
            StatRef::Local(_) => {}
        }
    }
}
