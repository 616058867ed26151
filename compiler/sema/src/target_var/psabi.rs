//! Where the calling convention puts parameters and the returned value (System V psABI for x86-64, 3.2.3).

use rstap_abi::context::register as dwarf;
use rstap_debuginfo::{Encoding, Module, Type, TypeId};

use super::build::{add, load, number, register};
use super::location::{Part, Spot};
use crate::ir::SiteId;

/// Registers of integer arguments, in order, as DWARF numbers.
pub const ARGUMENTS: [usize; 6] = [dwarf::RDI, dwarf::RSI, dwarf::RDX, dwarf::RCX, dwarf::R8, dwarf::R9];

/// The first vector register, as DWARF number.
const XMM0: u16 = 17;

/// The top of the x87's stack.
const ST0: u16 = 33;

/// Records nested deeper than this are taken for broken debug information.
const MAX_DEPTH: u32 = 32;

/// The class of eight bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    None,
    Integer,
    Sse,
    Memory,
}

impl Class {
    fn join(self, other: Class) -> Class {
        match (self, other) {
            (Class::None, class) | (class, Class::None) => class,
            (Class::Memory, _) | (_, Class::Memory) => Class::Memory,
            (Class::Integer, _) | (_, Class::Integer) => Class::Integer,
            (Class::Sse, Class::Sse) => Class::Sse,
        }
    }
}

/// Where a function has put its result when it has returned. `None` for void.
pub fn returned(module: &Module<'_>, ty: TypeId) -> Option<Spot> {
    let resolved = module.resolve_type(ty).ok()?;
    if matches!(module.type_of(resolved), Ok(Type::Void)) {
        return None;
    }
    let classes = classify(module, resolved);
    if classes.contains(&Class::Memory) {
        return Some(if is_x87(module, resolved) {
            Spot::Register(ST0)
        } else {
            // The address of the memory that the caller gave comes back in rax.
            Spot::Memory(register(dwarf::RAX))
        });
    }
    let mut integers = [dwarf::RAX, dwarf::RDX].into_iter();
    let mut vectors = XMM0..;
    Some(in_registers(&classes, &mut integers, &mut vectors).unwrap_or_else(not_in_registers))
}

/// Where the parameter with this index is when the function is entered; `types` are those of all parameters.
pub fn parameter(module: &Module<'_>, result: TypeId, types: &[TypeId], index: usize, site: SiteId) -> Spot {
    let in_memory = returned(module, result).is_some_and(|spot| matches!(spot, Spot::Memory(_)));
    // A function that returns in memory gets the address as a hidden first argument.
    let mut integers = ARGUMENTS.into_iter().skip(usize::from(in_memory));
    let mut vectors = XMM0..XMM0 + 8;
    let mut stack = 8i64;
    for (position, ty) in types.iter().enumerate() {
        let resolved = module.resolve_type(*ty).unwrap_or(*ty);
        if is_by_reference(module, resolved, 0) {
            let address = match integers.next() {
                Some(number) => register(number),
                None => {
                    stack += 8;
                    load(add(register(dwarf::RSP), number(stack - 8), site), 8, false, site)
                }
            };
            if position == index {
                return Spot::Memory(address);
            }
            continue;
        }
        let classes = classify(module, resolved);
        let (mut tried_integers, mut tried_vectors) = (integers.clone(), vectors.clone());
        let spot = match in_registers(&classes, &mut tried_integers, &mut tried_vectors) {
            Some(spot) if !classes.contains(&Class::Memory) => {
                (integers, vectors) = (tried_integers, tried_vectors);
                spot
            }
            _ => {
                if is_x87(module, resolved) {
                    stack = (stack - 8).next_multiple_of_16() + 8;
                }
                let spot = Spot::Memory(add(register(dwarf::RSP), number(stack), site));
                let size = module.size_of(resolved).unwrap_or(8).min(1 << 32);
                stack += size.next_multiple_of(8).cast_signed();
                spot
            }
        };
        if position == index {
            return spot;
        }
    }
    not_in_registers()
}

