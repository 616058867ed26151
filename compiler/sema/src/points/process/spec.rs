//! The components of a `process…` point, matched against the tree of those that exist (stap(1), PROBE POINTS). A
//! component's name may be a glob, so one written point can stand for several [`Spec`]s. Nothing is looked up here.

use rstap_debuginfo::Glob;
use rstap_program::ProcessEvent;
use rstap_syntax::ast::{Component, Literal, ProbePoint};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::points::unavailable;
use rstap_syntax::near;

/// A written point, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `user.` or `user("NAME").`
    pub user: Option<User>,
    /// The argument of `process`.
    pub process: Process,
    /// `.library("GLOB")`
    pub library: Option<(String, Span)>,
    /// What is probed.
    pub place: Place,
    /// The place of the component that names it, for messages.
    pub place_span: Span,
    /// The place of the `process` component.
    pub process_span: Span,
}

/// Whose processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// `user`: of whoever runs rstap.
    Own,
    /// `user("NAME")`
    Name(String, Span),
    /// `user(UID)`
    Id(i64, Span),
}

/// Which processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// Bare: the target.
    Target,
    /// `process("PATH")`
    Path(String),
    /// `process(PID)`
    Pid(i64),
}

/// What is probed.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// `.begin` and its like, with the text of these components.
    Event(ProcessEvent, &'static str),
    /// `.function(…)`
    Function(Which, FunctionKind),
    /// `.statement(…)`
    Statement(Which, StatementKind),
    /// `.mark("GLOB")`, with the glob of `.provider("GLOB")` before it.
    Mark(Option<String>, String),
    /// `.plt` or `.plt("GLOB")`
    Plt(String, PltKind),
    /// `.function(…).label("GLOB")`
    Label(Which, String),
    /// `.data(…).write`, `.data(…).rw`
    Data(Which, Option<i64>, DataKind),
    /// `.function(…).callee("GLOB")`, and `.callees(DEPTH)` with the glob `*`.
    Callee(Which, String, u32, CalleeKind),
}

/// The argument of `.function` and `.statement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// A pattern.
    Pattern(String),
    /// An address.
    Address(u64),
}

/// The component after `.function(…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// None: the function and its inlined instances.
    Any,
    /// `.call`: the function itself.
    Call,
    /// `.inline`: inlined instances.
    Inline,
    /// `.exported`: functions that other units can call.
    Exported,
    /// `.return`, with the number of `.maxactive(N)`, which has no use here.
    Return(Option<i64>),
}

/// The component after `.callee("GLOB")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalleeKind {
    /// None: the callee is called, or inlined, which stands for a call.
    Any,
    /// `.return`: it returns to where it was called.
    Return,
}

/// The component after `.plt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PltKind {
    /// None: the function is called.
    Call,
    /// `.return`: it has returned.
    Return,
}

/// The last component of `.data(…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// `.write`: it is written.
    Write,
    /// `.rw`: it is read or written.
    ReadWrite,
}

/// The component after `.statement(…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// None.
    Exact,
    /// `.nearest`: the nearest line that has code.
    Nearest,
    /// `.absolute`: an address of the running target.
    Absolute,
}

/// What a component may be followed by: the nodes of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Start,
    User,
    Process,
    Library,
    Thread,
    Syscall,
    Function,
    Return,
    Statement,
    Provider,
    Plt,
    Callee,
    Data,
    Length,
    Leaf,
}

/// What stands in a component's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    None,
    Number,
    Text,
}

type Edge = (&'static str, &'static [Argument], Node);

const BARE: &[Argument] = &[Argument::None];
const TEXT: &[Argument] = &[Argument::Text];
const NUMBER: &[Argument] = &[Argument::Number];
const TEXT_OR_NUMBER: &[Argument] = &[Argument::Text, Argument::Number];
const ANY: &[Argument] = &[Argument::None, Argument::Text, Argument::Number];
const BARE_OR_TEXT: &[Argument] = &[Argument::None, Argument::Text];
const BARE_OR_NUMBER: &[Argument] = &[Argument::None, Argument::Number];

