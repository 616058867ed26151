//! The abstract syntax tree: a script as written, after the token preprocessor. It knows no symbol, type or
//! tapset. [`crate::print`] turns it back into text that parses to the same tree.

use crate::source::{SourceId, Span};

/// One parsed source text.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Which text.
    pub source: SourceId,
    /// Its declarations in order.
    pub items: Vec<Item>,
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A top-level declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `probe POINT, … { … }`
    Probe(Probe),
    /// `probe NAME = POINT, … { … }` or `+=`
    Alias(Alias),
    /// `function f(…) { … }`
    Function(Function),
    /// `global a, b` gives one item each.
    Global(Global),
    /// `%{ … %}` at top level.
    Embedded(Embedded),
}

/// `probe POINT, … BODY`
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Its points, brace alternatives already expanded.
    pub points: Vec<ProbePoint>,
    /// The handler.
    pub body: Block,
    /// From `probe` to the end of the points.
    pub span: Span,
}

/// `probe NAME = POINT, … BODY` (prologue), `+=` (epilogue), or `= POINT, … PROLOGUE, EPILOGUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The new point: components as in `probe my.name("x") = …`.
    pub name: ProbePoint,
    /// Whether the body runs before (`=`) or after (`+=`) that of the probe that uses the alias.
    pub epilogue: bool,
    /// What it stands for.
    pub points: Vec<ProbePoint>,
    /// Prologue or epilogue.
    pub body: Block,
    /// `, BODY` after a prologue: an epilogue that goes with it.
    pub second: Option<Block>,
    /// From `probe` to the end of the points.
    pub span: Span,
}

/// A probe point: `a.b("x").c if (cond)`, `a.b?`, `a.b!`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePoint {
    /// Dotted components, at least one.
    pub components: Vec<Component>,
    /// `?`: no error if it cannot be resolved.
    pub optional: bool,
    /// `!`: optional, and the points after it are not tried if it resolves.
    pub sufficient: bool,
    /// `if (EXPR)`
    pub condition: Option<Expr>,
    /// Its place without the condition.
    pub span: Span,
}

/// `name`, `name(7)`, `name("text")`; the name may hold `*` and `?`... wildcards.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name or pattern.
    pub name: Name,
    /// The literal in parentheses.
    pub arg: Option<Literal>,
    /// Name and argument.
    pub span: Span,
}

/// A literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// 64-bit signed; unsigned literals up to 2^64-1 wrap.
    Number(i64),
    /// Bytes after escapes; not always UTF-8 (`"\377"`).
    String(Vec<u8>),
}

/// `function NAME:TYPE (PARAMS):PRIORITY BODY`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// `private`
    pub private: bool,
    /// Parameters with declared types.
    pub params: Vec<Param>,
    /// Declared return type.
    pub return_type: Option<TypeName>,
    /// Overload priority: as written; `None` otherwise.
    pub priority: Option<i64>,
    /// What it does.
    pub body: FunctionBody,
    /// From `function` to the end of the head.
    pub span: Span,
}

/// A function's body.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionBody {
    /// Statements.
    Script(Block),
    /// `%{ … %}`: in rstap's own library the name of a builtin, elsewhere an error of pass 2.
    Embedded(Embedded),
}

/// `name:type`
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Declared type.
    pub ty: Option<TypeName>,
}

/// `long` or `string`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// 64-bit signed integer.
    Long,
    /// String.
    String,
}

/// `global NAME`, `NAME[SIZE]`, `NAME%[SIZE]`, `NAME = LITERAL`.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Its name.
    pub name: Name,
    /// `private`
    pub private: bool,
    /// `%`: a full array drops its oldest entry.
    pub wrap: bool,
    /// `[SIZE]`
    pub size: Option<i64>,
    /// First value.
    pub init: Option<Literal>,
}

