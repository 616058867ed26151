//! Where a value is: DWARF location expressions turned into a small tree over registers and memory
//! (DWARF 5, 2.5 and 2.6). Nothing is evaluated here; the compiler makes code of the tree.

mod entry;
mod translate;

use std::fmt;

use gimli::AttributeValue;
use rstap_abi::address::LinkAddr;

use crate::cfi::cfa_at;
use crate::dwarf::{DebugData, Die, DieRef, Slice, Value};
use crate::elf::Elf;
use crate::functions::Range;
pub use entry::EntryValue;
pub(crate) use entry::{CallSites, entry_value};
use translate::{Surroundings, Translator};

/// Where a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In memory, at this address.
    Memory(Expr),
    /// In a register, by its DWARF number (psABI, figure 3.36; 17 and up are xmm0…).
    Register(u16),
    /// Nowhere: this is the value itself.
    Value(Expr),
    /// Nowhere: these are its bytes, in memory order.
    Constant(Vec<u8>),
    /// In several places, first bytes first.
    Pieces(Vec<Piece>),
    /// A pointer whose target is not in memory: the variable `die` would be there, `offset` bytes in.
    ImplicitPointer {
        /// Where the variable pointed to is.
        to: Box<Place>,
        /// Byte offset in it.
        offset: i64,
    },
    /// Nowhere at this pc.
    OptimizedOut,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its length.
    pub bits: u64,
    /// First bit of it in `place`.
    pub bit_offset: u64,
    /// Where it is; [`Place::OptimizedOut`] for a part that is nowhere.
    pub place: Place,
}

/// A 64-bit value computed at the probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A register, by its DWARF number.
    Register(u16),
    /// A number.
    Constant(i64),
    /// An address of this module: the load bias is added at run time.
    Address(LinkAddr),
    /// Address of the byte at this offset in this module's thread-local block, of the thread at the probe.
    ThreadLocal(Box<Expr>),
    /// The value that the expression (over registers) had when the function was entered.
    EntryValue(Box<Expr>),
    /// The value that the caller passed for this parameter, which the function does not keep.
    Parameter(DieRef),
    /// One of several values, by where the function was called from.
    ByCaller(Box<EntryValue>),
    /// The address of the object whose type has the expression.
    Object,
    /// `size` bytes at the address, zero-extended.
    Load {
        /// Where.
        address: Box<Expr>,
        /// 1 to 8.
        size: u8,
    },
    /// An operation on one value.
    Unary(UnaryOp, Box<Expr>),
    /// An operation on two values.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// The low bits of the value, extended to 64.
    Extend {
        /// The value.
        value: Box<Expr>,
        /// How many bits are taken, 1 to 64.
        bits: u8,
        /// Whether the top one is the sign.
        signed: bool,
    },
    /// `then` if `condition` is not 0, else `otherwise`.
    Select {
        /// The condition.
        condition: Box<Expr>,
        /// Value if it is not 0.
        then: Box<Expr>,
        /// Value if it is 0.
        otherwise: Box<Expr>,
    },
}

/// The elements of an array that has a descriptor, whose address is [`Expr::Object`].
#[derive(Clone, Debug, PartialEq)]
pub struct Elements {
    /// Address of the first element.
    pub start: Expr,
    /// Bytes from one element to the next one in each dimension; none if they are one behind the other.
    pub strides: Vec<Expr>,
}

/// Operations on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UnaryOp {
    Neg,
    Not,
    /// Absolute value of the signed number.
    Abs,
    /// The bits of a float as those of a double.
    Widen,
    /// The bits of a double as those of the nearest float.
    Round,
    /// The bits of the double next to a signed number.
    ToDouble,
    /// The signed number that a double is without its fraction.
    FromDouble,
}

