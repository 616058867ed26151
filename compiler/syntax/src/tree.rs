//! What the grammar's actions do beyond putting parts side by side.

use std::convert::Infallible;

use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::report::Report;
use crate::source::Span;
use crate::token::{Loc, PrintName, Tok};

/// Probe points that brace alternatives may make of one.
const MAX_ALTERNATIVES: usize = 1000;

/// A caught syntax error of the grammar.
pub type Caught = lalrpop_util::ErrorRecovery<Loc, Tok, Infallible>;

/// Words a caught error.
pub fn syntax_error(report: &Report<'_>, caught: Caught) {
    crate::wording::report_syntax_error(report, caught.error);
}

/// `all` and `more`.
pub fn appended<T>(mut all: Vec<T>, more: Vec<T>) -> Vec<T> {
    all.extend(more);
    all
}

/// `all` and `one`.
pub fn pushed<T>(mut all: Vec<T>, one: T) -> Vec<T> {
    all.push(one);
    all
}

/// Adds a statement; of several empty ones in a row the first stands for all.
pub fn with_statement(mut all: Vec<Stmt>, one: Stmt) -> Vec<Stmt> {
    let repeats = one.kind == StmtKind::Empty && all.last().is_some_and(|last| last.kind == StmtKind::Empty);
    if !repeats {
        all.push(one);
    }
    all
}

// Declarations.

/// `probe NAME = POINTS BODY`
pub fn alias(
    report: &Report<'_>,
    span: Span,
    mut names: Vec<ProbePoint>,
    epilogue: bool,
    points: Vec<ProbePoint>,
    (body, second): (Block, Option<(Loc, Block)>),
) -> Vec<Item> {
    if epilogue && let Some((at, _)) = second {
        report.error(at, "Combined prologue and epilogue cannot be defined with '+='", "saw operator ','");
    }
    let second = second.map(|(_, second)| second);
    let Some(name) = names.pop().filter(|_| names.is_empty()) else {
        report.add(
            Diagnostic::parse_error("expected probe point specifier")
                .at(span, "an alias has one name, not alternatives"),
        );
        return Vec::new();
    };
    if name.optional || name.sufficient {
        report.add(
            Diagnostic::parse_error("probe point alias name cannot be optional nor sufficient")
                .at(name.span, "")
                .note("put '?' or '!' after the points it stands for"),
        );
    }
    if let Some(condition) = &name.condition {
        report.add(
            Diagnostic::parse_error("probe point alias name cannot have a condition")
                .at(condition.span, "")
                .note("put the condition after the points it stands for"),
        );
    }
    vec![Item::Alias(Alias { name, epilogue, points, body, second, span })]
}

/// `global a, b`
pub fn globals(private: bool, all: Vec<Global>) -> Vec<Item> {
    all.into_iter().map(|global| Item::Global(Global { private, ..global })).collect()
}

/// `[SIZE]` of a global.
pub fn array_size(report: &Report<'_>, at: Loc, size: i64) -> Option<i64> {
    if size <= 0 {
        report.error(at, "array size out of range", "at least 1");
    }
    Some(size)
}

/// `function NAME:TYPE (PARAMS):PRIORITY BODY`
#[expect(clippy::too_many_arguments, reason = "one for each part of the head")]
pub fn function(
    report: &Report<'_>,
    span: Span,
    private: bool,
    name: Name,
    ty: Option<TypeName>,
    params: Vec<Param>,
    (priority, late_type): (Option<(Loc, i64)>, Option<TypeName>),
    body: FunctionBody,
) -> Function {
    if let Some((at, number)) = priority
        && number <= 0
    {
        report.error(at, "specified priority must be > 0", "");
    }
    let priority = priority.map(|(_, number)| number);
    Function { name, private, params, return_type: ty.or(late_type), priority, body, span }
}

/// `%{ … %}` at top level.
pub fn embedded_item(report: &Report<'_>, code: Embedded) -> Vec<Item> {
    vec![Item::Embedded(embedded_code(report, code))]
}

