//! What the source says of a subprogram: its name, scope and declaration, also from the entries it refers to.

use std::borrow::Cow;

use super::Functions;
use super::matching::{component_matches, matched_path, scopes_match};
use super::scan::{Subprogram, Text, UnitFunctions, subprogram_at};
use crate::dwarf::{DebugData, DieRef, MAX_CHAIN};
use crate::lines;
use crate::names::demangle;
use crate::pattern::Pattern;

/// What a subprogram's entries say of its source.
pub(super) struct Source<'d> {
    /// The abstract instance, if there is one, else the entry itself.
    pub root: DieRef,
    name: Option<Text<'d>>,
    linkage_name: Option<Text<'d>>,
    /// The outermost of the entries, which stands in its class.
    declaration: DieRef,
    /// Unit and index of the file.
    pub decl_file: Option<(u32, u32)>,
    pub decl_line: u32,
    pub external: bool,
}

impl<'d> Source<'d> {
    /// The symbol name.
    pub fn linkage_name(&self) -> Option<&'d str> {
        self.linkage_name?.get()
    }
}

/// A unit at hand, whose functions need not be kept, and all others.
pub(super) struct Sources<'a, 'm, 'd> {
    pub view: &'a Functions<'m, 'd>,
    pub index: u32,
    /// The functions of the unit at hand, if all have been read.
    pub functions: Option<&'a UnitFunctions<'d>>,
}

impl<'d> Sources<'_, '_, 'd> {
    fn of_unit(&self, unit: u32) -> Option<&UnitFunctions<'d>> {
        match self.functions {
            Some(functions) if unit == self.index => Some(functions),
            _ => self.view.of_unit(unit),
        }
    }

    /// A subprogram of any unit, without its scope. Only for it, no unit is read.
    pub fn subprogram(&self, die: DieRef) -> Option<Subprogram<'d>> {
        let data = self.view.data;
        let kept = match self.functions {
            Some(functions) if die.unit == self.index => Some(functions),
            _ => data.slot(die.unit).ok()?.functions.get(),
        };
        match kept {
            Some(functions) => functions.subprogram_at(die.offset).copied(),
            None => subprogram_at(data, die),
        }
    }

    /// Name and declaration of a subprogram of the unit at hand.
    pub fn describe(&self, subprogram: &Subprogram<'d>) -> Source<'d> {
        let itself = DieRef { unit: self.index, offset: subprogram.offset };
        let mut source = Source {
            root: itself,
            name: None,
            linkage_name: None,
            declaration: itself,
            decl_file: None,
            decl_line: 0,
            external: false,
        };
        let mut at = (self.index, *subprogram);
        for _ in 0..MAX_CHAIN {
            let (unit, entry) = at;
            source.name = source.name.or(entry.name);
            source.linkage_name = source.linkage_name.or(entry.linkage_name);
            source.decl_file = source.decl_file.or(entry.decl_file.map(|file| (unit, file)));
            source.external |= entry.external;
            if source.decl_line == 0 {
                source.decl_line = entry.decl_line;
            }
            source.declaration = DieRef { unit, offset: entry.offset };
            let abstract_origin = entry.abstract_origin.die();
            source.root = abstract_origin.unwrap_or(source.root);
            let next = abstract_origin.or_else(|| entry.specification.die());
            match next.and_then(|die| Some((die.unit, self.subprogram(die)?))) {
                Some(next) => at = next,
                None => break,
            }
        }
        source
    }

    /// The name to show, if the pattern matches: as many components as the pattern has.
    pub fn matched_name(&self, source: &Source<'d>, pattern: &Pattern) -> Option<Cow<'d, str>> {
        let (last, outer) = pattern.path.split_last()?;
        let mangled = last.as_str().starts_with("_Z") || last.as_str().starts_with("_R");
        if mangled && outer.is_empty() && source.linkage_name().is_some_and(|name| last.matches(name)) {
            return source.name.or(source.linkage_name)?.get().map(Cow::Borrowed);
        }
        let name = source.name?.get()?;
        if !component_matches(last, name) {
            return None;
        }
        if outer.is_empty() {
            return Some(Cow::Borrowed(name));
        }
        let scopes = self.scope_names(source.declaration);
        if scopes_match(outer, &scopes) {
            let shown = scopes[scopes.len() - outer.len()..].join("::");
            return Some(Cow::Owned(format!("{shown}::{name}")));
        }
        matched_path(&demangle(source.linkage_name()?), pattern).map(|name| Cow::Owned(name.into()))
    }

    /// Names of the scopes round an entry, outermost first.
    fn scope_names(&self, declaration: DieRef) -> Vec<&'d str> {
        let mut names = Vec::new();
        if let Some(functions) = self.of_unit(declaration.unit)
            && let Some(mut index) = functions.subprogram_at(declaration.offset).and_then(|found| found.scope)
        {
            // A scope's parent is found before it, so this ends.
            while let Some(scope) = functions.scopes.get(index as usize) {
                let die = DieRef { unit: declaration.unit, offset: scope.offset };
                names.extend(self.view.data.die(die).ok().and_then(|die| die.name()));
                match scope.parent {
                    Some(parent) if parent < index => index = parent,
                    _ => break,
                }
            }
        }
        names.reverse();
        names
    }
}

/// Whether the file of a declaration is one that the pattern names; `files` says which of the unit's are.
pub(super) fn file_matches(
    data: &DebugData<'_>,
    unit: u32,
    decl_file: Option<(u32, u32)>,
    pattern: &Pattern,
    files: Option<&[bool]>,
) -> bool {
    let (Some(glob), Some(files)) = (&pattern.file, files) else { return true };
    let Some((file_unit, file)) = decl_file else { return false };
    let matches = |files: &[bool]| files.get(file as usize).copied().unwrap_or(false);
    if file_unit == unit { matches(files) } else { matches(&lines::matching_files(data, file_unit, glob)) }
}
