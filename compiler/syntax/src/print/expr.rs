//! Expressions as text.

use std::fmt::Write as _;

use super::Printer;
use crate::ast::*;

/// A string literal that has exactly these bytes.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut out, c));
        chunk.invalid().iter().for_each(|&byte| push_octal(&mut out, byte.into()));
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if c.is_ascii_control() => push_octal(out, c.into()),
        c => out.push(c),
    }
}

/// Three digits, so that a digit may follow.
fn push_octal(out: &mut String, byte: u32) {
    let _ = write!(out, "\\{byte:03o}");
}

pub(super) fn stat_name(op: StatOp) -> &'static str {
    match op {
        StatOp::Count => "@count",
        StatOp::Sum => "@sum",
        StatOp::Min => "@min",
        StatOp::Max => "@max",
        StatOp::Avg => "@avg",
        StatOp::Variance => "@variance",
        StatOp::HistLinear => "@hist_linear",
        StatOp::HistLog => "@hist_log",
        StatOp::Quantile => "@quantile",
    }
}

fn binary_operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::BitAnd => "&",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
        BinaryOp::ShiftLeft => "<<",
        BinaryOp::ShiftRight => ">>",
        BinaryOp::UnsignedShiftRight => ">>>",
        BinaryOp::And => "&&",
        BinaryOp::Or => "||",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Concat => ".",
    }
}

fn assign_operator(op: AssignOp) -> String {
    match op {
        AssignOp::Set => "=".to_owned(),
        AssignOp::With(op) => format!("{}=", binary_operator(op)),
        AssignOp::Aggregate => "<<<".to_owned(),
    }
}

fn unary_operator(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Negate => "-",
        UnaryOp::Plus => "+",
        UnaryOp::Not => "!",
        UnaryOp::Complement => "~",
    }
}

