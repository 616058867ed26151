//! `-l` and `-L`: derived points as sorted lines of text.

use std::collections::HashMap;

use crate::points::DerivedPoint;

/// Name and type of the variables that are there in all places of one text.
type Variables = Vec<(String, String)>;

/// One line for each text that points have. Of the points nothing else is kept: a list may be long.
#[derive(Default)]
pub struct List {
    texts: Vec<String>,
    with_variables: HashMap<String, Variables>,
}

impl List {
    /// Adds points, with the variables that they have.
    pub fn add(&mut self, points: Vec<DerivedPoint<'_>>, with_variables: bool) {
        if !with_variables {
            self.texts.extend(points.into_iter().map(|point| point.pn));
            return;
        }
        for point in points {
            let variables = || point.scope.as_ref().map(|scope| scope.variables()).unwrap_or_default();
            match self.with_variables.get_mut(&point.pn) {
                Some(common) if common.is_empty() => {}
                Some(common) => {
                    let here = variables();
                    common.retain(|variable| here.contains(variable));
                }
                None => {
                    let variables = variables();
                    self.with_variables.insert(point.pn, variables);
                }
            }
        }
    }

    /// The lines, sorted. None if there are no points: then the caller ends with status 1.
    pub fn finish(self) -> Vec<String> {
        let with_variables = self.with_variables.into_iter().map(|(text, variables)| line(text, &variables));
        let mut lines: Vec<String> = self.texts;
        lines.extend(with_variables);
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

fn line(text: String, variables: &[(String, String)]) -> String {
    variables.iter().fold(text, |line, (name, ty)| line + " $" + name + ":" + ty)
}
