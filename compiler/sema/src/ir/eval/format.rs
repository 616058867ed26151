//! `printf` and histograms, as text.

use rstap_abi::fault::Fault;
use rstap_abi::format::{FROM_ARGUMENT, UNSET, conversion, flag};
use rstap_abi::layout::Histogram;
use rstap_abi::record::NO_SITE;

use super::{Environment, Evaluated, Evaluator, Failure, Locals, Statistic, Value};
use crate::ir::{Directive, Format, SiteId, StatRef};

/// A conversion with its numbers known.
struct Spec {
    conversion: u8,
    flags: u8,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl<E: Environment> Evaluator<'_, E> {
    /// The text of a format.
    pub(super) fn format(&mut self, format: &Format, locals: &mut Locals) -> Evaluated<Vec<u8>> {
        let args =
            format.args.iter().map(|arg| self.format_arg(arg, locals)).collect::<Evaluated<Vec<Value>>>()?;
        let mut args = args.into_iter();
        let mut text = Vec::new();
        for directive in &format.directives {
            match directive {
                Directive::Literal(literal) => text.extend_from_slice(literal),
                Directive::Conversion { conversion, flags, width, precision } => {
                    let mut number = |written: i32| match written {
                        UNSET => None,
                        FROM_ARGUMENT => Some(next(&mut args).long()),
                        written => Some(i64::from(written)),
                    };
                    // A width below 0 is none, a precision below 0 is 0.
                    let width = number(*width).map_or(0, |width| width.max(0) as usize);
                    let precision = number(*precision).map(|precision| precision.max(0) as usize);
                    let spec = Spec { conversion: *conversion, flags: *flags, width, precision };
                    let arg = next(&mut args);
                    self.convert(&spec, &arg, &mut text)?;
                }
            }
        }
        assert!(args.next().is_none(), "pass 2 counted the arguments");
        Ok(text)
    }

