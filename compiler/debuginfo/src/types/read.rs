//! Type entries made into [`Type`]s.

use gimli::AttributeValue;

use super::passing::is_by_reference;
use super::{
    BitField, Encoding, Enumerator, Member, NameIndex, Qualifier, RecordKind, Type, TypeId, Variant, Variants,
};
use crate::DwarfError;
use crate::dwarf::{DebugData, Die, DieRef, MAX_CHAIN};

const POINTER_BYTES: u64 = 8;

/// One layer of a type.
pub(crate) fn read_type<'d>(data: &DebugData<'d>, id: TypeId) -> Result<Type<'d>, DwarfError> {
    let TypeId::Die(id) = id else { return Ok(Type::Void) };
    let die = data.die(id)?;
    let to = || target(&die);
    let qualified = |qualifier| Ok(Type::Qualified { qualifier, to: target(&die) });
    let size = die.number(gimli::DW_AT_byte_size);
    match die.tag() {
        gimli::DW_TAG_base_type => Ok(Type::Base {
            name: die.name().unwrap_or("?"),
            size: size.unwrap_or(0),
            encoding: encoding(&die),
        }),
        gimli::DW_TAG_pointer_type => Ok(Type::Pointer { to: to(), size: size.unwrap_or(POINTER_BYTES) }),
        gimli::DW_TAG_reference_type => {
            Ok(Type::Reference { to: to(), rvalue: false, size: size.unwrap_or(POINTER_BYTES) })
        }
        gimli::DW_TAG_rvalue_reference_type => {
            Ok(Type::Reference { to: to(), rvalue: true, size: size.unwrap_or(POINTER_BYTES) })
        }
        gimli::DW_TAG_structure_type => read_record(&die, RecordKind::Struct),
        gimli::DW_TAG_class_type => read_record(&die, RecordKind::Class),
        gimli::DW_TAG_union_type => read_record(&die, RecordKind::Union),
        gimli::DW_TAG_array_type => read_array(&die),
        gimli::DW_TAG_enumeration_type => read_enum(&die),
        gimli::DW_TAG_typedef => Ok(Type::Typedef { name: die.name().unwrap_or("?"), to: to() }),
        gimli::DW_TAG_const_type => qualified(Qualifier::Const),
        gimli::DW_TAG_volatile_type => qualified(Qualifier::Volatile),
        gimli::DW_TAG_restrict_type => qualified(Qualifier::Restrict),
        gimli::DW_TAG_atomic_type => qualified(Qualifier::Atomic),
        gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram => {
            let parameters = die.children()?;
            let parameters = parameters.iter().filter(|p| p.tag() == gimli::DW_TAG_formal_parameter);
            Ok(Type::Function { result: to(), parameters: parameters.map(target).collect() })
        }
        gimli::DW_TAG_ptr_to_member_type => {
            Ok(Type::MemberPointer { to: to(), size: size.unwrap_or(POINTER_BYTES) })
        }
        // DWARF 5, 5.3: other modifiers (packed, shared, immutable …) do not change how a value is read.
        gimli::DW_TAG_packed_type | gimli::DW_TAG_immutable_type | gimli::DW_TAG_shared_type => match to() {
            TypeId::Die(next) if next != id => Ok(Type::Typedef { name: "?", to: TypeId::Die(next) }),
            _ => Ok(Type::Void),
        },
        _ => Ok(Type::Unspecified { name: die.name().unwrap_or("?") }),
    }
}

/// The types among the parameters of a template's instance.
pub(crate) fn template_types(data: &DebugData<'_>, id: TypeId) -> Result<Vec<TypeId>, DwarfError> {
    let TypeId::Die(id) = strip(data, id)? else { return Ok(Vec::new()) };
    let children = data.die(id)?.children()?;
    let types = children.iter().filter(|child| child.tag() == gimli::DW_TAG_template_type_parameter);
    Ok(types.map(target).collect())
}

pub(super) fn target(die: &Die<'_, '_>) -> TypeId {
    // The type of a variable's or subprogram's entry may stand in the entry it refers to.
    die.inherited_type().ok().flatten().map_or(TypeId::Void, TypeId::Die)
}

