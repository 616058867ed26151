//! The resolved tree: handlers and functions with every name bound to a variable, function or builtin, but without
//! types. Pass 2 builds it from the AST, drops what has no effect, infers types over it and lowers it to [`crate::ir`].

use std::rc::Rc;

use rstap_abi::builtins::Builtin;
use rstap_abi::layout::StatShape;
use rstap_syntax::ast::{self, Literal, StatOp, TypeName, UnaryOp};
use rstap_syntax::source::Span;

use crate::ir::{Directive, StatIndex};
use crate::regex::Pattern;
use crate::target_var::Origin;

/// All that is resolved. Indices into its vectors are plain `usize`; they never leave pass 2.
#[derive(Debug, Default)]
pub struct Tree {
    /// Globals that something refers to.
    pub globals: Vec<Global>,
    /// Functions that something calls.
    pub functions: Vec<Function>,
    /// Handlers.
    pub bodies: Vec<Body>,
}

/// A global variable.
#[derive(Debug)]
pub struct Global {
    /// Its name.
    pub name: String,
    /// Its declaration.
    pub span: Span,
    /// Declared in the library: no advice about it.
    pub library: bool,
    /// `%`
    pub wrap: bool,
    /// `[SIZE]`
    pub size: Option<i64>,
    /// First value.
    pub init: Option<Literal>,
    /// Number of key parts (0: a scalar) and where it was first seen.
    pub arity: Option<(usize, Span)>,
    /// What a statistic in it keeps.
    pub stat: StatShape,
}

/// A local variable or parameter.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Where it was first seen.
    pub span: Span,
    /// Whether it takes the values of a `foreach`: it may then be a statistic of this array.
    pub walks: Option<usize>,
    /// Made by the compiler: no advice about it.
    pub hidden: bool,
    /// The target variable that its first value was made of.
    pub origin: Option<Rc<Origin>>,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its name in the declaration.
    pub span: Span,
    /// Declared in the library.
    pub library: bool,
    /// How many of `locals`, from the first, are parameters.
    pub param_count: usize,
    /// Parameters, then locals.
    pub locals: Vec<Local>,
    /// Declared types of the parameters.
    pub param_types: Vec<Option<TypeName>>,
    /// Declared type of the value.
    pub return_type: Option<TypeName>,
    /// What it does.
    pub code: Code,
}

/// What a function does.
#[derive(Debug)]
pub enum Code {
    /// Statements.
    Script(Vec<Stmt>),
    /// A call of it is a call of this.
    Builtin(Builtin),
}

/// A handler: the bodies of aliases and of the probe, joined.
#[derive(Debug)]
pub struct Body {
    /// The written points, for printing.
    pub name: String,
    /// `probe` of the declaration.
    pub span: Span,
    /// The part that the probe's author wrote: no advice about library code and bodies of aliases.
    pub own: Option<Span>,
    /// Its locals.
    pub locals: Vec<Local>,
    /// Its statements.
    pub code: Vec<Stmt>,
    /// Whether it has to be lowered for each derived point: it reads target variables.
    pub per_point: bool,
}

impl Body {
    /// Whether a place is in the part that the probe's author wrote.
    pub fn is_own(&self, span: Span) -> bool {
        self.own
            .is_some_and(|own| own.source == span.source && own.start <= span.start && span.end <= own.end)
    }
}

/// A variable of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Var {
    /// Index into [`Tree::globals`].
    Global(usize),
    /// Index into the locals of the enclosing function or body.
    Local(usize),
}

/// Something that can be read or assigned.
#[derive(Debug, Clone)]
pub enum Place {
    /// A scalar.
    Var(Var),
    /// An element of the array with this index.
    Element(usize, Vec<Expr>),
    /// A target variable.
    Target(Target),
}

/// A target variable with its script parts resolved.
#[derive(Debug, Clone)]
pub struct Target {
    /// As written.
    pub ast: Rc<ast::Target>,
    /// The base of `@cast`, or the value that a member is asked of.
    pub base: Option<Box<Expr>>,
    /// What gives the type of such a value.
    pub origin: Option<Rc<Origin>>,
    /// The index of each `[e]` step.
    pub indexes: Vec<Expr>,
}

