//! The typed intermediate representation: what pass 2 yields and passes 3 and 4 compile. A tree of statements and
//! expressions in which every name is resolved, every value is a long or a string, and every target variable has
//! become register and memory reads. It knows no source syntax, no DWARF and no machine.
//!
//! Evaluation order is left to right. A fault ends the handler unless a `Try` encloses it. [`mod@print`] shows it (`-p3`),
//! [`eval`] runs it slowly to check generated code against.

pub mod eval;
pub mod print;
pub mod visit;

use std::ops::Deref;

use crate::regex::Pattern;
use rstap_abi::builtins::Builtin;
use rstap_abi::layout::{MapShape, StatShape};
use rstap_abi::limits::Limits;
use rstap_program::{Initial, Module, Origin, Point, Site};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);
    )*};
}

ids! {
    /// An index into [`Script::globals`].
    GlobalId,
    /// An index into [`Script::functions`].
    FuncId,
    /// An index into [`Script::handlers`].
    HandlerId,
    /// An index into the locals of a function or handler.
    LocalId,
    /// An index into [`Script::sites`].
    SiteId,
    /// The number of a kept key within a function or handler.
    KeyId,
}

/// An elaborated script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// Globals that are used.
    pub globals: Vec<Global>,
    /// Functions that are used.
    pub functions: Vec<Function>,
    /// Handler bodies; probes with equal bodies share one.
    pub handlers: Vec<Handler>,
    /// Derived probes in script order; the index is the `ProbeId`.
    pub probes: Vec<DerivedProbe>,
    /// Conditions of probe points.
    pub conditions: Vec<Condition>,
    /// ELF files that probes are in.
    pub modules: Vec<Module>,
    /// Places that can fault.
    pub sites: Vec<Site>,
    /// Limits of the run.
    pub limits: Limits,
}

impl Script {
    /// What a probe was derived from.
    pub fn origin(&self, probe: &DerivedProbe) -> Origin {
        let written = &self.handlers[probe.handler.0 as usize].name;
        let alias = (probe.pn != probe.pp && probe.pn != *written).then(|| probe.pn.clone());
        Origin { place: probe.place.clone(), from: alias.into_iter().chain([written.clone()]).collect() }
    }

    /// By handler: whether a probe in a program runs it. Others, of begin, end, error and timer probes, are not in a
    /// hurry.
    pub fn hot_handlers(&self) -> Vec<bool> {
        let mut hot = vec![false; self.handlers.len()];
        for probe in &self.probes {
            let in_rstap = matches!(
                probe.point,
                Point::Begin(_) | Point::End(_) | Point::Error(_) | Point::Timer { .. }
            );
            hot[probe.handler.0 as usize] |= !in_rstap;
        }
        hot
    }
}

/// Type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// 64-bit signed, wrapping.
    Long,
    /// Bytes, at most MAXSTRINGLEN - 1 unless a literal.
    Str,
}

/// A global variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: GlobalKind,
    /// Its first value (scalars).
    pub initial: Initial,
    /// Whether handlers only add to it, each context to a part of its own.
    pub sharded: bool,
}

/// Kinds of global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalKind {
    /// A long or string scalar.
    Scalar(Type),
    /// A statistic.
    Stat(StatShape),
    /// An array.
    Map(MapShape),
}

/// A script function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How many of `locals`, from the first, are parameters.
    pub param_count: u32,
    /// Parameters, then locals. Locals start as 0 or "".
    pub locals: Vec<Local>,
    /// Type of its value; `None` if it has none.
    pub ret: Option<Type>,
    /// Whether it contains [`Stmt::Decline`] (`next` in an overloaded function).
    pub can_decline: bool,
    /// Its statements.
    pub body: Vec<Stmt>,
}

/// A local variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// Its name, for printing.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A probe handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Handler {
    /// The point as written, for printing.
    pub name: String,
    /// Its locals.
    pub locals: Vec<Local>,
    /// Its statements.
    pub body: Vec<Stmt>,
    /// Globals that it and what it calls use, by rising id.
    pub locks: Vec<Lock>,
    /// Conditions that read what it writes, as indices into [`Script::conditions`]: to be evaluated after it.
    pub conditions: Vec<usize>,
}

/// `if (EXPR)` of probe points, where EXPR depends on globals alone: its outcome is kept, and changes only when a
/// handler has written one of them. Handlers of these points ask once more, under their locks.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Evaluates it into `outcome`.
    pub handler: HandlerId,
    /// A hidden global: 1 or 0.
    pub outcome: GlobalId,
    /// The expression as written, for printing.
    pub text: String,
}

