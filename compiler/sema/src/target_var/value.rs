//! Values with a type: how members and elements are reached, and how a value becomes a number or is written.

use std::rc::Rc;

use rstap_abi::address::LinkAddr;
use rstap_abi::builtins::Builtin;
use rstap_debuginfo::{Elements, Encoding, Member, Module, Type, TypeId};

use super::build::{add, binary, call, extend, load, multiply, number, sequence, shift};
use super::location::{Part, Spot, Surroundings, general_register, register_half};
use crate::ir::{BinaryOp, Expr, SiteId};
use crate::modules::Binary;

/// A value of the target: where it is and what it is.
#[derive(Clone)]
pub struct Value<'d> {
    /// The file whose debug information has the type.
    pub binary: Rc<Binary<'d>>,
    /// Where it, or what it is a part of, is.
    pub spot: Spot,
    /// Bits from the start of `spot`.
    pub from: u64,
    /// How many bits of it are used, for a bit-field.
    pub field: Option<u64>,
    /// Its type.
    pub ty: TypeId,
    /// Of an array whose size the program decides on: number of elements of each dimension, where it is known.
    pub counts: Vec<Option<Expr>>,
    /// Where memory reads fault.
    pub site: SiteId,
}

/// Why a value can not be had; the words of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// The type does not allow it.
    Type(String),
    /// There is no such member: its name, the type, the members that there are.
    NoMember(String, String, Vec<String>),
    /// It is a record, where a number is wanted: its type, and the text of a member that could be meant.
    Record(String, String),
    /// It is nowhere, or nowhere that can be read.
    Unavailable(String),
}

type Result<T> = std::result::Result<T, ValueError>;