impl Target {
    /// Whether its value is a string: pretty-printed, a list like `$$vars`, or an enumerator's name.
    pub fn is_string(&self) -> bool {
        let is_text = || match &self.ast.base {
            ast::TargetBase::Variable(name) => name.starts_with('$'),
            base => matches!(base, ast::TargetBase::EnumName(..)),
        };
        self.ast.pretty > 0 || (self.ast.access.is_empty() && is_text())
    }
}

/// A statistic.
#[derive(Debug, Clone)]
pub enum Stat {
    /// A global or the value variable of a walk.
    Var(Var),
    /// An array's element.
    Element(usize, Vec<Expr>),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// The token messages are about.
    pub token: Span,
}

/// Kinds of expression.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in the AST and the IR")]
pub enum ExprKind {
    Long(i64),
    Str(Vec<u8>),
    Read(Place),
    /// `&$x`
    AddressOf(Target),
    /// `p = e`, or `p op= e` with an operator; the name that `p` begins with.
    Assign(Option<ast::BinaryOp>, Place, Box<Expr>, Span),
    /// `s <<< e`
    Aggregate(Stat, Box<Expr>),
    Crement {
        increment: bool,
        prefix: bool,
        place: Place,
        name: Span,
    },
    Unary(UnaryOp, Box<Expr>),
    Binary(ast::BinaryOp, Box<Expr>, Box<Expr>),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    Contains(usize, Vec<Option<Expr>>),
    /// `e =~ "…"`
    Regex(Box<Expr>, Box<Pattern>),
    /// Candidates in the order they are tried.
    Call(Vec<usize>, Vec<Expr>),
    Print(Print),
    Stat(StatOp, Stat),
    /// `@hist_x(s)[i]` and `@quantile(s, p)`
    StatAt(Stat, StatIndex, Box<Expr>),
    /// `@entry(e)`
    Entry(Box<Expr>),
    /// Whether a probe writes the global.
    ProbeWrite(usize),
}

/// One of the print functions.
#[derive(Debug, Clone)]
pub struct Print {
    /// To a string.
    pub to_string: bool,
    /// What is printed.
    pub what: Printed,
}

/// What a print function prints.
#[derive(Debug, Clone)]
pub enum Printed {
    /// Values with a delimiter between and an end after them.
    Values {
        /// Between two.
        delimiter: Vec<u8>,
        /// After the last.
        end: &'static [u8],
        /// The values.
        args: Vec<Expr>,
    },
    /// A format.
    Format {
        /// Its steps.
        directives: Vec<Directive>,
        /// Its arguments, those of `*` included.
        args: Vec<Expr>,
    },
    /// A histogram.
    Histogram(Stat),
    /// `event(…)`: a JSON object.
    Event {
        /// What it begins with.
        head: Vec<u8>,
        /// The text before each value, and the value.
        fields: Vec<(Vec<u8>, Expr)>,
    },
    /// `print_json(global)`
    Json(usize),
}

/// A statement.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in the AST and the IR")]
pub enum Stmt {
    Expr(Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Loop {
        condition: Option<Expr>,
        body: Vec<Stmt>,
        step: Option<Expr>,
    },
    Foreach(Box<Foreach>),
    /// `foreach (b in @hist_x(s))`
    ForeachBucket(usize, Stat, Vec<Stmt>),
    /// `delete` of a variable.
    Delete(Var, Span),
    DeleteElement(usize, Vec<Option<Expr>>, Span),
    Try(Vec<Stmt>, Option<usize>, Vec<Stmt>),
    Return(Option<Expr>),
    /// In a handler its end, in a function the next candidate.
    Next,
    Break,
    Continue,
}

/// A walk over an array.
#[derive(Debug, Clone)]
pub struct Foreach {
    /// The array.
    pub map: usize,
    /// Its name in the statement.
    pub token: Span,
    /// Takes each element's key parts.
    pub keys: Vec<usize>,
    /// Takes each element's value.
    pub value: Option<usize>,
    /// Fixed key parts; empty for all elements.
    pub slice: Vec<Option<Expr>>,
    /// Order.
    pub sort: Option<ast::Sort>,
    /// At most this many.
    pub limit: Option<Expr>,
    /// The body.
    pub body: Vec<Stmt>,
}
