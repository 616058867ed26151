//! Strings as JSON has them (RFC 8259, 7).

/// A string in quotes. What is not UTF-8 becomes U+FFFD.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = "\"".to_owned();
    for char in String::from_utf8_lossy(text).chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            ..' ' => quoted.push_str(&format!("\\u{:04x}", char as u32)),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_json_cannot_have_in_a_string_is_escaped() {
        assert_eq!(quoted(b"a\"b\\\n\x01\xff\xc3\xa9"), "\"a\\\"b\\\\\\n\\u0001\u{fffd}\u{e9}\"".as_bytes());
    }
}