/// Operations on two values; 64-bit, wrapping. Comparisons yield 0 or 1. Shifts by 64 or more yield 0 (or the sign).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    /// Signed.
    Div,
    /// Unsigned.
    UDiv,
    /// Signed.
    Rem,
    /// Unsigned.
    URem,
    And,
    Or,
    Xor,
    Shl,
    /// Unsigned.
    Shr,
    /// Signed.
    Sar,
    /// Those beginning with `F` work on the bits of doubles.
    FAdd,
    FSub,
    FMul,
    FDiv,
    Eq,
    Ne,
    /// Signed, as the other three.
    Lt,
    Le,
    Gt,
    Ge,
    ULt,
    ULe,
    UGt,
    UGe,
}

/// Why there is no place for a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The bytes make no sense.
    #[error(transparent)]
    Dwarf(#[from] crate::DwarfError),
    /// An operation that can not be turned into code.
    #[error("{0} in a location expression is not supported")]
    Unsupported(String),
    /// An operation needs more operands than there are, or the expression ends with none.
    #[error("location expression takes more operands than there are")]
    StackUnderflow,
    /// It runs in a circle or is too big.
    #[error("location expression is too long")]
    TooLong,
    /// The frame base is needed, but the function has none here.
    #[error("no frame base at {pc:#x}")]
    NoFrameBase {
        /// Where.
        pc: u64,
    },
    /// There is no call frame information for this pc.
    #[error("no call frame information for {pc:#x}")]
    NoCfi {
        /// Where.
        pc: u64,
    },
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Register(n) => write!(f, "r{n}"),
            Expr::Constant(n) => write!(f, "{n}"),
            Expr::Address(a) => write!(f, "module+{a:#x}"),
            Expr::ThreadLocal(e) => write!(f, "tls({e})"),
            Expr::EntryValue(e) => write!(f, "entry({e})"),
            Expr::ByCaller(entry) => write!(f, "one of {}", entry.cases.len()),
            Expr::Parameter(_) => write!(f, "parameter"),
            Expr::Object => write!(f, "object"),
            Expr::Load { address, size } => write!(f, "load{size}({address})"),
            Expr::Unary(op, e) => write!(f, "{op:?}({e})"),
            Expr::Binary(op, a, b) => write!(f, "{op:?}({a}, {b})"),
            Expr::Extend { value, bits, signed } => {
                write!(f, "{}{bits}({value})", if *signed { "sext" } else { "zext" })
            }
            Expr::Select { condition, then, otherwise } => write!(f, "({condition} ? {then} : {otherwise})"),
        }
    }
}

/// Implicit pointers to implicit pointers that are followed.
const MAX_IMPLICIT: usize = 4;

/// A place in a module's code, and what its location expressions need of the module.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'m, 'd> {
    pub data: &'m DebugData<'d>,
    pub elf: &'m Elf<'d>,
    pub debug: Option<&'m Elf<'d>>,
    /// The function whose frame base is meant.
    pub frame: Option<DieRef>,
    /// The instruction that is about to run.
    pub pc: LinkAddr,
}

impl<'m, 'd> Spot<'m, 'd> {
    /// Where the value of the variable is.
    pub fn place_of(&self, die: DieRef) -> Result<Place, LocationError> {
        self.place_within(die, MAX_IMPLICIT)
    }

    fn place_within(&self, die: DieRef, implicit: usize) -> Result<Place, LocationError> {
        let die = self.data.die(die)?;
        // An abstract instance may hold what all its concrete ones share (constants, statics).
        let place = die.find(|link| match link.attr(gimli::DW_AT_location) {
            Some(value) => Some(self.place_at_location(link, value, implicit)),
            None => link.attr(gimli::DW_AT_const_value).map(|value| constant(&die, value)),
        });
        place?.unwrap_or(Ok(Place::OptimizedOut))
    }

    fn place_at_location(
        &self,
        die: &Die<'m, 'd>,
        location: Value<'d>,
        implicit: usize,
    ) -> Result<Place, LocationError> {
        match expression_at(die, location, self.pc)? {
            Some(expression) => self.translated(die, implicit, |translator| translator.place(expression)),
            None => Ok(Place::OptimizedOut),
        }
    }

