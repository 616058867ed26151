//! `-l` and `-L`: derived points as sorted lines of text.

use std::collections::BTreeMap;

use crate::points::DerivedPoint;

/// One line for each text that points have, sorted; with the variables that are there in all places of that text if
/// `with_variables`. Empty if there are no points: then the caller ends with status 1.
pub fn list(points: &[DerivedPoint<'_>], with_variables: bool) -> Vec<String> {
    let mut lines: BTreeMap<&str, Option<Vec<(String, String)>>> = BTreeMap::new();
    for point in points {
        let variables = || point.scope.as_ref().map(|scope| scope.variables()).unwrap_or_default();
        if !with_variables {
            lines.entry(&point.pn).or_default();
            continue;
        }
        match lines.entry(&point.pn).or_default() {
            Some(common) if !common.is_empty() => {
                let here = variables();
                common.retain(|variable| here.contains(variable));
            }
            Some(_) => {}
            unset => *unset = Some(variables()),
        }
    }
    lines.into_iter().map(|(text, variables)| line(text, &variables.unwrap_or_default())).collect()
}

fn line(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(text.to_owned(), |mut line, (name, ty)| {
        line.push_str(&format!(" ${name}:{ty}"));
        line
    })
}