impl<'d> Value<'d> {
    fn module(&self) -> &Module<'d> {
        self.binary.module()
    }

    /// The type without typedefs and qualifiers.
    pub fn resolved(&self) -> Result<(TypeId, Type<'d>)> {
        let module = self.module();
        let broken = |error: rstap_debuginfo::DwarfError| {
            ValueError::Type(format!("its type cannot be read: {error}"))
        };
        let id = module.resolve_type(self.ty).map_err(broken)?;
        Ok((id, module.type_of(id).map_err(broken)?))
    }

    /// The name of the type.
    pub fn type_name(&self) -> String {
        self.module().type_name(self.ty)
    }

    /// The value that a C++ reference refers to; itself if it is none.
    pub fn referred(self) -> Result<Value<'d>> {
        match self.resolved()?.1 {
            Type::Reference { to, .. } => self.pointee(to),
            _ => Ok(self),
        }
    }

    fn pointee(self, to: TypeId) -> Result<Value<'d>> {
        if let Some((spot, from)) = pointed_to(&self.spot, self.from) {
            return Ok(Value { spot, from, field: None, ty: to, counts: Vec::new(), ..self });
        }
        let address = self.bits(self.from, 64, false)?;
        Ok(Value { spot: Spot::Memory(address), from: 0, field: None, ty: to, counts: Vec::new(), ..self })
    }

    /// Another value, of a type of the same module.
    pub fn elsewhere(&self, spot: Spot, ty: TypeId) -> Value<'d> {
        let binary = Rc::clone(&self.binary);
        Value { binary, spot, from: 0, field: None, ty, counts: Vec::new(), site: self.site }
    }

    /// `->name`: through a pointer if it is one.
    pub fn member(self, name: &str) -> Result<Value<'d>> {
        let invalid = |value: &Value<'_>| {
            ValueError::Type(format!("invalid access '->{name}' vs. {}", value.type_name()))
        };
        let value = self.referred()?;
        let (id, ty) = value.resolved()?;
        let (record, id) = match ty {
            Type::Pointer { to, .. } => {
                let pointee = value.clone().pointee(to)?.referred()?;
                let (id, ty) = pointee.resolved()?;
                if !matches!(ty, Type::Record { .. }) {
                    return Err(invalid(&value));
                }
                (pointee, id)
            }
            Type::Record { .. } => (value, id),
            _ => return Err(invalid(&value)),
        };
        let path = record.module().find_member(id, name).ok().flatten();
        let Some(path) = path else {
            return Err(ValueError::NoMember(name.to_owned(), record.type_name(), record.member_names(id)));
        };
        path.iter().try_fold(record, |value, member| value.part(member))
    }

    /// A member of a record that is known to have it.
    pub fn part(self, member: &Member<'_>) -> Result<Value<'d>> {
        if member.computed {
            let reason = "it is in a virtual base class, whose place only the program knows";
            return Err(ValueError::Unavailable(reason.to_owned()));
        }
        let from = self.from + member.offset * 8 + member.bits.map_or(0, |bits| u64::from(bits.start));
        let field = member.bits.map(|bits| u64::from(bits.len));
        Ok(Value { from, field, ty: member.ty, counts: Vec::new(), ..self })
    }

    fn member_names(&self, record: TypeId) -> Vec<String> {
        let mut names = Vec::new();
        let mut pending = vec![record];
        while let Some(id) = pending.pop() {
            let Ok(Type::Record { members, .. }) = self.module().type_of(id) else { continue };
            for member in members {
                match member.name {
                    Some(name) => names.push(name.to_owned()),
                    None if names.len() < 1000 => {
                        pending.extend(self.module().resolve_type(member.ty));
                    }
                    None => {}
                }
            }
        }
        names
    }

    /// `[index]`: of an array, or of what a pointer points to.
    pub fn element(self, index: Expr) -> Result<Value<'d>> {
        let value = self.referred()?;
        let whole = value.ty;
        let (element, base) = match value.resolved()?.1 {
            // The first index of an array with more dimensions is a flat one, as in SystemTap.
            Type::Array { .. } if value.dimensions_by_stride().is_some() => return value.strided(&[index]),
            Type::Array { element, .. } => (element, value.undescribed()?),
            Type::Pointer { to, .. } => (to, value.pointee(to)?),
            _ => {
                return Err(ValueError::Type(format!("invalid access '[…]' vs. {}", value.type_name())));
            }
        };
        base.nth(element, index, whole)
    }

    /// Whether its elements are not in itself, but where it says.
    pub fn is_descriptor(&self) -> bool {
        self.elements().is_some()
    }

    fn elements(&self) -> Option<Elements> {
        match self.resolved().ok()? {
            (id, Type::Array { .. }) => self.module().elements(id),
            _ => None,
        }
    }

    /// How many dimensions an array has whose elements are found by the strides in its descriptor.
    pub fn dimensions_by_stride(&self) -> Option<usize> {
        Some(self.elements()?.strides.len()).filter(|&dimensions| dimensions > 0)
    }

    /// The element with these indexes, from 0 on, of an array with strides; indexes that are left out are 0.
    pub fn strided(self, indexes: &[Expr]) -> Result<Value<'d>> {
        let (id, ty) = self.resolved()?;
        let (Some(elements), Type::Array { element, .. }) = (self.module().elements(id), ty) else {
            return self.element(indexes.first().cloned().unwrap_or_else(|| number(0)));
        };
        let mut address = self.described(&elements.start)?;
        for (index, stride) in indexes.iter().zip(&elements.strides) {
            let distance = match (super::build::constant(index), self.described(stride)?) {
                (Some(0), _) => continue,
                (_, stride) => binary(BinaryOp::Mul, index.clone(), stride, self.site),
            };
            address = add(address, distance, self.site);
        }
        Ok(self.elsewhere(Spot::Memory(address), element))
    }

    /// What an expression of its type comes to.
    fn described(&self, expr: &rstap_debuginfo::Expr) -> Result<Expr> {
        let object = Some(self.own_address()?);
        let (module, site) = (self.module(), self.site);
        let (bias, at) = (None, LinkAddr(0));
        let around = Surroundings { module, bias, variable: None, object, at, at_entry: false, site };
        around.expr(expr).map_err(ValueError::Unavailable)
    }

    /// Whether it has elements.
    pub fn is_indexable(&self) -> bool {
        matches!(self.resolved(), Ok((_, Type::Array { .. } | Type::Pointer { .. })))
    }

    /// The value as the first of a row of its type: the one with this index. What `@cast(p, "int")[1]` means.
    pub fn in_row(self, index: Expr) -> Result<Value<'d>> {
        let element = self.ty;
        self.nth(element, index, element)
    }

    /// The value of type `element` that is so many of them further on in something of type `whole`.
    fn nth(self, element: TypeId, index: Expr, whole: TypeId) -> Result<Value<'d>> {
        let site = self.site;
        let Some(size) = self.module().size_of(element).filter(|&size| size > 0) else {
            let name = self.module().type_name(whole);
            return Err(ValueError::Type(format!("invalid access '[…]' vs '{name}'")));
        };
        let step = i64::try_from(size).unwrap_or(i64::MAX);
        match (&self.spot, super::build::constant(&index)) {
            (Spot::Memory(address), _) => {
                let start = add(address.clone(), number((self.from / 8).cast_signed()), site);
                let address = add(start, multiply(index, step, site), site);
                let spot = Spot::Memory(address);
                Ok(Value { spot, from: 0, field: None, ty: element, counts: Vec::new(), ..self })
            }
            (_, Some(index @ 0..)) => {
                let from = self.from + index.cast_unsigned().saturating_mul(size).saturating_mul(8);
                Ok(Value { from, field: None, ty: element, counts: Vec::new(), ..self })
            }
            _ => {
                let reason = "it is not in memory, so its elements can be reached by a constant index only";
                Err(ValueError::Unavailable(reason.to_owned()))
            }
        }
    }

    /// The elements of an array, where it is only a descriptor of them.
    fn undescribed(self) -> Result<Value<'d>> {
        let Some(elements) = self.elements() else { return Ok(self) };
        let spot = Spot::Memory(self.described(&elements.start)?);
        Ok(Value { spot, from: 0, ..self })
    }

    /// `&…`: of an array with a descriptor, that of its first element.
    pub fn address(&self) -> Result<Expr> {
        self.clone().undescribed()?.own_address()
    }

    /// The address of an array itself, be it only a descriptor.
    pub fn own_address(&self) -> Result<Expr> {
        if self.field.is_some() {
            return Err(ValueError::Type("a bit-field has no address".to_owned()));
        }
        match &self.spot {
            Spot::Memory(address) => {
                Ok(add(address.clone(), number((self.from / 8).cast_signed()), self.site))
            }
            Spot::Gone(reason) => Err(ValueError::Unavailable(reason.clone())),
            _ => Err(ValueError::Unavailable("it is in a register here, so it has no address".to_owned())),
        }
    }

    /// The value as a number: an array's is its address, that of a floating-point number the bits of a double.
    pub fn read(&self) -> Result<Expr> {
        let (_, ty) = self.resolved()?;
        let signed = match &ty {
            Type::Base { encoding: Encoding::Float, size, .. } => return self.read_float(*size),
            Type::Base { encoding: Encoding::ComplexFloat, .. } => {
                return Err(ValueError::Unavailable("complex numbers cannot be read".to_owned()));
            }
            Type::Base { encoding: Encoding::Signed | Encoding::SignedChar, .. } => true,
            Type::Enum { signed, .. } => *signed,
            Type::Array { .. } => return self.address(),
            Type::Record { members, .. } => {
                let first = members.iter().find_map(|member| member.name).unwrap_or("member");
                return Err(ValueError::Record(self.type_name(), format!("->{first}")));
            }
            Type::Reference { .. } => return self.clone().referred()?.read(),
            Type::Function { .. } => return self.address(),
            Type::Void => return Err(ValueError::Type("a void value cannot be read".to_owned())),
            _ => false,
        };
        let bits = self.width(&ty)?;
        self.bits(self.from, bits, signed)
    }

    fn width(&self, ty: &Type<'_>) -> Result<u64> {
        if let Some(bits) = self.field {
            return Ok(bits.min(64));
        }
        let size = match ty {
            Type::Base { size, .. } | Type::Enum { size, .. } | Type::Pointer { size, .. } => *size,
            Type::MemberPointer { size, .. } | Type::Reference { size, .. } => *size,
            _ => 8,
        };
        // Of a longer integer these are the low bits.
        if size == 0 {
            Err(ValueError::Type(format!("{} has no size", self.type_name())))
        } else {
            Ok(size.min(8) * 8)
        }
    }

    fn read_float(&self, size: u64) -> Result<Expr> {
        match size {
            8 => self.bits(self.from, 64, false),
            4 => Ok(call(Builtin::fp32_to_fp64, vec![self.bits(self.from, 32, false)?], self.site)),
            // The x87's format, in a register or with padding: a number that is rounded to a double.
            10..=16 if !self.type_name().contains("128") => {
                let (mantissa, rest) =
                    (self.bits(self.from, 64, false)?, self.bits(self.from + 64, 16, false)?);
                Ok(call(Builtin::fp80_to_fp64, vec![mantissa, rest], self.site))
            }
            _ => Err(ValueError::Unavailable(format!("{} cannot be read", self.type_name()))),
        }
    }

    /// At most 64 bits, extended.
    pub fn bits(&self, from: u64, count: u64, signed: bool) -> Result<Expr> {
        bits_of(&self.spot, from, count, signed, self.site)
    }

    /// Stores a number; the value of the expression is that number.
    pub fn write(&self, value: Expr) -> Result<Expr> {
        let (_, ty) = self.resolved()?;
        match &ty {
            Type::Array { .. } => return Err(ValueError::Type("cannot write to array address".to_owned())),
            Type::Record { .. } => return Err(ValueError::Record(self.type_name(), "->member".to_owned())),
            Type::Reference { .. } => return self.clone().referred()?.write(value),
            Type::Base { encoding: Encoding::Float | Encoding::ComplexFloat, size, .. } if *size != 8 => {
                return Err(ValueError::Type(format!("cannot write to {}", self.type_name())));
            }
            _ => {}
        }
        let bits = self.width(&ty)?;
        let store = match &self.spot {
            Spot::Memory(address) => self.store_memory(address, bits, value.clone()),
            Spot::Register(number) => self.store_register(*number, bits, value.clone())?,
            Spot::Gone(reason) => return Err(ValueError::Unavailable(reason.clone())),
            _ => {
                let reason = "it is not in one place of its own here, so it cannot be written";
                return Err(ValueError::Unavailable(reason.to_owned()));
            }
        };
        Ok(sequence(store, value))
    }

    fn store_memory(&self, base: &Expr, bits: u64, value: Expr) -> Expr {
        let site = self.site;
        let address = add(base.clone(), number((self.from / 8).cast_signed()), site);
        let shift_bits = self.from % 8;
        let size = (shift_bits + bits).div_ceil(8).next_power_of_two().min(8);
        let value = match self.field {
            None => value,
            Some(_) => {
                let old = load(address.clone(), size, false, site);
                replace_bits(old, shift_bits, bits, value, site)
            }
        };
        call(Builtin::write_memory, vec![address, number(size.cast_signed()), value], site)
    }

    fn store_register(&self, register: u16, bits: u64, value: Expr) -> Result<Expr> {
        let old = general_register(register).map_err(ValueError::Unavailable)?;
        let value = replace_bits(old, self.from, bits, value, self.site);
        Ok(call(Builtin::write_register, vec![number(register.into()), value], self.site))
    }
}

