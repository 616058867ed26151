//! Floating point by the standard library: a long is the bits of a double.

use rstap_abi::builtins::Builtin;
use rstap_abi::fault::Fault;

use super::{Failure, Value};

/// Calls a builtin; `None` if it is none of these.
pub(super) fn call(builtin: Builtin, args: &[Value]) -> Option<Result<Value, Failure>> {
    let double = |index: usize| f64::from_bits(args[index].long() as u64);
    let value = match builtin {
        Builtin::fp_add => double(0) + double(1),
        Builtin::fp_sub => double(0) - double(1),
        Builtin::fp_mul => double(0) * double(1),
        Builtin::fp_div => double(0) / double(1),
        Builtin::fp_rem => remainder(double(0), double(1)),
        Builtin::fp_sqrt => double(0).sqrt(),
        Builtin::fp32_to_fp64 => f64::from(f32::from_bits(args[0].long() as u32)),
        Builtin::fp64_to_fp32 => {
            return Some(Ok(Value::Long((double(0) as f32).to_bits().into())));
        }
        Builtin::long_to_fp => args[0].long() as f64,
        Builtin::string_to_fp => {
            let text = String::from_utf8_lossy(args[0].text().trim_ascii()).into_owned();
            match text.parse() {
                // The names of infinity and of no number are not taken.
                Ok(value) if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') => value,
                _ => return Some(Err(bad("invalid format".to_owned()))),
            }
        }
        Builtin::fp_eq => return truth(double(0) == double(1)),
        Builtin::fp_lt => return truth(double(0) < double(1)),
        Builtin::fp_le => return truth(double(0) <= double(1)),
        Builtin::fp_to_long => {
            let rounded = match args[1].long() {
                0 => double(0).round_ties_even(),
                1 => double(0).trunc(),
                2 => double(0).floor(),
                3 => double(0).ceil(),
                4 => double(0).round(),
                other => return Some(Err(bad(format!("unknown rounding mode {other}")))),
            };
            return Some(Ok(Value::Long(rounded as i64)));
        }
        Builtin::fp_to_string => {
            let decimals = usize::try_from(args[1].long()).unwrap_or(0).min(1 << 12);
            let text = match double(0) {
                value if value.is_nan() => "NaN".to_owned(),
                value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
                value => format!("{value:.decimals$}"),
            };
            return Some(Ok(Value::Str(text.into_bytes())));
        }
        _ => return None,
    };
    Some(Ok(Value::Long(value.to_bits() as i64)))
}

fn truth(value: bool) -> Option<Result<Value, Failure>> {
    Some(Ok(Value::Long(i64::from(value))))
}

fn bad(message: String) -> Failure {
    Failure { message: message.into_bytes(), ..Failure::new(Fault::BadArgument) }
}

/// IEEE 754's, from C's: `x % 2y` is exact, and at most two subtractions are left.
fn remainder(x: f64, y: f64) -> f64 {
    let y = y.abs();
    if y.is_infinite() && x.is_finite() {
        return x;
    }
    let mut rest = if y <= f64::MAX / 2.0 { x % (y + y) } else { x }.abs();
    if rest.is_nan() || y == 0.0 {
        return f64::NAN;
    }
    if rest > y - rest {
        rest -= y;
        if rest >= y - rest {
            rest -= y;
        }
    }
    if x.is_sign_negative() { -rest } else { rest }
}