/// A global that a handler uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// Which.
    pub global: GlobalId,
    /// Whether it writes it.
    pub write: bool,
    /// Whether its parts are gathered in it first: it is sharded, and the handler reads it.
    pub gather: bool,
}

/// A probe with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedProbe {
    /// Where it is.
    pub point: Point,
    /// `pp()`
    pub pp: String,
    /// `pn()`
    pub pn: String,
    /// `ppfunc()`
    pub function: String,
    /// The written point, `FILE:LINE:COLUMN`; empty for what the compiler added.
    pub place: String,
    /// What it runs.
    pub handler: HandlerId,
    /// Bits of `rstap_abi::context::flags` of its context.
    pub flags: u32,
    /// Its condition, as an index into [`Script::conditions`].
    pub condition: Option<usize>,
    /// For a return probe: index of the probe (with `Point::Never`) whose handler saves values at entry.
    pub entry: Option<u32>,
    /// Bytes it saves.
    pub entry_bytes: u32,
}

/// A statement. Each counts as one action.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// An expression for its effect.
    Expr(Expr),
    /// `s <<< v`
    Aggregate(StatRef, Expr, SiteId),
    /// `printf` and its like, to the output.
    Print(Format, SiteId),
    /// `print(@hist_x(s))`
    PrintHistogram(StatRef),
    /// `if`
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `while` and `for`: condition (absent is true), body, step. `Continue` goes to the step.
    Loop(Option<Expr>, Vec<Stmt>, Option<Expr>),
    /// `foreach` over an array.
    Foreach(Box<Foreach>),
    /// `foreach (b in @hist_x(s))`: the local takes each bucket's index in order.
    ForeachBucket(LocalId, StatRef, Vec<Stmt>),
    /// Leave the innermost loop.
    Break,
    /// Next round of the innermost loop.
    Continue,
    /// End the function (with its value) or, without a value, the function or handler.
    Return(Option<Expr>),
    /// End the handler, from within a function too.
    Next,
    /// `next` in an overloaded function: the caller tries the following candidate.
    Decline,
    /// `try { } catch (message) { }`
    Try(Vec<Stmt>, Option<LocalId>, Vec<Stmt>),
    /// `delete g`: a scalar becomes 0 or "", a statistic or array empty.
    DeleteGlobal(GlobalId, SiteId),
    /// `delete a[k, *]`; a `None` part is `*`.
    DeleteElement(GlobalId, Key<Option<Expr>>, SiteId),
    /// Stores a value for the return probe at a byte offset of its entry area (a string: `u32` length, `u32` zero,
    /// bytes).
    SaveEntry(u32, Expr),
}

/// A walk over an array.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreach {
    /// The array.
    pub map: GlobalId,
    /// Takes each element's key parts; a part nobody reads has none.
    pub keys: Vec<Option<LocalId>>,
    /// Takes each element's value: long or string, or (array of statistics) a long local that serves as
    /// [`StatRef::Local`].
    pub value: Option<LocalId>,
    /// Only elements whose key has these parts; empty for all.
    pub slice: Vec<Option<Expr>>,
    /// As `rstap_abi::layout::order`.
    pub order: u64,
    /// At most this many.
    pub limit: Option<Expr>,
    /// The body.
    pub body: Vec<Stmt>,
    /// The array's name, for faults.
    pub site: SiteId,
}

/// A statistic.
#[derive(Clone, Debug, PartialEq)]
pub enum StatRef {
    /// A global one.
    Global(GlobalId),
    /// An array's element.
    Element(GlobalId, Key),
    /// The value local of a `foreach`.
    Local(LocalId),
}

/// Something that can be assigned.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// A local.
    Local(LocalId),
    /// A scalar global.
    Global(GlobalId),
    /// An array's element (long or string).
    Element(GlobalId, Key),
}

/// The key of an array access: its parts in order, which are absent where it is `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key<P = Expr> {
    /// What it consists of.
    pub parts: Vec<P>,
    /// Whether other accesses use what this one evaluates, or the other way round (`crate::keys`).
    pub kept: Option<Kept>,
}

impl<P> From<Vec<P>> for Key<P> {
    fn from(parts: Vec<P>) -> Key<P> {
        Key { parts, kept: None }
    }
}

impl<P> Deref for Key<P> {
    type Target = [P];

    fn deref(&self) -> &[P] {
        &self.parts
    }
}

