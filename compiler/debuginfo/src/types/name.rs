//! Names of types as SystemTap prints them: `struct point*`, `char const*`, `class Item const&`, `int[4]`.

use super::TypeId;
use crate::dwarf::{DebugData, Die, DieRef, MAX_CHAIN};

/// The name; `?` for what DWARF leaves open or describes in a circle.
pub(crate) fn type_name(data: &DebugData<'_>, id: TypeId) -> String {
    name_within(data, id, MAX_CHAIN)
}

fn name_within(data: &DebugData<'_>, id: TypeId, depth: usize) -> String {
    let TypeId::Die(id) = id else { return "void".into() };
    let Ok(die) = data.die(id) else { return "?".into() };
    if depth == 0 {
        return "?".into();
    }
    let inner = || name_within(data, target(&die), depth - 1);
    match die.tag() {
        gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
            let sign = match die.tag() {
                gimli::DW_TAG_pointer_type => "*",
                gimli::DW_TAG_reference_type => "&",
                _ => "&&",
            };
            match function_behind(data, &die) {
                Some(function) => function_name(data, function, &format!("({sign})"), depth - 1),
                None => inner() + sign,
            }
        }
        gimli::DW_TAG_const_type => inner() + " const",
        gimli::DW_TAG_volatile_type => inner() + " volatile",
        gimli::DW_TAG_restrict_type => inner() + " restrict",
        gimli::DW_TAG_atomic_type => inner() + " _Atomic",
        gimli::DW_TAG_structure_type => tagged("struct", &die),
        gimli::DW_TAG_class_type => tagged("class", &die),
        gimli::DW_TAG_union_type => tagged("union", &die),
        gimli::DW_TAG_enumeration_type => tagged("enum", &die),
        gimli::DW_TAG_array_type => inner() + &dimensions(data, id),
        gimli::DW_TAG_subroutine_type => function_name(data, id, "", depth - 1),
        gimli::DW_TAG_ptr_to_member_type => inner() + " ::*",
        _ => die.name().unwrap_or("?").into(),
    }
}

fn target(die: &Die<'_, '_>) -> TypeId {
    die.reference(gimli::DW_AT_type).map_or(TypeId::Void, TypeId::Die)
}

fn tagged(keyword: &str, die: &Die<'_, '_>) -> String {
    format!("{keyword} {}", die.name().unwrap_or("{...}"))
}

fn dimensions(data: &DebugData<'_>, id: DieRef) -> String {
    match super::read_type(data, TypeId::Die(id)) {
        Ok(super::Type::Array { counts, .. }) => {
            counts.iter().map(|count| count.map_or("[]".into(), |n| format!("[{n}]"))).collect()
        }
        _ => "[]".into(),
    }
}

/// The function type that a pointer points to.
fn function_behind(data: &DebugData<'_>, pointer: &Die<'_, '_>) -> Option<DieRef> {
    let id = pointer.reference(gimli::DW_AT_type)?;
    (data.die(id).ok()?.tag() == gimli::DW_TAG_subroutine_type).then_some(id)
}

/// `int (*)(char, long int)`
fn function_name(data: &DebugData<'_>, id: DieRef, declarator: &str, depth: usize) -> String {
    let Ok(super::Type::Function { result, parameters }) = super::read_type(data, TypeId::Die(id)) else {
        return "?".into();
    };
    let parameters: Vec<_> = parameters.iter().map(|&p| name_within(data, p, depth)).collect();
    format!("{} {declarator}({})", name_within(data, result, depth), parameters.join(", "))
}
