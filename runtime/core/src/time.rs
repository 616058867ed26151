//! Seconds since 1970 as a date, in the proleptic Gregorian calendar.

use crate::text::{Digits, Radix, Text};

const DAY: i64 = 86_400;
/// Days from 1970-01-01 to 10000-01-01, and to 0000-01-01: years outside cannot be written in four digits.
const DAYS: core::ops::Range<i64> = -719_528..2_932_897;
const WEEKDAYS: &[u8] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8] = b"MarAprMayJunJulAugSepOctNovDecJanFeb";

/// `Thu Jan  1 00:00:00 1970`; `false` if the year has not four digits at most.
pub(crate) fn ctime(seconds: i64, out: &mut Text<'_>) -> bool {
    let days = seconds.div_euclid(DAY);
    if !DAYS.contains(&days) {
        return false;
    }
    let second = seconds.rem_euclid(DAY);
    let date = date_of(days);
    out.put(name(WEEKDAYS, days.rem_euclid(7)));
    out.put(b" ");
    out.put(name(MONTHS, date.month_from_march));
    put_padded(date.day, b' ', 3, out);
    out.put(b" ");
    put_padded(second.wrapping_div(3600), b'0', 2, out);
    out.put(b":");
    put_padded(second.wrapping_div(60).wrapping_rem(60), b'0', 2, out);
    out.put(b":");
    put_padded(second.wrapping_rem(60), b'0', 2, out);
    out.put(b" ");
    out.put_long(date.year);
    true
}

struct Date {
    year: i64,
    /// 0 is March: a year that ends with February ends with its leap day.
    month_from_march: i64,
    day: i64,
}

/// Counts in eras of 400 years from 1 March 0000; within one, years are 365 days plus a day each 4th, less one each
/// 100th. Months from March on have 153 days each five.
fn date_of(days: i64) -> Date {
    let days = days.wrapping_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let leap_days = day_of_era.wrapping_div(1460).wrapping_sub(day_of_era.wrapping_div(36_524));
    let year_of_era =
        day_of_era.wrapping_sub(leap_days).wrapping_sub(day_of_era.wrapping_div(146_096)).wrapping_div(365);
    let before = year_of_era
        .wrapping_mul(365)
        .wrapping_add(year_of_era.wrapping_div(4))
        .wrapping_sub(year_of_era.wrapping_div(100));
    let day_of_year = day_of_era.wrapping_sub(before);
    let month_from_march = day_of_year.wrapping_mul(5).wrapping_add(2).wrapping_div(153);
    let month_start = month_from_march.wrapping_mul(153).wrapping_add(2).wrapping_div(5);
    let next_year = i64::from(month_from_march >= 10);
    Date {
        year: era.wrapping_mul(400).wrapping_add(year_of_era).wrapping_add(next_year),
        month_from_march,
        day: day_of_year.wrapping_sub(month_start).wrapping_add(1),
    }
}

fn name(names: &'static [u8], index: i64) -> &'static [u8] {
    let at = (index as usize).saturating_mul(3);
    names.get(at..at.saturating_add(3)).unwrap_or_default()
}

fn put_padded(value: i64, pad: u8, width: usize, out: &mut Text<'_>) {
    let digits = Digits::new(value.unsigned_abs(), Radix::Decimal);
    for _ in digits.as_bytes().len()..width {
        out.put(&[pad]);
    }
    out.put(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn text(seconds: i64) -> Option<String> {
        let mut memory = [0; 40];
        let mut out = Text::new(&mut memory);
        ctime(seconds, &mut out).then(|| String::from_utf8(out.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn dates_are_those_of_the_c_library() {
        assert_eq!(text(0).unwrap(), "Thu Jan  1 00:00:00 1970");
        assert_eq!(text(1_000_000_000).unwrap(), "Sun Sep  9 01:46:40 2001");
        assert_eq!(text(-1).unwrap(), "Wed Dec 31 23:59:59 1969");
        assert_eq!(text(951_782_400).unwrap(), "Tue Feb 29 00:00:00 2000");
        assert_eq!(text(253_402_300_799).unwrap(), "Fri Dec 31 23:59:59 9999");
    }

    #[test]
    fn years_of_five_digits_are_refused() {
        assert_eq!(text(253_402_300_800), None);
        assert_eq!(text(i64::MAX), None);
        assert_eq!(text(i64::MIN), None);
    }
}
