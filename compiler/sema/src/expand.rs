//! From written probe points to derived points: aliases are replaced by what they stand for, with the bodies they
//! add, then the first component chooses the family that answers. It knows no statements and no types.

use rstap_syntax::ast::{self, Component, ProbePoint};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::points::process::ProcessPoints;
use crate::points::{
    DerivedPoint, Resolved, components_text, invalid_suffix, point_text, session, timer, unavailable,
};
use crate::symbols::{FileIndex, Symbols};
use rstap_syntax::near::similar;

/// A body that takes part in a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Of the probe with this index.
    Probe(usize),
    /// Of the alias with this index.
    Alias(usize),
}

/// A written point without aliases, with what runs there.
pub struct Leaf<'d> {
    /// The point in the probe's declaration that led here.
    pub written: String,
    /// Its place.
    pub span: Span,
    /// The bodies in the order they run.
    pub parts: Vec<Part>,
    /// `if (EXPR)` of the point and of the aliases it went through.
    pub guards: Vec<(ast::Expr, FileIndex)>,
    /// What it stands for.
    pub derived: Vec<DerivedPoint<'d>>,
}

/// The way through aliases down to a point.
#[derive(Clone)]
struct Path {
    written: String,
    span: Span,
    before: Vec<Part>,
    after: Vec<Part>,
    guards: Vec<(ast::Expr, FileIndex)>,
    /// Index and full name of each alias, outermost first.
    aliases: Vec<(usize, String)>,
    file: FileIndex,
}

/// Expands probe points.
pub struct Expander<'a, 't, 'd> {
    /// Where aliases are found.
    pub symbols: &'a mut Symbols<'t>,
    /// The process families.
    pub process: &'a ProcessPoints<'d>,
}

type Leaves<'d> = Result<Vec<Leaf<'d>>, Vec<Diagnostic>>;