    fn convert(&mut self, spec: &Spec, arg: &Value, out: &mut Vec<u8>) -> Result<(), Failure> {
        match spec.conversion {
            conversion::STRING => {
                let text = arg.text();
                let text = &text[..text.len().min(spec.precision.unwrap_or(usize::MAX))];
                pad(spec, text, out);
            }
            conversion::CHAR if spec.has(flag::ALTERNATE) => pad(spec, &escaped(arg.long() as u8), out),
            conversion::CHAR => pad(spec, &[arg.long() as u8], out),
            conversion::JSON => out.extend(crate::json::quoted(arg.text())),
            conversion::BINARY => {
                let size = if spec.width == 0 { 8 } else { spec.width };
                out.extend_from_slice(&arg.long().to_le_bytes()[..size.min(8)]);
            }
            conversion::MEMORY | conversion::MEMORY_HEX => {
                let len = spec.precision.unwrap_or(spec.width.max(1));
                let address = arg.long() as u64;
                let bytes = self.environment.read(address, len);
                let bytes = bytes.ok_or_else(|| Failure::about(Fault::ReadFault, address))?;
                if spec.conversion == conversion::MEMORY {
                    out.extend(bytes);
                } else {
                    out.extend(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
                }
            }
            _ => number(spec, arg.long(), out),
        }
        Ok(())
    }

    /// The picture of a histogram.
    pub(super) fn histogram(&mut self, stat: &StatRef, locals: &mut Locals) -> Evaluated<Vec<u8>> {
        let stat = self.stat(stat, locals, None)?;
        match stat.filter(|stat| !stat.values.is_empty()) {
            Some(stat) => Ok(picture(&stat).into_bytes()),
            // The IR names no place for these.
            None => Err(Failure::new(Fault::EmptyAggregate).at(SiteId(NO_SITE)).into()),
        }
    }
}

fn next(args: &mut impl Iterator<Item = Value>) -> Value {
    args.next().expect("pass 2 counted the arguments")
}

fn pad(spec: &Spec, text: &[u8], out: &mut Vec<u8>) {
    let blanks = vec![b' '; spec.width.saturating_sub(text.len())];
    if spec.has(flag::LEFT) {
        out.extend_from_slice(text);
        out.extend(blanks);
    } else {
        out.extend(blanks);
        out.extend_from_slice(text);
    }
}

fn escaped(byte: u8) -> Vec<u8> {
    match byte {
        0x07 => b"\\a".to_vec(),
        0x08 => b"\\b".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\n' => b"\\n".to_vec(),
        0x0b => b"\\v".to_vec(),
        0x0c => b"\\f".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\'' => b"\\'".to_vec(),
        b'\\' => b"\\\\".to_vec(),
        b' '..=b'~' => vec![byte],
        _ => format!("\\{byte:03o}").into_bytes(),
    }
}

fn number(spec: &Spec, value: i64, out: &mut Vec<u8>) {
    let alternate = spec.has(flag::ALTERNATE);
    let (sign, digits) = match spec.conversion {
        conversion::SIGNED => {
            let sign = match value {
                ..0 => "-",
                _ if spec.has(flag::PLUS) => "+",
                _ if spec.has(flag::SPACE) => " ",
                _ => "",
            };
            (sign, value.unsigned_abs().to_string())
        }
        conversion::UNSIGNED => ("", (value as u64).to_string()),
        conversion::HEX => (if alternate { "0x" } else { "" }, format!("{value:x}")),
        conversion::HEX_UPPER => (if alternate { "0X" } else { "" }, format!("{value:X}")),
        conversion::OCTAL => (if alternate { "0" } else { "" }, format!("{value:o}")),
        conversion::POINTER => ("0x", format!("{value:x}")),
        other => panic!("conversion {other} of a number"),
    };
    let least = spec.precision.unwrap_or(0).max(digits.len());
    let zeros = "0".repeat(least - digits.len());
    let used = sign.len() + least;
    let filled = spec.width.saturating_sub(used);
    // A prefix that was asked for keeps the zeros away.
    let zero_filled = spec.has(flag::ZERO)
        && !spec.has(flag::LEFT)
        && !(alternate && spec.conversion != conversion::SIGNED);
    let text = if zero_filled {
        format!("{sign}{}{zeros}{digits}", "0".repeat(filled))
    } else {
        format!("{sign}{zeros}{digits}")
    };
    pad(spec, text.as_bytes(), out);
}

/// Rows of at most 50 marks; rows further than two from any that counts are folded.
fn picture(stat: &Statistic) -> String {
    let buckets = stat.buckets();
    let rows = shown(stat, &buckets);
    let labels: Vec<String> = rows.iter().map(|row| label(stat, *row, buckets.len())).collect();
    let margin = usize::from(stat.shape.histogram != Histogram::Log);
    let width = labels.iter().map(|label| label.len() + margin).max().unwrap_or(0).max(5);
    let most = buckets.iter().copied().max().unwrap_or(0);
    let count_width = most.to_string().len();
    let per_mark = most.div_ceil(50).max(1);
    let mut text = format!("{:>width$} |{} count\n", "value", "-".repeat(50));
    let mut folding = false;
    for (row, label) in rows.iter().zip(&labels) {
        let near = row.saturating_sub(2)..=(row + 2).min(buckets.len() - 1);
        if buckets[near].iter().all(|count| *count == 0) {
            if !folding {
                text.push_str(&format!("{:>width$} ~\n", ""));
            }
            folding = true;
            continue;
        }
        folding = false;
        let marks = "@".repeat((buckets[*row] / per_mark) as usize);
        text.push_str(&format!("{label:>width$} |{marks:<50} {:>count_width$}\n", buckets[*row]));
    }
    text.push('\n');
    text
}

fn shown(stat: &Statistic, buckets: &[u64]) -> Vec<usize> {
    let counting: Vec<usize> = (0..buckets.len()).filter(|row| buckets[*row] > 0).collect();
    let (Some(first), Some(last)) = (counting.first(), counting.last()) else { return Vec::new() };
    let end = buckets.len() - 1;
    let (low, high) = match stat.shape.histogram {
        Histogram::Log => (if *first >= 64 { 64 } else { 0 }, end),
        _ => (usize::from(buckets[0] == 0), if buckets[end] == 0 { end - 1 } else { end }),
    };
    (first.saturating_sub(2).max(low)..=(last + 2).min(high)).collect()
}

fn label(stat: &Statistic, row: usize, rows: usize) -> String {
    match stat.shape.histogram {
        Histogram::None => panic!("pass 2 gave the statistic the histogram that is asked for"),
        Histogram::Log => match row {
            64 => "0".to_owned(),
            65.. => (1i128 << (row - 65)).to_string(),
            _ => (-(1i128 << (63 - row))).to_string(),
        },
        Histogram::Linear { start, .. } if row == 0 => format!("<{start}"),
        Histogram::Linear { start, interval, .. } if row == rows - 1 => {
            format!(">{}", start + interval * (rows as i64 - 3))
        }
        Histogram::Linear { start, interval, .. } => (start + interval * (row as i64 - 1)).to_string(),
    }
}