fn encoding(die: &Die<'_, '_>) -> Encoding {
    let code = match die.attr(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(code)) => code,
        _ => return Encoding::Other(0),
    };
    match code {
        gimli::DW_ATE_signed => Encoding::Signed,
        gimli::DW_ATE_unsigned => Encoding::Unsigned,
        gimli::DW_ATE_signed_char => Encoding::SignedChar,
        gimli::DW_ATE_unsigned_char => Encoding::UnsignedChar,
        gimli::DW_ATE_UTF | gimli::DW_ATE_UCS | gimli::DW_ATE_ASCII => Encoding::Utf,
        gimli::DW_ATE_boolean => Encoding::Boolean,
        gimli::DW_ATE_float => Encoding::Float,
        gimli::DW_ATE_complex_float => Encoding::ComplexFloat,
        gimli::DW_ATE_address => Encoding::Address,
        other => Encoding::Other(other.0),
    }
}

fn read_record<'d>(die: &Die<'_, 'd>, kind: RecordKind) -> Result<Type<'d>, DwarfError> {
    let mut members = Vec::new();
    let mut variants = None;
    let children = die.children()?;
    for child in &children {
        match child.tag() {
            gimli::DW_TAG_member | gimli::DW_TAG_inheritance => members.extend(read_member(child)),
            gimli::DW_TAG_variant_part => variants = Some(read_variants(child)?),
            _ => {}
        }
    }
    // A type unit's skeleton has the contents elsewhere.
    if let Some(full) = die.reference(gimli::DW_AT_signature)
        && full != die.id
        && members.is_empty()
    {
        return read_type(die.data, TypeId::Die(full));
    }
    Ok(Type::Record {
        kind,
        name: die.name(),
        size: die.number(gimli::DW_AT_byte_size).unwrap_or(0),
        declaration: die.flag(gimli::DW_AT_declaration),
        by_reference: is_by_reference(die, &children),
        members,
        variants,
    })
}

/// A data member or base class; `None` for a static member.
fn read_member<'d>(die: &Die<'_, 'd>) -> Option<Member<'d>> {
    if die.flag(gimli::DW_AT_external) || die.flag(gimli::DW_AT_declaration) {
        return None;
    }
    let (offset, computed) = member_offset(die);
    let bit_size = die.number(gimli::DW_AT_bit_size).and_then(|bits| u32::try_from(bits).ok());
    let (offset, bits) = match bit_size {
        Some(len) => {
            let first = first_bit(die, offset, len);
            (first / 8, Some(BitField { start: (first % 8) as u32, len }))
        }
        None => (offset, None),
    };
    Some(Member {
        name: die.name().filter(|name| !name.is_empty()),
        ty: target(die),
        offset,
        bits,
        base_class: die.tag() == gimli::DW_TAG_inheritance,
        computed,
    })
}

/// DW_AT_data_member_location: a number, or an expression that adds one (DWARF 2).
fn member_offset(die: &Die<'_, '_>) -> (u64, bool) {
    match die.attr(gimli::DW_AT_data_member_location) {
        None => (0, false),
        Some(AttributeValue::Exprloc(expression)) => {
            let mut operations = expression.operations(die.unit.encoding());
            match (operations.next(), operations.next()) {
                (Ok(Some(gimli::Operation::PlusConstant { value })), Ok(None)) => (value, false),
                _ => (0, true),
            }
        }
        Some(value) => (value.udata_value().unwrap_or(0), false),
    }
}

/// The first bit of a bit-field from the start of the record, in memory order.
fn first_bit(die: &Die<'_, '_>, offset: u64, len: u32) -> u64 {
    let start = offset.wrapping_mul(8);
    if let Some(distance) = die.number(gimli::DW_AT_data_bit_offset) {
        return start.wrapping_add(distance);
    }
    // DWARF 2: counted from the most significant bit of a storage unit, whose size may stand in the type only.
    let Some(from_top) = die.number(gimli::DW_AT_bit_offset) else { return start };
    let in_type = || match target(die) {
        TypeId::Die(_) => size_of(die.data, target(die)),
        TypeId::Void => None,
    };
    let storage = die.number(gimli::DW_AT_byte_size).or_else(in_type).unwrap_or(4);
    let below = storage.wrapping_mul(8).wrapping_sub(from_top).wrapping_sub(len.into());
    start.wrapping_add(below)
}

