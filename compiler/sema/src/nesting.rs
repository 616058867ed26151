//! How deep calls of functions may nest (MAXNESTING): what a script that calls itself nowhere needs is known here.

use std::collections::HashMap;

use rstap_abi::limits::Limits;

use crate::ir::visit::each_expr_in;
use crate::ir::{ExprKind, FuncId, Function, Handler, Stmt};

/// How much deeper than without recursion functions that call themselves may get, as in SystemTap.
const RECURSION: u64 = 12;

/// The limit for these handlers: `given`, if that is not the default.
pub fn limit(handlers: &[Handler], functions: &[Function], given: u64) -> u64 {
    if given != Limits::DEFAULT.max_nesting {
        return given;
    }
    let mut calls = Calls { functions, depths: HashMap::new(), is_recursive: false };
    let deepest = handlers.iter().map(|handler| calls.below(&handler.body)).max().unwrap_or(0);
    if calls.is_recursive { deepest + RECURSION } else { deepest.max(given) }
}

/// The calls of functions, followed.
struct Calls<'f> {
    functions: &'f [Function],
    /// How deep each function goes, itself included; 0 while it is being followed.
    depths: HashMap<FuncId, u64>,
    is_recursive: bool,
}

impl Calls<'_> {
    fn below(&mut self, body: &[Stmt]) -> u64 {
        let mut called = Vec::new();
        each_expr_in(body, &mut |expr| {
            if let ExprKind::Call(candidates, ..) = &expr.kind {
                called.extend(candidates);
            }
        });
        called.into_iter().map(|function| self.depth(function)).max().unwrap_or(0)
    }

    fn depth(&mut self, function: FuncId) -> u64 {
        if let Some(&known) = self.depths.get(&function) {
            self.is_recursive |= known == 0;
            return known;
        }
        self.depths.insert(function, 0);
        let depth = 1 + self.below(&self.functions[function.0 as usize].body);
        self.depths.insert(function, depth);
        depth
    }
}
