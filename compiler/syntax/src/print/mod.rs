//! AST to text, for `-p1`: declarations by kind as SystemTap's dump has them (embedded code, globals, aliases,
//! probes, functions), every operand in parentheses. Unlike SystemTap's, the text parses to the same tree again.

mod expr;

use std::fmt::Write as _;

use crate::ast::*;
use crate::source::SourceMap;

pub use expr::quoted;

/// The whole dump of one text with its heading.
pub fn dump(sources: &SourceMap, file: &File) -> String {
    format!("# parse tree dump\n# file {}\n{}", sources.get(file.source).name, self::file(file))
}

/// The declarations of one text.
pub fn file(file: &File) -> String {
    let mut printer = Printer::default();
    let kinds: [fn(&Item) -> bool; 5] = [
        |item| matches!(item, Item::Embedded(_)),
        |item| matches!(item, Item::Global(_)),
        |item| matches!(item, Item::Alias(_)),
        |item| matches!(item, Item::Probe(_)),
        |item| matches!(item, Item::Function(_)),
    ];
    for is_kind in kinds {
        file.items.iter().filter(|item| is_kind(item)).for_each(|item| printer.item(item));
    }
    printer.out
}

/// One expression.
pub fn expr(expr: &Expr) -> String {
    let mut printer = Printer::default();
    printer.expr(expr);
    printer.out
}

/// One probe point.
pub fn probe_point(point: &ProbePoint) -> String {
    let mut printer = Printer::default();
    printer.probe_point(point);
    printer.out
}