trait Aligned {
    fn next_multiple_of_16(self) -> Self;
}

impl Aligned for i64 {
    fn next_multiple_of_16(self) -> i64 {
        (self + 15) & !15
    }
}

fn not_in_registers() -> Spot {
    Spot::Gone("the calling convention does not say where it is".to_owned())
}

/// The registers of a value with these classes; `None` if there are not enough left.
fn in_registers(
    classes: &[Class],
    integers: &mut impl Iterator<Item = usize>,
    vectors: &mut impl Iterator<Item = u16>,
) -> Option<Spot> {
    let mut parts = Vec::new();
    for class in classes {
        let number = match class {
            Class::Integer => u16::try_from(integers.next()?).ok()?,
            Class::Sse => vectors.next()?,
            Class::None | Class::Memory => return None,
        };
        parts.push(Part { bits: 64, from: 0, spot: Spot::Register(number) });
    }
    match parts.len() {
        0 => None,
        1 => parts.pop().map(|part| part.spot),
        _ => Some(Spot::Pieces(parts)),
    }
}

/// One class for each eight bytes; a single `Memory` for what is passed in memory.
fn classify(module: &Module<'_>, ty: TypeId) -> Vec<Class> {
    let size = module.size_of(ty).unwrap_or(8);
    if size == 0 || size > 16 || is_by_reference(module, ty, 0) {
        return vec![Class::Memory];
    }
    let mut classes = vec![Class::None; usize::try_from(size.div_ceil(8)).unwrap_or(1)];
    classify_at(module, ty, 0, &mut classes, 0);
    if classes.contains(&Class::Memory) { vec![Class::Memory] } else { classes }
}

fn classify_at(module: &Module<'_>, ty: TypeId, offset: u64, classes: &mut [Class], depth: u32) {
    let mut join = |class: Class| {
        let index = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        if let Some(slot) = classes.get_mut(index) {
            *slot = slot.join(class);
        }
    };
    if depth > MAX_DEPTH {
        return join(Class::Memory);
    }
    let Ok(resolved) = module.resolve_type(ty) else { return join(Class::Memory) };
    match module.type_of(resolved) {
        Ok(Type::Base { encoding: Encoding::Float, size, .. }) => {
            join(if size > 8 { Class::Memory } else { Class::Sse });
        }
        Ok(Type::Base { encoding: Encoding::ComplexFloat, .. }) => join(Class::Sse),
        Ok(Type::Base { size: 16, .. }) => classes.fill(Class::Integer),
        Ok(Type::Record { members, .. }) => {
            for member in members {
                let at = offset + member.offset;
                let at = member.bits.map_or(at, |bits| at + u64::from(bits.start / 8));
                classify_at(module, member.ty, at, classes, depth + 1);
            }
        }
        Ok(Type::Array { element, counts, .. }) => {
            let step = module.size_of(element).unwrap_or(0).max(1);
            let count = counts.iter().map(|count| count.unwrap_or(0)).product::<u64>().min(16);
            for index in 0..count {
                classify_at(module, element, offset + index * step, classes, depth + 1);
            }
        }
        Ok(_) => join(Class::Integer),
        Err(_) => join(Class::Memory),
    }
}

/// Whether a class, or one that it consists of, has to be copied or destroyed by code of its own (Itanium C++ ABI, 3.1).
fn is_by_reference(module: &Module<'_>, ty: TypeId, depth: u32) -> bool {
    let Ok(resolved) = module.resolve_type(ty) else { return false };
    match module.type_of(resolved) {
        _ if depth > MAX_DEPTH => false,
        Ok(Type::Record { by_reference: true, .. }) => true,
        Ok(Type::Record { members, .. }) => {
            members.iter().any(|member| is_by_reference(module, member.ty, depth + 1))
        }
        Ok(Type::Array { element, .. }) => is_by_reference(module, element, depth + 1),
        _ => false,
    }
}

fn is_x87(module: &Module<'_>, ty: TypeId) -> bool {
    matches!(module.type_of(ty), Ok(Type::Base { encoding: Encoding::Float, size, .. }) if size > 8)
}
