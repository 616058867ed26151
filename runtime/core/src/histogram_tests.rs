//! The pictures are those that SystemTap draws.

use std::string::String;
use std::vec::Vec;

use rstap_abi::layout::{GlobalShape, Histogram, StatShape, VALUE};
use rstap_abi::limits::Limits;

use super::*;
use crate::testing::Bench;
use crate::text::Text;

fn linear(start: i64, stop: i64, interval: i64) -> Histogram {
    Histogram::Linear { start, stop, interval }
}

fn picture(histogram: Histogram, values: impl IntoIterator<Item = i64>) -> String {
    let bench =
        Bench::new(&[GlobalShape::Stat(StatShape { histogram, ..StatShape::default() })], Limits::DEFAULT);
    let stat = Stat::at(&bench.arena(), bench.globals[0] + VALUE);
    values.into_iter().for_each(|value| stat.add(value).expect("the arena is whole"));
    let mut memory = std::vec![0; 1 << 16];
    let mut text = Text::new(&mut memory);
    draw(&stat, &mut text).expect("it is not empty");
    String::from_utf8(text.as_bytes().to_vec()).expect("it is text")
}

/// Labels of the rows, and the line after the last.
fn labels(picture: &str) -> Vec<&str> {
    picture.lines().skip(1).map(|line| line.split('|').next().unwrap_or_default().trim_end()).collect()
}

#[test]
fn small_counts() {
    let expected = "\
value |-------------------------------------------------- count
    0 |@@                                                 2
    1 |@                                                  1
    2 |                                                   0
    4 |                                                   0

";
    assert_eq!(picture(Histogram::Log, [0, 0, 1]), expected);
}

#[test]
fn large_counts_are_scaled() {
    let values = core::iter::repeat_n(3, 123_456).chain([9]);
    let picture = picture(Histogram::Log, values);
    let row = std::format!("    2 |{}  123456", "@".repeat(49));
    assert_eq!(picture.lines().nth(3), Some(row.as_str()));
    assert_eq!(picture.lines().nth(1), Some(std::format!("    0 |{}0", " ".repeat(56)).as_str()));
    let scaled = super::tests::picture(
        linear(0, 99, 1),
        (0..100).flat_map(|i| core::iter::repeat_n(i, i as usize + 1)),
    );
    assert!(scaled.contains("    5 |@@@                                                  6\n"), "{scaled}");
}

#[test]
fn far_rows_are_left_out() {
    let picture = picture(linear(0, 100, 2), [1, 1, 12, 48, 90]);
    let expected = [
        "    0", "    2", "    4", "      ~", "    8", "   10", "   12", "   14", "   16", "      ~",
        "   44", "   46", "   48", "   50", "   52", "      ~", "   86", "   88", "   90", "   92", "   94",
        "",
    ];
    assert_eq!(labels(&picture), expected);
}

#[test]
fn rows_outside_the_range_show_when_they_count() {
    let outside = picture(linear(0, 100, 20), [-5, -50, 3, 100, 101, 999]);
    assert_eq!(
        labels(&outside),
        ["   <0", "    0", "   20", "   40", "   60", "   80", "  100", " >100", ""]
    );
    let inside = picture(linear(0, 50, 10), (0..=10).map(|i| i * 5));
    assert_eq!(labels(&inside), ["    0", "   10", "   20", "   30", "   40", "   50", ""]);
    let uneven = picture(linear(0, 10, 4), 0..14);
    assert_eq!(labels(&uneven), ["    0", "    4", "    8", "   >8", ""]);
}

#[test]
fn labels_widen_the_picture() {
    let fits = picture(linear(0, 2_000_000_000, 500_000_000), [1_500_000_000, 2_100_000_000]);
    assert!(fits.starts_with("      value |---"), "{fits}");
    assert_eq!(labels(&fits), ["  500000000", " 1000000000", " 1500000000", " 2000000000", ""]);
    let cut = picture(linear(0, 1_410_065_408, 1_000_000_000), [5_000_000_000, 1]);
    assert_eq!(labels(&cut), ["           0", "  1000000000", " >1000000000", ""]);
    let wide = picture(Histogram::Log, [1, 2, 1_000_000, 2_000_000_000]);
    assert!(wide.starts_with("     value |---"), "{wide}");
    assert!(wide.contains("\n           ~\n    131072 |"), "{wide}");
}

#[test]
fn negative_rows() {
    let negative = picture(Histogram::Log, [-1, -2, -5, -100, 3, 17, 0]);
    let expected = [
        " -256", " -128", "  -64", "  -32", "  -16", "   -8", "   -4", "   -2", "   -1", "    0", "    1",
        "    2", "    4", "    8", "   16", "   32", "   64", "",
    ];
    assert_eq!(labels(&negative), expected);
    let extreme = picture(Histogram::Log, [i64::MAX, i64::MIN, 1 << 62]);
    assert_eq!(
        labels(&extreme)[..6].iter().map(|label| label.trim()).collect::<Vec<_>>(),
        ["-4", "-2", "-1", "0", "1", "~"]
    );
    assert_eq!(labels(&extreme)[8], "4611686018427387904");
}
