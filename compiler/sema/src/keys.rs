//! Which array accesses share a key, so that it is evaluated once, and with it the hash: `a[k]++; b[k] = a[k]`.
//!
//! An access keeps its key for those after it that ask for the same one, on every way from it to them, before anything
//! that the key reads is written. Only steady keys are kept: a second evaluation would give the same value and do
//! nothing else. The target's memory is read again each time, because its other threads may write it.
//!
//! Walks a function or handler in the order of evaluation, with the keys known at each point. Where two ways meet, those
//! known on both stay known; a loop begins without the keys that it changes.

use std::collections::{BTreeSet, HashMap};

use rstap_abi::builtins::Builtin;
use rstap_abi::format::conversion;
use rstap_abi::layout::{MapShape, ValueShape};

use crate::ir::print::print_expr;
use crate::ir::visit::{each_expr, each_expr_in, each_statement};
use crate::ir::{
    Directive, Expr, ExprKind, Foreach, Format, Global, GlobalId, GlobalKind, Kept, Key, KeyId, LocalId,
    Place, Script, StatRef, Stmt, Type, UnaryOp,
};

/// Most bytes of strings that a function or handler keeps for keys.
const MAX_STRING_BYTES: u64 = 8 << 10;

/// Marks the keys that are kept, and the accesses that use them.
pub fn assign(script: &mut Script) {
    let mut functions = std::mem::take(&mut script.functions);
    let mut handlers = std::mem::take(&mut script.handlers);
    let bodies = functions.iter_mut().map(|f| &mut f.body).chain(handlers.iter_mut().map(|h| &mut h.body));
    for body in bodies {
        let mut seen = Sharing::new(script);
        seen.statements(body);
        let marked = seen.worth_keeping();
        if !marked.is_empty() {
            Sharing { marked, ..Sharing::new(script) }.statements(body);
        }
    }
    script.functions = functions;
    script.handlers = handlers;
}

/// What a key may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Local(LocalId),
    Global(GlobalId),
    /// The registers at the probe, which the script may write.
    Registers,
    /// What was saved at entry.
    Entry,
}

/// What an expression or statement writes.
#[derive(Default)]
struct Writes {
    sources: BTreeSet<Source>,
    /// It calls a function, which may write all but the locals here.
    calls: bool,
}

struct Sharing<'s> {
    script: &'s Script,
    /// Keys by their text, which leaves out only where they stand.
    ids: HashMap<String, KeyId>,
    kept: Vec<KeptKey>,
    /// Keys that are known here; `None` where control does not come.
    known: Option<BTreeSet<KeyId>>,
    /// Accesses whose key is evaluated and which are still to be done.
    pending: u32,
    /// Keys whose accesses are marked: those that the first walk found worth it.
    marked: BTreeSet<KeyId>,
}

/// A key that can be kept.
struct KeptKey {
    sources: BTreeSet<Source>,
    /// Parts that need memory of their own to be kept.
    strings: u64,
    /// Whether an access finds it known.
    is_used: bool,
}

