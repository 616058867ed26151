//! What can only be judged once all functions are known: calls that change an array while it is walked.

use rstap_syntax::diagnostic::Diagnostic;

use crate::hir::{Code, ExprKind, Stmt, Tree};
use crate::hir_walk::{each_expr_in, each_statement};
use crate::usage::Effects;

/// Refuses calls, inside a `foreach`, of functions that write the walked array.
pub fn calls_in_walks(tree: &Tree, diagnostics: &mut Vec<Diagnostic>) {
    let effects = Effects::of(tree);
    let functions = tree.functions.iter().filter_map(|f| match &f.code {
        Code::Script(code) => Some(code),
        Code::Builtin(_) => None,
    });
    for code in tree.bodies.iter().map(|b| &b.code).chain(functions) {
        each_statement(code, &mut |statement| {
            let Stmt::Foreach(walk) = statement else { return };
            each_expr_in(&walk.body, &mut |expr| {
                if let ExprKind::Call(candidates, _) = &expr.kind
                    && candidates.iter().any(|&f| effects.writes(f, walk.map))
                {
                    let name = &tree.globals[walk.map].name;
                    diagnostics.push(
                        Diagnostic::error(format!(
                            "function call modifies var '{name}' during 'foreach' iteration"
                        ))
                        .at(expr.token, "")
                        .see(walk.token, "walked here"),
                    );
                }
            });
        });
    }
}
