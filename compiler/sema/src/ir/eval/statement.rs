//! Statements, run one by one.

use rstap_abi::fault::Fault;
use rstap_abi::layout::order;

use super::{
    Environment, Evaluated, Evaluator, Failure, Flow, GlobalValue, Locals, Map, Part, Stop, Value, store,
};
use crate::ir::visit::first_run;
use crate::ir::{Expr, Foreach, GlobalId, GlobalKind, StatRef, Stmt};

impl<E: Environment> Evaluator<'_, E> {
    pub(super) fn statements(&mut self, list: &[Stmt], locals: &mut Locals) -> Evaluated<Flow> {
        let mut rest = list;
        while !rest.is_empty() {
            let run = first_run(rest);
            self.charge(run.cost)?;
            for statement in &rest[..run.len] {
                let flow = self.statement(statement, locals)?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
            rest = &rest[run.len..];
        }
        Ok(Flow::On)
    }

    fn charge(&mut self, cost: u64) -> Evaluated<()> {
        self.outcome.actions -= cost as i64;
        if self.outcome.actions < 0 { Err(Failure::new(Fault::MaxAction).into()) } else { Ok(()) }
    }

    fn statement(&mut self, statement: &Stmt, locals: &mut Locals) -> Evaluated<Flow> {
        match statement {
            Stmt::Expr(expr) => {
                self.expr(expr, locals)?;
            }
            Stmt::Aggregate(stat, value, site) => {
                self.aggregate(stat, value, locals).map_err(|e| at(e, *site))?
            }
            Stmt::Print(format, site) => {
                let text = self.format(format, locals).map_err(|e| at(e, *site))?;
                self.outcome.output.extend(text);
            }
            Stmt::PrintHistogram(stat) => {
                let text = self.histogram(stat, locals)?;
                self.outcome.output.extend(text);
            }
            Stmt::If(condition, then, otherwise) => {
                let list = if self.long(condition, locals)? != 0 { then } else { otherwise };
                return self.statements(list, locals);
            }
            Stmt::Loop(condition, body, step) => {
                return self.repeat(condition.as_ref(), body, step.as_ref(), locals);
            }
            Stmt::Foreach(walk) => return self.foreach(walk, locals),
            Stmt::ForeachBucket(local, stat, body) => {
                let count = self.stat(stat, locals, None)?.map_or(0, |stat| stat.buckets().len());
                let mut index = 0;
                while self.next_round((index < count) as i64)? {
                    locals.set(*local, Value::Long(index as i64));
                    match self.statements(body, locals)? {
                        Flow::On | Flow::Continue => {}
                        Flow::Break => break,
                        other => return Ok(other),
                    }
                    index += 1;
                }
            }
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Continue => return Ok(Flow::Continue),
            Stmt::Return(value) => {
                let value = value.as_ref().map(|value| self.expr(value, locals)).transpose()?;
                return Ok(Flow::Return(value.map(|value| self.cut_value(value))));
            }
            Stmt::Next => return Ok(Flow::End),
            Stmt::Decline => return Ok(Flow::Decline),
            Stmt::Try(body, message, catch) => {
                let failure = match self.statements(body, locals) {
                    Err(Stop::Failed(failure)) if failure.fault.can_be_caught() => failure,
                    other => return other,
                };
                if let Some(local) = message {
                    let text = self.cut(failure.text());
                    locals.set(*local, Value::Str(text));
                }
                return self.statements(catch, locals);
            }
            Stmt::DeleteGlobal(global, _) => self.delete_global(*global),
            Stmt::DeleteElement(global, key, site) => {
                let pattern = self.pattern(key, locals).map_err(|e| at(e, *site))?;
                self.map_mut(*global).delete(&pattern);
            }
            Stmt::SaveEntry(offset, value) => {
                let value = self.expr(value, locals)?;
                let value = self.cut_value(value);
                self.entry.insert(*offset, value);
            }
        }
        Ok(Flow::On)
    }

    /// Charges a round of a loop, then says whether there is one.
    fn next_round(&mut self, more: i64) -> Evaluated<bool> {
        self.charge(1)?;
        Ok(more != 0)
    }

    fn repeat(
        &mut self,
        condition: Option<&Expr>,
        body: &[Stmt],
        step: Option<&Expr>,
        locals: &mut Locals,
    ) -> Evaluated<Flow> {
        loop {
            self.charge(1)?;
            if let Some(condition) = condition
                && self.long(condition, locals)? == 0
            {
                return Ok(Flow::On);
            }
            match self.statements(body, locals)? {
                Flow::On | Flow::Continue => {}
                Flow::Break => return Ok(Flow::On),
                other => return Ok(other),
            }
            if let Some(step) = step {
                self.expr(step, locals)?;
            }
        }
    }

    fn foreach(&mut self, walk: &Foreach, locals: &mut Locals) -> Evaluated<Flow> {
        let pattern = self.pattern(&walk.slice, locals)?;
        let limit = walk.limit.as_ref().map(|limit| self.long(limit, locals)).transpose()?;
        let mut keys = self.map(walk.map).keys();
        sort(&mut keys, walk.order, self.map(walk.map));
        keys.truncate(limit.map_or(usize::MAX, |limit| limit.max(0) as usize));
        keys.retain(|key| store::matches(key, &pattern));
        let stamped: Vec<_> = keys.into_iter().map(|key| (self.map(walk.map).stamp(&key), key)).collect();
        let mut elements = stamped.into_iter();
        loop {
            self.charge(1)?;
            // Elements deleted since the walk began are passed over, also if others took their keys.
            let next = elements.find(|(stamp, key)| self.map(walk.map).stamp(key) == *stamp);
            let Some((_, key)) = next else { return Ok(Flow::On) };
            for (local, part) in walk.keys.iter().zip(&key) {
                if let Some(local) = local {
                    locals.set(*local, part.clone());
                }
            }
            if let Some(local) = walk.value {
                let value = match self.map(walk.map).get(&key) {
                    Some(store::Element::Scalar(value)) => value.clone(),
                    _ => Value::Statistic(walk.map, key),
                };
                locals.set(local, value);
            }
            match self.statements(&walk.body, locals)? {
                Flow::On | Flow::Continue => {}
                Flow::Break => return Ok(Flow::On),
                other => return Ok(other),
            }
        }
    }

    fn aggregate(&mut self, stat: &StatRef, value: &Expr, locals: &mut Locals) -> Evaluated<()> {
        let (global, key) = match stat {
            StatRef::Global(global) => (*global, None),
            StatRef::Element(global, key) => (*global, Some(self.key(key, locals)?)),
            StatRef::Local(local) => match locals.get(*local).clone() {
                Value::Statistic(global, key) => (global, Some(key)),
                other => panic!("a statistic was expected, not {other:?}"),
            },
        };
        let value = self.long(value, locals)?;
        let stat = match (&mut self.globals[global.0 as usize], key) {
            (GlobalValue::Stat(stat), None) => stat,
            (GlobalValue::Map(map), Some(key)) => match map.make(&key)? {
                store::Element::Stat(stat) => stat,
                store::Element::Scalar(_) => panic!("pass 2 aggregates into statistics"),
            },
            _ => panic!("pass 2 aggregates into statistics"),
        };
        stat.values.push(value);
        Ok(())
    }

    fn delete_global(&mut self, global: GlobalId) {
        match (&mut self.globals[global.0 as usize], self.script.globals[global.0 as usize].kind) {
            (GlobalValue::Scalar(value), GlobalKind::Scalar(ty)) => *value = store::zero(ty),
            (GlobalValue::Stat(stat), _) => stat.values.clear(),
            (GlobalValue::Map(map), _) => map.clear(),
            _ => panic!("a global keeps its kind"),
        }
    }

    pub(super) fn map(&self, global: GlobalId) -> &Map {
        match &self.globals[global.0 as usize] {
            GlobalValue::Map(map) => map,
            _ => panic!("pass 2 uses only arrays as arrays"),
        }
    }

    pub(super) fn map_mut(&mut self, global: GlobalId) -> &mut Map {
        match &mut self.globals[global.0 as usize] {
            GlobalValue::Map(map) => map,
            _ => panic!("pass 2 uses only arrays as arrays"),
        }
    }
}