/// `old` with `bits` bits from `from` replaced by the low ones of `value`.
fn replace_bits(old: Expr, from: u64, bits: u64, value: Expr, site: SiteId) -> Expr {
    if bits >= 64 {
        return value;
    }
    let mask = (1i64 << bits).wrapping_sub(1) << from;
    let kept = binary(BinaryOp::And, old, number(!mask), site);
    let placed = binary(BinaryOp::And, shift(BinaryOp::ShiftLeft, value, from, site), number(mask), site);
    binary(BinaryOp::Or, kept, placed, site)
}

/// Where a pointer to something that is nowhere points to: what is there, and the first bit in it.
fn pointed_to(pointer: &Spot, from: u64) -> Option<(Spot, u64)> {
    match pointer {
        Spot::PointsTo(to, offset) if from == 0 => {
            Some(((**to).clone(), u64::try_from(*offset).ok()?.checked_mul(8)?))
        }
        Spot::Pieces(parts) => {
            let mut start = 0;
            let part = parts.iter().find(|part| {
                start += part.bits;
                start - part.bits == from && part.from == 0
            })?;
            pointed_to(&part.spot, 0)
        }
        _ => None,
    }
}

fn bits_of(spot: &Spot, from: u64, count: u64, signed: bool, site: SiteId) -> Result<Expr> {
    match spot {
        Spot::Memory(address) => Ok(bits_in_memory(address, from, count, signed, site)),
        Spot::Register(number) => {
            let half = register_half(*number, from / 64, site).map_err(ValueError::Unavailable)?;
            bits_in_value(half, from % 64, count, signed, site)
        }
        Spot::PointsTo(..) => Err(ValueError::Unavailable(
            "it points to a variable that the compiler keeps in no memory, which only `->` and `[0]` reach"
                .to_owned(),
        )),
        Spot::Value(value) => bits_in_value(value.clone(), from, count, signed, site),
        Spot::Bytes(bytes) => Ok(bits_in_bytes(bytes, from, count, signed)),
        Spot::Pieces(parts) => bits_in_pieces(parts, from, count, signed, site),
        Spot::Gone(reason) => Err(ValueError::Unavailable(reason.clone())),
    }
}

