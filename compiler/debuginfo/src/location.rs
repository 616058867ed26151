//! Where a value is: DWARF location expressions turned into a small tree over registers and memory
//! (DWARF 5, 2.5 and 2.6). Nothing is evaluated here; the compiler makes code of the tree.

use std::fmt;

use rstap_abi::address::LinkAddr;

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
        /// The variable pointed to.
        die: crate::DieRef,
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

/// Operations on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum UnaryOp {
    Neg,
    Not,
    /// Absolute value of the signed number.
    Abs,
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
