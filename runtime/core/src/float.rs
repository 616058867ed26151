//! Floating point of IEEE 754 doubles beyond what the processor's instructions give: remainder, rounding to integers,
//! and exact decimal text, by integer arithmetic.

use core::arch::x86_64::{_mm_cvtsd_f64, _mm_set_sd, _mm_sqrt_sd};

use crate::text::{Sink, Text};

/// Bits of the fraction in a double.
const FRACTION_BITS: u32 = 52;
const IMPLICIT: u64 = 1 << FRACTION_BITS;
/// Exponent of the smallest double: its value is `mantissa * 2^LEAST`.
const LEAST: i32 = -1074;

/// A finite double's absolute value as `mantissa * 2^exponent`.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & (IMPLICIT - 1);
    match (bits >> FRACTION_BITS & 0x7ff) as i32 {
        0 => (fraction, LEAST),
        exponent => (fraction | IMPLICIT, LEAST.wrapping_sub(1).wrapping_add(exponent)),
    }
}

/// `mantissa * 2^exponent`, which a double holds exactly, as it does each part of a remainder.
fn compose(mantissa: u64, exponent: i32) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let up = mantissa.leading_zeros().saturating_sub(63 - FRACTION_BITS) as i32;
    let up = up.min(exponent.wrapping_sub(LEAST));
    let (mantissa, exponent) = (mantissa.wrapping_shl(up as u32), exponent.wrapping_sub(up));
    if mantissa < IMPLICIT {
        return f64::from_bits(mantissa);
    }
    let biased = exponent.wrapping_sub(LEAST).wrapping_add(1) as u64;
    f64::from_bits(biased << FRACTION_BITS | (mantissa & (IMPLICIT - 1)))
}

/// Explicit leading bit and exponent of the x87's format (Intel SDM vol. 1, 4.2.2), rounded to a double.
pub(crate) fn of_x87(mantissa: u64, sign_and_exponent: u16) -> f64 {
    const BIAS: i32 = 16383 + 63;
    const SPECIAL: u16 = 0x7fff;
    let exponent = sign_and_exponent & SPECIAL;
    let absolute = match (exponent, mantissa << 1) {
        (SPECIAL, 0) => f64::INFINITY,
        (SPECIAL, _) => f64::NAN,
        _ => {
            // Both factors of a number beyond a double's range are within it, and so is the first product.
            let exponent = i32::from(exponent).saturating_sub(BIAS).clamp(-1300, 1100);
            let half = exponent.div_euclid(2);
            mantissa as f64 * power_of_two(half) * power_of_two(exponent.saturating_sub(half))
        }
    };
    if sign_and_exponent > SPECIAL { -absolute } else { absolute }
}

/// `2^exponent`, for exponents of normal doubles.
fn power_of_two(exponent: i32) -> f64 {
    let biased = exponent.saturating_add(1023).clamp(1, 2046);
    f64::from_bits(u64::from(biased.unsigned_abs()) << FRACTION_BITS)
}

/// The square root, as the processor rounds it.
pub(crate) fn square_root(value: f64) -> f64 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        let value = _mm_set_sd(value);
        _mm_cvtsd_f64(_mm_sqrt_sd(value, value))
    }
}

/// IEEE 754's remainder: `x - n * y`, `n` the integer nearest to `x / y`, the even one of two.
pub(crate) fn remainder(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() || x.is_infinite() || y == 0.0 {
        return f64::NAN;
    }
    if y.is_infinite() || x == 0.0 {
        return x;
    }
    let ((mut rest, high), (divisor, low)) = (parts(x), parts(y));
    let mut odd = false;
    let mut exponent = high;
    if high >= low {
        // Long division, one bit of the quotient a time: at most 2098.
        odd = rest.checked_div(divisor).is_some_and(|whole| whole & 1 == 1);
        rest = rest.checked_rem(divisor).unwrap_or(0);
        while exponent > low {
            exponent = exponent.wrapping_sub(1);
            rest <<= 1;
            odd = rest >= divisor;
            if odd {
                rest = rest.wrapping_sub(divisor);
            }
        }
    }
    // |x| = whole * |y| + rest * 2^exponent, and `odd` is that of `whole`.
    let (rest, divisor) = (compose(rest, exponent), f64::from_bits(y.to_bits() & !SIGN));
    let above = divisor - rest;
    let size = if rest > above || (rest == above && odd) { -above } else { rest };
    if x.is_sign_negative() { -size } else { size }
}

const SIGN: u64 = 1 << 63;

/// How a double becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    NearestEven,
    TowardsZero,
    Down,
    Up,
    NearestAway,
}

impl Rounding {
    /// By SystemTap's number of it.
    pub fn from_number(number: i64) -> Option<Rounding> {
        Some(match number {
            0 => Rounding::NearestEven,
            1 => Rounding::TowardsZero,
            2 => Rounding::Down,
            3 => Rounding::Up,
            4 => Rounding::NearestAway,
            _ => return None,
        })
    }
}

