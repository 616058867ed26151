//! Regular expressions of `=~`: POSIX extended syntax, as SystemTap has it, to a small tree. It knows no way to run
//! one; `rstap_codegen` makes steps of it, and the evaluator takes it as it is.

mod parse;

pub use parse::{Mistake, parse};

/// A regular expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// As written, escapes of the string literal resolved.
    pub text: Vec<u8>,
    /// What it means.
    pub root: Node,
    /// Groups, the whole match included.
    pub groups: usize,
}

/// A part of an expression. Counted repetition has become copies.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// One byte of a set.
    Byte(Set),
    /// The start of the subject.
    Start,
    /// The end of the subject.
    End,
    /// A numbered group, from 1.
    Group(usize, Box<Node>),
    /// One after the other; none is the empty text.
    Sequence(Vec<Node>),
    /// One of them, the first for choice.
    Choice(Vec<Node>),
    /// Any number, as many as possible for choice.
    Star(Box<Node>),
    /// One or more.
    Plus(Box<Node>),
    /// One or none.
    Optional(Box<Node>),
}

impl Node {
    /// How many steps it takes to run it.
    pub fn steps(&self) -> usize {
        let sum = |nodes: &[Node]| nodes.iter().map(Node::steps).sum::<usize>();
        match self {
            Node::Byte(_) | Node::Start | Node::End => 1,
            Node::Group(_, inner) | Node::Star(inner) => inner.steps() + 2,
            Node::Sequence(nodes) => sum(nodes),
            Node::Choice(nodes) => sum(nodes) + 2 * nodes.len().saturating_sub(1),
            Node::Plus(inner) | Node::Optional(inner) => inner.steps() + 1,
        }
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set([u64; 4]);

impl Set {
    /// All bytes.
    pub const ALL: Set = Set([u64::MAX; 4]);

    /// The bytes that a test takes.
    pub fn of(test: impl Fn(u8) -> bool) -> Set {
        let mut set = Set::default();
        (0..=255).filter(|&byte| test(byte)).for_each(|byte| set.add(byte));
        set
    }

    /// Adds a byte.
    pub fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Whether it has a byte.
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Both together.
    pub fn union(self, other: Set) -> Set {
        Set(std::array::from_fn(|index| self.0[index] | other.0[index]))
    }

    /// All others.
    pub fn complement(self) -> Set {
        Set(self.0.map(|word| !word))
    }

    /// Bit `b % 8` of byte `b / 8` for byte `b`.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (eight, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *eight = word.to_le_bytes();
        }
        bytes
    }
}
