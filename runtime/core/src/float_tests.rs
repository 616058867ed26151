//! Against the standard library, on numbers of all sizes.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::*;

/// Doubles of all sizes: edges, and bits at random.
fn samples() -> Vec<f64> {
    let mut samples = vec![
        0.0,
        -0.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        0.125,
        0.375,
        9.995,
        0.05,
        1e-7,
        999.9999,
        5e-324,
        2.2250738585072014e-308,
        f64::MAX,
        f64::MIN,
        4503599627370495.5,
        9007199254740993.0,
        1e22,
        -7.25,
        0.1,
        9223372036854775807.0,
        1e300,
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for index in 0..3000u64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        samples.push(f64::from_bits(state));
        samples.push((state as i64 >> (index % 60)) as f64 / 64.0);
    }
    samples.retain(|value| value.is_finite());
    samples
}

fn decimal(value: f64, decimals: i64) -> String {
    let mut memory = [0; 4096];
    let mut text = Text::new(&mut memory);
    put_decimal(value, decimals, &mut text);
    String::from_utf8(text.as_bytes().to_vec()).expect("digits")
}

#[test]
fn decimals_are_exact_and_rounded_to_even() {
    for value in samples() {
        for decimals in [0, 1, 2, 3, 17, 40] {
            assert_eq!(decimal(value, decimals), format!("{value:.*}", decimals as usize), "{value:e}");
        }
    }
    assert_eq!(decimal(5e-324, 1074), format!("{:.1074}", 5e-324));
    assert_eq!(decimal(0.5, 1200), format!("{:.1200}", 0.5));
    assert_eq!(decimal(-3.999, 2), "-4.00");
    assert_eq!(decimal(1.5, -3), "2");
    assert_eq!(
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(|v| decimal(v, 2)),
        ["Infinity", "-Infinity", "NaN"]
    );
}

#[test]
fn rounding_is_that_of_the_library() {
    for value in samples() {
        let pairs = [
            (Rounding::NearestEven, value.round_ties_even()),
            (Rounding::TowardsZero, value.trunc()),
            (Rounding::Down, value.floor()),
            (Rounding::Up, value.ceil()),
            (Rounding::NearestAway, value.round()),
        ];
        for (rounding, expected) in pairs {
            assert_eq!(to_long(value, rounding), expected as i64, "{value:e} {rounding:?}");
        }
    }
    assert_eq!([f64::INFINITY, f64::NAN].map(|v| to_long(v, Rounding::Down)), [i64::MAX, 0]);
}

/// By the definition, on numbers small enough to be exact.
#[test]
fn remainders_are_to_the_nearest() {
    for x in -60i32..60 {
        for y in (-12i32..12).filter(|&y| y != 0) {
            let (x, y) = (f64::from(x) / 4.0, f64::from(y) / 4.0);
            let expected = x - (x / y).round_ties_even() * y;
            assert_eq!(remainder(x, y), expected, "{x} {y}");
        }
    }
    assert_eq!(remainder(1e300, 3.0), {
        let r = 1e300 % 3.0;
        if r > 1.5 { r - 3.0 } else { r }
    });
    assert_eq!(remainder(5e-324, f64::MAX), 5e-324);
    assert_eq!(remainder(f64::MAX, 5e-324), 0.0);
    assert_eq!(remainder(3.0, f64::INFINITY), 3.0);
    assert!(remainder(-0.0, 1.0).is_sign_negative());
    assert!([remainder(1.0, 0.0), remainder(f64::INFINITY, 1.0)].iter().all(|r| r.is_nan()));
}

#[test]
fn texts_are_read() {
    for value in samples() {
        for text in [format!("{value}"), format!("{value:e}"), format!("{value:.3}"), format!("{value:.25e}")]
        {
            let expected: f64 = text.parse().expect("a number");
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
    }
    for text in [
        " -0.25 ",
        "1E+3",
        ".5",
        "5.",
        "1e400",
        "-1e-400",
        "9007199254740993",
        "2.4703282292062328e-324",
        "0e99999999999999999999",
    ] {
        let expected: f64 = text.trim().parse().expect("a number");
        assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()), "{text}");
    }
    assert!(
        ["", "abc", "2.5x", "1e", ".", "-", "1e+", "1.2.3", "e5"]
            .iter()
            .all(|text| parse(text.as_bytes()).is_none())
    );
}