/// Rounds to an integer; too large a value gives the largest or smallest, what is no number gives 0.
pub(crate) fn to_long(value: f64, rounding: Rounding) -> i64 {
    let (mantissa, exponent) = parts(value);
    if !value.is_finite() || exponent >= 0 {
        return value as i64;
    }
    // Below 2^53: the conversion cuts exactly, and one more or less is exact too.
    let whole = value as i64;
    let shift = exponent.unsigned_abs();
    let cut = if shift < 64 { mantissa & (1u64 << shift).wrapping_sub(1) } else { mantissa };
    let half = if shift <= 64 { 1u64 << (shift.wrapping_sub(1) & 63) } else { u64::MAX };
    let away = match rounding {
        Rounding::TowardsZero => false,
        Rounding::Down => value < 0.0 && cut != 0,
        Rounding::Up => value > 0.0 && cut != 0,
        Rounding::NearestAway => cut >= half,
        Rounding::NearestEven => cut > half || (cut == half && whole & 1 == 1),
    };
    match (away, value < 0.0) {
        (false, _) => whole,
        (true, false) => whole.wrapping_add(1),
        (true, true) => whole.wrapping_sub(1),
    }
}

/// A fixed-point number with room for each double, and below for what decides how a text is rounded: limbs from the
/// least on, [`BELOW`] of them below the point.
const LIMBS: usize = BELOW + 32;
const BELOW: usize = 40;
/// Digits before the point, at most 309, and after it.
const DIGITS: usize = 310 + MOST_DECIMALS;
/// No double has more decimals that are not 0.
const MOST_DECIMALS: usize = 1074;

/// Appends a double in decimal with so many digits after the point, rounded to the nearest, of two to the even.
pub(crate) fn put_decimal(value: f64, decimals: i64, out: &mut Text<'_>) {
    if value.is_nan() {
        return Sink::put(out, b"NaN");
    }
    if value.is_sign_negative() {
        out.put(b"-");
    }
    if value.is_infinite() {
        return Sink::put(out, b"Infinity");
    }
    let decimals = u64::try_from(decimals).unwrap_or(0);
    let kept = decimals.min(MOST_DECIMALS as u64) as usize;
    let mut limbs = fixed_point(value);
    let mut digits = [b'0'; DIGITS];
    let (Some((below, above)), Some((whole, fraction))) =
        (limbs.split_at_mut_checked(BELOW), digits.split_at_mut_checked(DIGITS - MOST_DECIMALS))
    else {
        return;
    };
    for digit in whole.iter_mut().rev() {
        if above.iter().all(|&limb| limb == 0) {
            break;
        }
        *digit = b'0'.wrapping_add(divide_by_ten(above));
    }
    for digit in fraction.iter_mut().take(kept) {
        *digit = b'0'.wrapping_add(times_ten(below));
    }
    let (half, rest) = match below.split_last() {
        Some((top, lower)) => (*top, lower.iter().any(|&limb| limb != 0)),
        None => (0, false),
    };
    let end = (DIGITS - MOST_DECIMALS).saturating_add(kept);
    let Some(digits) = digits.get_mut(..end) else { return };
    let odd = digits.last().is_some_and(|digit| digit & 1 == 1);
    if half > HALF || (half == HALF && (rest || odd)) {
        count_up(digits);
    }
    let (whole, fraction) = digits.split_at_checked(DIGITS - MOST_DECIMALS).unwrap_or_default();
    let zeros = whole.iter().take(whole.len().saturating_sub(1)).take_while(|&&digit| digit == b'0').count();
    out.put(whole.get(zeros..).unwrap_or_default());
    if decimals > 0 {
        out.put(b".");
        out.put(fraction);
        out.fill(b'0', decimals.saturating_sub(kept as u64));
    }
}

/// Half of one, as the highest limb below the point.
const HALF: u32 = 1 << 31;

fn fixed_point(value: f64) -> [u32; LIMBS] {
    let (mantissa, exponent) = parts(value);
    const POINT: i32 = 32 * BELOW as i32;
    let shift = exponent.wrapping_add(POINT) as u32;
    let mut wide = u128::from(mantissa) << (shift % 32);
    let mut limbs = [0; LIMBS];
    for limb in limbs.iter_mut().skip((shift / 32) as usize).take(3) {
        *limb = wide as u32;
        wide >>= 32;
    }
    limbs
}

/// Divides in place; the remainder.
fn divide_by_ten(limbs: &mut [u32]) -> u8 {
    divide_by_ten_with(limbs, 0)
}

/// The same with a digit above the highest limb.
fn divide_by_ten_with(limbs: &mut [u32], digit: u64) -> u8 {
    let mut rest = digit;
    for limb in limbs.iter_mut().rev() {
        let value = rest << 32 | u64::from(*limb);
        *limb = (value / 10) as u32;
        rest = value % 10;
    }
    rest as u8
}

