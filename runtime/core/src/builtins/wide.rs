//! Integers of 128 bits as text. Divides limb by limb: the routines that compilers call for such divisions are not
//! there in a target.

use crate::call::Call;
use crate::env::Env;
use crate::text::Text;

/// Decimal digits of 2^128, with a sign.
const MOST_DIGITS: usize = 40;

impl<E: Env> Call<'_, E> {
    /// The number whose halves are `low` and `high`.
    pub fn wide_text(&mut self, low: i64, high: i64, signed: i64, out: &mut Text<'_>) {
        let value = u128::from(high as u64).wrapping_shl(64) | u128::from(low as u64);
        let negative = signed != 0 && high < 0;
        let mut rest = if negative { value.wrapping_neg() } else { value };
        let mut digits = [0; MOST_DIGITS];
        let mut free = digits.len();
        loop {
            let digit;
            (rest, digit) = divide_by_ten(rest);
            free = free.saturating_sub(1);
            if let Some(place) = digits.get_mut(free) {
                *place = b'0'.wrapping_add(digit);
            }
            if rest == 0 {
                break;
            }
        }
        if negative {
            free = free.saturating_sub(1);
            if let Some(place) = digits.get_mut(free) {
                *place = b'-';
            }
        }
        out.put(digits.get(free..).unwrap_or_default());
    }
}

/// The quotient and the remainder.
fn divide_by_ten(value: u128) -> (u128, u8) {
    let mut quotient = 0u128;
    let mut remainder = 0u64;
    for shift in [96, 64, 32, 0] {
        let limb = value.wrapping_shr(shift) as u32;
        let part = remainder.wrapping_shl(32) | u64::from(limb);
        quotient |= u128::from(part / 10).wrapping_shl(shift);
        remainder = part % 10;
    }
    (quotient, remainder as u8)
}
