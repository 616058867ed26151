//! Types, read one layer at a time (DWARF 5, chapter 5).

mod dynamic;
mod index;
mod name;
mod passing;
mod read;

use crate::dwarf::DieRef;

pub use dynamic::Dynamic;
pub(crate) use dynamic::{align_of, go_tables, go_types, implementors};
pub(crate) use index::NameIndex;
pub(crate) use name::type_name;
pub(crate) use read::{find_member, integer, read_type, resolve, size_of, template_types};

/// A type of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeId {
    /// No type: `void`.
    Void,
    /// A type entry.
    Die(DieRef),
}

/// One layer of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type<'d> {
    /// `void`
    Void,
    /// Integers, floats, characters, bool.
    Base {
        /// `long unsigned int`
        name: &'d str,
        /// Bytes.
        size: u64,
        /// How the bits are read.
        encoding: Encoding,
    },
    /// A pointer.
    Pointer {
        /// What it points to.
        to: TypeId,
        /// Bytes of the pointer.
        size: u64,
    },
    /// A C++ reference; its value is an address.
    Reference {
        /// What it refers to.
        to: TypeId,
        /// `&&`
        rvalue: bool,
        /// Bytes of the address.
        size: u64,
    },
    /// A struct, union or class.
    Record {
        /// The keyword.
        kind: RecordKind,
        /// Its tag.
        name: Option<&'d str>,
        /// Bytes; 0 for a declaration.
        size: u64,
        /// Declared only; [`crate::Module::resolve_type`] finds the definition.
        declaration: bool,
        /// Base classes first where DWARF has them first, in DWARF's order.
        members: Vec<Member<'d>>,
        /// Given and returned by its address, because copying or destroying it is more than copying bytes (C++); what
        /// its members ask for is not looked at.
        by_reference: bool,
        /// Variants (Rust enums): one of them is there, depending on the discriminant.
        variants: Option<Variants<'d>>,
    },
    /// An array.
    Array {
        /// Of what.
        element: TypeId,
        /// Number of elements of each dimension, outermost first; `None` where unknown or variable.
        counts: Vec<Option<u64>>,
        /// Bytes of the whole, if it says so.
        size: Option<u64>,
    },
    /// An enumeration.
    Enum {
        /// Its tag.
        name: Option<&'d str>,
        /// Bytes.
        size: u64,
        /// Whether its values are signed, as far as DWARF tells.
        signed: bool,
        /// Declared only.
        declaration: bool,
        /// Its values.
        enumerators: Vec<Enumerator<'d>>,
    },
    /// A typedef.
    Typedef {
        /// Its name.
        name: &'d str,
        /// What it stands for.
        to: TypeId,
    },
    /// `const`, `volatile` …
    Qualified {
        /// Which.
        qualifier: Qualifier,
        /// Of what.
        to: TypeId,
    },
    /// A function.
    Function {
        /// What it returns.
        result: TypeId,
        /// Its parameters.
        parameters: Vec<TypeId>,
    },
    /// A pointer to a member of a class.
    MemberPointer {
        /// The member's type.
        to: TypeId,
        /// Bytes.
        size: u64,
    },
    /// A type DWARF only names (`decltype(nullptr)`).
    Unspecified {
        /// Its name.
        name: &'d str,
    },
}

/// struct, union or class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RecordKind {
    Struct,
    Union,
    Class,
}

/// const, volatile, restrict, _Atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Qualifier {
    Const,
    Volatile,
    Restrict,
    Atomic,
}

/// How the bits of a base type are read (DW_ATE_…).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Unsigned.
    Unsigned,
    /// `char` that is signed.
    SignedChar,
    /// `char` that is unsigned.
    UnsignedChar,
    /// `char16_t`, `char32_t`, Rust's `char`.
    Utf,
    /// `bool`
    Boolean,
    /// IEEE 754 (10-byte for `long double`).
    Float,
    /// Two floats.
    ComplexFloat,
    /// An address.
    Address,
    /// Another DW_ATE code.
    Other(u8),
}

/// A member of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'d> {
    /// Its name; `None` for anonymous structs and unions, and for base classes.
    pub name: Option<&'d str>,
    /// Its type.
    pub ty: TypeId,
    /// Bytes from the start of the record. 0 for a virtual base class, see `computed`.
    pub offset: u64,
    /// For a bit-field: its bits, counted in memory order from the byte at `offset` (little-endian: bit 0 is the
    /// least significant bit of that byte).
    pub bits: Option<BitField>,
    /// Whether it is a base class.
    pub base_class: bool,
    /// Whether the offset has to be computed at run time (virtual base): such a member can not be read.
    pub computed: bool,
}

/// Where a bit-field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    /// First bit, below 8.
    pub start: u32,
    /// Number of bits.
    pub len: u32,
}

/// A named value of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator<'d> {
    /// Its name.
    pub name: &'d str,
    /// Its value; unsigned 64-bit values wrap.
    pub value: i64,
}

/// The variant part of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants<'d> {
    /// The member that tells which variant it is; `None` if there is only one.
    pub discriminant: Option<Member<'d>>,
    /// The variants.
    pub variants: Vec<Variant<'d>>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant<'d> {
    /// Discriminant values that select it, both ends included; empty for the default.
    pub values: Vec<(i64, i64)>,
    /// Its members.
    pub members: Vec<Member<'d>>,
}
