//! How much stack a handler needs at most: its frame, and below it the deepest chain of calls that MAXNESTING allows.

use rstap_sema::ir::Script;

use crate::handler::callees;

/// Bytes for each handler, given those of one activation of each function and handler.
pub(crate) fn needs(script: &Script, functions: &[u32], handlers: &[u32]) -> Vec<u32> {
    let below = below_functions(script, functions);
    let callees_need = |calls: &mut dyn Iterator<Item = usize>| calls.map(|f| below[f]).max().unwrap_or(0);
    let bodies = script.handlers.iter().map(|handler| &handler.body);
    bodies
        .zip(handlers)
        .map(|(body, own)| u64::from(*own) + callees_need(&mut callees(body)))
        .map(|need| u32::try_from(need).unwrap_or(u32::MAX))
        .collect()
}

/// Bytes that a call of each function needs: `need(f, depth) = frame(f) + max over callees of need(g, depth - 1)`.
/// Without recursion that settles after as many steps as there are functions.
fn below_functions(script: &Script, frames: &[u32]) -> Vec<u64> {
    let frames: Vec<u64> = frames.iter().map(|frame| u64::from(*frame)).collect();
    let calls: Vec<Vec<usize>> = script.functions.iter().map(|f| callees(&f.body).collect()).collect();
    let depth = script.limits.max_nesting.max(1);
    let mut need = frames.clone();
    for _ in 1..depth.min(frames.len() as u64 + 1) {
        need = (0..frames.len())
            .map(|f| frames[f] + calls[f].iter().map(|g| need[*g]).max().unwrap_or(0))
            .collect();
    }
    let largest = frames.iter().copied().max().unwrap_or(0);
    let bound = largest.saturating_mul(depth);
    if depth > frames.len() as u64 + 1 && is_recursive(&calls) {
        return vec![bound; frames.len()];
    }
    need
}

fn is_recursive(calls: &[Vec<usize>]) -> bool {
    // A function whose callees are all settled is settled; recursion is what never settles.
    let mut settled = vec![false; calls.len()];
    for _ in calls {
        for f in 0..calls.len() {
            settled[f] = calls[f].iter().all(|g| settled[*g]);
        }
    }
    settled.contains(&false)
}
