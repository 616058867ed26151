//! String functions against what SystemTap printed.

use std::string::String;

use super::*;

fn text(room: usize, write: impl FnOnce(&mut Text<'_>)) -> String {
    let mut memory = std::vec![0; room];
    let mut text = Text::new(&mut memory);
    write(&mut text);
    String::from_utf8(text.as_bytes().to_vec()).expect("test data is text")
}

fn strn(s: &str, max: i64, quoted: bool) -> String {
    text(511, |out| text_strn(s.as_bytes(), max, quoted, out))
}

#[test]
fn substr_is_empty_outside() {
    let cases: [(i64, i64, &str); 9] = [
        (0, 3, "abc"),
        (2, 99, "cdef"),
        (6, 1, ""),
        (9, 1, ""),
        (-1, 2, ""),
        (2, 0, ""),
        (2, -1, ""),
        (i64::MAX, 1, ""),
        (1, i64::MAX, "bcdef"),
    ];
    for (start, length, expected) in cases {
        assert_eq!(substr(b"abcdef", start, length), expected.as_bytes(), "{start} {length}");
    }
}

#[test]
fn bytes_are_signed() {
    assert_eq!(stringat(b"abc", 2), Some(99));
    assert_eq!(stringat(b"\xc3", 0), Some(-61));
    assert_eq!(stringat(b"abc", 3), None);
    assert_eq!(stringat(b"abc", -1), None);
}

#[test]
fn positions() {
    let cases = [
        ("hello", "l", 2),
        ("hello", "z", -1),
        ("hello", "", 0),
        ("", "a", -1),
        ("", "", 0),
        ("ab", "abc", -1),
    ];
    for (s, find, expected) in cases {
        assert_eq!(strpos(s.as_bytes(), find.as_bytes()), expected, "{s} {find}");
    }
}

#[test]
fn replacements() {
    let replace = |room, s: &str, old: &str, new: &str| {
        text(room, |out| str_replace(s.as_bytes(), old.as_bytes(), new.as_bytes(), out))
    };
    assert_eq!(replace(99, "aaaa", "aa", "b"), "bb");
    assert_eq!(replace(99, "abc", "x", "y"), "abc");
    assert_eq!(replace(99, "abc", "b", ""), "ac");
    assert_eq!(replace(99, "a.b.c", ".", "--"), "a--b--c");
    assert_eq!(replace(99, "abc", "", "-"), "abc");
    assert_eq!(replace(15, "aaaaaaaaaa", "a", "xyz"), "xyzxyzxyzxyzxyz");
}

#[test]
fn numbers_from_text() {
    let cases: [(&str, i64, i64); 21] = [
        ("42", 10, 42),
        ("-42", 10, -42),
        ("  7", 10, 7),
        ("12ab", 10, 12),
        ("ab", 10, 0),
        ("", 10, 0),
        ("0x1f", 16, 31),
        ("1f", 16, 31),
        ("0x1f", 0, 31),
        ("017", 0, 15),
        ("017", 8, 15),
        ("101", 2, 5),
        ("zz", 36, 1295),
        ("99999999999999999999", 10, i64::MAX),
        ("-99999999999999999999", 10, i64::MIN),
        ("-9223372036854775808", 10, i64::MIN),
        ("9223372036854775808", 10, i64::MAX),
        ("+5", 10, 5),
        ("11", 1, 0),
        ("11", 37, 0),
        ("11", -1, 0),
    ];
    for (s, base, expected) in cases {
        assert_eq!(strtol(s.as_bytes(), base), expected, "{s} in base {base}");
    }
}

#[test]
fn isdigit_answers_as_c_does() {
    assert_eq!([b"5".as_slice(), b"a", b"", b"5a", b"a5"].map(isdigit), [2048, 0, 0, 2048, 0]);
}

#[test]
fn tokens_skip_runs_of_delimiters() {
    let all = b",a,,b;c,";
    let mut at = 0;
    let mut tokens = String::new();
    for _ in 0..5 {
        let (token, used) = token(&all[at..], b",;");
        at += used;
        tokens += &std::format!("<{}>", core::str::from_utf8(token).expect("test data is text"));
    }
    assert_eq!(tokens, "<a><b><c><><>");
}

#[test]
fn text_strn_escapes_and_cuts() {
    assert_eq!(strn("abcdef", 3, false), "abc");
    assert_eq!(strn("abcdef", 3, true), "\"\"...");
    assert_eq!(strn("abc", 3, true), "\"abc\"");
    assert_eq!(strn("abc", 0, true), "\"abc\"");
    assert_eq!(strn("abc", 99, false), "abc");
    assert_eq!(strn("a\nb", 3, true), "\"\"...");
    assert_eq!(strn("abc", -1, true), "\"abc\"");
    assert_eq!(strn("fine", 2, true), "\"...");
    assert_eq!(strn("a\0\0b\x001", 0, true), r#""a\0\0b\0\061""#);
    assert_eq!(strn("a\tb\n\"q\" \\ \u{1}\u{1b}\u{7f}", 0, false), r#"a\tb\n\"q\" \\ \001\033\177"#);
}

#[test]
fn string_quoted_fits_into_maxstringlen() {
    let quoted = |s: &str| text(15, |out| text_strn(s.as_bytes(), 0, true, out));
    assert_eq!(quoted("a\t\"\\\n"), r#""a\t\"\\\n""#);
    assert_eq!(quoted("abcdefghijklmnopqrst"), r#""abcdefghij"..."#);
    assert_eq!(quoted("\u{1}\u{2}\u{3}\u{4}\u{5}"), r#""\001\002"..."#);
}