/// `%{ … %}`, which only the library may use: there it names a builtin.
pub fn embedded_code(report: &Report<'_>, code: Embedded) -> Embedded {
    if report.refuse_embedded {
        let opening = Span { end: code.span.start + 2, ..code.span };
        report.add(
            Diagnostic::parse_error("embedded code cannot exist here: rstap runs no C compiler and no kernel module")
                .at(opening, "embedded C starts here")
                .note("use script functions; the library reads registers (register), memory (user_long, user_string) and context"),
        );
    }
    code
}

// Probe points.

/// One way through the brace alternatives of a probe point.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its components.
    pub components: Vec<Component>,
    /// `?`
    pub optional: bool,
    /// `!`
    pub sufficient: bool,
}

impl Path {
    /// A path of one component.
    pub fn new(component: Component) -> Path {
        Path { components: vec![component], optional: false, sufficient: false }
    }

    fn followed_by(mut self, end: &Path) -> Path {
        self.components.extend_from_slice(&end.components);
        Path { components: self.components, ..*end }
    }

    fn has_suffix(&self) -> bool {
        self.optional || self.sufficient
    }
}

/// All `paths` with a suffix.
pub fn suffixed(mut paths: Vec<Path>, set: impl Fn(&mut Path)) -> Vec<Path> {
    paths.iter_mut().for_each(set);
    paths
}

/// Each way before with each way after.
pub fn joined_paths(report: &Report<'_>, at: Loc, before: Vec<Path>, after: Vec<Path>) -> Vec<Path> {
    if before.iter().any(Path::has_suffix) {
        report.error(at, "'?', '!' or condition must only be specified in suffix", "");
    }
    if before.len().saturating_mul(after.len()) > MAX_ALTERNATIVES {
        let label = format!("more than {MAX_ALTERNATIVES}");
        report.error(at, "too many alternatives in a probe point", label);
        return before;
    }
    let Some((last, others)) = after.split_last() else { return before };
    let mut paths = Vec::with_capacity(before.len() * after.len());
    for start in before {
        for end in others {
            report.step(start.components.len());
            paths.push(start.clone().followed_by(end));
        }
        report.step(last.components.len());
        paths.push(start.followed_by(last));
    }
    paths
}

/// The probe points that the ways through one stand for.
pub fn probe_points(span: Span, paths: Vec<Path>, condition: Option<Expr>) -> Vec<ProbePoint> {
    paths
        .into_iter()
        .map(|path| ProbePoint {
            components: path.components,
            optional: path.optional,
            sufficient: path.sufficient,
            condition: condition.clone(),
            span,
        })
        .collect()
}

// Statements.

/// `if (c) s else t`
pub fn conditional(span: Span, condition: Expr, then: Stmt, other: Option<Stmt>) -> Stmt {
    Stmt { kind: StmtKind::If(condition, Box::new(then), other.map(Box::new)), span }
}

/// Words the error in the head of an `if` or a loop; what follows is read as the statement.
pub fn wrong_head(report: &Report<'_>, at: Loc, caught: Caught) -> Expr {
    syntax_error(report, caught);
    expr(at.span, at.span, ExprKind::Literal(Literal::Number(0)))
}

/// A loop without its body.
pub enum Head {
    /// `while (c)`
    While(Expr),
    /// `for (a; b; c)`
    For(Option<Expr>, Option<Expr>, Option<Expr>),
    /// `foreach (…)`
    Foreach(ForeachHead),
}

/// `foreach (…)`
pub struct ForeachHead {
    keys: ForeachKeys,
    array: Expr,
    slice: Option<Vec<Option<Expr>>>,
    sort: Option<Sort>,
    limit: Option<Expr>,
}

/// `VALUE = [K1, K2]`, where keys may carry a sort mark.
pub struct ForeachKeys {
    /// `VALUE =`
    pub value: Option<Name>,
    /// Key variables.
    pub keys: Vec<(Name, Option<Sort>)>,
}

