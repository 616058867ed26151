//! Maps and interfaces of Go.

use rstap_debuginfo::{Type, TypeId};

use super::{Contents, Inside, Next, Nodes, Place, next_node};
use crate::ir::BinaryOp;
use crate::target_var::build::{constant, number, select};
use crate::target_var::location::Spot;
use crate::target_var::value::Value;

/// A map's flag: it is being moved to buckets of the same number (Go's `runtime/map.go`).
const SAME_SIZE_GROW: i64 = 8;

/// Slots of a bucket, each with a byte that says whether it is in use.
const SLOTS: u64 = 8;

/// A map is a pointer to its table.
pub(super) fn map_pointer<'d>(value: &Value<'d>, to: TypeId) -> Option<Contents<'d>> {
    let module = value.binary.module();
    let table = module.type_of(module.resolve_type(to).ok()?).ok()?;
    let is_map = matches!(table, Type::Record { name: Some(name), .. } if name.starts_with("hash<"));
    let there = value.read().ok().filter(|_| is_map)?;
    Some(Contents::Perhaps { there, value: value.clone().element(number(0)).ok()? })
}

impl<'d> Inside<'_, 'd> {
    /// Rows of buckets, each of which may be the first one of a chain, and has a row of keys and a row of values.
    pub(super) fn go_map(&self) -> Option<Contents<'d>> {
        let bucket = self.laid_out(&self.at(&["buckets"])?)?;
        let member = |name: &str| bucket.clone().member(name).ok();
        let at = |value: &Value<'d>| constant(&value.address().ok()?);
        let row = |name: &str| {
            let row = member(name)?;
            let Type::Array { element, counts, .. } = row.resolved().ok()?.1 else { return None };
            (counts == [Some(SLOTS)]).then_some((at(&row)?.cast_unsigned(), element))
        };
        let marks = row("tophash").filter(|(offset, _)| *offset == 0);
        marks?;
        let (keys, element) = row("keys")?;
        let size = self.module().size_of(bucket.ty)?;
        let flags = self.binary(BinaryOp::And, self.number(&["flags"])?, number(SAME_SIZE_GROW));
        let count = self.binary(BinaryOp::ShiftLeft, number(1), self.number(&["B"])?);
        let half = self.binary(BinaryOp::ShiftRight, count.clone(), number(1));
        let map = vec![
            self.number(&["buckets"])?,
            count.clone(),
            self.number(&["oldbuckets"])?,
            select(flags, count, half),
            number(size.cast_signed()),
            number(at(&member("overflow")?)?),
        ];
        let next = Next::Slot(map);
        Some(Contents::Nodes(Nodes {
            first: next_node(number(0), &next, None, self.value.site),
            count: self.number(&["count"])?,
            next,
            place: Place::Rows { keys, values: Some(row("values")?), base: 0 },
            size,
            element,
        }))
    }

    /// What tells the type, and the value or where it is.
    pub(super) fn go_interface(&self) -> Option<Contents<'d>> {
        let data = self.at(&["data"])?;
        let address = data.read().ok()?;
        let value = |ty: TypeId| {
            let is_itself = self.is_pointer_shaped(ty, MAX_DEPTH);
            let elsewhere = Value { ty: self.module().resolve_type(ty).ok()?, ..data.clone() };
            let spot = Spot::Memory(address.clone());
            Some(if is_itself { elsewhere } else { self.value.elsewhere(spot, ty) })
        };
        let module = self.module();
        match self.number(&["tab"]) {
            Some(tab) => self.one_of(tab, module.go_tables(&module.type_name(self.value.ty)), value),
            None => {
                let common = |name: &str| !name.contains(['.', '<']) || name.contains("main.");
                self.one_of(self.number(&["_type"])?, module.go_types(common), value)
            }
        }
    }

    /// Whether a value of the type is a single pointer, which an interface keeps in itself.
    fn is_pointer_shaped(&self, ty: TypeId, depth: u32) -> bool {
        let module = self.module();
        match module.resolve_type(ty).and_then(|id| module.type_of(id)) {
            Ok(Type::Pointer { .. } | Type::Function { .. }) => true,
            Ok(Type::Record { members, .. }) => match &members[..] {
                [only] => depth > 0 && self.is_pointer_shaped(only.ty, depth - 1),
                _ => false,
            },
            Ok(Type::Array { element, counts, .. }) => {
                counts == [Some(1)] && depth > 0 && self.is_pointer_shaped(element, depth - 1)
            }
            _ => false,
        }
    }
}

/// Types nested deeper than this are taken for broken debug information.
const MAX_DEPTH: u32 = 16;