/// Multiplies in place; what leaves at the top.
fn times_ten(limbs: &mut [u32]) -> u8 {
    times_ten_plus(limbs, 0)
}

/// The same and adds a digit.
fn times_ten_plus(limbs: &mut [u32], digit: u64) -> u8 {
    let mut carry = digit;
    for limb in limbs {
        let value = u64::from(*limb).wrapping_mul(10).wrapping_add(carry);
        *limb = value as u32;
        carry = value >> 32;
    }
    carry as u8
}

fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit = digit.wrapping_add(1);
            return;
        }
        *digit = b'0';
    }
}

/// The double that a text is: decimal digits with sign, point and exponent; blanks around it do not matter. Rounded to
/// the nearest, of two to the even.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    let (sign, text) = match text.split_first() {
        Some((b'-', rest)) => (SIGN, rest),
        Some((b'+', rest)) => (0, rest),
        _ => (0, text),
    };
    let end = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (number, exponent) = match end.and_then(|end| text.split_at_checked(end)) {
        Some((number, [_, digits @ ..])) => (number, power(digits)?),
        _ => (text, 0),
    };
    let point = number.iter().position(|&byte| byte == b'.').unwrap_or(number.len());
    let (whole, fraction) = number.split_at_checked(point)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if !is_number(whole) || !is_number(fraction) || whole.len().saturating_add(fraction.len()) == 0 {
        return None;
    }
    Some(f64::from_bits(sign | magnitude(whole, fraction, exponent)))
}

/// Decimal exponents beyond this, and the digits, make no difference.
const MOST_POWER: i64 = 1 << 12;

/// An exponent; a huge one is as good as a large one.
fn power(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?);
        value = value.wrapping_mul(10).wrapping_add(digit).min(MOST_POWER);
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// The bits of a number without sign: its fixed-point form, rounded. Decimals are added from the last on, which is
/// exact for all that end in binary too, and so for every tie.
fn magnitude(whole: &[u8], fraction: &[u8], exponent: i64) -> u64 {
    let digits = || whole.iter().chain(fraction).map(|digit| u64::from(digit.wrapping_sub(b'0')));
    let point = (whole.len() as i64).saturating_add(exponent);
    let (before, zeros) = (usize::try_from(point).unwrap_or(0), point.min(0).unsigned_abs());
    let mut limbs = [0u32; LIMBS];
    let Some((below, above)) = limbs.split_at_mut_checked(BELOW) else { return 0 };
    for digit in digits().chain(core::iter::repeat(0)).take(before) {
        if times_ten_plus(above, digit) != 0 {
            return INFINITY;
        }
    }
    let after = whole.len().saturating_add(fraction.len()).saturating_sub(before);
    for digit in digits().rev().take(after) {
        divide_by_ten_with(below, digit);
    }
    for _ in 0..zeros.min(MOST_POWER as u64) {
        divide_by_ten_with(below, 0);
    }
    rounded(&limbs)
}

const INFINITY: u64 = 0x7ff << FRACTION_BITS;

/// The bits of the double nearest to a fixed-point number.
fn rounded(limbs: &[u32; LIMBS]) -> u64 {
    let Some(top) = limbs.iter().rposition(|&limb| limb != 0) else { return 0 };
    let bits = limbs.get(top).map_or(0, |limb| 32u32.wrapping_sub(limb.leading_zeros()));
    // Number of the bit that becomes the last one of the fraction.
    const LOWEST: u32 = (32 * BELOW as i32 + LEAST) as u32;
    let last = (top as u32).wrapping_mul(32).wrapping_add(bits).saturating_sub(FRACTION_BITS + 1).max(LOWEST);
    let (limb, shift) = ((last / 32) as usize, last % 32);
    let at = |index: usize| u128::from(limbs.get(index).copied().unwrap_or(0));
    let window = at(limb) | at(limb.wrapping_add(1)) << 32 | at(limb.wrapping_add(2)) << 64;
    let mantissa = (window >> shift) as u64;
    let half = last.wrapping_sub(1);
    let is_set = limbs.get((half / 32) as usize).is_some_and(|limb| limb >> (half % 32) & 1 == 1);
    let under =
        limbs.get((half / 32) as usize).is_some_and(|limb| limb & (1u32 << (half % 32)).wrapping_sub(1) != 0);
    let rest = under || limbs.iter().take((half / 32) as usize).any(|&limb| limb != 0);
    let up = is_set && (rest || mantissa & 1 == 1);
    let exponent = u64::from(last.wrapping_sub(LOWEST));
    (exponent << FRACTION_BITS).wrapping_add(mantissa).wrapping_add(u64::from(up)).min(INFINITY)
}

#[cfg(test)]
#[path = "float_tests.rs"]
mod tests;