fn read_variants<'d>(part: &Die<'_, 'd>) -> Result<Variants<'d>, DwarfError> {
    let discriminant = match part.reference(gimli::DW_AT_discr) {
        Some(id) => read_member(&part.data.die(id)?),
        None => None,
    };
    let mut variants = Vec::new();
    for child in part.children()?.iter().filter(|c| c.tag() == gimli::DW_TAG_variant) {
        let members = child.children()?;
        let members = members.iter().filter(|m| m.tag() == gimli::DW_TAG_member).filter_map(read_member);
        variants.push(Variant { values: discriminant_values(child), members: members.collect() });
    }
    Ok(Variants { discriminant, variants })
}

/// DW_AT_discr_value, or the single values and ranges of DW_AT_discr_list (DWARF 5, 5.7.10).
fn discriminant_values(variant: &Die<'_, '_>) -> Vec<(i64, i64)> {
    if let Some(value) = variant.attr(gimli::DW_AT_discr_value) {
        return integer(value).map(|v| (v, v)).into_iter().collect();
    }
    let Some(AttributeValue::Block(mut list)) = variant.attr(gimli::DW_AT_discr_list) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    use gimli::Reader as _;
    while let Ok(kind) = list.read_u8() {
        let Ok(low) = list.read_sleb128() else { break };
        let high = if kind == gimli::DW_DSC_range.0 { list.read_sleb128() } else { Ok(low) };
        let Ok(high) = high else { break };
        values.push((low, high));
    }
    values
}

/// A constant; unsigned ones that do not fit wrap. Fixed-size forms do not tell their sign: gcc and LLVM write negative
/// numbers as sdata, so they have none (the upper bound of `char[256]` is a byte of 255).
pub(crate) fn integer(value: crate::dwarf::Value<'_>) -> Option<i64> {
    match value {
        AttributeValue::Sdata(value) => Some(value),
        other => other.udata_value().map(|v| v as i64).or_else(|| other.sdata_value()),
    }
}

fn read_array<'d>(die: &Die<'_, 'd>) -> Result<Type<'d>, DwarfError> {
    let children = die.children()?;
    let dimensions = children.iter().filter(|c| {
        matches!(
            c.tag(),
            gimli::DW_TAG_subrange_type | gimli::DW_TAG_enumeration_type | gimli::DW_TAG_generic_subrange
        )
    });
    let mut counts: Vec<_> = dimensions.map(dimension).collect();
    if counts.is_empty() {
        counts.push(None);
    }
    Ok(Type::Array { element: target(die), counts, size: die.number(gimli::DW_AT_byte_size) })
}

/// DW_AT_count, or from the bounds. A flexible array has neither; gcc gives an array of 0 an upper bound of -1.
fn dimension(die: &Die<'_, '_>) -> Option<u64> {
    let constant = |name| match die.attr(name)? {
        AttributeValue::Exprloc(_) | AttributeValue::UnitRef(_) => None,
        value => integer(value),
    };
    if let Some(count) = constant(gimli::DW_AT_count) {
        return u64::try_from(count).ok();
    }
    let upper = constant(gimli::DW_AT_upper_bound)?;
    let lower = constant(gimli::DW_AT_lower_bound).unwrap_or(0);
    u64::try_from(upper.checked_sub(lower)?.checked_add(1)?).ok()
}

fn read_enum<'d>(die: &Die<'_, 'd>) -> Result<Type<'d>, DwarfError> {
    let mut enumerators = Vec::new();
    for child in die.children()? {
        let value = child.attr(gimli::DW_AT_const_value).and_then(integer);
        if let (Some(name), Some(value)) = (child.name(), value) {
            enumerators.push(Enumerator { name, value });
        }
    }
    let underlying =
        die.reference(gimli::DW_AT_type).map(|id| strip(die.data, TypeId::Die(id))).transpose()?;
    let signed = match underlying {
        Some(TypeId::Die(id)) => {
            matches!(encoding(&die.data.die(id)?), Encoding::Signed | Encoding::SignedChar)
        }
        _ => enumerators.iter().any(|e| e.value < 0),
    };
    let size = die.number(gimli::DW_AT_byte_size);
    let size = size.or_else(|| size_of(die.data, underlying?)).unwrap_or(4);
    let declaration = die.flag(gimli::DW_AT_declaration);
    Ok(Type::Enum { name: die.name(), size, signed, declaration, enumerators })
}

