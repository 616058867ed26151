//! Types and variables outside functions by name, over all units. Made when the first name is looked up in other
//! units.

use std::collections::HashMap;

use rayon::prelude::*;

use super::read::{enumerator_of, is_named_type};
use crate::dwarf::{DebugData, Die, DieRef};
use crate::scope::for_each_outside_functions;

#[derive(Clone, Copy, Debug)]
struct NamedType {
    die: DieRef,
    tag: gimli::DwTag,
    declaration: bool,
}

/// Entries by name, in the order of the units.
#[derive(Debug, Default)]
pub(crate) struct NameIndex<'d> {
    types: HashMap<&'d str, Vec<NamedType>>,
    variables: HashMap<&'d str, Vec<DieRef>>,
    enumerations: Vec<DieRef>,
}

#[derive(Default)]
struct UnitNames<'d> {
    types: Vec<(&'d str, NamedType)>,
    variables: Vec<(&'d str, DieRef)>,
    enumerations: Vec<DieRef>,
}

impl<'d> NameIndex<'d> {
    /// Reads all units.
    pub fn read(data: &DebugData<'d>) -> Self {
        let units = 0..data.slots().len() as u32;
        let read: Vec<_> = if data.is_large() {
            units.into_par_iter().with_max_len(1).map(|unit| read_unit(data, unit)).collect()
        } else {
            units.map(|unit| read_unit(data, unit)).collect()
        };
        let mut index = NameIndex::default();
        for names in read {
            for (name, named) in names.types {
                index.types.entry(name).or_default().push(named);
            }
            for (name, die) in names.variables {
                index.variables.entry(name).or_default().push(die);
            }
            index.enumerations.extend(names.enumerations);
        }
        index
    }

    /// Variables of this name.
    pub fn variables(&self, name: &str) -> &[DieRef] {
        self.variables.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Variables whose name is wanted, in no order.
    pub fn variables_matching(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = DieRef> {
        let found = self.variables.iter().filter(move |(name, _)| wanted(name));
        found.flat_map(|(_, dies)| dies.iter().copied())
    }

    /// Definitions of types whose name is wanted, in no order.
    pub fn types_matching(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&'d str, DieRef)> {
        let found = self.types.iter().filter(move |(name, _)| wanted(name));
        let found = found.flat_map(|(name, types)| types.iter().map(|ty| (*name, *ty)));
        found.filter(|(_, ty)| !ty.declaration).map(|(name, ty)| (name, ty.die))
    }

    /// A definition of the declared type, one of the same unit if there is one. C++ lets a class be declared as a
    /// struct.
    pub fn definition(&self, name: &str, tag: gimli::DwTag, unit: u32) -> Option<DieRef> {
        let definitions = self.types.get(name)?.iter().filter(|t| !t.declaration && same_kind(t.tag, tag));
        let mut definitions = definitions.map(|t| t.die).peekable();
        let first = *definitions.peek()?;
        Some(definitions.find(|d| d.unit == unit).unwrap_or(first))
    }

    /// The type of this name, with or without keyword and scope.
    pub fn find(&self, name: &str) -> Option<DieRef> {
        let (keyword, name) = match name.split_once(char::is_whitespace) {
            Some((word @ ("struct" | "class" | "union" | "enum"), rest)) => (Some(word), rest.trim()),
            _ => (None, name),
        };
        let last = *crate::pattern::split_path(name).last()?;
        let candidates = self.types.get(last).map(Vec::as_slice).unwrap_or_default();
        let wanted = |tag| match keyword {
            None => true,
            Some("struct" | "class") => same_kind(tag, gimli::DW_TAG_structure_type),
            Some("union") => tag == gimli::DW_TAG_union_type,
            Some(_) => tag == gimli::DW_TAG_enumeration_type,
        };
        let order = |tag| match tag {
            gimli::DW_TAG_base_type | gimli::DW_TAG_typedef => 0,
            _ => 1,
        };
        let found = candidates.iter().filter(|t| wanted(t.tag));
        found.min_by_key(|t| (t.declaration, order(t.tag))).map(|t| t.die)
    }

    /// Definitions of types whose name begins so.
    pub fn beginning_with(&self, prefix: &str) -> Vec<DieRef> {
        let named = self.types.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut found: Vec<_> =
            named.flat_map(|(_, all)| all).filter(|t| !t.declaration).map(|t| t.die).collect();
        found.sort_unstable();
        found
    }

    /// The value of an enumerator of any enumeration.
    pub fn enumerator(&self, data: &DebugData<'d>, name: &str) -> Option<i64> {
        self.enumerations.iter().find_map(|&id| enumerator_of(data, id, name))
    }
}

fn same_kind(a: gimli::DwTag, b: gimli::DwTag) -> bool {
    let class = |tag| if tag == gimli::DW_TAG_class_type { gimli::DW_TAG_structure_type } else { tag };
    class(a) == class(b)
}

/// What was read before an error is kept.
fn read_unit<'d>(data: &DebugData<'d>, unit: u32) -> UnitNames<'d> {
    let mut names = UnitNames::default();
    let _ = for_each_outside_functions(data, unit, |die| {
        if is_named_type(die.tag()) || is_pointer_of_go(die) {
            if die.tag() == gimli::DW_TAG_enumeration_type {
                names.enumerations.push(die.id);
            }
            if let Some(name) = die.name() {
                let declaration = die.flag(gimli::DW_AT_declaration);
                names.types.push((name, NamedType { die: die.id, tag: die.tag(), declaration }));
            }
        } else if die.tag() == gimli::DW_TAG_variable {
            let name = die.name().or_else(|| die.chain().ok()?.iter().find_map(|d| d.name()));
            names.variables.extend(name.map(|name| (name, die.id)));
        }
        Ok(())
    });
    names
}

/// Whether it is a pointer type with a name of Go, `*main.Point`.
fn is_pointer_of_go(die: &Die<'_, '_>) -> bool {
    let of_go = |name: &str| name.starts_with('*') && !name.contains(' ');
    die.tag() == gimli::DW_TAG_pointer_type && die.name().is_some_and(of_go)
}