/// The text between `%{` and `%}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Without the delimiters.
    pub text: String,
    /// With the delimiters.
    pub span: Span,
}

/// `{ … }` or `< … >`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// In order.
    pub statements: Vec<Stmt>,
    /// With the delimiters.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a tree is small, and read more often than it is made")]
pub enum StmtKind {
    /// `;`
    Empty,
    /// `{ … }`
    Block(Block),
    /// An expression for its effect.
    Expr(Expr),
    /// `if (c) s else t`
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    /// `for (init; cond; step) body`
    For(Option<Expr>, Option<Expr>, Option<Expr>, Box<Stmt>),
    /// `while (c) body`
    While(Expr, Box<Stmt>),
    /// `foreach (…) body`
    Foreach(Box<Foreach>),
    /// `delete EXPR`
    Delete(Expr),
    /// `try { } catch (name) { }`
    Try(Block, Option<Name>, Block),
    /// `return EXPR`
    Return(Option<Expr>),
    /// `next`
    Next,
    /// `break`
    Break,
    /// `continue`
    Continue,
}

/// `foreach (VALUE = [K1, K2] in ARRAY[SLICE] @op+ limit N) BODY`
#[derive(Clone, Debug, PartialEq)]
pub struct Foreach {
    /// `VALUE =`
    pub value: Option<Name>,
    /// Key variables; none when the array is a histogram's and so on: always at least one.
    pub keys: Vec<Name>,
    /// What is walked: a `Symbol` or a `Stat` histogram over one.
    pub array: Expr,
    /// `ARRAY[*, EXPR]`; `None` part is `*`.
    pub slice: Option<Vec<Option<Expr>>>,
    /// Order, if any.
    pub sort: Option<Sort>,
    /// `limit EXPR`
    pub limit: Option<Expr>,
    /// The loop's body.
    pub body: Stmt,
}

/// Order of a `foreach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// `-`
    pub descending: bool,
    /// Place of the sign.
    pub span: Span,
}

/// What a `foreach` sorts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// The key part with this index, from 0.
    Key(u32),
    /// The value; for a statistic its count unless an extractor is given.
    Value(Option<StatOp>),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
    /// The token a message is about: the operator of a binary expression, the name of a call or variable.
    pub token: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// Number or string.
    Literal(Literal),
    /// A variable, global or local, or an array where one is meant as a whole.
    Symbol(String),
    /// `a[k, *]`; `None` part is `*` (only where wildcards are allowed). The base is a `Symbol` or a `Stat`
    /// histogram (`@hist_log(x)[3]`).
    Index(Box<Expr>, Vec<Option<Expr>>),
    /// `f(…)`
    Call(String, Vec<Expr>),
    /// `-e`, `+e`, `!e`, `~e`
    Unary(UnaryOp, Box<Expr>),
    /// `++e`, `e--`
    Crement {
        /// `++` or `--`
        increment: bool,
        /// Before the operand.
        prefix: bool,
        /// The variable.
        target: Box<Expr>,
    },
    /// `a + b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a = b`, `a += b`, `a <<< b`
    Assign(AssignOp, Box<Expr>, Box<Expr>),
    /// `c ? a : b`
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `[k1, *] in a`
    In(Vec<Option<Expr>>, Box<Expr>),
    /// `s =~ "re"`, `s !~ "re"`
    Regex {
        /// `!~`
        negated: bool,
        /// The string.
        subject: Box<Expr>,
        /// The pattern.
        pattern: Vec<u8>,
        /// Its literal, or the last of several in a row.
        place: Span,
    },
    /// `print…`, `sprint…`
    Print(Print),
    /// `@count(x)`, `@hist_linear(x, 0, 10, 1)`
    Stat(StatOp, Box<Expr>, Vec<Expr>),
    /// `$name->member[i]$$`, and `@var`, `@cast` with accessors.
    Target(Target),
    /// `&$x->y`
    AddressOf(Box<Expr>),
    /// `@entry(e)`
    Entry(Box<Expr>),
    /// `@defined(e)`
    Defined(Box<Expr>),
    /// `@probewrite(name)`
    ProbeWrite(Box<Expr>),
    /// `@const("…")`
    Const(Vec<u8>),
    /// `@enum("NAME")`, `@enumname("type", value)`, `@perf("name")` and other `@name(args)` with no form of
    /// their own.
    AtCall(String, Vec<Expr>),
    /// `%{ … %}`
    Embedded(Embedded),
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UnaryOp {
    Negate,
    Plus,
    Not,
    Complement,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    /// `>>>`
    UnsignedShiftRight,
    And,
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `.`
    Concat,
}

