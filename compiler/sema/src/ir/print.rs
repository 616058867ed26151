//! Shows IR as text: `-p3`, and golden files. Names stand for ids where there are names; nothing is left out that
//! code generation looks at.

use std::fmt::{self, Display, Formatter, Write};

use rstap_abi::format::{FROM_ARGUMENT, UNSET, conversion, flag};
use rstap_abi::layout::{Histogram, StatShape, ValueShape, order, stat_op};
use rstap_program::Initial;

use super::*;

/// The whole script.
pub fn print(script: &Script) -> String {
    let mut printer = Printer { script, out: String::new(), locals: &[] };
    printer.script();
    printer.out
}

/// One expression, its locals named by number.
pub fn print_expr(script: &Script, expr: &Expr) -> String {
    let mut printer = Printer { script, out: String::new(), locals: &[] };
    printer.expr(expr);
    printer.out
}

struct Printer<'s> {
    script: &'s Script,
    out: String,
    locals: &'s [Local],
}

macro_rules! put {
    ($printer:expr, $($arg:tt)*) => {
        write!($printer.out, $($arg)*).expect("writing to a String cannot fail")
    };
}

impl<'s> Printer<'s> {
    fn script(&mut self) {
        for global in &self.script.globals {
            put!(self, "global {}: {}", global.name, kind(global.kind));
            if global.sharded {
                put!(self, ", sharded");
            }
            match &global.initial {
                Initial::Zero => {}
                Initial::Long(value) => put!(self, " = {value}"),
                Initial::String(text) => put!(self, " = {}", Quoted(text)),
            }
            put!(self, "\n");
        }
        for function in &self.script.functions {
            let (params, locals) = function.locals.split_at(function.param_count as usize);
            put!(self, "function {}({})", function.name, declarations(params));
            if let Some(ret) = function.ret {
                put!(self, ": {}", name_of(ret));
            }
            let declines = if function.can_decline { " # may decline" } else { "" };
            self.body(&function.locals, locals, &function.body, declines);
        }
        for (index, handler) in self.script.handlers.iter().enumerate() {
            put!(self, "handler {index} # {}", handler.name);
            let locks: Vec<String> = handler
                .locks
                .iter()
                .map(|lock| {
                    let mode = match (lock.gather, lock.write) {
                        (true, _) => "gather",
                        (false, true) => "write",
                        (false, false) => "read",
                    };
                    format!("{} ({mode})", self.global(lock.global))
                })
                .collect();
            let locks =
                if locks.is_empty() { String::new() } else { format!(" # locks {}", locks.join(", ")) };
            self.body(&handler.locals, &handler.locals, &handler.body, &locks);
        }
        for (index, probe) in self.script.probes.iter().enumerate() {
            put!(self, "probe {index}: {} -> handler {}", probe.pp, probe.handler.0);
            if let Some(entry) = probe.entry {
                put!(self, ", entry probe {entry} saves {} bytes", probe.entry_bytes);
            }
            put!(self, "\n  {:?}\n", probe.point);
        }
    }

    fn body(&mut self, names: &'s [Local], shown: &[Local], body: &[Stmt], note: &str) {
        self.locals = names;
        put!(self, " {{{note}\n");
        if !shown.is_empty() {
            put!(self, "  locals {}\n", declarations(shown));
        }
        self.statements(body, 1);
        put!(self, "}}\n");
    }

    fn statements(&mut self, list: &[Stmt], depth: usize) {
        for statement in list {
            put!(self, "{:1$}", "", depth * 2);
            self.statement(statement, depth);
            put!(self, "\n");
        }
    }

    fn block(&mut self, list: &[Stmt], depth: usize) {
        put!(self, "{{\n");
        self.statements(list, depth + 1);
        put!(self, "{:1$}}}", "", depth * 2);
    }

