//! `event("name", "key", value, …)` and `print_json(global)`: output for programs. A script that declares functions of
//! these names has its own.

use rstap_syntax::ast::{self, Literal};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::Resolver;
use crate::hir::{ExprKind, Print, Printed};
use crate::json::quoted;

impl Resolver<'_, '_, '_> {
    /// The call of one of the two, if it is one.
    pub(super) fn json(&mut self, name: &str, args: &[ast::Expr], token: Span) -> Option<ExprKind> {
        let what = match name {
            "event" => self.event(args, token),
            "print_json" => self.print_json(args, token),
            _ => return None,
        };
        Some(what.map_or(ExprKind::Long(0), |what| ExprKind::Print(Print { to_string: false, what })))
    }

    fn event(&mut self, args: &[ast::Expr], token: Span) -> Option<Printed> {
        let Some((name, fields)) = args.split_first().filter(|(_, fields)| fields.len() % 2 == 0) else {
            self.symbols.diagnostics.push(
                Diagnostic::error("event() takes a name, then pairs of a key and a value")
                    .at(token, format!("{} given", args.len()))
                    .note("event(\"open\", \"path\", user_string($path), \"flags\", $flags)"),
            );
            return None;
        };
        let head = [&b"{\"event\":"[..], &self.json_key(name)?].concat();
        let mut pieces = Vec::new();
        for pair in fields.chunks_exact(2) {
            let [key, value] = pair else { continue };
            let before = [&b","[..], &self.json_key(key)?, b":"].concat();
            pieces.push((before, self.expr(value)));
        }
        Some(Printed::Event { head, fields: pieces })
    }

    fn json_key(&mut self, expr: &ast::Expr) -> Option<Vec<u8>> {
        match &expr.kind {
            ast::ExprKind::Literal(Literal::String(text)) => Some(quoted(text)),
            _ => {
                self.error("expected literal string: names and keys of an event are fixed", expr.token);
                None
            }
        }
    }

    fn print_json(&mut self, args: &[ast::Expr], token: Span) -> Option<Printed> {
        let global = match args {
            [ast::Expr { kind: ast::ExprKind::Symbol(name), .. }] => self.global(name),
            _ => None,
        };
        if global.is_none() {
            self.symbols.diagnostics.push(
                Diagnostic::error("print_json() takes the name of a global variable or array")
                    .at(token, "")
                    .note("for single values there is event(\"name\", \"key\", value)"),
            );
        }
        global.map(Printed::Json)
    }
}
