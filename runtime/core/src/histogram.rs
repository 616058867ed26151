//! The picture that `print(@hist_log(s))` and `print(@hist_linear(s, …))` draw.
//!
//! ```text
//! value |-------------------------------------------------- count
//!     2 |                                                   0
//!     4 |@@                                                 2
//!       ~
//! ```
//!
//! Rows more than two away from any that counts something are left out, with `~` in their place; so are empty rows
//! before and after, those for values outside a linear range when empty, and negative rows when nothing is negative.

use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::fault::Fault;

use crate::stat::{Label, Shape, Stat};
use crate::text::{Digits, Radix, Sink};

/// Characters of the longest bar.
const BAR: u64 = 50;
/// Empty rows kept beside rows that count something.
const KEPT: u64 = 2;
/// Width of the word "value".
const LEAST_WIDTH: u64 = 5;

/// Draws the histogram of a statistic.
pub(crate) fn draw(stat: &Stat<'_>, sink: &mut impl Sink) -> Result<(), Fault> {
    if stat.count()? == 0 {
        return Err(Fault::EmptyAggregate);
    }
    let shape = stat.shape()?;
    let buckets = stat.buckets(shape)?;
    let count = |bucket: u64| buckets.get(bucket as usize).map_or(0, |word| word.load(Relaxed));
    let most = buckets.iter().map(|word| word.load(Relaxed)).max().unwrap_or(0);
    let Some((first, last)) = shown(shape, &count) else { return Ok(()) };
    // A linear one leaves a column for `<` and `>` whether they show or not, as SystemTap does.
    let margin = u64::from(shape.is_linear());
    let longest = (first..=last).map(|bucket| label_len(shape.label(bucket))).max().unwrap_or(0);
    let label_width = longest.saturating_add(margin).max(LEAST_WIDTH);
    let count_width = Digits::new(most, Radix::Decimal).as_bytes().len() as u64;

    sink.fill(b' ', label_width.saturating_sub(LEAST_WIDTH));
    sink.put(b"value |");
    sink.fill(b'-', BAR);
    sink.put(b" count\n");
    let mut bucket = first;
    while bucket <= last {
        if is_far(bucket, &count) {
            sink.fill(b' ', label_width.saturating_add(1));
            sink.put(b"~\n");
            while bucket <= last && is_far(bucket, &count) {
                bucket = bucket.wrapping_add(1);
            }
            continue;
        }
        draw_row(shape.label(bucket), label_width, count(bucket), most, count_width, sink);
        bucket = bucket.wrapping_add(1);
    }
    sink.put(b"\n");
    Ok(())
}

fn draw_row(label: Label, label_width: u64, count: u64, most: u64, count_width: u64, sink: &mut impl Sink) {
    sink.fill(b' ', label_width.saturating_sub(label_len(label)));
    let (sign, value): (&[u8], i64) = match label {
        Label::From(value) => (b"", value),
        Label::Below(value) => (b"<", value),
        Label::Above(value) => (b">", value),
    };
    sink.put(sign);
    sink.put(Digits::signed(value).as_bytes());
    sink.put(b" |");
    let bar = count.checked_div(most.div_ceil(BAR)).unwrap_or(0).min(BAR);
    sink.fill(b'@', bar);
    let digits = Digits::new(count, Radix::Decimal);
    let digits = digits.as_bytes();
    let blanks = BAR.saturating_add(1).saturating_add(count_width).saturating_sub(bar);
    sink.fill(b' ', blanks.saturating_sub(digits.len() as u64));
    sink.put(digits);
    sink.put(b"\n");
}

fn label_len(label: Label) -> u64 {
    let (sign, value) = match label {
        Label::From(value) => (0u64, value),
        Label::Below(value) | Label::Above(value) => (1, value),
    };
    sign.saturating_add(Digits::signed(value).as_bytes().len() as u64)
}

/// First and last row of the picture. The caller has seen that the statistic is not empty, but not that the buckets
/// agree.
fn shown(shape: Shape, count: &impl Fn(u64) -> u64) -> Option<(u64, u64)> {
    let buckets = shape.buckets();
    let first = (0..buckets).find(|&bucket| count(bucket) > 0)?;
    let last = (0..buckets).rfind(|&bucket| count(bucket) > 0)?;
    let highest = buckets.saturating_sub(1);
    let (low, high) = if shape.is_log() {
        (if first >= 64 { 64 } else { 0 }, highest)
    } else {
        // Rows for values outside the range only show when they count something.
        (u64::from(count(0) == 0), if count(highest) == 0 { highest.saturating_sub(1) } else { highest })
    };
    Some((first.saturating_sub(KEPT).max(low), last.saturating_add(KEPT).min(high)))
}

/// Whether a row is further than [`KEPT`] from any that counts something.
fn is_far(bucket: u64, count: &impl Fn(u64) -> u64) -> bool {
    (bucket.saturating_sub(KEPT)..=bucket.saturating_add(KEPT)).all(|near| count(near) == 0)
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