    fn statement(&mut self, statement: &Stmt, depth: usize) {
        match statement {
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::Aggregate(stat, value, _) => {
                self.stat(stat);
                put!(self, " <<< ");
                self.expr(value);
            }
            Stmt::Print(format, _) => self.format("printf", format),
            Stmt::PrintHistogram(stat) => {
                put!(self, "print_histogram(");
                self.stat(stat);
                put!(self, ")");
            }
            Stmt::If(condition, then, otherwise) => {
                put!(self, "if (");
                self.expr(condition);
                put!(self, ") ");
                self.block(then, depth);
                if !otherwise.is_empty() {
                    put!(self, " else ");
                    self.block(otherwise, depth);
                }
            }
            Stmt::Loop(condition, body, step) => {
                put!(self, "for (; ");
                condition.iter().for_each(|condition| self.expr(condition));
                put!(self, "; ");
                step.iter().for_each(|step| self.expr(step));
                put!(self, ") ");
                self.block(body, depth);
            }
            Stmt::Foreach(walk) => self.foreach(walk, depth),
            Stmt::ForeachBucket(local, stat, body) => {
                put!(self, "foreach ({} in @hist(", self.local(*local));
                self.stat(stat);
                put!(self, ")) ");
                self.block(body, depth);
            }
            Stmt::Break => put!(self, "break"),
            Stmt::Continue => put!(self, "continue"),
            Stmt::Return(value) => {
                put!(self, "return");
                if let Some(value) = value {
                    put!(self, " ");
                    self.expr(value);
                }
            }
            Stmt::Next => put!(self, "next"),
            Stmt::Decline => put!(self, "decline"),
            Stmt::Try(body, message, catch) => {
                put!(self, "try ");
                self.block(body, depth);
                put!(self, " catch ");
                if let Some(local) = message {
                    put!(self, "({}) ", self.local(*local));
                }
                self.block(catch, depth);
            }
            Stmt::DeleteGlobal(global, _) => put!(self, "delete {}", self.global(*global)),
            Stmt::DeleteElement(global, key, _) => {
                put!(self, "delete {}", self.global(*global));
                self.key(key, Printer::partial_list);
            }
            Stmt::SaveEntry(offset, value) => {
                put!(self, "save_entry[{offset}] = ");
                self.expr(value);
            }
        }
    }

