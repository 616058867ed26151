//! `-l` and `-L`: derived points as sorted lines of text.

use std::collections::HashMap;

use crate::points::DerivedPoint;

/// One line for each text that points have, sorted; with the variables that are there in all places of that text if
/// `with_variables`. Empty if there are no points: then the caller ends with status 1.
pub fn list(points: Vec<DerivedPoint<'_>>, with_variables: bool) -> Vec<String> {
    if !with_variables {
        let mut lines: Vec<String> = points.into_iter().map(|point| point.pn).collect();
        lines.sort_unstable();
        lines.dedup();
        return lines;
    }
    let mut common: HashMap<&str, Vec<(String, String)>> = HashMap::new();
    for point in &points {
        let variables = || point.scope.as_ref().map(|scope| scope.variables()).unwrap_or_default();
        match common.get_mut(point.pn.as_str()) {
            Some(common) if common.is_empty() => {}
            Some(common) => {
                let here = variables();
                common.retain(|variable| here.contains(variable));
            }
            None => {
                common.insert(&point.pn, variables());
            }
        }
    }
    let mut lines: Vec<(&str, Vec<(String, String)>)> = common.into_iter().collect();
    lines.sort_unstable_by_key(|(text, _)| *text);
    lines.into_iter().map(|(text, variables)| line(text, &variables)).collect()
}

fn line(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(text.to_owned(), |line, (name, ty)| line + " $" + name + ":" + ty)
}
