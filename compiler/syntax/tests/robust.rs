//! Pass 1 on large texts that no one would write: it answers after a number of steps that is linear in their length,
//! without a panic, however deep they nest.

mod common;

use common::{most_steps, parse_text};
use rstap_syntax::diagnostic::render;

/// Parses a text that repeats a piece, in a linear number of steps.
fn check_repeated(before: &str, piece: &str, kilobytes: usize) -> String {
    let text = before.to_owned() + &piece.repeat(kilobytes * 1000 / piece.len());
    let (sources, parsed) = parse_text(&text);
    let shown = render(&sources, &parsed.diagnostics, false);
    assert!(parsed.steps <= most_steps(&text), "{before:?} and many {piece:?} took {} steps", parsed.steps);
    assert!(shown.len() < 20_000, "{before:?} and many {piece:?} say too much: {} bytes", shown.len());
    shown
}

#[test]
fn a_text_of_twice_the_length_takes_twice_the_steps() {
    let numbered = |piece: &str, count: usize| -> String {
        (0..count).map(|number| piece.replace('#', &format!("{number:06}"))).collect()
    };
    for (before, piece, after) in [
        ("probe begin { ", "x++; ", "}"),
        ("probe begin { x = ", "\"a\" ", "}"),
        ("probe begin { println(\"", "abcdefgh", "\") }"),
        ("probe begin { f(1", ", 1", ") }"),
        ("probe begin { ", "try { x++ } catch { } ", "}"),
        ("", "probe begin { x++ }\n", ""),
        ("probe begin", ", end", " { x++ }"),
        ("probe a", ".b", " { x++ }"),
        ("probe a.{b,c}.{d,e}", ".b", " { x++ }"),
        ("", "function f#(a) { return a }\n", ""),
        ("", "global g#\n", ""),
        ("", "@define m# %( 1 %)\n", "probe begin { }"),
        ("@define m %( x++; %) probe begin {", " @m", "}"),
        ("@define m(a) %( @a++; %) probe begin {", " @m(x)", "}"),
        ("@define m(a) %( @a %) probe begin { @m(", "x++; ", ") }"),
        ("@define m(a) %( @a %) probe begin { @m(@m(@m(@m(", "x++; ", ")))) }"),
    ] {
        let steps = |count| {
            let text = format!("{before}{}{after}", numbered(piece, count));
            let (sources, parsed) = parse_text(&text);
            assert!(parsed.diagnostics.is_empty(), "{}", render(&sources, &parsed.diagnostics, false));
            parsed.steps
        };
        let (once, twice) = (steps(2000), steps(4000));
        assert!(twice <= 2 * once, "{before} {piece} {after}: {once} steps, twice as many pieces {twice}");
    }
}

#[test]
fn large_texts_are_read_whole() {
    let text = format!("probe begin {{ println(\"{}\") }}", "x".repeat(1 << 20));
    assert!(parse_text(&text).1.diagnostics.is_empty());
    let text = "probe begin { exit() }\n".repeat(100_000);
    let (_, parsed) = parse_text(&text);
    assert!(parsed.diagnostics.is_empty());
    assert_eq!(parsed.file.items.len(), 100_000);
}

#[test]
fn deep_nesting_is_one_clear_error() {
    for piece in [
        "(",
        "{",
        "[",
        "- ",
        "! ",
        "~",
        "1 + ",
        "a = ",
        "a ? b : ",
        "if (1) ",
        "while (1) ",
        "f(",
        "a[",
        "(b + ",
    ] {
        let shown = check_repeated("probe begin { ", piece, 500);
        assert_eq!(shown.matches("error[").count(), 1, "{piece}: {shown}");
        assert!(shown.contains("nesting too deep"), "{piece}: {shown}");
    }
    for before in ["", "probe begin "] {
        for piece in ["(", "<"] {
            let shown = check_repeated(before, piece, 10_000);
            assert_eq!(shown.matches("error[").count(), 1, "{before} {piece}: {shown}");
        }
    }
}

#[test]
fn else_if_chains_may_be_long_but_not_endless() {
    let chain =
        |arms: usize| format!("probe begin {{ if (a) {{ }} {} }}", "else if (a) { b = 1 } ".repeat(arms));
    assert!(parse_text(&chain(300)).1.diagnostics.is_empty());
    let shown = check_repeated("probe begin { if (a) { }", " else if (a) { }", 1000);
    assert!(shown.contains("nesting too deep"), "{shown}");
}

#[test]
fn many_statements_nest_no_deeper() {
    let body = "x = !y; if (a) b++ else c--\n while (a) { } -x; a[1] = f(2) !q ~q delete a[1] \n";
    let text = format!("probe begin {{ {} }}", body.repeat(2000));
    let (sources, parsed) = parse_text(&text);
    assert!(parsed.diagnostics.is_empty(), "{}", render(&sources, &parsed.diagnostics, false));
}

#[test]
fn junk_costs_linear_time() {
    for piece in
        ["\0", "`", ")", "}", "]", "= ", ", ", "else ", ": ", "= , ", "\"", "%( ", "%) ", "%{", "/* ", "@x "]
    {
        check_repeated("probe begin { ", piece, 200);
        check_repeated("", piece, 200);
        check_repeated(&format!("probe begin {{ {}", "if (a) {".repeat(200)), piece, 200);
    }
}

#[test]
fn macros_cannot_explode() {
    for (base, levels) in [("1 + 1 +", 60), ("x++;", 190), ("", 190), ("%( 1 == 1 %? x++; %: y++; %)", 60)] {
        let mut text = format!("@define m0 %( {base} %)\n");
        for level in 1..levels {
            let below = level - 1;
            text += &format!("@define m{level} %( @m{below} @m{below} %)\n");
        }
        text += &format!("probe begin {{ @m{} 1 }}", levels - 1);
        check_explosion(&text);
    }
    let doubled =
        format!("@define m(a) %( @a @a %) probe begin {{ {}x++;{} }}", "@m(".repeat(190), ")".repeat(190));
    check_explosion(&doubled);
    let nested = "@m(".repeat(1_000_000);
    check_repeated(&format!("@define m(x) %( @x %) probe begin {{ {nested}"), " ", 1000);
    let names: Vec<String> = (0..50_000).map(|number| format!("p{number}")).collect();
    let text = format!("@define m({}) %( @{} %) probe begin {{ }}", names.join(","), names.join(" @"));
    check_explosion(&text);
}

/// The text is answered with one error.
fn check_explosion(text: &str) {
    let (sources, parsed) = parse_text(text);
    let shown = render(&sources, &parsed.diagnostics, false);
    assert_eq!(shown.matches("error[").count(), 1, "{shown}");
    assert!(parsed.steps <= most_steps(text), "{} steps", parsed.steps);
}

#[test]
fn alternatives_cannot_explode() {
    let text = format!("probe a{} {{ }}", ".{b,c}".repeat(40));
    let (sources, parsed) = parse_text(&text);
    let shown = render(&sources, &parsed.diagnostics, false);
    assert!(shown.contains("too many alternatives"), "{shown}");
}