    fn foreach(&mut self, walk: &Foreach, depth: usize) {
        put!(self, "foreach (");
        if let Some(value) = walk.value {
            put!(self, "{} = ", self.local(value));
        }
        let keys: Vec<String> =
            walk.keys.iter().map(|key| key.map_or_else(|| "_".to_owned(), |key| self.local(key))).collect();
        put!(self, "[{}] in {}", keys.join(", "), self.global(walk.map));
        if !walk.slice.is_empty() {
            put!(self, "[");
            self.partial_list(&walk.slice);
            put!(self, "]");
        }
        put!(self, "{}", sorted(walk.order));
        if let Some(limit) = &walk.limit {
            put!(self, " limit ");
            self.expr(limit);
        }
        put!(self, ") ");
        self.block(&walk.body, depth);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Long(number) => put!(self, "{number}"),
            ExprKind::Str(text) => put!(self, "{}", Quoted(text)),
            ExprKind::Read(place, _) => self.place(place),
            ExprKind::Assign(place, value, _) => {
                put!(self, "(");
                self.place(place);
                put!(self, " = ");
                self.expr(value);
                put!(self, ")");
            }
            ExprKind::Update { place, op, operand, yields_old, .. } => {
                put!(self, "({}", if *yields_old { "old " } else { "" });
                self.place(place);
                put!(self, " {}= ", operator(*op));
                self.expr(operand);
                put!(self, ")");
            }
            ExprKind::Unary(op, operand) => {
                let sign = match op {
                    UnaryOp::Negate => "-",
                    UnaryOp::Complement => "~",
                    UnaryOp::Not => "!",
                };
                put!(self, "{sign}(");
                self.expr(operand);
                put!(self, ")");
            }
            ExprKind::Binary(op, a, b, _) => self.infix(a, operator(*op), b),
            ExprKind::Compare(op, a, b) => self.infix(a, comparison(*op), b),
            ExprKind::And(a, b) => self.infix(a, "&&", b),
            ExprKind::Or(a, b) => self.infix(a, "||", b),
            ExprKind::Ternary(condition, a, b) => {
                put!(self, "(");
                self.expr(condition);
                put!(self, " ? ");
                self.expr(a);
                put!(self, " : ");
                self.expr(b);
                put!(self, ")");
            }
            ExprKind::With(number, value, body) => {
                put!(self, "with(b{number} = ");
                self.expr(value);
                put!(self, ", ");
                self.expr(body);
                put!(self, ")");
            }
            ExprKind::Bound(number) => put!(self, "b{number}"),
            ExprKind::Choose(subject, cases, otherwise) => {
                put!(self, "choose(");
                self.expr(subject);
                for (case, value) in cases {
                    put!(self, ", {case:#x}: ");
                    self.expr(value);
                }
                put!(self, ", else ");
                self.expr(otherwise);
                put!(self, ")");
            }
            ExprKind::Contains(global, key, _) => {
                put!(self, "(");
                self.key(key, Printer::partial_list);
                put!(self, " in {})", self.global(*global));
            }
            ExprKind::Call(candidates, args, _) => {
                let names: Vec<&str> = candidates.iter().map(|id| self.function(*id)).collect();
                put!(self, "{}", names.join("|"));
                self.args(args);
            }
            ExprKind::Builtin(builtin, args, _) => {
                put!(self, "%{}", builtin.signature().name);
                self.args(args);
            }
            ExprKind::Regex(subject, pattern, _) => {
                put!(self, "(");
                self.expr(subject);
                put!(self, " =~ {})", Quoted(&pattern.text));
            }
            ExprKind::Stat(stat, op, _) => {
                put!(self, "@{}(", extractor(*op));
                self.stat(stat);
                put!(self, ")");
            }
            ExprKind::StatAt(stat, StatIndex::Bucket, index, _) => {
                put!(self, "@hist(");
                self.stat(stat);
                put!(self, ")[");
                self.expr(index);
                put!(self, "]");
            }
            ExprKind::StatAt(stat, StatIndex::Quantile { of }, index, _) => {
                put!(self, "@quantile(");
                self.stat(stat);
                put!(self, ", ");
                self.expr(index);
                put!(self, ", {of})");
            }
            ExprKind::HistogramText(stat) => {
                put!(self, "sprint_histogram(");
                self.stat(stat);
                put!(self, ")");
            }
            ExprKind::Format(format, _) => self.format("sprintf", format),
            ExprKind::Register(number) => put!(self, "%register[{number}]"),
            ExprKind::Memory(address, size, signed, _) => {
                put!(self, "%{}{}[", if *signed { "s" } else { "u" }, u32::from(*size) * 8);
                self.expr(address);
                put!(self, "]");
            }
            ExprKind::EntryValue(offset) => put!(self, "%entry[{offset}]: {}", name_of(expr.ty)),
            ExprKind::Sequence(first, second) => {
                put!(self, "(");
                self.expr(first);
                put!(self, ", ");
                self.expr(second);
                put!(self, ")");
            }
        }
    }

    fn infix(&mut self, a: &Expr, operator: &str, b: &Expr) {
        put!(self, "(");
        self.expr(a);
        put!(self, " {operator} ");
        self.expr(b);
        put!(self, ")");
    }

    fn args(&mut self, args: &[Expr]) {
        put!(self, "(");
        self.list(args);
        put!(self, ")");
    }

    fn list(&mut self, exprs: &[Expr]) {
        for (index, expr) in exprs.iter().enumerate() {
            if index > 0 {
                put!(self, ", ");
            }
            self.expr(expr);
        }
    }

    /// A kept key has a name, and its parts only where they are evaluated.
    fn key<P>(&mut self, key: &Key<P>, list: impl Fn(&mut Self, &[P])) {
        put!(self, "[");
        match key.kept {
            Some(Kept { id, known: true }) => put!(self, "key{}", id.0),
            Some(Kept { id, known: false }) => {
                put!(self, "key{}: ", id.0);
                list(self, key);
            }
            None => list(self, key),
        }
        put!(self, "]");
    }

    fn partial_list(&mut self, key: &[Option<Expr>]) {
        for (index, part) in key.iter().enumerate() {
            if index > 0 {
                put!(self, ", ");
            }
            match part {
                Some(part) => self.expr(part),
                None => put!(self, "*"),
            }
        }
    }

    fn place(&mut self, place: &Place) {
        match place {
            Place::Local(local) => put!(self, "{}", self.local(*local)),
            Place::Global(global) => put!(self, "{}", self.global(*global)),
            Place::Element(global, key) => self.element(*global, key),
        }
    }

    fn stat(&mut self, stat: &StatRef) {
        match stat {
            StatRef::Global(global) => put!(self, "{}", self.global(*global)),
            StatRef::Element(global, key) => self.element(*global, key),
            StatRef::Local(local) => put!(self, "{}", self.local(*local)),
        }
    }

    fn element(&mut self, global: GlobalId, key: &Key) {
        put!(self, "{}", self.global(global));
        self.key(key, Printer::list);
    }

    fn format(&mut self, function: &str, format: &Format) {
        let mut text = Vec::new();
        for directive in &format.directives {
            match directive {
                Directive::Literal(literal) => {
                    for byte in literal {
                        text.push(*byte);
                        if *byte == b'%' {
                            text.push(b'%');
                        }
                    }
                }
                Directive::Conversion { conversion, flags, width, precision } => {
                    text.extend(directive_text(*conversion, *flags, *width, *precision).into_bytes());
                }
            }
        }
        put!(self, "{function}({}", Quoted(&text));
        if !format.args.is_empty() {
            put!(self, ", ");
            self.list(&format.args);
        }
        put!(self, ")");
    }

    fn local(&self, local: LocalId) -> String {
        // Locals of different blocks of the text may share a name.
        let name = self.locals.get(local.0 as usize).map_or("", |local| local.name.as_str());
        let shared = self.locals.iter().filter(|other| other.name == name).count() > 1;
        if name.is_empty() || shared { format!("{name}#{}", local.0) } else { name.to_owned() }
    }

    fn global(&self, global: GlobalId) -> &'s str {
        &self.script.globals[global.0 as usize].name
    }

    fn function(&self, function: FuncId) -> &'s str {
        &self.script.functions[function.0 as usize].name
    }
}

