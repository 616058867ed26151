//! Whether C++ gives and returns the objects of a class by their address, because copying or destroying one is more
//! than copying its bytes. What its members and base classes ask for is not looked at.
//!
//! Source: Itanium C++ ABI, 1.1 ("non-trivial for the purposes of calls"); DWARF 5, 5.7.1 (`DW_AT_calling_convention`).
//! clang says it by that attribute; g++ does not, so there the class's own functions and virtual parts tell.

use gimli::AttributeValue;

use super::TypeId;
use super::read::{strip, target};
use crate::dwarf::Die;

/// The answer for the entry of a class with these children.
pub(super) fn is_by_reference(class: &Die<'_, '_>, children: &[Die<'_, '_>]) -> bool {
    match class.attr(gimli::DW_AT_calling_convention) {
        Some(AttributeValue::CallingConvention(convention)) => convention == gimli::DW_CC_pass_by_reference,
        _ => children.iter().any(|child| is_virtual_part(child) || is_written_copy_or_end(class, child)),
    }
}

/// A virtual base class, or the pointer that g++ puts in front of an object with virtual functions.
fn is_virtual_part(child: &Die<'_, '_>) -> bool {
    match child.tag() {
        gimli::DW_TAG_inheritance => child.number(gimli::DW_AT_virtuality).is_some_and(|kind| kind != 0),
        gimli::DW_TAG_member => {
            child.flag(gimli::DW_AT_artificial) && child.name().is_some_and(|name| name.starts_with("_vptr"))
        }
        _ => false,
    }
}

/// A destructor, or a constructor from another object of the class, that somebody wrote. Those that the compiler made do
/// what the members ask for, and are trivial if these are.
fn is_written_copy_or_end(class: &Die<'_, '_>, child: &Die<'_, '_>) -> bool {
    if child.tag() != gimli::DW_TAG_subprogram
        || child.flag(gimli::DW_AT_artificial)
        || child.number(gimli::DW_AT_defaulted) == Some(gimli::DW_DEFAULTED_in_class.0.into())
    {
        return false;
    }
    let (Some(name), Some(class_name)) = (child.name(), class.name()) else { return false };
    if name.starts_with('~') {
        return true;
    }
    // Constructors of a template's instance have the template's name.
    let template = class_name.split('<').next();
    (Some(name) == template || name == class_name) && takes_another(class, child)
}

/// Whether a constructor's only parameter, apart from `this`, is a reference to an object of the class.
fn takes_another(class: &Die<'_, '_>, constructor: &Die<'_, '_>) -> bool {
    let children = constructor.children().unwrap_or_default();
    let mut given = children.iter().filter(|child| {
        child.tag() == gimli::DW_TAG_formal_parameter && !child.flag(gimli::DW_AT_artificial)
    });
    let (Some(parameter), None) = (given.next(), given.next()) else { return false };
    let Ok(TypeId::Die(reference)) = strip(class.data, target(parameter)) else { return false };
    let Ok(reference) = class.data.die(reference) else { return false };
    matches!(reference.tag(), gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type)
        && strip(class.data, target(&reference)).is_ok_and(|to| to == TypeId::Die(class.id))
}