#[derive(Default)]
struct Printer {
    out: String,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self, text: &str) {
        self.put(text);
        self.put("\n");
    }

    /// Elements with `, ` between them.
    fn list<T>(&mut self, all: &[T], separator: &str, mut one: impl FnMut(&mut Printer, &T)) {
        for (index, element) in all.iter().enumerate() {
            if index > 0 {
                self.put(separator);
            }
            one(self, element);
        }
    }

    // Declarations.

    fn item(&mut self, item: &Item) {
        match item {
            Item::Embedded(code) => {
                self.embedded(code);
                self.put("\n");
            }
            Item::Global(global) => self.global(global),
            Item::Alias(alias) => {
                self.put("probe ");
                self.probe_point(&alias.name);
                self.put(if alias.epilogue { " += " } else { " = " });
                self.list(&alias.points, ", ", Printer::probe_point);
                self.block(&alias.body);
                if let Some(second) = &alias.second {
                    self.put(", ");
                    self.block(second);
                }
                self.put("\n");
            }
            Item::Probe(probe) => {
                self.put("probe ");
                self.list(&probe.points, ",", Printer::probe_point);
                self.block(&probe.body);
                self.put("\n");
            }
            Item::Function(function) => self.function(function),
        }
    }

    fn global(&mut self, global: &Global) {
        if global.private {
            self.put("private ");
        }
        self.put("global ");
        self.put(&global.name.text);
        if global.wrap {
            self.put("%");
        }
        if let Some(size) = global.size {
            let _ = write!(self.out, "[{size}]");
        }
        if let Some(init) = &global.init {
            self.put(" = ");
            self.signed_literal(init);
        }
        self.put("\n");
    }

    fn function(&mut self, function: &Function) {
        if function.private {
            self.put("private ");
        }
        self.put("function ");
        self.put(&function.name.text);
        self.ty(function.return_type);
        self.put(" (");
        self.list(&function.params, ", ", |printer, param| {
            printer.put(&param.name.text);
            printer.ty(param.ty);
        });
        self.put(")");
        if let Some(priority) = function.priority {
            let _ = write!(self.out, ":{priority}");
        }
        self.put("\n");
        match &function.body {
            FunctionBody::Script(body) => self.block(body),
            FunctionBody::Embedded(code) => self.embedded(code),
        }
        self.put("\n");
    }

    fn ty(&mut self, ty: Option<TypeName>) {
        match ty {
            Some(TypeName::Long) => self.put(":long"),
            Some(TypeName::String) => self.put(":string"),
            None => {}
        }
    }

    fn probe_point(&mut self, point: &ProbePoint) {
        self.list(&point.components, ".", |printer, component| {
            printer.put(&component.name.text);
            if let Some(arg) = &component.arg {
                printer.put("(");
                printer.signed_literal(arg);
                printer.put(")");
            }
        });
        if point.optional {
            self.put("?");
        }
        if point.sufficient {
            self.put("!");
        }
        if let Some(condition) = &point.condition {
            self.put(" if (");
            self.expr(condition);
            self.put(")");
        }
    }

    // Statements.

    /// `{`, one statement a line, `}`.
    fn block(&mut self, block: &Block) {
        self.put("{\n");
        block.statements.iter().for_each(|statement| self.statement(statement));
        self.put("}");
    }

    fn statement(&mut self, statement: &Stmt) {
        match &statement.kind {
            StmtKind::Empty => self.line(";"),
            StmtKind::Block(block) => {
                self.block(block);
                self.put("\n");
            }
            StmtKind::Expr(expr) => self.keyword_and("", Some(expr)),
            StmtKind::Delete(expr) => self.keyword_and("delete ", Some(expr)),
            StmtKind::Return(None) => self.line("return;"),
            StmtKind::Return(value) => self.keyword_and("return ", value.as_ref()),
            StmtKind::Next => self.line("next;"),
            StmtKind::Break => self.line("break;"),
            StmtKind::Continue => self.line("continue;"),
            StmtKind::If(condition, then, other) => {
                self.head("if", condition);
                self.statement(then);
                if let Some(other) = other {
                    self.put("else ");
                    self.statement(other);
                }
            }
            StmtKind::While(condition, body) => {
                self.head("while", condition);
                self.statement(body);
            }
            StmtKind::For(init, condition, step, body) => {
                self.put("for (");
                self.list(&[init, condition, step], "; ", |printer, part| {
                    part.iter().for_each(|part| printer.expr(part));
                });
                self.put(") ");
                self.statement(body);
            }
            StmtKind::Foreach(foreach) => self.foreach(foreach),
            StmtKind::Try(body, message, handler) => {
                self.put("try ");
                self.block(body);
                self.put(" catch ");
                if let Some(message) = message {
                    let _ = write!(self.out, "({}) ", message.text);
                }
                self.block(handler);
                self.put("\n");
            }
        }
    }

    fn keyword_and(&mut self, keyword: &str, expr: Option<&Expr>) {
        self.put(keyword);
        expr.into_iter().for_each(|expr| self.expr(expr));
        self.line(";");
    }

    fn head(&mut self, keyword: &str, condition: &Expr) {
        self.put(keyword);
        self.put(" (");
        self.expr(condition);
        self.put(") ");
    }

    fn foreach(&mut self, foreach: &Foreach) {
        self.put("foreach (");
        if let Some(value) = &foreach.value {
            let _ = write!(self.out, "{} = ", value.text);
        }
        self.put("[");
        let by_key = |index: usize| {
            foreach.sort.filter(|sort| matches!(sort.by, SortBy::Key(key) if key as usize == index))
        };
        for (index, key) in foreach.keys.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            self.put(&key.text);
            by_key(index).into_iter().for_each(|sort| self.sign(sort));
        }
        self.put("] in ");
        self.expr(&foreach.array);
        if let Some(slice) = &foreach.slice {
            self.put("[");
            self.list(slice, ", ", Printer::wildcard);
            self.put("]");
        }
        if let Some(sort) = foreach.sort
            && let SortBy::Value(op) = sort.by
        {
            if let Some(op) = op {
                let _ = write!(self.out, " {}", expr::stat_name(op));
            }
            self.sign(sort);
        }
        if let Some(limit) = &foreach.limit {
            self.put(" limit ");
            self.expr(limit);
        }
        self.put(") ");
        self.statement(&foreach.body);
    }

    fn sign(&mut self, sort: Sort) {
        self.put(if sort.descending { "-" } else { "+" });
    }
}
