//! Constants are folded while the tree is built, so that a branch nobody can reach is never looked into.

use rstap_syntax::ast::{BinaryOp, UnaryOp};

use crate::hir::{Expr, ExprKind};

/// The value of a unary operator on a constant.
pub fn unary(op: UnaryOp, operand: &Expr) -> Option<i64> {
    let ExprKind::Long(a) = operand.kind else { return None };
    Some(match op {
        UnaryOp::Negate => a.wrapping_neg(),
        UnaryOp::Plus => a,
        UnaryOp::Not => i64::from(a == 0),
        UnaryOp::Complement => !a,
    })
}

/// The value of an operator on two constants; none for a division by zero, which is an error at run time.
pub fn binary(op: BinaryOp, left: &Expr, right: &Expr) -> Option<ExprKind> {
    match (&left.kind, &right.kind) {
        (&ExprKind::Long(a), &ExprKind::Long(b)) => longs(op, a, b).map(ExprKind::Long),
        (ExprKind::Str(a), ExprKind::Str(b)) => strings(op, a, b),
        (&ExprKind::Long(0), _) if op == BinaryOp::And => Some(ExprKind::Long(0)),
        (&ExprKind::Long(a), _) if op == BinaryOp::Or && a != 0 => Some(ExprKind::Long(1)),
        _ => None,
    }
}

fn longs(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    let shift = b as u32 & 63;
    Some(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div if b != 0 => a.wrapping_div(b),
        BinaryOp::Mod if b != 0 => a.wrapping_rem(b),
        BinaryOp::Div | BinaryOp::Mod | BinaryOp::Concat => return None,
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        BinaryOp::ShiftLeft => a.wrapping_shl(shift),
        BinaryOp::ShiftRight => a.wrapping_shr(shift),
        BinaryOp::UnsignedShiftRight => (a as u64).wrapping_shr(shift) as i64,
        BinaryOp::And => i64::from(a != 0 && b != 0),
        BinaryOp::Or => i64::from(a != 0 || b != 0),
        BinaryOp::Eq => i64::from(a == b),
        BinaryOp::Ne => i64::from(a != b),
        BinaryOp::Lt => i64::from(a < b),
        BinaryOp::Le => i64::from(a <= b),
        BinaryOp::Gt => i64::from(a > b),
        BinaryOp::Ge => i64::from(a >= b),
    })
}

fn strings(op: BinaryOp, a: &[u8], b: &[u8]) -> Option<ExprKind> {
    Some(ExprKind::Long(i64::from(match op {
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Lt => a < b,
        BinaryOp::Le => a <= b,
        BinaryOp::Gt => a > b,
        BinaryOp::Ge => a >= b,
        _ => return None,
    })))
}