/// Bytes as a string literal.
struct Quoted<'b>(&'b [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn name_of(ty: Type) -> &'static str {
    match ty {
        Type::Long => "long",
        Type::Str => "string",
    }
}

fn declarations(locals: &[Local]) -> String {
    let each: Vec<String> =
        locals.iter().map(|local| format!("{}: {}", local.name, name_of(local.ty))).collect();
    each.join(", ")
}

fn kind(kind: GlobalKind) -> String {
    match kind {
        GlobalKind::Scalar(ty) => name_of(ty).to_owned(),
        GlobalKind::Stat(shape) => statistic(shape),
        GlobalKind::Map(map) => {
            let keys: Vec<&str> = (0..map.key_count)
                .map(|part| if map.string_keys >> part & 1 == 1 { "string" } else { "long" })
                .collect();
            let value = match map.value {
                ValueShape::Long => "long".to_owned(),
                ValueShape::String => "string".to_owned(),
                ValueShape::Stat(shape) => statistic(shape),
            };
            let wrap = if map.wrap { "%" } else { "" };
            format!("[{}] {value}, {} entries{wrap}", keys.join(", "), map.capacity)
        }
    }
}

fn statistic(shape: StatShape) -> String {
    let mut text = "stat".to_owned();
    match shape.histogram {
        Histogram::None => {}
        Histogram::Log => text.push_str(" @hist_log"),
        Histogram::Linear { start, stop, interval } => {
            text.push_str(&format!(" @hist_linear({start}, {stop}, {interval})"));
        }
    }
    if shape.variance {
        text.push_str(&format!(" @variance({})", shape.variance_shift));
    }
    if shape.sketch {
        text.push_str(" @quantile");
    }
    text
}

fn sorted(by: u64) -> String {
    let sign = if by & order::DESCENDING == 0 { '+' } else { '-' };
    match by & !order::DESCENDING {
        order::NONE => String::new(),
        order::VALUE => format!(" by value{sign}"),
        by @ order::STAT.. => format!(" by @{}{sign}", extractor(by - order::STAT)),
        by => format!(" by key {}{sign}", by - order::KEY),
    }
}

fn extractor(op: u64) -> &'static str {
    match op {
        stat_op::COUNT => "count",
        stat_op::SUM => "sum",
        stat_op::MIN => "min",
        stat_op::MAX => "max",
        stat_op::AVG => "avg",
        stat_op::VARIANCE => "variance",
        _ => "?",
    }
}

fn operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::And => "&",
        BinaryOp::Or => "|",
        BinaryOp::Xor => "^",
        BinaryOp::ShiftLeft => "<<",
        BinaryOp::ShiftRight => ">>",
        BinaryOp::UnsignedShiftRight => ">>>",
        BinaryOp::Concat => ".",
    }
}

fn comparison(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "==",
        CompareOp::Ne => "!=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}

fn directive_text(conversion: u8, flags: u8, width: i32, precision: i32) -> String {
    let mut text = "%".to_owned();
    for (bit, sign) in
        [(flag::LEFT, '-'), (flag::PLUS, '+'), (flag::SPACE, ' '), (flag::ALTERNATE, '#'), (flag::ZERO, '0')]
    {
        if flags & bit != 0 {
            text.push(sign);
        }
    }
    let number = |number: i32| match number {
        UNSET => None,
        FROM_ARGUMENT => Some("*".to_owned()),
        number => Some(number.to_string()),
    };
    text.extend(number(width));
    if let Some(precision) = number(precision) {
        text.push('.');
        text.push_str(&precision);
    }
    text.push(match conversion {
        conversion::SIGNED => 'd',
        conversion::UNSIGNED => 'u',
        conversion::HEX => 'x',
        conversion::HEX_UPPER => 'X',
        conversion::OCTAL => 'o',
        conversion::CHAR => 'c',
        conversion::STRING => 's',
        conversion::POINTER => 'p',
        conversion::BINARY => 'b',
        conversion::MEMORY => 'm',
        conversion::MEMORY_HEX => 'M',
        conversion::JSON => 'j',
        _ => '?',
    });
    text
}