impl Node {
    /// The components that may follow.
    fn edges(self) -> &'static [Edge] {
        match self {
            Node::Start => &[("user", ANY, Node::User), ("process", ANY, Node::Process)],
            Node::User => &[("process", ANY, Node::Process)],
            Node::Process => &[
                ("function", TEXT_OR_NUMBER, Node::Function),
                ("statement", TEXT_OR_NUMBER, Node::Statement),
                ("library", TEXT, Node::Library),
                ("begin", BARE, Node::Leaf),
                ("end", BARE, Node::Leaf),
                ("thread", BARE, Node::Thread),
                ("syscall", BARE, Node::Syscall),
                ("mark", TEXT, Node::Leaf),
                ("provider", TEXT, Node::Provider),
                ("plt", BARE_OR_TEXT, Node::Plt),
                ("data", TEXT_OR_NUMBER, Node::Data),
            ],
            Node::Library => &[
                ("function", TEXT_OR_NUMBER, Node::Function),
                ("statement", TEXT_OR_NUMBER, Node::Statement),
                ("mark", TEXT, Node::Leaf),
                ("provider", TEXT, Node::Provider),
                ("plt", BARE_OR_TEXT, Node::Plt),
                ("data", TEXT_OR_NUMBER, Node::Data),
            ],
            Node::Thread => &[("begin", BARE, Node::Leaf), ("end", BARE, Node::Leaf)],
            Node::Syscall => &[("return", BARE, Node::Leaf)],
            Node::Function => &[
                ("call", BARE, Node::Leaf),
                ("return", BARE, Node::Return),
                ("inline", BARE, Node::Leaf),
                ("exported", BARE, Node::Leaf),
                ("callee", TEXT, Node::Callee),
                ("callees", BARE_OR_NUMBER, Node::Callee),
                ("label", TEXT, Node::Leaf),
            ],
            Node::Provider => &[("mark", TEXT, Node::Leaf)],
            Node::Plt => &[("return", BARE, Node::Leaf)],
            Node::Callee => &[("call", BARE, Node::Leaf), ("return", BARE, Node::Leaf)],
            Node::Return => &[("maxactive", NUMBER, Node::Leaf)],
            Node::Statement => &[("nearest", BARE, Node::Leaf), ("absolute", BARE, Node::Leaf)],
            Node::Data => {
                &[("length", NUMBER, Node::Length), ("write", BARE, Node::Leaf), ("rw", BARE, Node::Leaf)]
            }
            Node::Length => &[("write", BARE, Node::Leaf), ("rw", BARE, Node::Leaf)],
            Node::Leaf => &[],
        }
    }

    /// Whether a point may end here.
    fn is_complete(self) -> bool {
        !matches!(
            self,
            Node::Start
                | Node::User
                | Node::Process
                | Node::Library
                | Node::Thread
                | Node::Provider
                | Node::Data
                | Node::Length
        )
    }
}

/// All forms, with `number` and `string` for arguments; `user` before them is left out.
pub fn forms() -> Vec<String> {
    let mut forms = Vec::new();
    let mut open = vec![(Node::User, String::new())];
    while let Some((node, text)) = open.pop() {
        for (name, arguments, to) in node.edges().iter() {
            for argument in *arguments {
                let argument = match argument {
                    Argument::None => "",
                    Argument::Number => "(number)",
                    Argument::Text => "(string)",
                };
                let dot = if text.is_empty() { "" } else { "." };
                let longer = format!("{text}{dot}{name}{argument}");
                if to.is_complete() {
                    forms.push(longer.clone());
                }
                open.push((*to, longer));
            }
        }
    }
    forms
}

/// A component with the edge that it took.
#[derive(Clone, Copy)]
struct Step<'p> {
    name: &'static str,
    component: &'p Component,
}