impl<'s> Sharing<'s> {
    fn new(script: &'s Script) -> Sharing<'s> {
        Sharing {
            script,
            ids: HashMap::new(),
            kept: Vec::new(),
            known: Some(BTreeSet::new()),
            pending: 0,
            marked: BTreeSet::new(),
        }
    }

    fn worth_keeping(&self) -> BTreeSet<KeyId> {
        let mut bytes = 0;
        let ids = (0..).map(KeyId).zip(&self.kept).filter(|(_, key)| {
            let more = bytes + key.strings * self.script.limits.max_string_len;
            let kept = key.is_used && more <= MAX_STRING_BYTES;
            bytes = if kept { more } else { bytes };
            kept
        });
        ids.map(|(id, _)| id).collect()
    }

    // Statements.

    fn statements(&mut self, list: &mut [Stmt]) {
        for statement in list {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::SaveEntry(_, expr) => {
                self.expr(expr);
                self.write(Source::Entry);
            }
            Stmt::Aggregate(stat, value, _) => {
                self.stat(stat);
                self.pending(|sharing| sharing.expr(value));
                if let StatRef::Global(global) | StatRef::Element(global, _) = stat {
                    self.write(Source::Global(*global));
                }
            }
            Stmt::Print(format, _) => self.format(format),
            Stmt::PrintHistogram(stat) => self.stat(stat),
            Stmt::If(condition, then, otherwise) => {
                let if_false = self.condition(condition);
                self.statements(then);
                let after = std::mem::replace(&mut self.known, if_false);
                self.statements(otherwise);
                self.meet(after);
            }
            Stmt::Loop(..) => {
                self.forget(&Writes::of([&*statement]));
                self.repeat(statement);
            }
            Stmt::Foreach(walk) => self.foreach(walk),
            Stmt::ForeachBucket(local, stat, body) => {
                self.stat(stat);
                self.write(Source::Local(*local));
                self.body(body);
            }
            Stmt::Break | Stmt::Continue | Stmt::Return(None) | Stmt::Next | Stmt::Decline => {
                self.known = None
            }
            Stmt::Return(Some(value)) => {
                self.expr(value);
                self.known = None;
            }
            Stmt::Try(body, message, catch) => {
                let before = self.known.clone();
                let writes = Writes::of(&*body);
                self.statements(body);
                let after = std::mem::replace(&mut self.known, before);
                self.forget(&writes);
                if let Some(local) = message {
                    self.write(Source::Local(*local));
                }
                self.statements(catch);
                self.meet(after);
            }
            Stmt::DeleteGlobal(global, _) => self.write(Source::Global(*global)),
            Stmt::DeleteElement(global, key, _) => {
                self.partial_key(*global, key);
                self.write(Source::Global(*global));
            }
        }
    }

    /// A `while` or `for` at whose head nothing is known that it writes. So what is known there is so at the beginning
    /// of each step and, with the keys of the condition that are not written, at the end.
    fn repeat(&mut self, whole: &mut Stmt) {
        let writes = Writes::of([&*whole]);
        let Stmt::Loop(condition, body, step) = whole else { return };
        let head = self.known.clone();
        let if_false = condition.as_mut().map(|condition| self.condition(condition));
        self.statements(body);
        self.known = head.clone();
        step.iter_mut().for_each(|step| self.expr(step));
        self.known = if_false.unwrap_or(head);
        self.forget(&writes);
    }

    /// The body of a walk, whose head evaluates nothing.
    fn body(&mut self, body: &mut [Stmt]) {
        self.forget(&Writes::of(&*body));
        let head = self.known.clone();
        self.statements(body);
        self.known = head;
    }

    fn foreach(&mut self, walk: &mut Foreach) {
        let Foreach { keys, value, slice, limit, body, .. } = walk;
        slice.iter_mut().flatten().chain(limit).for_each(|expr| self.expr(expr));
        keys.iter().flatten().chain(&*value).for_each(|local| self.write(Source::Local(*local)));
        self.body(body);
    }

    // Expressions.

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Long(_)
            | ExprKind::Str(_)
            | ExprKind::Register(_)
            | ExprKind::EntryValue(_)
            | ExprKind::Bound(_) => {}
            ExprKind::Read(place, _) => self.place(place),
            ExprKind::Assign(place, value, _) | ExprKind::Update { place, operand: value, .. } => {
                self.place(place);
                self.pending(|sharing| sharing.expr(value));
                self.write(written(place));
            }
            ExprKind::Unary(_, a) | ExprKind::Memory(a, ..) | ExprKind::Regex(a, ..) => self.expr(a),
            ExprKind::Binary(_, a, b, _)
            | ExprKind::Compare(_, a, b)
            | ExprKind::With(_, a, b)
            | ExprKind::Sequence(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::And(..) | ExprKind::Or(..) => {
                let if_false = self.condition(expr);
                self.meet(if_false);
            }
            ExprKind::Ternary(condition, a, b) => {
                let if_false = self.condition(condition);
                self.expr(a);
                let after = std::mem::replace(&mut self.known, if_false);
                self.expr(b);
                self.meet(after);
            }
            ExprKind::Choose(subject, cases, otherwise) => {
                self.expr(subject);
                let before = self.known.clone();
                self.expr(otherwise);
                for (_, value) in cases {
                    let after = std::mem::replace(&mut self.known, before.clone());
                    self.expr(value);
                    self.meet(after);
                }
            }
            ExprKind::Contains(global, key, _) => self.partial_key(*global, key),
            ExprKind::Call(_, args, _) => {
                args.iter_mut().for_each(|arg| self.expr(arg));
                self.forget(&Writes { calls: true, ..Writes::default() });
            }
            ExprKind::Builtin(builtin, args, _) => {
                args.iter_mut().for_each(|arg| self.expr(arg));
                if *builtin == Builtin::write_register {
                    self.write(Source::Registers);
                }
            }
            ExprKind::Stat(stat, ..) | ExprKind::HistogramText(stat) => self.stat(stat),
            ExprKind::StatAt(stat, _, index, _) => {
                self.stat(stat);
                self.pending(|sharing| sharing.expr(index));
            }
            ExprKind::Format(format, _) => self.format(format),
        }
    }