impl Printer {
    pub(super) fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            // A negative literal would be read as an operator and a literal.
            ExprKind::Literal(Literal::Number(n)) => {
                let _ = write!(self.out, "{}", *n as u64);
            }
            ExprKind::Literal(literal) => self.signed_literal(literal),
            ExprKind::Symbol(name) => self.put(name),
            ExprKind::Index(base, keys) => {
                self.expr(base);
                self.put("[");
                self.list(keys, ", ", Printer::wildcard);
                self.put("]");
            }
            ExprKind::Call(name, args) => self.call(name, args),
            ExprKind::Unary(op, operand) => {
                self.put(unary_operator(*op));
                self.operand(operand);
            }
            ExprKind::Crement { increment, prefix, target } => {
                let operator = if *increment { "++" } else { "--" };
                self.put(if *prefix { operator } else { "" });
                self.operand(target);
                self.put(if *prefix { "" } else { operator });
            }
            ExprKind::Binary(op, a, b) => self.infix(a, binary_operator(*op), b),
            ExprKind::Assign(op, a, b) => self.infix(a, &assign_operator(*op), b),
            ExprKind::Ternary(condition, then, other) => {
                self.operand(condition);
                self.put("?");
                self.operand(then);
                self.put(":");
                self.operand(other);
            }
            ExprKind::In(keys, array) => {
                self.put("[");
                self.list(keys, ", ", Printer::wildcard);
                self.put("] in ");
                self.expr(array);
            }
            ExprKind::Regex { negated, subject, pattern, .. } => {
                self.operand(subject);
                self.put(if *negated { " !~ " } else { " =~ " });
                self.put(&quoted(pattern));
            }
            ExprKind::Print(print) => self.print(print),
            ExprKind::Stat(op, value, params) => self.stat(*op, value, params),
            ExprKind::Target(target) => self.target(target),
            ExprKind::AddressOf(target) => {
                self.put("&");
                match target.kind {
                    ExprKind::Target(_) => self.expr(target),
                    _ => self.operand(target),
                }
            }
            ExprKind::Entry(value) => self.call("@entry", std::slice::from_ref(value)),
            ExprKind::Defined(value) => self.call("@defined", std::slice::from_ref(value)),
            ExprKind::ProbeWrite(value) => self.call("@probewrite", std::slice::from_ref(value)),
            ExprKind::Const(text) => {
                let _ = write!(self.out, "@const({})", quoted(text));
            }
            ExprKind::AtCall(name, args) => self.call(&format!("@{name}"), args),
            ExprKind::Embedded(code) => self.embedded(code),
        }
    }

    /// An expression in parentheses.
    fn operand(&mut self, expr: &Expr) {
        self.put("(");
        self.expr(expr);
        self.put(")");
    }

    fn infix(&mut self, a: &Expr, operator: &str, b: &Expr) {
        self.operand(a);
        let _ = write!(self.out, " {operator} ");
        self.operand(b);
    }

    fn call<E: std::borrow::Borrow<Expr>>(&mut self, name: &str, args: &[E]) {
        self.put(name);
        self.put("(");
        self.list(args, ", ", |printer, arg| printer.expr(arg.borrow()));
        self.put(")");
    }

    pub(super) fn wildcard(&mut self, key: &Option<Expr>) {
        match key {
            Some(key) => self.expr(key),
            None => self.put("*"),
        }
    }

    /// A literal where the grammar takes a sign with it.
    pub(super) fn signed_literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Number(n) => {
                let _ = write!(self.out, "{n}");
            }
            Literal::String(bytes) => self.put(&quoted(bytes)),
        }
    }

    fn print(&mut self, print: &Print) {
        self.put(if print.to_string { "sprint" } else { "print" });
        let first = match &print.style {
            PrintStyle::Plain => None,
            PrintStyle::Delimited(first) => {
                self.put("d");
                Some(&**first)
            }
            PrintStyle::Format(first) => {
                self.put("f");
                Some(&**first)
            }
        };
        self.put(if print.newline { "ln" } else { "" });
        let args: Vec<&Expr> = first.into_iter().chain(&print.args).collect();
        self.call("", &args);
    }

    fn stat(&mut self, op: StatOp, value: &Expr, params: &[Expr]) {
        self.put(stat_name(op));
        self.put("(");
        self.expr(value);
        for param in params {
            self.put(", ");
            match &param.kind {
                ExprKind::Literal(literal) => self.signed_literal(literal),
                _ => self.expr(param),
            }
        }
        self.put(")");
    }

    fn target(&mut self, target: &Target) {
        match &target.base {
            TargetBase::Variable(name) => {
                self.put("$");
                self.put(name);
            }
            TargetBase::Cast(value, ty, module) => {
                self.put("@cast(");
                self.expr(value);
                let _ = write!(self.out, ", {}", quoted(ty));
                self.module(module.as_deref());
            }
            TargetBase::Var(name, module) => {
                let _ = write!(self.out, "@var({}", quoted(name));
                self.module(module.as_deref());
            }
            TargetBase::Enum(name, module) => {
                let _ = write!(self.out, "@enum({}", quoted(name));
                self.module(module.as_deref());
            }
            TargetBase::EnumName(value, ty, module) => {
                let _ = write!(self.out, "@enumname({}, ", quoted(ty));
                self.expr(value);
                self.module(module.as_deref());
            }
            TargetBase::Value(value) => self.operand(value),
        }
        for access in &target.access {
            match &access.kind {
                AccessKind::Member(name) => {
                    let _ = write!(self.out, "->{name}");
                }
                AccessKind::Index(index) => {
                    self.put("[");
                    self.expr(index);
                    self.put("]");
                }
            }
        }
        self.put(&"$".repeat(target.pretty.into()));
    }

    fn module(&mut self, module: Option<&[u8]>) {
        if let Some(module) = module {
            let _ = write!(self.out, ", {}", quoted(module));
        }
        self.put(")");
    }

    pub(super) fn embedded(&mut self, code: &Embedded) {
        let _ = write!(self.out, "%{{{}%}}", code.text);
    }
}
