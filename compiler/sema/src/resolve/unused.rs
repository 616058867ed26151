//! What a script declares and never uses. A name that stands in code which is never reached is used all the same: the
//! library's own names are not looked at.

use std::collections::HashSet;

use rstap_syntax::ast::{Block, ExprKind, FunctionBody};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::Resolver;
use crate::ast_walk::each_expr_in;

impl Resolver<'_, '_, '_> {
    /// Resolves what no handler calls, for its errors alone, and warns about what nothing mentions.
    pub fn check_unused(&mut self) {
        let mentioned = self.mentioned();
        for declared in 0..self.symbols.functions.len() {
            let function = self.symbols.functions[declared].clone();
            if self.symbols.is_library(function.file) || self.functions.contains_key(&declared) {
                continue;
            }
            let name = &function.item.name;
            if !mentioned.contains(&name.text) {
                self.warn_unused("function", &name.text, name.span, "nothing calls it");
            }
            self.function(declared);
            self.called_functions();
        }
        for declared in 0..self.symbols.globals.len() {
            let global = self.symbols.globals[declared].clone();
            let name = &global.item.name;
            let used = self.globals.contains_key(&declared) || mentioned.contains(&name.text);
            if !self.symbols.is_library(global.file) && !used {
                self.warn_unused("global variable", &name.text, name.span, "it is neither read nor written");
            }
        }
    }

    fn warn_unused(&mut self, what: &str, name: &str, span: Span, why: &str) {
        let warning = Diagnostic::warning(format!("unused {what} '{name}'"));
        self.symbols.diagnostics.push(warning.at(span, why));
    }

    /// The names in the expressions of all bodies.
    fn mentioned(&self) -> HashSet<String> {
        let symbols = &self.symbols;
        let probes = symbols.probes.iter().map(|probe| &probe.item.body);
        let aliases =
            symbols.aliases.iter().flat_map(|alias| [Some(&alias.item.body), alias.item.second.as_ref()]);
        let functions = symbols.functions.iter().map(|function| match &function.item.body {
            FunctionBody::Script(body) => Some(body),
            FunctionBody::Embedded(_) => None,
        });
        let bodies: Vec<&Block> = probes.chain(aliases.chain(functions).flatten()).collect();
        let mut names = HashSet::new();
        for body in bodies {
            each_expr_in(body, &mut |expr| {
                if let ExprKind::Symbol(name) | ExprKind::Call(name, _) = &expr.kind {
                    names.insert(name.clone());
                }
            });
        }
        names
    }
}
