//! Small constructors of IR expressions, folding constants so that addresses stay readable and cheap.

use crate::ir::{BinaryOp, CompareOp, Expr, ExprKind, SiteId, Type, UnaryOp};
use rstap_abi::builtins::Builtin;

/// An expression of type long.
pub fn long(kind: ExprKind) -> Expr {
    Expr { ty: Type::Long, kind }
}

/// An expression of type string.
pub fn string(kind: ExprKind) -> Expr {
    Expr { ty: Type::Str, kind }
}

/// A number.
pub fn number(value: i64) -> Expr {
    long(ExprKind::Long(value))
}

/// A text.
pub fn text(value: &str) -> Expr {
    string(ExprKind::Str(value.as_bytes().to_vec()))
}

/// A register by its index in `rstap_abi::context::Registers`.
pub fn register(index: usize) -> Expr {
    long(ExprKind::Register(u8::try_from(index).expect("there are fewer than 256 registers")))
}

/// The value, if it is known now.
pub fn constant(expr: &Expr) -> Option<i64> {
    match expr.kind {
        ExprKind::Long(value) => Some(value),
        _ => None,
    }
}

/// `a + b`
pub fn add(a: Expr, b: Expr, site: SiteId) -> Expr {
    match (constant(&a), constant(&b)) {
        (Some(a), Some(b)) => number(a.wrapping_add(b)),
        (Some(0), None) => b,
        (None, Some(0)) => a,
        (None, Some(more)) => match a.kind {
            // (e + m) + n
            ExprKind::Binary(BinaryOp::Add, base, offset, _) if constant(&offset).is_some() => {
                let offset = constant(&offset).unwrap_or_default().wrapping_add(more);
                add(*base, number(offset), site)
            }
            kind => binary(BinaryOp::Add, long(kind), b, site),
        },
        _ => binary(BinaryOp::Add, a, b, site),
    }
}

/// `a * b`
pub fn multiply(a: Expr, b: i64, site: SiteId) -> Expr {
    match (constant(&a), b) {
        (Some(a), b) => number(a.wrapping_mul(b)),
        (None, 1) => a,
        _ => binary(BinaryOp::Mul, a, number(b), site),
    }
}

/// Any operator on two longs.
pub fn binary(op: BinaryOp, a: Expr, b: Expr, site: SiteId) -> Expr {
    long(ExprKind::Binary(op, Box::new(a), Box::new(b), site))
}

/// An operator on one long.
pub fn unary(op: UnaryOp, a: Expr) -> Expr {
    long(ExprKind::Unary(op, Box::new(a)))
}

/// A comparison.
pub fn compare(op: CompareOp, a: Expr, b: Expr) -> Expr {
    long(ExprKind::Compare(op, Box::new(a), Box::new(b)))
}

/// `condition ? then : otherwise`
pub fn select(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    let ty = then.ty;
    Expr { ty, kind: ExprKind::Ternary(Box::new(condition), Box::new(then), Box::new(otherwise)) }
}

/// `body`, in which `bound(id)` stands for the value.
pub fn with(id: u32, value: Expr, body: Expr) -> Expr {
    Expr { ty: body.ty, kind: ExprKind::With(id, Box::new(value), Box::new(body)) }
}

/// The value that a `with` round it has given this number.
pub fn bound(id: u32) -> Expr {
    long(ExprKind::Bound(id))
}

/// The value of the case that the subject equals.
pub fn choose(subject: Expr, cases: Vec<(i64, Expr)>, otherwise: Expr) -> Expr {
    long(ExprKind::Choose(Box::new(subject), cases, Box::new(otherwise)))
}

/// A shift by a known number of bits.
pub fn shift(op: BinaryOp, a: Expr, bits: u64, site: SiteId) -> Expr {
    match bits {
        0 => a,
        _ => binary(op, a, number(i64::try_from(bits).unwrap_or(63)), site),
    }
}

/// The low `bits` of a value, extended to 64.
pub fn extend(value: Expr, bits: u64, signed: bool, site: SiteId) -> Expr {
    if bits == 0 || bits >= 64 {
        return value;
    }
    if signed {
        let up = shift(BinaryOp::ShiftLeft, value, 64 - bits, site);
        return shift(BinaryOp::ShiftRight, up, 64 - bits, site);
    }
    binary(BinaryOp::And, value, number((1i64 << bits).wrapping_sub(1)), site)
}

/// 1 to 8 bytes of the target, zero-extended unless `signed`.
pub fn load(address: Expr, size: u64, signed: bool, site: SiteId) -> Expr {
    match size {
        1 | 2 | 4 | 8 => {
            let size = u8::try_from(size).expect("at most 8");
            long(ExprKind::Memory(Box::new(address), size, signed, site))
        }
        // Exactly these bytes: one more may be on a page that is not there.
        _ => {
            let low = if size > 4 { 4 } else { 2 };
            let rest = size.saturating_sub(low).clamp(1, 4);
            let high = load(add(address.clone(), number(low as i64), site), rest, false, site);
            let high = shift(BinaryOp::ShiftLeft, high, low * 8, site);
            let value = binary(BinaryOp::Or, load(address, low, false, site), high, site);
            extend(value, size * 8, signed, site)
        }
    }
}

/// A call of a builtin with a long result, or without one.
pub fn call(builtin: Builtin, args: Vec<Expr>, site: SiteId) -> Expr {
    long(ExprKind::Builtin(builtin, args, site))
}

/// A call of a builtin with a string result.
pub fn call_string(builtin: Builtin, args: Vec<Expr>, site: SiteId) -> Expr {
    string(ExprKind::Builtin(builtin, args, site))
}

/// `first, second`
pub fn sequence(first: Expr, second: Expr) -> Expr {
    let ty = second.ty;
    Expr { ty, kind: ExprKind::Sequence(Box::new(first), Box::new(second)) }
}
