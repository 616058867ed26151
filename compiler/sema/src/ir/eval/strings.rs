//! Builtins that are functions of their arguments alone.

use rstap_abi::builtins::Builtin;
use rstap_abi::fault::Fault;

use super::{Failure, Value};

/// Calls a builtin; `None` if it is none of these.
pub(super) fn call(builtin: Builtin, args: &[Value]) -> Option<Result<Value, Failure>> {
    let text = |index: usize| args[index].text();
    let long = |index: usize| args[index].long();
    Some(Ok(match builtin {
        Builtin::raise => return Some(Err(failure(Fault::Raised, text(0)))),
        Builtin::abort => return Some(Err(Failure::new(Fault::Abort))),
        Builtin::concat => Value::Str([text(0), text(1)].concat()),
        Builtin::copy => Value::Str(text(0).to_vec()),
        Builtin::compare => Value::Long(text(0).cmp(text(1)) as i64),
        Builtin::strlen => Value::Long(text(0).len() as i64),
        Builtin::substr => Value::Str(substr(text(0), long(1), long(2)).to_vec()),
        Builtin::stringat => match usize::try_from(long(1)).ok().and_then(|index| text(0).get(index)) {
            // A `char` of C on this architecture.
            Some(byte) => Value::Long(i64::from(byte.cast_signed())),
            None => return Some(Err(failure(Fault::BadArgument, b"Position out of bounds"))),
        },
        Builtin::strpos => Value::Long(find(text(0), text(1)).map_or(-1, |at| at as i64)),
        Builtin::str_replace => Value::Str(replace(text(0), text(1), text(2))),
        // What the C library's character table says of digits.
        Builtin::isdigit => {
            Value::Long(if text(0).first().is_some_and(u8::is_ascii_digit) { 2048 } else { 0 })
        }
        _ => return None,
    }))
}

fn failure(fault: Fault, message: &[u8]) -> Failure {
    Failure { message: message.to_vec(), ..Failure::new(fault) }
}

fn substr(text: &[u8], start: i64, len: i64) -> &[u8] {
    let (Ok(start), Ok(len)) = (usize::try_from(start), usize::try_from(len)) else { return &[] };
    let rest = text.get(start..).unwrap_or(&[]);
    &rest[..rest.len().min(len)]
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    (0..=text.len().checked_sub(wanted.len())?).find(|at| text[*at..].starts_with(wanted))
}

fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = text;
    while !old.is_empty()
        && let Some(at) = find(rest, old)
    {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    result.extend_from_slice(rest);
    result
}
