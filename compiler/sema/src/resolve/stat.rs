//! Statistics: extractors, histograms and their parameters.

use rstap_abi::layout::{Histogram, StatShape};
use rstap_syntax::ast::{self, StatOp};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use super::Resolver;
use crate::hir::{ExprKind, Stat, Var};
use crate::ir::StatIndex;

/// Buckets of a linear histogram, as in SystemTap.
const MAX_BUCKETS: i128 = 126;

/// Largest bit shift of `@variance`.
const MAX_SHIFT: i64 = 62;

impl Resolver<'_, '_, '_> {
    /// The statistic an expression names.
    pub(super) fn stat(&mut self, expr: &ast::Expr) -> Option<Stat> {
        match &expr.kind {
            ast::ExprKind::Symbol(name) => {
                let var = self.var(name, expr.token);
                if let Var::Global(global) = var {
                    self.note_arity(global, 0, expr.token);
                }
                Some(Stat::Var(var))
            }
            ast::ExprKind::Index(base, parts) if matches!(base.kind, ast::ExprKind::Symbol(_)) => {
                let global = self.array(base, parts.len())?;
                Some(Stat::Element(global, self.full_parts(parts, expr.token)))
            }
            _ => {
                self.error(
                    "a statistic must be named here: a global variable or an array's element",
                    expr.token,
                );
                None
            }
        }
    }

    pub(super) fn note_stat_write(&mut self, stat: &Stat, token: Span) {
        let array = match stat {
            Stat::Element(global, _) => Some(*global),
            Stat::Var(Var::Local(local)) => self.unit.locals[*local].walks,
            Stat::Var(Var::Global(_)) => None,
        };
        if let Some(array) = array {
            self.note_array_write(array, token);
        }
    }

    /// `@count(x)` and the other extractors; a histogram only as a whole.
    pub(super) fn extract(
        &mut self,
        op: StatOp,
        base: &ast::Expr,
        args: &[ast::Expr],
        token: Span,
    ) -> ExprKind {
        if op == StatOp::Quantile {
            return self.quantile(base, args, token);
        }
        if matches!(op, StatOp::HistLinear | StatOp::HistLog) {
            return self.poison("a histogram can only be printed, indexed or walked", token);
        }
        let Some(stat) = self.stat(base) else { return ExprKind::Long(0) };
        if op == StatOp::Variance {
            let shift = self.literals(args).first().copied().unwrap_or(0);
            if !(0..=MAX_SHIFT).contains(&shift) {
                self.error(&format!("bit shift ({shift}) out of range <0..{MAX_SHIFT}>"), token);
                return ExprKind::Long(0);
            }
            if let Some(shape) = self.shape(&stat) {
                shape.variance = true;
                shape.variance_shift = shape.variance_shift.max(shift as u8);
            }
        }
        ExprKind::Stat(op, stat)
    }

    /// `@quantile(s, p)`, `@quantile(s, p, of)`
    fn quantile(&mut self, base: &ast::Expr, args: &[ast::Expr], token: Span) -> ExprKind {
        let Some(stat) = self.stat(base) else { return ExprKind::Long(0) };
        let [p, of @ ..] = args else { return ExprKind::Long(0) };
        let of = match (of, &self.literals(of)[..]) {
            ([], _) => 100,
            (_, [of]) if *of > 0 => *of,
            _ => {
                return self.poison(
                    "@quantile(statistic, p, parts): the number of parts must be a literal above 0",
                    token,
                );
            }
        };
        if let Some(shape) = self.shape(&stat) {
            shape.sketch = true;
        }
        ExprKind::StatAt(stat, StatIndex::Quantile { of }, Box::new(self.expr(p)))
    }

    /// The statistic of `@hist_x(s, …)`, which keeps this histogram from now on.
    pub(super) fn histogram(
        &mut self,
        op: StatOp,
        base: &ast::Expr,
        args: &[ast::Expr],
        token: Span,
    ) -> Option<Stat> {
        let stat = self.stat(base)?;
        let wanted = if op == StatOp::HistLog { Histogram::Log } else { self.linear(args, token)? };
        let shape = self.shape(&stat)?;
        if shape.histogram == Histogram::None {
            shape.histogram = wanted;
        } else if shape.histogram != wanted {
            let name = match &stat {
                Stat::Var(Var::Global(global)) | Stat::Element(global, _) => {
                    self.tree.globals[*global].name.clone()
                }
                Stat::Var(Var::Local(local)) => self.unit.locals[*local].name.clone(),
            };
            self.symbols.diagnostics.push(
                Diagnostic::error(format!("multiple histogram types declared on '{name}'"))
                    .at(token, "")
                    .note("a statistic keeps one histogram; fill a second global with the same values"),
            );
        }
        Some(stat)
    }

    fn linear(&mut self, args: &[ast::Expr], token: Span) -> Option<Histogram> {
        let [start, stop, interval] = self.literals(args)[..] else {
            self.error(
                "expected number: @hist_linear(statistic, low, high, interval) takes three literal numbers",
                token,
            );
            return None;
        };
        if interval <= 0 {
            self.error("histogram: interval cannot be zero", token);
            return None;
        }
        let buckets = (i128::from(stop) - i128::from(start)) / i128::from(interval);
        if !(1..=MAX_BUCKETS).contains(&buckets) {
            self.symbols.diagnostics.push(
                Diagnostic::error(format!(
                    "histogram: Number of buckets must be between 1 and {MAX_BUCKETS}"
                ))
                .at(token, format!("these are {buckets}"))
                .note("Number_of_buckets = (stop - start) / interval"),
            );
            return None;
        }
        Some(Histogram::Linear { start, stop, interval })
    }

    /// `@hist_x(s)[i]`
    pub(super) fn bucket(
        &mut self,
        op: StatOp,
        base: &ast::Expr,
        args: &[ast::Expr],
        parts: &[Option<ast::Expr>],
        token: Span,
    ) -> ExprKind {
        if !matches!(op, StatOp::HistLinear | StatOp::HistLog) {
            return self.poison("only a histogram can be indexed here", token);
        }
        let stat = self.histogram(op, base, args, token);
        match (stat, parts) {
            (Some(stat), [Some(index)]) => {
                let index = Box::new(self.expr(index));
                ExprKind::StatAt(stat, StatIndex::Bucket, index)
            }
            (Some(_), _) => self.poison("a histogram has one index: the number of the bucket", token),
            (None, _) => ExprKind::Long(0),
        }
    }

    /// What the statistic keeps, to be widened.
    fn shape(&mut self, stat: &Stat) -> Option<&mut StatShape> {
        let global = match stat {
            Stat::Var(Var::Global(global)) | Stat::Element(global, _) => *global,
            Stat::Var(Var::Local(local)) => self.unit.locals[*local].walks?,
        };
        Some(&mut self.tree.globals[global].stat)
    }

    /// Literal numbers, signed ones too; what is none is left out.
    fn literals(&mut self, args: &[ast::Expr]) -> Vec<i64> {
        args.iter()
            .filter_map(|arg| match self.expr(arg).kind {
                ExprKind::Long(n) => Some(n),
                _ => None,
            })
            .collect()
    }
}