/// Assignment operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AssignOp {
    /// `=`
    Set,
    /// `+=` and its like.
    With(BinaryOp),
    /// `<<<`
    Aggregate,
}

/// Statistic extractors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum StatOp {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Variance,
    HistLinear,
    HistLog,
    Quantile,
}

/// One of the print functions.
#[derive(Clone, Debug, PartialEq)]
pub struct Print {
    /// `sprint…`: to a string.
    pub to_string: bool,
    /// `…ln`
    pub newline: bool,
    /// How the arguments are put together.
    pub style: PrintStyle,
    /// Arguments after format or delimiter.
    pub args: Vec<Expr>,
}

/// How print arguments are put together.
#[derive(Clone, Debug, PartialEq)]
pub enum PrintStyle {
    /// `print`, `println`
    Plain,
    /// `printd`, `printdln`: with the delimiter expression.
    Delimited(Box<Expr>),
    /// `printf`: with the format expression (pass 2 requires a literal).
    Format(Box<Expr>),
}

/// A target variable expression: `$x->y[1]`, `@cast(p, "t")->y$`, `@var("g@file.c", "mod")`.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Where it starts.
    pub base: TargetBase,
    /// What is applied to it, in order.
    pub access: Vec<Access>,
    /// Pretty-printing suffix: 0, 1 (`$`) or 2 (`$$`).
    pub pretty: u8,
}

/// Where a target variable expression starts.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetBase {
    /// `$name`, with `$$vars` as the name `$vars`.
    Variable(String),
    /// `@cast(EXPR, "TYPE", "MODULE")`
    Cast(Box<Expr>, Vec<u8>, Option<Vec<u8>>),
    /// `@var("NAME@CU", "MODULE")`
    Var(Vec<u8>, Option<Vec<u8>>),
    /// `@enum("NAME", "MODULE")`: the value of an enumerator.
    Enum(Vec<u8>, Option<Vec<u8>>),
    /// `@enumname("TYPE", EXPR, "MODULE")`: the enumerator of a value.
    EnumName(Box<Expr>, Vec<u8>, Option<Vec<u8>>),
    /// `EXPR->member` on a value that carries its DWARF type (autocast).
    Value(Box<Expr>),
}

impl TargetBase {
    /// The script's expression that it begins with.
    pub fn value(&self) -> Option<&Expr> {
        match self {
            TargetBase::Cast(value, ..) | TargetBase::EnumName(value, ..) | TargetBase::Value(value) => {
                Some(value)
            }
            TargetBase::Variable(_) | TargetBase::Var(..) | TargetBase::Enum(..) => None,
        }
    }

    /// The module that it names.
    pub fn module(&self) -> Option<&[u8]> {
        match self {
            TargetBase::Cast(_, _, module)
            | TargetBase::Var(_, module)
            | TargetBase::Enum(_, module)
            | TargetBase::EnumName(_, _, module) => module.as_deref(),
            TargetBase::Variable(_) | TargetBase::Value(_) => None,
        }
    }
}

/// One step of a target variable expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The step.
    pub kind: AccessKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of step.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessKind {
    /// `->name`
    Member(String),
    /// `[EXPR]`
    Index(Expr),
}