    /// The value of an expression that stands in an attribute of `die`.
    pub fn value_of(&self, die: &Die<'m, 'd>, expression: Expression<'d>) -> Result<Expr, LocationError> {
        self.translated(die, MAX_IMPLICIT, |translator| translator.value_of(expression))
    }

    /// How many elements each dimension of an array type has; `None` where that is not known.
    pub fn counts_of(&self, array: DieRef) -> Result<Vec<Option<Expr>>, LocationError> {
        let children = self.data.die(array)?.children()?;
        let dimensions = children.iter().filter(|child| child.tag() == gimli::DW_TAG_subrange_type);
        Ok(dimensions.map(|dimension| self.count_of(dimension)).collect())
    }

    /// DW_AT_count, or one more than the distance of the bounds (DWARF 5, 5.13).
    fn count_of(&self, dimension: &Die<'m, 'd>) -> Option<Expr> {
        if let Some(count) = dimension.attr(gimli::DW_AT_count) {
            return self.number_of(dimension, count);
        }
        let upper = self.number_of(dimension, dimension.attr(gimli::DW_AT_upper_bound)?)?;
        let lower = match dimension.attr(gimli::DW_AT_lower_bound) {
            Some(lower) => self.number_of(dimension, lower)?,
            None => Expr::Constant(0),
        };
        let plus = |a, b| Expr::Binary(BinaryOp::Add, Box::new(a), Box::new(b));
        Some(match (upper, lower) {
            (Expr::Constant(upper), Expr::Constant(lower)) => {
                Expr::Constant(upper.checked_sub(lower)?.checked_add(1)?)
            }
            (upper, Expr::Constant(lower)) => plus(upper, Expr::Constant(1i64.checked_sub(lower)?)),
            (upper, lower) => {
                let distance = Expr::Binary(BinaryOp::Sub, Box::new(upper), Box::new(lower));
                plus(distance, Expr::Constant(1))
            }
        })
    }

    /// Where the elements of an array type are, if they are not at the array's own place (DWARF 5, 5.18.1).
    pub fn elements_of(&self, array: DieRef) -> Option<Elements> {
        let array = self.data.die(array).ok()?;
        let start = self.number_of(&array, array.attr(gimli::DW_AT_data_location)?)?;
        let children = array.children().ok()?;
        let dimensions = children.iter().filter(|child| child.tag() == gimli::DW_TAG_subrange_type);
        let stride =
            |dimension: &Die<'m, 'd>| self.number_of(dimension, dimension.attr(gimli::DW_AT_byte_stride)?);
        let strides = dimensions.map(stride).collect::<Option<Vec<Expr>>>();
        Some(Elements { start, strides: strides.unwrap_or_default() })
    }

    /// An attribute that is a constant, an expression or a reference to a variable (DWARF 5, 2.19).
    fn number_of(&self, die: &Die<'m, 'd>, value: Value<'d>) -> Option<Expr> {
        if let Some(expression) = value.exprloc_value() {
            return self.value_of(die, expression).ok();
        }
        if let Some(number) = crate::types::integer(value) {
            return Some(Expr::Constant(number));
        }
        let variable = self.data.reference(die.id.unit, value)?;
        let ty = self.data.die(variable).ok()?.inherited_type().ok()??;
        let size = crate::types::size_of(self.data, crate::types::TypeId::Die(ty))?;
        match self.place_of(variable).ok()? {
            Place::Memory(address) => {
                Some(Expr::Load { address: Box::new(address), size: u8::try_from(size).ok()? })
            }
            Place::Register(number) => Some(Expr::Register(number)),
            Place::Value(value) => Some(value),
            _ => None,
        }
    }