impl<'d> Expander<'_, '_, 'd> {
    /// The leaves of the probe with this index. Errors go to the symbols' diagnostics.
    pub fn probe(&mut self, index: usize) -> Vec<Leaf<'d>> {
        let probe = self.symbols.probes[index].clone();
        let path = Path {
            written: String::new(),
            span: probe.item.span,
            before: Vec::new(),
            after: vec![Part::Probe(index)],
            guards: Vec::new(),
            aliases: Vec::new(),
            file: probe.file,
        };
        let mut leaves = Vec::new();
        for point in &probe.item.points {
            let path = Path { written: point_text(point), span: point.span, ..path.clone() };
            match self.point(point, path) {
                Ok(found) => {
                    let resolved = !found.is_empty();
                    leaves.extend(found);
                    if point.sufficient && resolved {
                        break;
                    }
                }
                Err(_) if point.optional || point.sufficient => {}
                Err(errors) => self.symbols.diagnostics.extend(errors),
            }
        }
        leaves
    }

    /// The leaves of one point of a list.
    fn point(&mut self, point: &ProbePoint, mut path: Path) -> Leaves<'d> {
        if let Some(condition) = &point.condition {
            path.guards.push((condition.clone(), path.file));
        }
        let first = &point.components[0].name.text;
        self.symbols.load_aliases(|name| glob(first, name));
        let matching = self.matching_aliases(&point.components);
        if matching.is_empty() {
            return self.leaf(point, path);
        }
        let mut leaves = Vec::new();
        let mut errors = Vec::new();
        for (index, used) in matching {
            match self.alias(index, point, &point.components[used..], &path) {
                Ok(found) => leaves.extend(found),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() || (!leaves.is_empty() && has_wildcard(point)) {
            Ok(leaves)
        } else {
            Err(errors)
        }
    }

    /// The aliases that components name, with how many of them. A script's alias hides the library's of that name.
    fn matching_aliases(&self, components: &[Component]) -> Vec<(usize, usize)> {
        let aliases = &self.symbols.aliases;
        let all: Vec<(usize, usize)> = (0..aliases.len())
            .filter_map(|i| Some((i, matched(&aliases[i].item.name.components, components)?)))
            .collect();
        let text = |i: usize| components_text(&aliases[i].item.name.components);
        let is_hidden = |i: usize| {
            self.symbols.is_library(aliases[i].file)
                && all.iter().any(|&(j, _)| !self.symbols.is_library(aliases[j].file) && text(j) == text(i))
        };
        all.iter().copied().filter(|&(i, _)| !is_hidden(i)).collect()
    }

    /// The leaves of an alias used by `point`, which has these components after the alias's name.
    fn alias(&mut self, index: usize, point: &ProbePoint, suffix: &[Component], path: &Path) -> Leaves<'d> {
        let alias = self.symbols.aliases[index].clone();
        let name = components_text(&alias.item.name.components);
        if path.aliases.iter().any(|&(i, _)| i == index) {
            let error = Diagnostic::error(format!("recursive loop in alias expansion of {name}"))
                .at(point.span, "")
                .see(alias.item.name.span, "the alias");
            return Err(vec![error]);
        }
        let mut path = path.clone();
        path.aliases.push((index, name));
        path.file = alias.file;
        if alias.item.epilogue {
            path.after.push(Part::Alias(index));
        } else {
            path.before.push(Part::Alias(index));
        }
        let mut leaves = Vec::new();
        for inner in &alias.item.points {
            let mut inner = inner.clone();
            inner.components.extend_from_slice(suffix);
            let tolerated = inner.optional || inner.sufficient;
            let sufficient = inner.sufficient;
            inner.optional |= point.optional;
            inner.sufficient |= point.sufficient;
            match self.point(&inner, path.clone()) {
                Ok(found) if sufficient && !found.is_empty() => {
                    leaves.extend(found);
                    break;
                }
                Ok(found) => leaves.extend(found),
                Err(_) if tolerated => {}
                Err(errors) => return Err(errors),
            }
        }
        Ok(leaves)
    }

    /// Asks the family of a point that is no alias.
    fn leaf(&mut self, point: &ProbePoint, path: Path) -> Leaves<'d> {
        let mut derived = self.family(point).map_err(|error| {
            let error = if point.span == path.span {
                *error
            } else {
                error.see(path.span, "through this probe point")
            };
            vec![error]
        })?;
        let is_process = ProcessPoints::accepts(&point.components[0].name.text);
        let alias = if is_process { path.aliases.last() } else { path.aliases.first() };
        if let Some((_, name)) = alias {
            for point in &mut derived {
                point.pn.clone_from(name);
            }
        }
        // The innermost prologue runs first, the innermost epilogue last.
        let parts = path.before.into_iter().rev().chain(path.after).collect();
        Ok(vec![Leaf { written: path.written, span: path.span, parts, guards: path.guards, derived }])
    }

    fn family(&mut self, point: &ProbePoint) -> Resolved<'d> {
        let first = &point.components[0];
        let name = first.name.text.as_str();
        if ProcessPoints::accepts(name) {
            return self.process.resolve(point, &mut self.symbols.diagnostics);
        }
        if session::NAMES.contains(&name) {
            return session::resolve(point);
        }
        if name == "timer" {
            return timer::resolve(point);
        }
        Err(Box::new(self.unknown(point)))
    }

    /// The error for a point that no alias and no family has.
    fn unknown(&self, point: &ProbePoint) -> Diagnostic {
        let first = &point.components[0];
        let name = first.name.text.as_str();
        if let Some(error) = unavailable::family(first) {
            return error;
        }
        let aliases = self.symbols.alias_names();
        if aliases.contains(&name) && point.components.len() > 1 {
            let known = self
                .symbols
                .aliases
                .iter()
                .filter_map(|a| Some(a.item.name.components.get(1)?.name.text.as_str()));
            let second = &point.components[1];
            return Diagnostic::error(format!("probe point mismatch{}", similar(&second.name.text, known)))
                .at(second.span, "");
        }
        if aliases.contains(&name) {
            return *invalid_suffix(first);
        }
        let families = session::NAMES.iter().copied().chain(["timer", "process", "user"]);
        let near = similar(name, families.chain(aliases));
        Diagnostic::error(format!("probe point mismatch{near}"))
            .at(first.span, "no such probe point")
            .note("there are begin, end, error, never, timer.…, process(\"PATH\").…, user(\"NAME\").process(\"PATH\").…, and aliases")
    }
}

fn has_wildcard(point: &ProbePoint) -> bool {
    point.components.iter().any(|c| c.name.text.contains(['*', '?']))
}

/// How many components of `written` an alias with these components takes; `None` if it is not meant.
fn matched(alias: &[Component], written: &[Component]) -> Option<usize> {
    let mut used = 0;
    for (i, component) in alias.iter().enumerate() {
        let other = written.get(i)?;
        if other.name.text == "**" && written.len() == i + 1 {
            return Some(written.len());
        }
        if !glob(&other.name.text, &component.name.text) || component.arg != other.arg {
            return None;
        }
        used = i + 1;
    }
    Some(used)
}

/// Whether `text` matches a pattern with `*` and `?`.
pub fn glob(pattern: &str, text: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
            ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
            ([p, rest @ ..], [t, text @ ..]) => p == t && matches(rest, text),
            _ => false,
        }
    }
    matches(pattern.as_bytes(), text.as_bytes())
}
