//! `timer.UNIT(N)`, `.randomize(M)`, `timer.hz(N)`, `timer.jiffies(N)` and `timer.profile` (stap(1), TIMERS).

use rstap_abi::context::flags;
use rstap_program::Point;
use rstap_syntax::ast::{Component, Literal, ProbePoint};
use rstap_syntax::diagnostic::Diagnostic;

use super::{DerivedPoint, Resolved, invalid_suffix, point_text};
use rstap_syntax::near::similar;

/// Units and their nanoseconds. A jiffy is that of a kernel with 250 ticks a second, as distributions build it.
const UNITS: &[(&str, u64)] = &[
    ("s", 1_000_000_000),
    ("sec", 1_000_000_000),
    ("ms", 1_000_000),
    ("msec", 1_000_000),
    ("us", 1_000),
    ("usec", 1_000),
    ("ns", 1),
    ("nsec", 1),
    ("jiffies", 4_000_000),
];

/// Longest interval: a day.
const MAX_INTERVAL_NS: i64 = 86_400_000_000_000;

/// Highest rate, of `hz`.
const MAX_HZ: i64 = 1_000_000_000;

/// Rate of `timer.profile`.
const PROFILE_HZ: u64 = 1000;

/// All forms, with `number` for an argument.
pub fn forms() -> Vec<String> {
    let units = UNITS.iter().flat_map(|(unit, _)| {
        [format!("timer.{unit}(number)"), format!("timer.{unit}(number).randomize(number)")]
    });
    units.chain(["timer.hz(number)", "timer.profile"].map(str::to_owned)).collect()
}

/// The derived point of a written one.
pub fn resolve<'d>(point: &ProbePoint) -> Resolved<'d> {
    let place = place(point)?;
    let text = point_text(point);
    Ok(vec![DerivedPoint {
        point: place,
        pp: text.clone(),
        pn: text,
        function: String::new(),
        flags: flags::INTERRUPTIBLE,
        scope: None,
    }])
}

fn place(point: &ProbePoint) -> Result<Point, Box<Diagnostic>> {
    let [_, unit, suffix @ ..] = &point.components[..] else {
        return Err(mismatch(&point.components[0], "a timer needs an interval, as in timer.ms(100)"));
    };
    let name = unit.name.text.as_str();
    match name {
        "profile" => return profile(unit, suffix),
        "hz" => {
            let hz = within(unit, MAX_HZ)?;
            no_suffix(suffix)?;
            return Ok(Point::Timer { period_ns: (1_000_000_000 / hz as u64).max(1), randomize_ns: 0 });
        }
        _ => {}
    }
    let Some(&(_, unit_ns)) = UNITS.iter().find(|(unit, _)| *unit == name) else {
        let known = UNITS.iter().map(|(unit, _)| *unit).chain(["hz", "profile"]);
        let similar = similar(name, known.clone());
        let known: Vec<_> = known.collect();
        return Err(Box::new(
            Diagnostic::error(format!("probe point mismatch{similar}"))
                .at(unit.span, "unknown timer unit")
                .note(format!("there are timer.{}", known.join(", timer."))),
        ));
    };
    let interval = within(unit, MAX_INTERVAL_NS / unit_ns as i64)?;
    let randomize = match suffix {
        [] => 0,
        [randomize, rest @ ..] if randomize.name.text == "randomize" => {
            no_suffix(rest)?;
            match randomize.arg {
                Some(Literal::Number(n)) if (0..=interval).contains(&n) => n,
                Some(Literal::Number(_)) => {
                    return Err(Box::new(
                        Diagnostic::error("randomization value out of range")
                            .at(randomize.span, format!("must be from 0 to the interval, {interval}")),
                    ));
                }
                _ => return Err(mismatch(randomize, "takes a number, as in timer.ms(100).randomize(20)")),
            }
        }
        [other, ..] => return Err(invalid_suffix(other)),
    };
    Ok(Point::Timer { period_ns: interval as u64 * unit_ns, randomize_ns: randomize as u64 * unit_ns })
}

fn profile(unit: &Component, suffix: &[Component]) -> Result<Point, Box<Diagnostic>> {
    if unit.arg.is_some() {
        return Err(mismatch(unit, "takes no argument"));
    }
    let names: Vec<&str> = suffix.iter().map(|c| c.name.text.as_str()).collect();
    match names[..] {
        [] | ["tick"] => Ok(Point::Profile { hz: PROFILE_HZ }),
        ["freq", "hz"] => Ok(Point::Profile { hz: within(&suffix[1], MAX_HZ)? as u64 }),
        _ => Err(invalid_suffix(&suffix[0])),
    }
}

/// The number of a component, from 1 to `most`.
fn within(component: &Component, most: i64) -> Result<i64, Box<Diagnostic>> {
    match component.arg {
        Some(Literal::Number(n)) if (1..=most).contains(&n) => Ok(n),
        Some(Literal::Number(_)) => Err(Box::new(
            Diagnostic::error(format!("interval value out of range (1, {most})")).at(component.span, ""),
        )),
        _ => Err(mismatch(component, &format!("takes a number, as in timer.{}(100)", component.name.text))),
    }
}

fn no_suffix(suffix: &[Component]) -> Result<(), Box<Diagnostic>> {
    suffix.first().map_or(Ok(()), |c| Err(invalid_suffix(c)))
}

fn mismatch(component: &Component, label: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("probe point mismatch").at(component.span, label))
}