fn bits_in_memory(address: &Expr, from: u64, count: u64, signed: bool, site: SiteId) -> Expr {
    let address = add(address.clone(), number((from / 8).cast_signed()), site);
    let low = from % 8;
    if low == 0 && count.is_multiple_of(8) {
        return load(address, count / 8, signed, site);
    }
    let bytes = (low + count).div_ceil(8);
    let value = match bytes {
        // A bit-field over nine bytes.
        9 => {
            let high = load(add(address.clone(), number(8), site), 1, false, site);
            let high = shift(BinaryOp::ShiftLeft, high, 64 - low, site);
            let low_part = load(address, 8, false, site);
            let low_part = shift(BinaryOp::UnsignedShiftRight, low_part, low, site);
            binary(BinaryOp::Or, low_part, high, site)
        }
        _ => shift(BinaryOp::UnsignedShiftRight, load(address, bytes, false, site), low, site),
    };
    extend(value, count, signed, site)
}

fn bits_in_value(value: Expr, from: u64, count: u64, signed: bool, site: SiteId) -> Result<Expr> {
    if from >= 64 {
        return Err(ValueError::Unavailable("only a part of it is in a register".to_owned()));
    }
    Ok(extend(shift(BinaryOp::UnsignedShiftRight, value, from, site), count, signed, site))
}

