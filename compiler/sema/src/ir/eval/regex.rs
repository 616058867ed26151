//! Regular expressions by their definition: for each part and place, all ends it can reach, best choice first. It
//! shares nothing with the runtime's machine but the tree.

use std::collections::HashMap;
use std::rc::Rc;

use crate::regex::{Node, Pattern};

/// Start and end of each group, the whole match first.
pub(super) type Groups = Vec<Option<(usize, usize)>>;

/// A way to match: its end, and the groups that are set on it, in order, with start and end.
type Way = (usize, Vec<(usize, usize, usize)>);

/// All ways, best choice first. Of two with one end the first counts.
type Ways = Rc<Vec<Way>>;

/// The leftmost match, of those the longest, of those the first choice.
pub(super) fn find(pattern: &Pattern, subject: &[u8]) -> Option<Groups> {
    let mut search = Search { subject, known: HashMap::new(), known_rounds: HashMap::new() };
    (0..=subject.len()).find_map(|start| {
        let ways = search.ways(&pattern.root, start);
        let (end, set) = ways.iter().max_by_key(|(end, _)| *end)?;
        let mut groups = vec![None; pattern.groups];
        for (group, from, to) in set {
            groups[*group] = Some((*from, *to));
        }
        groups[0] = Some((start, *end));
        Some(groups)
    })
}

struct Search<'s> {
    subject: &'s [u8],
    known: HashMap<(*const Node, usize), Ways>,
    known_rounds: HashMap<(*const Node, usize), Ways>,
}

impl Search<'_> {
    fn ways(&mut self, node: &Node, at: usize) -> Ways {
        let key = (std::ptr::from_ref(node), at);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut ways: Vec<Way> = Vec::new();
        match node {
            Node::Byte(set) => {
                if self.subject.get(at).is_some_and(|byte| set.contains(*byte)) {
                    ways.push((at + 1, Vec::new()));
                }
            }
            Node::Start if at == 0 => ways.push((at, Vec::new())),
            Node::End if at == self.subject.len() => ways.push((at, Vec::new())),
            Node::Start | Node::End => {}
            Node::Group(number, inner) => {
                for (end, set) in self.ways(inner, at).iter() {
                    let mut set = set.clone();
                    set.push((*number, at, *end));
                    ways.push((*end, set));
                }
            }
            Node::Sequence(nodes) => {
                ways.push((at, Vec::new()));
                for node in nodes {
                    let before = std::mem::take(&mut ways);
                    for way in &before {
                        let then = self.ways(node, way.0);
                        follow(&mut ways, way, &then);
                    }
                }
            }
            Node::Choice(nodes) => {
                for node in nodes {
                    self.ways(node, at).iter().for_each(|way| add(&mut ways, way.clone()));
                }
            }
            Node::Star(inner) => return self.rounds(inner, at),
            Node::Plus(inner) => {
                for way in self.ways(inner, at).iter() {
                    match way.0 > at {
                        true => follow(&mut ways, way, &self.rounds(inner, way.0)),
                        false => add(&mut ways, way.clone()),
                    }
                }
            }
            Node::Optional(inner) => {
                self.ways(inner, at).iter().for_each(|way| add(&mut ways, way.clone()));
                add(&mut ways, (at, Vec::new()));
            }
        }
        let ways = Rc::new(ways);
        self.known.insert(key, ways.clone());
        ways
    }

    /// Rounds of a loop, each of which takes something, as many as may be.
    fn rounds(&mut self, inner: &Node, at: usize) -> Ways {
        let key = (std::ptr::from_ref(inner), at);
        if let Some(known) = self.known_rounds.get(&key) {
            return known.clone();
        }
        let mut ways = Vec::new();
        for way in self.ways(inner, at).iter().filter(|way| way.0 > at) {
            follow(&mut ways, way, &self.rounds(inner, way.0));
        }
        add(&mut ways, (at, Vec::new()));
        let ways = Rc::new(ways);
        self.known_rounds.insert(key, ways.clone());
        ways
    }
}

fn follow(ways: &mut Vec<Way>, way: &Way, then: &Ways) {
    for (end, set) in then.iter() {
        add(ways, (*end, [way.1.as_slice(), set].concat()));
    }
}

fn add(ways: &mut Vec<Way>, way: Way) {
    if !ways.iter().any(|known| known.0 == way.0) {
        ways.push(way);
    }
}