/// The type without typedefs and qualifiers.
pub(crate) fn strip(data: &DebugData<'_>, mut id: TypeId) -> Result<TypeId, DwarfError> {
    for _ in 0..MAX_CHAIN {
        let TypeId::Die(die) = id else { return Ok(id) };
        let die = data.die(die)?;
        if !is_transparent(die.tag()) {
            return Ok(id);
        }
        id = target(&die);
    }
    Err(DwarfError::Circular { unit: unit_offset(data, id) })
}

fn is_transparent(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_packed_type
            | gimli::DW_TAG_immutable_type
            | gimli::DW_TAG_shared_type
    )
}

fn unit_offset(data: &DebugData<'_>, id: TypeId) -> usize {
    match id {
        TypeId::Die(die) => data.slot(die.unit).map_or(0, |slot| slot.section_offset()),
        TypeId::Void => 0,
    }
}

/// The type without typedefs and qualifiers; a definition instead of a declaration.
pub(crate) fn resolve<'m, 'd: 'm>(
    data: &DebugData<'d>,
    id: TypeId,
    index: impl FnOnce() -> &'m NameIndex<'d>,
) -> Result<TypeId, DwarfError> {
    let id = strip(data, id)?;
    let TypeId::Die(reference) = id else { return Ok(id) };
    let die = data.die(reference)?;
    if let Some(full) = die.reference(gimli::DW_AT_signature) {
        return Ok(TypeId::Die(full));
    }
    let (true, Some(name)) = (die.flag(gimli::DW_AT_declaration), die.name()) else { return Ok(id) };
    Ok(index().definition(name, die.tag(), reference.unit).map_or(id, TypeId::Die))
}

/// Size in bytes.
pub(crate) fn size_of(data: &DebugData<'_>, id: TypeId) -> Option<u64> {
    let mut id = id;
    let mut factor = 1u64;
    for _ in 0..MAX_CHAIN {
        id = strip(data, id).ok()?;
        let TypeId::Die(reference) = id else { return None };
        let die = data.die(reference).ok()?;
        if let Some(size) = die.number(gimli::DW_AT_byte_size) {
            return size.checked_mul(factor);
        }
        match die.tag() {
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type
            | gimli::DW_TAG_ptr_to_member_type => return POINTER_BYTES.checked_mul(factor),
            gimli::DW_TAG_array_type => {
                let Ok(Type::Array { element, counts, .. }) = read_array(&die) else { return None };
                for count in counts {
                    factor = factor.checked_mul(count?)?;
                }
                id = element;
            }
            gimli::DW_TAG_enumeration_type => id = target(&die),
            _ => return None,
        }
    }
    None
}

/// Most records that are looked into for one member, so that records which contain each other end the search.
const MAX_RECORDS: usize = 4096;

/// The way to a member: its own members first, then those of anonymous members and base classes, in order.
pub(crate) fn find_member<'d>(
    record: TypeId,
    name: &str,
    read: &dyn Fn(TypeId) -> Result<Type<'d>, DwarfError>,
) -> Result<Option<Vec<Member<'d>>>, DwarfError> {
    let mut queue = std::collections::VecDeque::from([(record, Vec::new())]);
    let mut looked_into = 0;
    while let Some((record, path)) = queue.pop_front() {
        looked_into += 1;
        if looked_into > MAX_RECORDS {
            break;
        }
        let Type::Record { members, variants, .. } = read(record)? else { continue };
        let of_variants = variants.into_iter().flat_map(|v| v.variants).flat_map(|v| v.members);
        for member in members.into_iter().chain(of_variants) {
            let mut path: Vec<Member<'d>> = path.clone();
            let (ty, found, inner) = (member.ty, member.name == Some(name), member.name.is_none());
            path.push(member);
            if found {
                return Ok(Some(path));
            }
            if inner && path.len() < MAX_CHAIN {
                queue.push_back((ty, path));
            }
        }
    }
    Ok(None)
}

/// Whether a tag is that of a type with a name of its own.
pub(crate) fn is_named_type(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_base_type
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_unspecified_type
    )
}

/// The value of an enumerator of an enumeration.
pub(crate) fn enumerator_of(data: &DebugData<'_>, id: DieRef, name: &str) -> Option<i64> {
    let Ok(Type::Enum { enumerators, .. }) = read_type(data, TypeId::Die(id)) else { return None };
    enumerators.iter().find(|e| e.name == name).map(|e| e.value)
}