fn bits_in_bytes(bytes: &[u8], from: u64, count: u64, signed: bool) -> Expr {
    let bit = |index: u64| {
        let byte = usize::try_from(index / 8).ok().and_then(|index| bytes.get(index)).copied();
        (byte.unwrap_or(0) >> (index % 8)) & 1
    };
    let value = (0..count.min(64)).fold(0u64, |value, index| value | (u64::from(bit(from + index)) << index));
    let value = value.cast_signed();
    match count {
        1..64 if signed => number((value << (64 - count)) >> (64 - count)),
        _ => number(value),
    }
}

fn bits_in_pieces(parts: &[Part], from: u64, count: u64, signed: bool, site: SiteId) -> Result<Expr> {
    let mut value: Option<Expr> = None;
    let (mut start, mut got) = (0, 0);
    for part in parts {
        let end = start + part.bits;
        let first = from + got;
        if got < count && first >= start && first < end {
            let wanted = (count - got).min(end - first);
            let bits = bits_of(&part.spot, part.from + (first - start), wanted, false, site)?;
            let placed = shift(BinaryOp::ShiftLeft, bits, got, site);
            value = Some(match value {
                Some(low) => binary(BinaryOp::Or, low, placed, site),
                None => placed,
            });
            got += wanted;
        }
        start = end;
    }
    match value {
        Some(value) if got == count => Ok(extend(value, count, signed, site)),
        _ => Err(ValueError::Unavailable("only a part of it is kept anywhere here".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::{Environment, Evaluator};
    use crate::ir::{Directive, ExprKind, Format, Handler, HandlerId, Script, Stmt};
    use rstap_abi::format::{UNSET, conversion};

    const SITE: SiteId = SiteId(0);

    struct NoTarget;

    impl Environment for NoTarget {}

    fn evaluate(expr: Expr) -> i64 {
        let signed = Directive::Conversion {
            conversion: conversion::SIGNED,
            flags: 0,
            width: UNSET,
            precision: UNSET,
        };
        let format = Format { directives: vec![signed], args: vec![expr] };
        let print = Stmt::Print(format, SiteId(0));
        let handler = Handler {
            name: String::new(),
            locals: Vec::new(),
            body: vec![print],
            locks: Vec::new(),
            conditions: Vec::new(),
        };
        let script = Script { handlers: vec![handler], ..Script::default() };
        let outcome = Evaluator::new(&script, NoTarget).run(HandlerId(0), 100);
        assert_eq!(outcome.failure, None);
        String::from_utf8(outcome.output).unwrap().parse().unwrap()
    }

    #[test]
    fn bits_are_taken_from_values_bytes_and_pieces() {
        let value = Spot::Value(long_of(0x1234_5678_9abc_def0));
        let bits =
            |spot: &Spot, from, count, signed| evaluate(bits_of(spot, from, count, signed, SITE).unwrap());
        assert_eq!(bits(&value, 4, 8, false), 0xef);
        assert_eq!(bits(&value, 4, 8, true), 0xefu8.cast_signed().into());
        assert_eq!(bits(&value, 0, 64, false), 0x1234_5678_9abc_def0);
        assert_eq!(bits(&Spot::Bytes(vec![1, 2, 0xff]), 8, 16, true), i64::from(0xff02u16.cast_signed()));
        let low = Part { bits: 16, from: 0, spot: value };
        let high = Part { bits: 16, from: 8, spot: Spot::Value(long_of(0x00ab_cd00)) };
        let pieces = Spot::Pieces(vec![low, high]);
        assert_eq!(bits(&pieces, 0, 32, false), 0xabcd_def0);
        assert_eq!(bits(&pieces, 8, 16, false), 0xcdde);
        assert!(bits_of(&pieces, 24, 16, false, SITE).is_err());
    }

    #[test]
    fn a_bit_field_is_replaced_and_nothing_else() {
        let replaced = replace_bits(long_of(0xffff), 5, 11, long_of(-3), SITE);
        assert_eq!(evaluate(replaced), 0xffbf);
        assert_eq!(evaluate(replace_bits(long_of(1), 0, 64, long_of(-9), SITE)), -9);
    }

    /// A number that is not known before the evaluation.
    fn long_of(value: i64) -> Expr {
        super::super::build::long(ExprKind::Unary(
            crate::ir::UnaryOp::Complement,
            Box::new(super::super::build::number(!value)),
        ))
    }
}