/// A key that several accesses of a handler or function share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which of those kept.
    pub id: KeyId,
    /// Whether it was evaluated on every way here: then its parts need not be, nor its hash.
    pub known: bool,
}

/// An expression with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Its type; of a call of a function without value, `Long` by convention (only as a statement).
    pub ty: Type,
    /// What it is.
    pub kind: ExprKind,
}

/// Kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Long(i64),
    /// A text, not cut to MAXSTRINGLEN.
    Str(Vec<u8>),
    /// Reads a place; an absent element is 0 or "" and is not made.
    Read(Place, SiteId),
    /// Assigns; its value is the value assigned (a string: as cut).
    Assign(Place, Box<Expr>, SiteId),
    /// `p = p OP e` with the place's index evaluated once, before `e`.
    Update {
        /// What is changed.
        place: Place,
        /// How.
        op: BinaryOp,
        /// The right operand.
        operand: Box<Expr>,
        /// Whether its value is that before the change (`x++`).
        yields_old: bool,
        /// The operator.
        site: SiteId,
    },
    /// `-e`, `~e`, `!e`
    Unary(UnaryOp, Box<Expr>),
    /// An operator on two longs (`Concat`: two strings).
    Binary(BinaryOp, Box<Expr>, Box<Expr>, SiteId),
    /// Compares two longs or two strings: 0 or 1.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `a && b`: 0 or 1.
    And(Box<Expr>, Box<Expr>),
    /// `a || b`: 0 or 1.
    Or(Box<Expr>, Box<Expr>),
    /// `c ? a : b`
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// The expression of the case that the first one equals, else the last one. All are longs.
    Choose(Box<Expr>, Vec<(i64, Expr)>, Box<Expr>),
    /// `[k, *] in a`
    Contains(GlobalId, Key<Option<Expr>>, SiteId),
    /// Calls the candidates in order until one does not decline.
    Call(Vec<FuncId>, Vec<Expr>, SiteId),
    /// `e =~ "…"`: 0 or 1; whether the script asks for the groups of a match.
    Regex(Box<Expr>, Box<Pattern>, bool),
    /// Calls a builtin.
    Builtin(Builtin, Vec<Expr>, SiteId),
    /// An extractor, `op` of `rstap_abi::layout::stat_op`.
    Stat(StatRef, u64, SiteId),
    /// `@hist_x(s)[i]`, `@quantile(s, p)`
    StatAt(StatRef, StatIndex, Box<Expr>, SiteId),
    /// `sprint(@hist_x(s))`
    HistogramText(StatRef),
    /// `sprintf` and its like.
    Format(Format, SiteId),
    /// A register of the thread at the probe, index into `rstap_abi::context::Registers`.
    Register(u8),
    /// Memory of the target: address, size 1, 2, 4 or 8, whether sign-extended.
    Memory(Box<Expr>, u8, bool, SiteId),
    /// A value saved by [`Stmt::SaveEntry`] at this offset.
    EntryValue(u32),
    /// The second expression, in which [`ExprKind::Bound`] of this number stands for the first, a long that is
    /// evaluated once.
    With(u32, Box<Expr>, Box<Expr>),
    /// See [`ExprKind::With`].
    Bound(u32),
    /// `a, b`: evaluates and drops the first. Made by lowering only.
    Sequence(Box<Expr>, Box<Expr>),
}

/// What the index of an [`ExprKind::StatAt`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatIndex {
    /// Buckets of the histogram.
    Bucket,
    /// Parts of all values, each 1 / `of`.
    Quantile {
        /// Above 0.
        of: i64,
    },
}

/// Operators on one long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UnaryOp {
    Negate,
    Complement,
    /// 0 or 1.
    Not,
}

/// Operators on two longs, and `Concat` on two strings. Shift counts are taken modulo 64; `Div` and `Mod` by zero
/// fault, and `i64::MIN` by -1 gives `i64::MIN` and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    UnsignedShiftRight,
    Concat,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A format and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    /// Its steps.
    pub directives: Vec<Directive>,
    /// Arguments in order, those of `*` included.
    pub args: Vec<Expr>,
}

/// One step of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Text as it is.
    Literal(Vec<u8>),
    /// A conversion of the next argument.
    Conversion {
        /// As `rstap_abi::format::conversion`.
        conversion: u8,
        /// As `rstap_abi::format::flag`.
        flags: u8,
        /// As `rstap_abi::format::Directive::width`.
        width: i32,
        /// As `rstap_abi::format::Directive::precision`.
        precision: i32,
    },
}
