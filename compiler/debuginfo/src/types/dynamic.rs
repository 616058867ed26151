//! Types that only the program knows: what is behind a pointer of Rust to `dyn Trait`, and in an interface of Go.
//!
//! Sources: rustc writes a variable `<T as Trait>::{vtable}` for each table of methods, whose type has T in
//! DW_AT_containing_type. Go's linker writes a symbol `go:itab.T,I` (before 1.20 `go.itab.T,I`) for each table of
//! methods, and gives a type's entry the place of its description behind the symbol `runtime.types`
//! (DW_AT_go_runtime_type).

use gimli::{AttributeValue, DwAt, Operation};
use rstap_abi::address::LinkAddr;

use super::{NameIndex, TypeId, size_of};
use crate::dwarf::{DebugData, Die};
use crate::elf::Elf;

/// DW_AT_go_runtime_type (cmd/internal/dwarf).
const GO_RUNTIME_TYPE: DwAt = DwAt(0x2904);

/// A type that a value can have, and the address that tells so at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynamic<'d> {
    /// Where the table of its methods, or its description, is.
    pub tag: LinkAddr,
    /// Its name.
    pub name: &'d str,
    /// The type.
    pub ty: TypeId,
}

/// The types with a table of the methods of a trait, which is named as in `dyn path::Trait`.
pub(crate) fn implementors<'d>(
    data: &DebugData<'d>,
    names: &NameIndex<'d>,
    of_trait: &str,
) -> Vec<Dynamic<'d>> {
    let of_this = |name: &str| {
        let name = name.strip_suffix(">::{vtable}")?;
        let (_, after) = name.rsplit_once(&format!(" as {of_trait}"))?;
        (after.is_empty() || after.starts_with('<')).then_some(())
    };
    let mut found: Vec<_> = names
        .variables_matching(|name| of_this(name).is_some())
        .filter_map(|id| table(&data.die(id).ok()?))
        .collect();
    found.sort_unstable_by_key(|dynamic| dynamic.tag);
    found.dedup_by_key(|dynamic| dynamic.tag);
    found
}

fn table<'d>(variable: &Die<'_, 'd>) -> Option<Dynamic<'d>> {
    let Some(AttributeValue::Exprloc(place)) = variable.attr(gimli::DW_AT_location) else { return None };
    let tag = match place.operations(variable.unit.encoding()).next() {
        Ok(Some(Operation::Address { address })) => address,
        Ok(Some(Operation::AddressIndex { index })) => variable.dwarf().address(variable.unit, index).ok()?,
        _ => return None,
    };
    let table = variable.data.die(variable.reference(gimli::DW_AT_type)?).ok()?;
    let id = table.reference(gimli::DW_AT_containing_type)?;
    let name = variable.data.die(id).ok()?.name()?;
    Some(Dynamic { tag: LinkAddr(tag), name, ty: TypeId::Die(id) })
}

/// The alignment of a type; that of its size where the debug information does not say it.
pub(crate) fn align_of(data: &DebugData<'_>, id: TypeId) -> Option<u64> {
    let TypeId::Die(reference) = id else { return None };
    let stated = data.die(reference).ok()?.number(gimli::DW_AT_alignment);
    stated.or_else(|| size_of(data, id)).filter(|align| align.is_power_of_two())
}

/// The types with a table of methods for an interface of Go.
pub(crate) fn go_tables<'d>(elf: &Elf<'d>, names: &NameIndex<'d>, interface: &str) -> Vec<Dynamic<'d>> {
    let tables =
        elf.symbols_beginning_with("go.itab.").into_iter().chain(elf.symbols_beginning_with("go:itab."));
    let mut found: Vec<_> = tables
        .filter_map(|(name, tag)| {
            let name = name.get("go:itab.".len()..)?.strip_suffix(interface)?.strip_suffix(',')?;
            let ty = TypeId::Die(names.find(name)?);
            Some(Dynamic { tag, name, ty })
        })
        .collect();
    found.sort_unstable_by_key(|dynamic| dynamic.tag);
    found
}

/// Types of a Go program that have a description at run time.
pub(crate) fn go_types<'d>(
    data: &DebugData<'d>,
    elf: &Elf<'_>,
    names: &NameIndex<'d>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Dynamic<'d>> {
    let Some(base) = elf.symbol_address("runtime.types") else { return Vec::new() };
    let described = |(name, id): (&'d str, _)| {
        let at = data.die(id).ok()?.attr(GO_RUNTIME_TYPE)?;
        let offset = match at {
            AttributeValue::Addr(offset) => offset,
            other => other.udata_value()?,
        };
        let tag = LinkAddr(base.0.wrapping_add(offset));
        (offset != 0).then_some(Dynamic { tag, name, ty: TypeId::Die(id) })
    };
    let mut found: Vec<_> = names.types_matching(wanted).filter_map(described).collect();
    found.sort_unstable_by_key(|dynamic| dynamic.tag);
    found.dedup_by_key(|dynamic| dynamic.tag);
    found
}