/// All points that a written one stands for; at least one.
pub fn specs(point: &ProbePoint) -> Result<Vec<Spec>, Box<Diagnostic>> {
    let mut paths: Vec<(Node, Vec<Step<'_>>)> = vec![(Node::Start, Vec::new())];
    for (index, component) in point.components.iter().enumerate() {
        let last = index + 1 == point.components.len();
        let glob = Glob::new(component.name.text.as_str());
        let mut extended = Vec::new();
        for (node, steps) in &paths {
            for &(name, arguments, to) in node.edges() {
                if (!last || to.is_complete())
                    && glob.matches(name)
                    && arguments.contains(&argument_kind(component))
                {
                    let mut steps = steps.clone();
                    steps.push(Step { name, component });
                    extended.push((to, steps));
                }
            }
        }
        if extended.is_empty() {
            return Err(wrong_component(component, paths.first().map_or(Node::Start, |path| path.0), last));
        }
        paths = extended;
    }
    paths.iter().map(|(_, steps)| spec(point, steps)).collect()
}

fn argument_kind(component: &Component) -> Argument {
    match component.arg {
        None => Argument::None,
        Some(Literal::Number(_)) => Argument::Number,
        Some(Literal::String(_)) => Argument::Text,
    }
}

fn wrong_component(component: &Component, node: Node, last: bool) -> Box<Diagnostic> {
    let name = component.name.text.as_str();
    if let Some((_, arguments, to)) = node.edges().iter().find(|edge| edge.0 == name) {
        let message = if !arguments.contains(&argument_kind(component)) {
            format!("'{name}' takes {} here", describe_arguments(arguments))
        } else if last && !to.is_complete() {
            let following: Vec<_> = to.edges().iter().collect();
            let names: Vec<_> = following.iter().map(|edge| format!(".{}", edge.0)).collect();
            format!("'{name}' must be followed by what to probe: {}", names.join(", "))
        } else {
            format!("'{name}' is not possible here")
        };
        return Box::new(Diagnostic::error(message).at(component.span, ""));
    }
    if let Some(error) = unavailable::component(component) {
        return Box::new(error);
    }
    let known: Vec<&str> = node.edges().iter().map(|edge| edge.0).collect();
    let mut error = Diagnostic::error("invalid suffix for probe").at(component.span, "");
    error = match near::best(name, known.iter().copied()) {
        Some(similar) => error.note(format!("did you mean '.{similar}'?")),
        None if known.is_empty() => error.note("nothing can follow here"),
        None => error.note(format!("possible here: {}", known.join(", "))),
    };
    Box::new(error)
}

fn describe_arguments(arguments: &[Argument]) -> String {
    let words: Vec<_> = arguments
        .iter()
        .map(|argument| match argument {
            Argument::None => "no argument",
            Argument::Number => "a number",
            Argument::Text => "a string",
        })
        .collect();
    words.join(" or ")
}

fn spec(point: &ProbePoint, steps: &[Step<'_>]) -> Result<Spec, Box<Diagnostic>> {
    let mut spec = Spec {
        user: None,
        process: Process::Target,
        library: None,
        place: Place::Event(ProcessEvent::Begin, ".begin"),
        place_span: point.span,
        process_span: point.span,
    };
    let mut thread = false;
    for step in steps {
        let span = step.component.span;
        match step.name {
            "user" => spec.user = Some(user(step.component)?),
            "process" => {
                spec.process_span = span;
                spec.process = process(step.component)?;
            }
            "library" => spec.library = Some((text(step.component)?, span)),
            "thread" => thread = true,
            _ => {
                spec.place = place(spec.place, step.name, step.component, thread)?;
                if matches!(
                    step.name,
                    "function" | "statement" | "mark" | "label" | "callee" | "callees" | "data"
                ) || spec.place_span == point.span
                {
                    spec.place_span = span;
                }
            }
        }
    }
    check(spec)
}

/// What a later component makes of the place.
fn place(before: Place, name: &str, component: &Component, thread: bool) -> Result<Place, Box<Diagnostic>> {
    Ok(match (before, name) {
        (_, "function") => Place::Function(which(component)?, FunctionKind::Any),
        (_, "statement") => Place::Statement(which(component)?, StatementKind::Exact),
        (Place::Function(which, _), "call") => Place::Function(which, FunctionKind::Call),
        (Place::Function(which, _), "inline") => Place::Function(which, FunctionKind::Inline),
        (Place::Function(which, _), "exported") => Place::Function(which, FunctionKind::Exported),
        (Place::Function(which, _), "return") => Place::Function(which, FunctionKind::Return(None)),
        (Place::Function(which, _), "maxactive") => {
            Place::Function(which, FunctionKind::Return(Some(number(component))))
        }
        (Place::Statement(which, _), "nearest") => Place::Statement(which, StatementKind::Nearest),
        (Place::Statement(which, _), "absolute") => Place::Statement(which, StatementKind::Absolute),
        (Place::Function(which, _), "callee") => Place::Callee(which, text(component)?, 1, CalleeKind::Any),
        (Place::Function(which, _), "callees") => {
            Place::Callee(which, "*".to_owned(), depth(component)?, CalleeKind::Any)
        }
        (place @ Place::Callee(..), "call") => place,
        (Place::Callee(which, callee, depth, _), "return") => {
            Place::Callee(which, callee, depth, CalleeKind::Return)
        }
        (Place::Function(which, _), "label") => Place::Label(which, text(component)?),
        (_, "data") => Place::Data(which(component)?, None, DataKind::Write),
        (Place::Data(which, _, kind), "length") => Place::Data(which, Some(number(component)), kind),
        (Place::Data(which, length, _), "write") => Place::Data(which, length, DataKind::Write),
        (Place::Data(which, length, _), "rw") => Place::Data(which, length, DataKind::ReadWrite),
        (_, "provider") => Place::Mark(Some(text(component)?), "*".to_owned()),
        (Place::Mark(provider, _), "mark") => Place::Mark(provider, text(component)?),
        (_, "mark") => Place::Mark(None, text(component)?),
        (Place::Plt(name, _), "return") => Place::Plt(name, PltKind::Return),
        (_, "plt") if component.arg.is_none() => Place::Plt("*".to_owned(), PltKind::Call),
        (_, "plt") => Place::Plt(text(component)?, PltKind::Call),
        (_, "begin") if thread => Place::Event(ProcessEvent::ThreadBegin, ".thread.begin"),
        (_, "end") if thread => Place::Event(ProcessEvent::ThreadEnd, ".thread.end"),
        (_, "end") => Place::Event(ProcessEvent::End, ".end"),
        (_, "syscall") => Place::Event(ProcessEvent::Syscall, ".syscall"),
        (Place::Event(..), "return") => Place::Event(ProcessEvent::SyscallReturn, ".syscall.return"),
        _ => Place::Event(ProcessEvent::Begin, ".begin"),
    })
}

/// Combinations that the tree alone does not exclude.
fn check(spec: Spec) -> Result<Spec, Box<Diagnostic>> {
    let message = match &spec.place {
        Place::Statement(Which::Pattern(_), StatementKind::Absolute) => {
            "'.absolute' needs an address: .statement(0xADDR).absolute"
        }
        Place::Statement(Which::Address(_), StatementKind::Nearest) => {
            "'.nearest' needs a source line: .statement(\"FUNCTION@FILE:LINE\").nearest"
        }
        _ => return Ok(spec),
    };
    Err(Box::new(Diagnostic::error(message).at(spec.place_span, "")))
}

fn user(component: &Component) -> Result<User, Box<Diagnostic>> {
    Ok(match component.arg {
        None => User::Own,
        Some(Literal::Number(id)) => User::Id(id, component.span),
        Some(Literal::String(_)) => User::Name(text(component)?, component.span),
    })
}

fn process(component: &Component) -> Result<Process, Box<Diagnostic>> {
    Ok(match component.arg {
        None => Process::Target,
        Some(Literal::Number(pid)) => Process::Pid(pid),
        Some(Literal::String(_)) => Process::Path(text(component)?),
    })
}

fn which(component: &Component) -> Result<Which, Box<Diagnostic>> {
    Ok(match component.arg {
        Some(Literal::Number(address)) => Which::Address(address.cast_unsigned()),
        _ => Which::Pattern(text(component)?),
    })
}

/// How far the callees of callees are followed.
fn depth(component: &Component) -> Result<u32, Box<Diagnostic>> {
    match component.arg {
        None => Ok(1),
        _ => u32::try_from(number(component)).ok().filter(|&depth| depth > 0).ok_or_else(|| {
            Box::new(Diagnostic::error("the depth of callees must be at least 1").at(component.span, ""))
        }),
    }
}

fn number(component: &Component) -> i64 {
    match component.arg {
        Some(Literal::Number(number)) => number,
        _ => 0,
    }
}

fn text(component: &Component) -> Result<String, Box<Diagnostic>> {
    let bytes = match &component.arg {
        Some(Literal::String(bytes)) => bytes.as_slice(),
        _ => &[],
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Box::new(Diagnostic::error("this string is not valid UTF-8").at(component.span, ""))),
    }
}
