//! `-l` and `-L`: derived points as sorted lines of text.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::points::DerivedPoint;

/// A variable as a line has it, ` $name:type`: kept once, since many functions have one of that name and type.
type Variable = Rc<str>;

/// One line for each text that points have. Of the points nothing else is kept: a list may be long.
#[derive(Default)]
pub struct List {
    texts: Vec<String>,
    /// The variables that are there in all places of one text.
    with_variables: HashMap<String, Box<[Variable]>>,
    variables: HashSet<Variable>,
}

impl List {
    /// Adds points, with the variables that they have.
    pub fn add(&mut self, points: Vec<DerivedPoint<'_>>, with_variables: bool) {
        if !with_variables {
            self.texts.extend(points.into_iter().map(|point| point.pn));
            return;
        }
        for point in points {
            let common = self.with_variables.get(&point.pn);
            if common.is_some_and(|common| common.is_empty()) {
                continue;
            }
            let here = point.scope.as_ref().map(|scope| scope.variables()).unwrap_or_default();
            let here = here.iter().map(|(name, ty)| known(&mut self.variables, format!(" ${name}:{ty}")));
            let here: Box<[Variable]> = here.collect();
            match self.with_variables.get_mut(&point.pn) {
                Some(common) => *common = common.iter().filter(|one| here.contains(one)).cloned().collect(),
                None => {
                    self.with_variables.insert(point.pn, here);
                }
            }
        }
    }

    /// The lines, sorted. None if there are no points: then the caller ends with status 1.
    pub fn finish(self) -> Vec<String> {
        let line = |(text, variables): (String, Box<[Variable]>)| {
            variables.iter().fold(text, |line, variable| line + variable)
        };
        let mut lines: Vec<String> = self.texts;
        lines.extend(self.with_variables.into_iter().map(line));
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

fn known(variables: &mut HashSet<Variable>, text: String) -> Variable {
    if let Some(known) = variables.get(text.as_str()) {
        return Rc::clone(known);
    }
    let new: Variable = text.into();
    variables.insert(Rc::clone(&new));
    new
}