impl Head {
    /// Brings the sort marks of keys and array together.
    pub fn foreach(
        report: &Report<'_>,
        keys: ForeachKeys,
        array: Expr,
        slice: Option<Vec<Option<Expr>>>,
        sort: Option<Sort>,
        limit: Option<Expr>,
    ) -> Head {
        let by_key = |(index, (_, mark)): (usize, &(Name, Option<Sort>))| {
            mark.map(|mark| Sort { by: SortBy::Key(index as u32), ..mark })
        };
        let marks: Vec<Sort> = keys.keys.iter().enumerate().filter_map(by_key).chain(sort).collect();
        if let [first, second, ..] = marks[..] {
            report.add(
                Diagnostic::parse_error("multiple sort directives")
                    .at(second.span, "")
                    .see(first.span, "first one here"),
            );
        }
        Head::Foreach(ForeachHead { keys, array, slice, sort: marks.first().copied(), limit })
    }

    /// The loop with its body.
    pub fn close(self, span: Span, body: Stmt) -> Stmt {
        let kind = match self {
            Head::While(condition) => StmtKind::While(condition, Box::new(body)),
            Head::For(init, condition, step) => StmtKind::For(init, condition, step, Box::new(body)),
            Head::Foreach(head) => StmtKind::Foreach(Box::new(Foreach {
                value: head.keys.value,
                keys: head.keys.keys.into_iter().map(|(name, _)| name).collect(),
                array: head.array,
                slice: head.slice,
                sort: head.sort,
                limit: head.limit,
                body,
            })),
        };
        Stmt { kind, span }
    }
}

// Expressions.

/// An expression of its parts.
pub fn expr(span: Span, token: Span, kind: ExprKind) -> Expr {
    Expr { kind, span, token }
}

/// `a + b`
pub fn binary(token: Span, op: BinaryOp, a: Expr, b: Expr) -> Expr {
    expr(a.span.to(b.span), token, ExprKind::Binary(op, Box::new(a), Box::new(b)))
}

/// `a = b`
pub fn assign(token: Span, op: AssignOp, a: Expr, b: Expr) -> Expr {
    expr(a.span.to(b.span), token, ExprKind::Assign(op, Box::new(a), Box::new(b)))
}

/// `c ? a : b`
pub fn ternary(token: Span, c: Expr, a: Expr, b: Expr) -> Expr {
    expr(c.span.to(b.span), token, ExprKind::Ternary(Box::new(c), Box::new(a), Box::new(b)))
}

/// `-a`
pub fn unary(token: Span, op: UnaryOp, a: Expr) -> Expr {
    expr(token.to(a.span), token, ExprKind::Unary(op, Box::new(a)))
}

/// `++a`, `a--`
pub fn crement(token: Span, increment: bool, prefix: bool, target: Expr) -> Expr {
    let span = if prefix { token.to(target.span) } else { target.span.to(token) };
    expr(span, token, ExprKind::Crement { increment, prefix, target: Box::new(target) })
}

/// `&a`
pub fn address_of(token: Span, target: Expr) -> Expr {
    expr(token.to(target.span), token, ExprKind::AddressOf(Box::new(target)))
}

/// `[k1, *] in a`; `start` is the place of the bracket.
pub fn membership(token: Span, keys: Vec<Option<Expr>>, array: Expr, start: Option<Loc>) -> Expr {
    let first = match (start, keys.first()) {
        (Some(start), _) => start.span,
        (None, Some(Some(key))) => key.span,
        (None, _) => token,
    };
    expr(first.to(array.span), token, ExprKind::In(keys, Box::new(array)))
}

