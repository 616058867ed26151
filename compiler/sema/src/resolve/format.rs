//! The format of `printf` (stap language reference, "General printf syntax").

use rstap_abi::format::{FROM_ARGUMENT, UNSET, conversion, flag};

use crate::ir::Directive;

/// Largest width and precision.
const MAX_NUMBER: u32 = 65_535;

/// What is wrong with a format: a text for the message.
#[derive(Debug, PartialEq, Eq)]
pub struct BadFormat(pub String);

/// The steps of a format.
pub fn parse(text: &[u8]) -> Result<Vec<Directive>, BadFormat> {
    let mut directives = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [b'%', tail @ ..]) => {
                literal.push(b'%');
                rest = tail;
            }
            (b'%', _) => {
                if !literal.is_empty() {
                    directives.push(Directive::Literal(std::mem::take(&mut literal)));
                }
                directives.push(conversion_of(&mut rest)?);
            }
            _ => literal.push(*first),
        }
    }
    if !literal.is_empty() {
        directives.push(Directive::Literal(literal));
    }
    Ok(directives)
}

fn conversion_of(rest: &mut &[u8]) -> Result<Directive, BadFormat> {
    let start = *rest;
    let flags = flags(rest);
    let width = number(rest, UNSET)?;
    let precision = if rest.first() == Some(&b'.') {
        *rest = &rest[1..];
        number(rest, 0)?
    } else {
        UNSET
    };
    while let [b'l' | b'h' | b'L', tail @ ..] = rest {
        *rest = tail;
    }
    let conversion = match rest.first() {
        Some(b'd' | b'i') => conversion::SIGNED,
        Some(b'u') => conversion::UNSIGNED,
        Some(b'x') => conversion::HEX,
        Some(b'X') => conversion::HEX_UPPER,
        Some(b'o') => conversion::OCTAL,
        Some(b'c') => conversion::CHAR,
        Some(b's') => conversion::STRING,
        Some(b'p') => conversion::POINTER,
        Some(b'b') => conversion::BINARY,
        Some(b'm') => conversion::MEMORY,
        Some(b'M') => conversion::MEMORY_HEX,
        _ => {
            let read = start.len() - rest.len() + usize::from(!rest.is_empty());
            return Err(BadFormat(format!("'%{}'", String::from_utf8_lossy(&start[..read]))));
        }
    };
    *rest = &rest[1..];
    Ok(Directive::Conversion { conversion, flags, width, precision })
}

fn flags(rest: &mut &[u8]) -> u8 {
    let mut flags = 0;
    while let [first, tail @ ..] = rest {
        flags |= match first {
            b'-' => flag::LEFT,
            b'+' => flag::PLUS,
            b' ' => flag::SPACE,
            b'#' => flag::ALTERNATE,
            b'0' => flag::ZERO,
            _ => break,
        };
        *rest = tail;
    }
    flags
}

fn number(rest: &mut &[u8], absent: i32) -> Result<i32, BadFormat> {
    if let [b'*', tail @ ..] = rest {
        *rest = tail;
        return Ok(FROM_ARGUMENT);
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return Ok(absent);
    }
    let (number, tail) = rest.split_at(digits);
    *rest = tail;
    let text = String::from_utf8_lossy(number);
    match text.parse::<u32>() {
        Ok(n) if n <= MAX_NUMBER => Ok(n as i32),
        _ => Err(BadFormat(format!("the number {text} (at most {MAX_NUMBER})"))),
    }
}

/// What each argument of a format has to be: `true` for a string.
pub fn arguments(directives: &[Directive]) -> Vec<bool> {
    let mut arguments = Vec::new();
    for directive in directives {
        if let Directive::Conversion { conversion, width, precision, .. } = directive {
            arguments.extend([*width, *precision].iter().filter(|&&n| n == FROM_ARGUMENT).map(|_| false));
            arguments.push(*conversion == conversion::STRING);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let plain =
            |conversion| Directive::Conversion { conversion, flags: 0, width: UNSET, precision: UNSET };
        assert_eq!(
            parse(b"a%%b%d%s").unwrap(),
            [Directive::Literal(b"a%b".to_vec()), plain(conversion::SIGNED), plain(conversion::STRING)]
        );
        let format = parse(b"%-*.3lx").unwrap();
        let expected = Directive::Conversion {
            conversion: conversion::HEX,
            flags: flag::LEFT,
            width: FROM_ARGUMENT,
            precision: 3,
        };
        assert_eq!(format, [expected]);
        assert_eq!(arguments(&parse(b"%*d%s%%").unwrap()), [false, false, true]);
    }

    #[test]
    fn what_is_no_directive_is_refused() {
        assert_eq!(parse(b"%y").unwrap_err(), BadFormat("'%y'".into()));
        assert_eq!(parse(b"x%5%").unwrap_err(), BadFormat("'%5%'".into()));
        assert_eq!(parse(b"%").unwrap_err(), BadFormat("'%'".into()));
        assert!(parse(b"%n").is_err());
        assert!(parse(b"%99999999999d").is_err());
    }
}
