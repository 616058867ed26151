//! Runs the IR slowly and checks everything on the way: what generated code is compared with. It shares nothing with
//! the runtime but the ABI's names; statistics, for example, keep every value. A type error or a missing name is a bug
//! in pass 2 and panics.
//!
//! It knows no target: memory, registers and whatever depends on a process come through [`Environment`].

mod expression;
mod floats;
mod format;
mod regex;
mod statement;
mod store;
mod strings;

use std::collections::HashMap;

use rstap_abi::builtins::{Builtin, Ret};
use rstap_abi::fault::Fault;

use super::{HandlerId, LocalId, Script, SiteId};

pub use store::{Element, GlobalValue, Map, Part, Statistic};

/// What a handler can learn about the world.
pub trait Environment {
    /// A register, by index into `rstap_abi::context::Registers`.
    fn register(&mut self, index: u8) -> u64 {
        let _ = index;
        0
    }

    /// Memory of the target; `None` if it cannot be read.
    fn read(&mut self, address: u64, len: usize) -> Option<Vec<u8>> {
        let _ = (address, len);
        None
    }

    /// A builtin that is not a function of its arguments alone.
    fn builtin(&mut self, builtin: Builtin, args: &[Value]) -> Result<Value, Failure> {
        let _ = args;
        Ok(match builtin.signature().ret {
            Ret::Str => Value::Str(Vec::new()),
            Ret::Long | Ret::Void => Value::Long(0),
        })
    }
}

/// An environment without a target.
#[derive(Debug)]
pub struct Nowhere;

impl Environment for Nowhere {}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A long.
    Long(i64),
    /// A string.
    Str(Vec<u8>),
    /// What the value local of a walk over an array of statistics stands for.
    Statistic(super::GlobalId, Vec<Part>),
}

impl Value {
    /// The long it must be.
    pub fn long(&self) -> i64 {
        match self {
            Value::Long(value) => *value,
            other => panic!("a long was expected, not {other:?}"),
        }
    }

    /// The string it must be.
    pub fn text(&self) -> &[u8] {
        match self {
            Value::Str(text) => text,
            other => panic!("a string was expected, not {other:?}"),
        }
    }
}

/// A fault with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The fault.
    pub fault: Fault,
    /// An address or a size.
    pub value: u64,
    /// The text of `error()` and of a bad argument.
    pub message: Vec<u8>,
    /// Where, once known.
    pub site: Option<SiteId>,
}

impl Failure {
    /// A fault about nothing.
    pub fn new(fault: Fault) -> Failure {
        Failure { fault, value: 0, message: Vec::new(), site: None }
    }

    fn about(fault: Fault, value: u64) -> Failure {
        Failure { value, ..Failure::new(fault) }
    }

    fn at(mut self, site: SiteId) -> Failure {
        self.site.get_or_insert(site);
        self
    }

    /// The text that `catch` gives.
    pub fn text(&self) -> Vec<u8> {
        let text = match self.fault {
            Fault::Raised | Fault::BadArgument => return self.message.clone(),
            Fault::DivisionByZero => "division by 0".to_owned(),
            Fault::MaxAction => "MAXACTION exceeded".to_owned(),
            Fault::MaxNesting => "MAXNESTING exceeded".to_owned(),
            Fault::ArrayOverflow | Fault::AggregationOverflow if self.value == 0 => {
                "Array overflow, check MAXMAPENTRIES".to_owned()
            }
            Fault::ArrayOverflow | Fault::AggregationOverflow => {
                format!("Array overflow, check size limit ({})", self.value)
            }
            Fault::EmptyAggregate => "empty aggregate".to_owned(),
            Fault::HistogramIndex => "histogram index out of range".to_owned(),
            Fault::OverloadsExhausted => "all functions exhausted".to_owned(),
            Fault::ReadFault => format!("read fault [man error::fault] at {:#x}", self.value),
            Fault::WriteFault => format!("write fault [man error::fault] at {:#x}", self.value),
            Fault::Abort | Fault::ScratchExhausted | Fault::CorruptArena | Fault::Crash | Fault::Busy => {
                format!("{:?}", self.fault)
            }
        };
        text.into_bytes()
    }
}

