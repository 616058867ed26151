//! What SystemTap's parser refuses although its grammar could read it: `return` outside of functions, names
//! declared twice, histograms where a value is needed. Everything else about meaning is pass 2's.

use std::collections::HashMap;

use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::report::Report;
use crate::source::Span;

/// Checks a whole text.
pub fn check(file: &File, report: &Report<'_>) {
    check_globals(file, report);
    for item in &file.items {
        match item {
            Item::Probe(probe) => check_body(&probe.body, false, report),
            Item::Alias(alias) => {
                check_body(&alias.body, false, report);
                alias.second.iter().for_each(|body| check_body(body, false, report));
            }
            Item::Function(function) => check_function(function, report),
            Item::Global(_) | Item::Embedded(_) => {}
        }
    }
}

fn check_globals(file: &File, report: &Report<'_>) {
    let names = file.items.iter().filter_map(|item| match item {
        Item::Global(global) => Some(&global.name),
        _ => None,
    });
    report_duplicates("duplicate global name", names, report);
}

fn check_function(function: &Function, report: &Report<'_>) {
    report_duplicates("duplicate parameter names", function.params.iter().map(|p| &p.name), report);
    if let FunctionBody::Script(body) = &function.body {
        check_body(body, true, report);
    }
}

fn report_duplicates<'a>(message: &str, names: impl Iterator<Item = &'a Name>, report: &Report<'_>) {
    let mut first: HashMap<&str, Span> = HashMap::new();
    for name in names {
        if let Some(&before) = first.get(name.text.as_str()) {
            let label = format!("saw identifier '{}'", name.text);
            report.add(Diagnostic::parse_error(message).at(name.span, label).see(before, "first one here"));
        } else {
            first.insert(&name.text, name.span);
        }
    }
}

fn check_body(body: &Block, in_function: bool, report: &Report<'_>) {
    let checker = Checker { in_function, report };
    checker.block(body);
}

struct Checker<'a> {
    in_function: bool,
    report: &'a Report<'a>,
}

impl Checker<'_> {
    fn block(&self, block: &Block) {
        block.statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&self, statement: &Stmt) {
        match &statement.kind {
            StmtKind::Empty | StmtKind::Next | StmtKind::Break | StmtKind::Continue => {}
            StmtKind::Block(block) => self.block(block),
            StmtKind::Expr(e) | StmtKind::Delete(e) => self.value(e),
            StmtKind::If(condition, then, other) => {
                self.value(condition);
                self.statement(then);
                other.iter().for_each(|other| self.statement(other));
            }
            StmtKind::For(init, condition, step, body) => {
                [init, condition, step].into_iter().flatten().for_each(|e| self.value(e));
                self.statement(body);
            }
            StmtKind::While(condition, body) => {
                self.value(condition);
                self.statement(body);
            }
            StmtKind::Foreach(foreach) => self.foreach(foreach),
            StmtKind::Try(body, _, handler) => {
                self.block(body);
                self.block(handler);
            }
            StmtKind::Return(value) => {
                if !self.in_function {
                    self.report_return(statement.span);
                }
                value.iter().for_each(|value| self.value(value));
            }
        }
    }

    fn report_return(&self, span: Span) {
        let keyword = Span { end: span.start + "return".len() as u32, ..span };
        self.report.add(
            Diagnostic::parse_error("found 'return' not in function context")
                .at(keyword, "")
                .note("'next' ends a probe's handler"),
        );
    }

    fn foreach(&self, foreach: &Foreach) {
        self.histogram_or_value(&foreach.array);
        self.wildcards(foreach.slice.iter().flatten());
        foreach.limit.iter().for_each(|limit| self.value(limit));
        self.statement(&foreach.body);
    }

    fn values<'a>(&self, all: impl IntoIterator<Item = &'a Expr>) {
        all.into_iter().for_each(|one| self.value(one));
    }

    fn wildcards<'a>(&self, all: impl IntoIterator<Item = &'a Option<Expr>>) {
        self.values(all.into_iter().flatten());
    }

    /// A histogram is no value of its own: it is printed, walked or indexed.
    fn histogram_or_value(&self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Stat(StatOp::HistLinear | StatOp::HistLog, value, params) => {
                self.value(value);
                self.values(params);
            }
            _ => self.value(expr),
        }
    }

    fn value(&self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Symbol(_) | ExprKind::Const(_) | ExprKind::Embedded(_) => {}
            ExprKind::Index(base, keys) => {
                self.histogram_or_value(base);
                self.wildcards(keys);
            }
            ExprKind::In(keys, array) => {
                self.wildcards(keys);
                self.histogram_or_value(array);
            }
            ExprKind::Print(print) => self.print(print),
            ExprKind::Stat(op, value, params) => {
                if matches!(op, StatOp::HistLinear | StatOp::HistLog) {
                    self.report_histogram(expr);
                }
                self.value(value);
                self.values(params);
            }
            ExprKind::Call(_, args) | ExprKind::AtCall(_, args) => self.values(args),
            ExprKind::Binary(_, a, b) | ExprKind::Assign(_, a, b) => self.values([&**a, &**b]),
            ExprKind::Ternary(a, b, c) => self.values([&**a, &**b, &**c]),
            ExprKind::Unary(_, e)
            | ExprKind::Crement { target: e, .. }
            | ExprKind::Regex { subject: e, .. }
            | ExprKind::AddressOf(e)
            | ExprKind::Entry(e)
            | ExprKind::Defined(e)
            | ExprKind::ProbeWrite(e) => self.value(e),
            ExprKind::Target(target) => self.target(target),
        }
    }

    fn print(&self, print: &Print) {
        match &print.style {
            PrintStyle::Plain => print.args.iter().for_each(|arg| self.histogram_or_value(arg)),
            PrintStyle::Delimited(first) | PrintStyle::Format(first) => {
                self.value(first);
                self.values(&print.args);
            }
        }
    }

    fn target(&self, target: &Target) {
        if let Some(value) = target.base.value() {
            self.value(value);
        }
        for access in &target.access {
            if let AccessKind::Index(index) = &access.kind {
                self.value(index);
            }
        }
    }

    fn report_histogram(&self, expr: &Expr) {
        self.report.add(
            Diagnostic::parse_error("base histogram operator where expression expected")
                .at(expr.token, "")
                .note("print() it, index it or walk it with foreach"),
        );
    }
}