/// `[k]` without `in`: the key itself. SystemTap reads it so.
pub fn bracketed(report: &Report<'_>, l: Loc, r: Loc, mut keys: Vec<Option<Expr>>) -> Expr {
    if keys.len() == 1
        && let Some(Some(key)) = keys.pop()
    {
        return Expr { span: l.to(r), ..key };
    }
    report.error(
        l,
        "unexpected comma-separated expression list",
        "'in' and an array should follow this list",
    );
    expr(l.to(r), l.span, ExprKind::Literal(Literal::Number(0)))
}

/// `s =~ "re"`; the pattern ends at `end`.
pub fn regex(token: Span, negated: bool, subject: Expr, pattern: Vec<u8>, end: Span) -> Expr {
    let span = subject.span.to(end);
    expr(span, token, ExprKind::Regex { negated, subject: Box::new(subject), pattern, place: end })
}

/// What can follow an operand.
pub enum Accessor {
    /// `->name`, with as many `$` at its end.
    Member(String, u8),
    /// `[k1, *]`
    Index(Vec<Option<Expr>>),
    /// `$`, `$$`
    Pretty(u8),
}

/// An operand with what follows it: an array element, or a target variable expression.
pub fn accessed(report: &Report<'_>, mut base: Expr, accessors: Vec<(Accessor, Loc, Loc)>) -> Expr {
    let mut accessors = accessors.into_iter().peekable();
    if is_array(&base)
        && let Some((Accessor::Index(keys), _, r)) =
            accessors.next_if(|(accessor, ..)| matches!(accessor, Accessor::Index(_)))
    {
        let (span, token) = (base.span.to(r.span), base.token);
        base = expr(span, token, ExprKind::Index(Box::new(base), keys));
    }
    accessed_value(report, base, accessors)
}

/// A value with what follows it: a target variable expression.
pub fn accessed_value(
    report: &Report<'_>,
    mut expr: Expr,
    accessors: impl IntoIterator<Item = (Accessor, Loc, Loc)>,
) -> Expr {
    for (accessor, l, r) in accessors {
        let place = l.to(r);
        match accessor {
            Accessor::Index(keys) => {
                let index = single_index(report, l, keys);
                push_access(report, &mut expr, Access { kind: AccessKind::Index(index), span: place }, 0);
            }
            Accessor::Member(name, pretty) => {
                push_access(
                    report,
                    &mut expr,
                    Access { kind: AccessKind::Member(name), span: place },
                    pretty,
                );
            }
            Accessor::Pretty(count) => set_pretty(report, &mut expr, place, count),
        }
    }
    expr
}

fn is_array(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Symbol(_) | ExprKind::Stat(StatOp::HistLinear | StatOp::HistLog, ..))
}

fn single_index(report: &Report<'_>, at: Loc, mut keys: Vec<Option<Expr>>) -> Expr {
    if keys.len() == 1
        && let Some(Some(key)) = keys.pop()
    {
        return key;
    }
    report.error(at, "expected one index expression", "a value of the program has one index at a time");
    expr(at.span, at.span, ExprKind::Literal(Literal::Number(0)))
}

/// Makes `expr` a target variable expression if it is none yet, and adds a step.
fn push_access(report: &Report<'_>, expr: &mut Expr, access: Access, pretty: u8) {
    let target = as_target(expr);
    let after_pretty = target.pretty > 0;
    let place = access.span;
    target.access.push(access);
    target.pretty = target.pretty.max(pretty);
    expr.span = expr.span.to(place);
    if after_pretty {
        report_pretty(report, place);
    }
}

fn set_pretty(report: &Report<'_>, expr: &mut Expr, place: Span, count: u8) {
    let target = as_target(expr);
    let after_pretty = target.pretty > 0;
    target.pretty = count;
    expr.span = expr.span.to(place);
    if after_pretty {
        report_pretty(report, place);
    }
}

fn report_pretty(report: &Report<'_>, place: Span) {
    report.add(
        Diagnostic::parse_error("nothing can follow the '$' of pretty-printing")
            .at(place, "this stands after it"),
    );
}