    fn translated<T>(
        &self,
        die: &Die<'m, 'd>,
        implicit: usize,
        translate: impl FnOnce(&mut Translator<'_, 'd>) -> Result<T, LocationError>,
    ) -> Result<T, LocationError> {
        let frame = self.frame.map(|frame| self.data.die(frame)).transpose()?;
        let frame_base = match &frame {
            Some(frame) => match frame.attr(gimli::DW_AT_frame_base) {
                Some(value) => expression_at(frame, value, self.pc)?.map(|base| (base, frame.id.unit)),
                None => None,
            },
            None => None,
        };
        let entry = frame.as_ref().and_then(|f| f.ranges().first().map(|r| r.0));
        let pointed_to = |die| match implicit.checked_sub(1) {
            Some(left) => self.place_within(die, left),
            None => Err(LocationError::TooLong),
        };
        let around = Surroundings {
            data: self.data,
            unit: die.id.unit,
            encoding: die.unit.encoding(),
            pc: self.pc,
            frame_base,
            cfa: &|| cfa_at(self.elf, self.debug, self.pc),
            at_entry: entry == Some(self.pc.0),
            pointed_to: &pointed_to,
        };
        translate(&mut Translator::new(&around))
    }
}

type Expression<'d> = gimli::Expression<Slice<'d>>;

/// The expression of a location attribute that is in force at `pc`.
pub(crate) fn expression_at<'d>(
    die: &Die<'_, 'd>,
    value: Value<'d>,
    pc: LinkAddr,
) -> Result<Option<gimli::Expression<Slice<'d>>>, LocationError> {
    if let Some(expression) = value.exprloc_value() {
        return Ok(Some(expression));
    }
    let broken = |error| LocationError::Dwarf(die.data.broken(die.id.unit, error));
    let Some(mut list) = die.dwarf().attr_locations(die.unit, value).map_err(broken)? else {
        return Ok(None);
    };
    while let Some(entry) = list.next().map_err(broken)? {
        if (entry.range.begin..entry.range.end).contains(&pc.0) {
            return Ok(Some(entry.data));
        }
    }
    Ok(None)
}

/// DW_AT_const_value: bytes as they are, numbers in the size of the variable's type.
fn constant(die: &Die<'_, '_>, value: Value<'_>) -> Result<Place, LocationError> {
    match value {
        AttributeValue::Block(bytes) => Ok(Place::Constant(bytes.slice().to_vec())),
        AttributeValue::Exprloc(expression) => Ok(Place::Constant(expression.0.slice().to_vec())),
        AttributeValue::Data16(value) => Ok(Place::Constant(value.to_le_bytes().to_vec())),
        AttributeValue::Addr(address) => Ok(Place::Value(Expr::Address(LinkAddr(address)))),
        value => match (die.string(gimli::DW_AT_const_value), crate::types::integer(value)) {
            (Some(text), _) => Ok(Place::Constant(text.bytes().chain([0]).collect())),
            (None, Some(number)) => Ok(Place::Value(Expr::Constant(number))),
            (None, None) => Err(LocationError::Unsupported("the form of DW_AT_const_value".into())),
        },
    }
}

/// Addresses at which the variable has a place.
pub(crate) fn available(data: &DebugData<'_>, die: DieRef) -> Result<Vec<Range>, LocationError> {
    let everywhere = vec![Range { start: LinkAddr(0), end: LinkAddr(u64::MAX) }];
    for link in data.die(die)?.chain()? {
        if link.attr(gimli::DW_AT_const_value).is_some() {
            return Ok(everywhere);
        }
        let Some(value) = link.attr(gimli::DW_AT_location) else { continue };
        if let Some(expression) = value.exprloc_value() {
            return Ok(if expression.0.is_empty() { Vec::new() } else { everywhere });
        }
        let broken = |error| LocationError::Dwarf(data.broken(link.id.unit, error));
        let mut ranges = Vec::new();
        if let Some(mut list) = link.dwarf().attr_locations(link.unit, value).map_err(broken)? {
            while let Some(entry) = list.next().map_err(broken)? {
                if !entry.data.0.is_empty() {
                    ranges.push(Range { start: LinkAddr(entry.range.begin), end: LinkAddr(entry.range.end) });
                }
            }
        }
        return Ok(ranges);
    }
    Ok(Vec::new())
}