    fn format(&mut self, format: &mut Format) {
        format.args.iter_mut().for_each(|arg| self.expr(arg));
    }

    /// A condition: goes on with what is known if it is true; the result is known if it is false.
    fn condition(&mut self, condition: &mut Expr) -> Option<BTreeSet<KeyId>> {
        match &mut condition.kind {
            ExprKind::Unary(UnaryOp::Not, operand) => {
                let if_false = self.condition(operand);
                std::mem::replace(&mut self.known, if_false)
            }
            ExprKind::And(a, b) => {
                let first = self.condition(a);
                let second = self.condition(b);
                let if_true = std::mem::replace(&mut self.known, first);
                self.meet(second);
                std::mem::replace(&mut self.known, if_true)
            }
            ExprKind::Or(a, b) => {
                let if_false = self.condition(a);
                let first = std::mem::replace(&mut self.known, if_false);
                let if_false = self.condition(b);
                self.meet(first);
                if_false
            }
            _ => {
                self.expr(condition);
                self.known.clone()
            }
        }
    }

    fn place(&mut self, place: &mut Place) {
        if let Place::Element(global, key) = place {
            self.key(*global, key);
        }
    }

    fn stat(&mut self, stat: &mut StatRef) {
        if let StatRef::Element(global, key) = stat {
            self.key(*global, key);
        }
    }

    /// What is evaluated between a key and the access that it is for.
    fn pending(&mut self, between: impl FnOnce(&mut Self)) {
        self.pending += 1;
        between(self);
        self.pending -= 1;
    }

    // Keys.

    fn key(&mut self, global: GlobalId, key: &mut Key) {
        let parts: Vec<&Expr> = key.parts.iter().collect();
        match self.look_up(global, &parts) {
            Some(known) if known.known => key.kept = self.mark(known),
            found => {
                key.parts.iter_mut().for_each(|part| self.expr(part));
                key.kept = found.and_then(|kept| self.keep(kept));
            }
        }
    }

    fn partial_key(&mut self, global: GlobalId, key: &mut Key<Option<Expr>>) {
        let parts: Option<Vec<&Expr>> = key.parts.iter().map(Option::as_ref).collect();
        match parts.and_then(|parts| self.look_up(global, &parts)) {
            Some(known) if known.known => key.kept = self.mark(known),
            found => {
                key.parts.iter_mut().flatten().for_each(|part| self.expr(part));
                key.kept = found.and_then(|kept| self.keep(kept));
            }
        }
    }

    /// The key of these parts, if it can be kept. Where it is known, its parts are not to be looked at: they are not
    /// evaluated.
    fn look_up(&mut self, global: GlobalId, parts: &[&Expr]) -> Option<Kept> {
        let known = self.known.as_ref()?;
        if is_hashed_by_compiled_code(&self.script.globals[global.0 as usize]) {
            return None;
        }
        let mut sources = BTreeSet::new();
        if !parts.iter().all(|part| is_steady(part, &mut sources)) {
            return None;
        }
        let text = parts.iter().map(|part| print_expr(self.script, part)).collect::<Vec<_>>().join(", ");
        let next = KeyId(self.kept.len() as u32);
        let id = *self.ids.entry(text).or_insert(next);
        if id == next {
            let strings =
                parts.iter().filter(|part| part.ty == Type::Str && !stays_where_it_is(part)).count();
            self.kept.push(KeptKey { sources, strings: strings as u64, is_used: false });
        }
        Some(Kept { id, known: known.contains(&id) })
    }

    /// The key is evaluated here.
    fn keep(&mut self, kept: Kept) -> Option<Kept> {
        self.known.as_mut()?.insert(kept.id);
        self.mark(kept)
    }

    fn mark(&mut self, kept: Kept) -> Option<Kept> {
        self.kept[kept.id.0 as usize].is_used |= kept.known;
        self.marked.contains(&kept.id).then_some(kept)
    }

    // What is known.

    fn meet(&mut self, other: Option<BTreeSet<KeyId>>) {
        self.known = match (self.known.take(), other) {
            (Some(a), Some(b)) => Some(a.intersection(&b).copied().collect()),
            (a, b) => a.or(b),
        };
    }

    fn write(&mut self, source: Source) {
        self.forget(&Writes { sources: BTreeSet::from([source]), calls: false });
    }