fn as_target(expr: &mut Expr) -> &mut Target {
    if !matches!(expr.kind, ExprKind::Target(_)) {
        let base = TargetBase::Value(Box::new(expr.clone()));
        expr.kind = ExprKind::Target(Target { base, access: Vec::new(), pretty: 0 });
    }
    match &mut expr.kind {
        ExprKind::Target(target) => target,
        _ => unreachable!("it was just made one"),
    }
}

/// `$name` with as many `$` at its end.
pub fn target_variable(name: String, pretty: u8) -> ExprKind {
    ExprKind::Target(Target { base: TargetBase::Variable(name), access: Vec::new(), pretty })
}

/// `@cast(…)`, `@var(…)`
pub fn target(base: TargetBase) -> ExprKind {
    ExprKind::Target(Target { base, access: Vec::new(), pretty: 0 })
}

/// `print…(…)`; `end` is the place of the closing parenthesis.
pub fn print(report: &Report<'_>, end: Loc, name: PrintName, mut args: Vec<Expr>) -> ExprKind {
    let saw = "saw operator ')'";
    let mut style = PrintStyle::Plain;
    if name.formatted || name.delimited {
        if args.is_empty() {
            report.error(end, "expected literal string", saw);
            return ExprKind::Literal(Literal::Number(0));
        }
        let first = Box::new(args.remove(0));
        style = if name.formatted { PrintStyle::Format(first) } else { PrintStyle::Delimited(first) };
    }
    if args.is_empty() && !name.formatted && (name.delimited || !name.newline) {
        report.error(end, "expected literal string or number", saw);
    }
    ExprKind::Print(Print { to_string: name.to_string, newline: name.newline, style, args })
}

/// `@count(x)`, `@hist_linear(x, 0, 10, 1)`; `end` is the place of the closing parenthesis.
pub fn statistic(
    report: &Report<'_>,
    at: Loc,
    end: Loc,
    op: StatOp,
    value: Expr,
    params: Vec<Expr>,
) -> ExprKind {
    let (least, most) = match op {
        StatOp::HistLinear => (3, 3),
        StatOp::Variance => (0, 1),
        StatOp::Quantile => (1, 2),
        _ => (0, 0),
    };
    let params: Vec<Expr> = params
        .into_iter()
        .enumerate()
        .map(
            |(i, param)| if op == StatOp::Quantile && i == 0 { param } else { literal_number(report, param) },
        )
        .collect();
    if params.len() < least {
        let label = match op {
            StatOp::Quantile => "'@quantile' takes a statistic and a percentage",
            _ => "'@hist_linear' takes a statistic, low, high and width",
        };
        report.add(
            report
                .located(Diagnostic::parse_error("expected ','"), end, "saw operator ')'")
                .see(at.span, label),
        );
    } else if let Some(extra) = params.get(most) {
        report.add(Diagnostic::parse_error("expected ')'").at(extra.span, "this parameter is one too many"));
    }
    ExprKind::Stat(op, Box::new(value), params)
}

/// A number with its sign; anything else is an error.
fn literal_number(report: &Report<'_>, expr: Expr) -> Expr {
    let number = match &expr.kind {
        ExprKind::Literal(Literal::Number(number)) => Some(*number),
        ExprKind::Unary(UnaryOp::Negate, operand) => match operand.kind {
            ExprKind::Literal(Literal::Number(number)) => Some(number.wrapping_neg()),
            _ => None,
        },
        _ => None,
    };
    if number.is_none() {
        report.add(Diagnostic::parse_error("expected number").at(expr.span, "this is no literal number"));
    }
    Expr { kind: ExprKind::Literal(Literal::Number(number.unwrap_or(0))), ..expr }
}

/// `@name` without parentheses.
pub fn bare_at(report: &Report<'_>, at: Loc, name: String) -> ExprKind {
    // An unknown one was reported where it was found.
    if crate::preprocess::OPERATORS.contains(&name.as_str()) {
        report.error(at, "expected '('", format!("'@{name}' takes parameters"));
    }
    ExprKind::AtCall(name, Vec::new())
}
