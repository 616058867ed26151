//! The print functions.

use rstap_syntax::ast::{self, Literal, PrintStyle, StatOp};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::expr::up_to_nul;
use super::{Resolver, format};
use crate::hir::{ExprKind, Print, Printed};

impl Resolver<'_, '_, '_> {
    pub(super) fn print(&mut self, print: &ast::Print, token: Span) -> ExprKind {
        match self.printed(print, token) {
            Some(what) => ExprKind::Print(Print { to_string: print.to_string, what }),
            None => ExprKind::Long(0),
        }
    }

    fn printed(&mut self, print: &ast::Print, token: Span) -> Option<Printed> {
        if let PrintStyle::Format(text) = &print.style {
            return self.formatted(text, &print.args, token);
        }
        if let [
            ast::Expr {
                kind: ast::ExprKind::Stat(op @ (StatOp::HistLinear | StatOp::HistLog), base, args),
                token,
                ..
            },
        ] = &print.args[..]
        {
            return self.histogram(*op, base, args, *token).map(Printed::Histogram);
        }
        let delimiter = match &print.style {
            PrintStyle::Delimited(delimiter) => {
                let text = self.literal_string(delimiter)?;
                if print.args.len() < 2 {
                    self.error("a delimiter needs two values at least", token);
                }
                text
            }
            _ => Vec::new(),
        };
        if print.args.is_empty() && !print.newline {
            self.error("nothing to print: a value is expected", token);
        }
        let end = if print.newline { &b"\n"[..] } else { b"" };
        Some(Printed::Values { delimiter, end, args: self.exprs(&print.args) })
    }

    fn formatted(&mut self, text: &ast::Expr, args: &[ast::Expr], token: Span) -> Option<Printed> {
        let format = self.literal_string(text);
        let args = self.exprs(args);
        let directives = match format::parse(&format?) {
            Ok(directives) => directives,
            Err(bad) => {
                self.symbols.diagnostics.push(
                    Diagnostic::error("invalid or missing conversion specifier")
                        .at(text.token, format!("{} is none", bad.0))
                        .note("there are %d %i %u %x %X %o %c %s %p %b %m %M and %%"),
                );
                return None;
            }
        };
        let wanted = format::arguments(&directives).len();
        if wanted != args.len() {
            self.symbols.diagnostics.push(
                Diagnostic::error("Wrong number of args to formatted print operator")
                    .at(token, format!("{} given", args.len()))
                    .see(text.token, format!("the format takes {wanted}")),
            );
            return None;
        }
        Some(Printed::Format { directives, args })
    }

    fn literal_string(&mut self, expr: &ast::Expr) -> Option<Vec<u8>> {
        match &expr.kind {
            ast::ExprKind::Literal(Literal::String(text)) => Some(up_to_nul(text)),
            _ => {
                self.error("expected literal string", expr.token);
                None
            }
        }
    }
}