    /// Forgets the keys that read what is written.
    fn forget(&mut self, writes: &Writes) {
        let kept = &self.kept;
        let is_written =
            |id: &KeyId| kept[id.0 as usize].sources.iter().any(|source| writes.include(*source));
        if self.pending > 0 {
            // An access is still to be done by the key as it was: what is evaluated from now on is another one.
            self.ids.retain(|_, id| !is_written(id));
        }
        if let Some(known) = &mut self.known {
            known.retain(|id| !is_written(id));
        }
    }
}

impl Writes {
    fn of<'a>(statements: impl IntoIterator<Item = &'a Stmt>) -> Writes {
        let mut writes = Writes::default();
        for statement in statements {
            let statement = std::slice::from_ref(statement);
            each_statement(statement, &mut |statement| writes.statement(statement));
            each_expr_in(statement, &mut |expr| writes.expr(expr));
        }
        writes
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Aggregate(StatRef::Global(global) | StatRef::Element(global, _), ..)
            | Stmt::DeleteGlobal(global, _)
            | Stmt::DeleteElement(global, ..) => {
                self.sources.insert(Source::Global(*global));
            }
            Stmt::Foreach(walk) => {
                let locals = walk.keys.iter().flatten().chain(&walk.value);
                self.sources.extend(locals.map(|local| Source::Local(*local)));
            }
            Stmt::ForeachBucket(local, ..) | Stmt::Try(_, Some(local), _) => {
                self.sources.insert(Source::Local(*local));
            }
            Stmt::SaveEntry(..) => {
                self.sources.insert(Source::Entry);
            }
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Assign(place, ..) | ExprKind::Update { place, .. } => {
                self.sources.insert(written(place));
            }
            ExprKind::Call(..) => self.calls = true,
            ExprKind::Builtin(Builtin::write_register, ..) => {
                self.sources.insert(Source::Registers);
            }
            _ => {}
        }
    }

    fn include(&self, source: Source) -> bool {
        self.sources.contains(&source) || self.calls && !matches!(source, Source::Local(_))
    }
}

fn written(place: &Place) -> Source {
    match place {
        Place::Local(local) => Source::Local(*local),
        Place::Global(global) | Place::Element(global, _) => Source::Global(*global),
    }
}

/// Whether accesses of the array take no key from memory: code generation hashes it on the spot, where the optimiser
/// finds what is done twice.
fn is_hashed_by_compiled_code(global: &Global) -> bool {
    let GlobalKind::Map(MapShape { key_count, string_keys, value, .. }) = global.kind else { return false };
    global.sharded && key_count == 1 && string_keys == 0 && value != ValueShape::String
}

/// Whether a string is used where it lies.
fn stays_where_it_is(part: &Expr) -> bool {
    matches!(part.kind, ExprKind::Str(_) | ExprKind::Read(Place::Local(_), _))
}

/// Whether evaluating it again gives the same value and does nothing else, unless one of its sources is written.
fn is_steady(expr: &Expr, sources: &mut BTreeSet<Source>) -> bool {
    let mut steady = true;
    each_expr(expr, &mut |part| match &part.kind {
        ExprKind::Read(Place::Local(local), _) => {
            sources.insert(Source::Local(*local));
        }
        ExprKind::Read(Place::Global(global) | Place::Element(global, _), _)
        | ExprKind::Contains(global, ..) => {
            sources.insert(Source::Global(*global));
        }
        ExprKind::Register(_) => {
            sources.insert(Source::Registers);
        }
        ExprKind::EntryValue(_) => {
            sources.insert(Source::Entry);
        }
        ExprKind::Long(_)
        | ExprKind::Str(_)
        | ExprKind::Unary(..)
        | ExprKind::Binary(..)
        | ExprKind::Compare(..)
        | ExprKind::And(..)
        | ExprKind::Or(..)
        | ExprKind::Ternary(..)
        | ExprKind::Choose(..) => {}
        ExprKind::Builtin(builtin, ..) => steady &= is_steady_builtin(*builtin),
        ExprKind::Format(format, _) => steady &= !reads_memory(format),
        _ => steady = false,
    });
    steady
}

fn reads_memory(format: &Format) -> bool {
    format.directives.iter().any(|directive| {
        matches!(
            directive,
            Directive::Conversion { conversion: conversion::MEMORY | conversion::MEMORY_HEX, .. }
        )
    })
}

/// Whether a builtin computes its result from its arguments and from what stays the same while a handler runs.
fn is_steady_builtin(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        concat
            | copy
            | compare
            | strlen
            | substr
            | stringat
            | strpos
            | str_replace
            | strtol
            | isdigit
            | text_strn
            | string_quoted
            | pid
            | tid
            | ppid
            | uid
            | euid
            | gid
            | egid
            | target
            | execname
            | is_return
            | pp
            | pn
            | ppfunc
    )
}
