//! Conditions of probe points (`if (EXPR)`): which handlers change them, and what they are at first.

use std::collections::BTreeMap;

use crate::ir::eval::{Evaluator, GlobalValue, Nowhere, Value};
use crate::ir::{Condition, GlobalId, Handler, Lock, Script};
use rstap_program::Initial;

/// Gives each handler the conditions that read what it writes. It also locks what these read, since they are evaluated
/// under its locks: so two handlers that change one condition exclude each other, and the last outcome is the true one.
pub fn assign(handlers: &mut [Handler], conditions: &[Condition]) {
    let mut reads: Vec<Vec<GlobalId>> = Vec::new();
    for condition in conditions {
        let evaluator = &mut handlers[condition.handler.0 as usize];
        let read = evaluator.locks.iter().map(|lock| lock.global);
        reads.push(read.filter(|global| *global != condition.outcome).collect());
        evaluator.locks.clear();
    }
    for handler in handlers {
        let mut locks: BTreeMap<GlobalId, Lock> =
            handler.locks.iter().map(|lock| (lock.global, *lock)).collect();
        for (index, reads) in reads.iter().enumerate() {
            if reads
                .iter()
                .any(|global| handler.locks.contains(&Lock { global: *global, write: true, gather: false }))
            {
                handler.conditions.push(index);
                reads.iter().for_each(|global| {
                    let read = Lock { global: *global, write: false, gather: false };
                    locks.entry(*global).or_insert(read);
                });
            }
        }
        handler.locks = locks.into_values().collect();
    }
}

/// Evaluates the conditions with the first values of the globals. What cannot be evaluated is true: its handlers find
/// the mistake and tell it.
pub fn initialise(script: &mut Script) {
    for index in 0..script.conditions.len() {
        let Condition { handler, outcome, .. } = script.conditions[index];
        let mut evaluator = Evaluator::new(script, Nowhere);
        let failed = evaluator.run(handler, i64::MAX).failure.is_some();
        let value = match &evaluator.globals[outcome.0 as usize] {
            GlobalValue::Scalar(Value::Long(value)) if !failed => *value,
            _ => 1,
        };
        script.globals[outcome.0 as usize].initial = Initial::Long(value);
    }
}