/// What a handler left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its output.
    pub output: Vec<u8>,
    /// The fault that ended it.
    pub failure: Option<Failure>,
    /// Whether `exit()` was called.
    pub exit: bool,
    /// Actions left.
    pub actions: i64,
}

/// A script being run.
pub struct Evaluator<'s, E> {
    script: &'s Script,
    /// Values of the globals, by `GlobalId`.
    pub globals: Vec<GlobalValue>,
    /// The world.
    pub environment: E,
    /// Values saved by [`super::Stmt::SaveEntry`], by offset.
    pub entry: HashMap<u32, Value>,
    outcome: Outcome,
    nesting: u64,
    /// Values of [`super::ExprKind::Bound`].
    bound: HashMap<u32, i64>,
    /// Subject and groups of the last match.
    matched: Option<(Vec<u8>, regex::Groups)>,
}

/// How a statement ended.
#[derive(Clone, Debug, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
    Return(Option<Value>),
    /// `next`: the handler ends.
    End,
    Decline,
}

/// Why an expression has no value.
enum Stop {
    Failed(Failure),
    /// `next` in a function that was called.
    Ended,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

type Evaluated<T> = Result<T, Stop>;

/// The locals of an activation.
struct Locals(Vec<Value>);

impl Locals {
    fn new(locals: &[super::Local]) -> Locals {
        Locals(locals.iter().map(|local| store::zero(local.ty)).collect())
    }

    fn get(&self, local: LocalId) -> &Value {
        &self.0[local.0 as usize]
    }

    fn set(&mut self, local: LocalId, value: Value) {
        let place = &mut self.0[local.0 as usize];
        let same = matches!((&*place, &value), (Value::Str(_), Value::Str(_)))
            || !matches!((&*place, &value), (Value::Str(_), _) | (_, Value::Str(_)));
        assert!(same, "a local changes from {place:?} to {value:?}");
        *place = value;
    }
}

impl<'s, E: Environment> Evaluator<'s, E> {
    /// A script before its first handler.
    pub fn new(script: &'s Script, environment: E) -> Evaluator<'s, E> {
        Evaluator {
            script,
            globals: script.globals.iter().map(|global| GlobalValue::first(global, &script.limits)).collect(),
            environment,
            entry: HashMap::new(),
            outcome: Outcome::default(),
            nesting: 0,
            bound: HashMap::new(),
            matched: None,
        }
    }

    /// Runs a handler with this many actions.
    pub fn run(&mut self, handler: HandlerId, actions: i64) -> Outcome {
        self.outcome = Outcome { actions, ..Outcome::default() };
        self.matched = None;
        self.nesting = self.script.limits.max_nesting;
        let handler = &self.script.handlers[handler.0 as usize];
        let mut locals = Locals::new(&handler.locals);
        match self.statements(&handler.body, &mut locals) {
            Ok(Flow::On | Flow::End | Flow::Return(None)) | Err(Stop::Ended) => {}
            Ok(flow) => panic!("a handler ends with {flow:?}"),
            Err(Stop::Failed(failure)) => self.outcome.failure = Some(failure),
        }
        std::mem::take(&mut self.outcome)
    }

    fn max_string(&self) -> usize {
        (self.script.limits.max_string_len.max(1) - 1) as usize
    }

    /// The string as a variable keeps it.
    fn cut(&self, mut text: Vec<u8>) -> Vec<u8> {
        text.truncate(self.max_string());
        text
    }

    fn cut_value(&self, value: Value) -> Value {
        match value {
            Value::Str(text) => Value::Str(self.cut(text)),
            other => other,
        }
    }
}
