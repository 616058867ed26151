//! Regular expressions as the runtime takes them (`rstap_abi::regex`).

use rstap_abi::regex::op;
use rstap_sema::regex::{Node, Pattern, Set};

/// The expression as bytes of the image; `captures`: the script asks for the groups.
pub(crate) fn program(pattern: &Pattern, captures: bool) -> Vec<u8> {
    let mut steps = Steps { steps: Vec::new(), sets: Vec::new(), captures };
    steps.save(0);
    steps.node(&pattern.root);
    steps.save(1);
    steps.push(op::MATCH, 0);
    let first = first(&pattern.root);
    let groups = if captures { pattern.groups } else { 0 };
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(steps.steps.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(groups as u16).to_le_bytes());
    bytes.extend_from_slice(&[u8::from(is_anchored(&pattern.root)), 0, 0, 0]);
    bytes.extend_from_slice(&if first.can_be_empty { Set::ALL } else { first.set }.to_bytes());
    for step in &steps.steps {
        bytes.extend_from_slice(&[step.op, step.low, step.high, 0]);
        bytes.extend_from_slice(&step.to.to_le_bytes());
        bytes.extend_from_slice(&step.other.to_le_bytes());
    }
    for set in &steps.sets {
        bytes.extend_from_slice(&set.to_bytes());
    }
    bytes
}

#[derive(Clone, Copy, Default)]
struct Step {
    op: u8,
    low: u8,
    high: u8,
    to: u16,
    other: u16,
}

struct Steps {
    steps: Vec<Step>,
    sets: Vec<Set>,
    captures: bool,
}

impl Steps {
    fn here(&self) -> u16 {
        self.steps.len() as u16
    }

    fn push(&mut self, op: u8, to: u16) -> usize {
        self.steps.push(Step { op, to, ..Step::default() });
        self.steps.len() - 1
    }

    fn save(&mut self, slot: usize) {
        if self.captures {
            self.push(op::SAVE, slot as u16);
        }
    }

    /// The next step, or later another.
    fn split(&mut self) -> usize {
        let to = self.here() + 1;
        self.push(op::SPLIT, to)
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Byte(set) => self.byte(*set),
            Node::Start => {
                self.push(op::START, 0);
            }
            Node::End => {
                self.push(op::END, 0);
            }
            Node::Group(number, inner) => {
                self.save(2 * number);
                self.node(inner);
                self.save(2 * number + 1);
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Node::Choice(nodes) => self.choice(nodes),
            Node::Star(inner) => {
                let split = self.split();
                self.node(inner);
                self.push(op::JUMP, split as u16);
                self.steps[split].other = self.here();
            }
            Node::Plus(inner) => {
                let start = self.here();
                self.node(inner);
                let split = self.push(op::SPLIT, start);
                self.steps[split].other = self.here();
            }
            Node::Optional(inner) => {
                let split = self.split();
                self.node(inner);
                self.steps[split].other = self.here();
            }
        }
    }

    fn choice(&mut self, nodes: &[Node]) {
        let mut ends = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            if index + 1 == nodes.len() {
                self.node(node);
                break;
            }
            let split = self.split();
            self.node(node);
            ends.push(self.push(op::JUMP, 0));
            self.steps[split].other = self.here();
        }
        for end in ends {
            self.steps[end].to = self.here();
        }
    }

    fn byte(&mut self, set: Set) {
        let low = (0..=255).find(|&byte| set.contains(byte));
        let high = (0..=255).rev().find(|&byte| set.contains(byte));
        if let (Some(low), Some(high)) = (low, high)
            && (low..=high).all(|byte| set.contains(byte))
        {
            self.steps.push(Step { op: op::RANGE, low, high, ..Step::default() });
            return;
        }
        let known = self.sets.iter().position(|other| *other == set);
        let index = known.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        self.push(op::SET, index as u16);
    }
}

/// What a match of a node can begin with.
struct First {
    set: Set,
    can_be_empty: bool,
}

fn first(node: &Node) -> First {
    match node {
        Node::Byte(set) => First { set: *set, can_be_empty: false },
        Node::Start | Node::End => First { set: Set::default(), can_be_empty: true },
        Node::Group(_, inner) | Node::Plus(inner) => first(inner),
        Node::Star(inner) | Node::Optional(inner) => First { can_be_empty: true, ..first(inner) },
        Node::Sequence(nodes) => {
            let mut all = First { set: Set::default(), can_be_empty: true };
            for node in nodes {
                let next = first(node);
                all.set = all.set.union(next.set);
                if !next.can_be_empty {
                    all.can_be_empty = false;
                    break;
                }
            }
            all
        }
        Node::Choice(nodes) => {
            nodes.iter().map(first).fold(First { set: Set::default(), can_be_empty: false }, |a, b| First {
                set: a.set.union(b.set),
                can_be_empty: a.can_be_empty || b.can_be_empty,
            })
        }
    }
}

/// Whether each match begins at the start of the subject.
fn is_anchored(node: &Node) -> bool {
    match node {
        Node::Start => true,
        Node::Group(_, inner) | Node::Plus(inner) => is_anchored(inner),
        Node::Sequence(nodes) => nodes.first().is_some_and(is_anchored),
        Node::Choice(nodes) => nodes.iter().all(is_anchored),
        Node::Byte(_) | Node::End | Node::Star(_) | Node::Optional(_) => false,
    }
}