/// Names the place of a failure that has none.
pub(super) fn at(stop: Stop, site: crate::ir::SiteId) -> Stop {
    match stop {
        Stop::Failed(failure) => Stop::Failed(failure.at(site)),
        Stop::Ended => Stop::Ended,
    }
}

/// Sorts keys that are in the order of insertion; what is equal stays in that order.
fn sort(keys: &mut [Vec<Part>], by: u64, map: &Map) {
    let descending = by & order::DESCENDING != 0;
    let criterion = by & !order::DESCENDING;
    if criterion == order::NONE {
        return;
    }
    keys.sort_by(|a, b| {
        let (x, y) = (rank(a, criterion, map), rank(b, criterion, map));
        if descending { y.cmp(&x) } else { x.cmp(&y) }
    });
}

fn rank(key: &[Part], criterion: u64, map: &Map) -> Value {
    match (criterion, map.get(key)) {
        (order::VALUE, Some(store::Element::Scalar(value))) => value.clone(),
        (order::STAT.., Some(store::Element::Stat(stat))) => {
            Value::Long(stat.extract(criterion - order::STAT).unwrap_or(0))
        }
        (order::KEY..order::VALUE, _) => key[(criterion - order::KEY) as usize].clone(),
        (_, element) => panic!("order {criterion} of {element:?}"),
    }
}
