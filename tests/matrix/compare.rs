//! What gdb says against what rstap says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

/// What gdb said at the instructions where it stopped.
pub struct Judgement {
    hits: Vec<Hit>,
}

struct Hit {
    /// Address in the file.
    pc: u64,
    /// The stack pointer.
    sp: u64,
    values: Vec<(String, Judged)>,
}

/// What gdb says of an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Value(u64),
    /// 0 in a value that is in pieces: gdb shows zeros for what no piece describes as well.
    ZeroOrNothing,
    Nothing,
    /// Something else the next time: it depends on what is random, or on memory that was never written.
    Varies,
}

/// How many values are equal, and which are not.
#[derive(Default)]
pub struct Tally {
    /// As gdb prints them.
    equal: usize,
    /// Neither has a value.
    absent: usize,
    /// Not the same in two runs under gdb, or zeros of gdb's that may be nothing: left out.
    left_out: usize,
    /// Printed by both, not equal.
    wrong: Vec<String>,
    /// Printed by gdb alone.
    missing: Vec<String>,
    /// Printed by rstap alone.
    extra: Vec<String>,
    /// Differences with a reason, by the name of the reason in docs/MATRIX.md.
    explained: BTreeMap<&'static str, usize>,
}

impl Judgement {
    /// Reads what `judge.py` writes.
    pub fn parse(text: &str) -> Result<Judgement, String> {
        let mut hits: Vec<Hit> = Vec::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| format!("`{line}` of gdb"));
            let judged = match fields.as_slice() {
                ["H", pc] => {
                    hits.push(Hit { pc: number(pc)?, sp: 0, values: Vec::new() });
                    continue;
                }
                ["S", sp] => {
                    hits.last_mut().ok_or_else(|| format!("`{line}` of gdb before any hit"))?.sp =
                        number(sp)?;
                    continue;
                }
                ["V", _, value] => Judged::Value(number(value)?),
                ["Z", ..] => Judged::ZeroOrNothing,
                ["G", _] => Judged::Nothing,
                _ => continue,
            };
            let hit = hits.last_mut().ok_or_else(|| format!("`{line}` of gdb before any hit"))?;
            hit.values.push((fields[1].to_owned(), judged));
        }
        Ok(Judgement { hits })
    }

    /// Notes what another run of the program has given otherwise: memory that was not written yet. Members beside such a
    /// one were not written either, though small ones may be equal by chance.
    pub fn compare_runs(&mut self, other: &Judgement) {
        let mut others = other.by_round();
        let mut rounds = Rounds::default();
        for hit in &mut self.hits {
            let values = others.remove(&rounds.next(hit.pc)).unwrap_or_default();
            let varies = |(path, judged): &(String, Judged)| values.get(path.as_str()) != Some(judged);
            let differing = hit.values.iter().filter(|value| varies(value));
            let unwritten: BTreeSet<String> = differing.map(|(path, _)| beside(path).to_owned()).collect();
            for (path, judged) in &mut hit.values {
                if unwritten.contains(beside(path)) {
                    *judged = Judged::Varies;
                }
            }
        }
    }

    fn by_round(&self) -> HashMap<(u64, usize), HashMap<&str, Judged>> {
        let mut rounds = Rounds::default();
        let mut all = HashMap::new();
        for hit in &self.hits {
            let values = hit.values.iter().map(|(path, judged)| (path.as_str(), *judged));
            all.insert(rounds.next(hit.pc), values.collect());
        }
        all
    }

    /// The expressions at each instruction.
    fn expressions(&self) -> BTreeMap<u64, Vec<&str>> {
        let mut all: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for hit in &self.hits {
            let list = all.entry(hit.pc).or_default();
            for (path, _) in &hit.values {
                if seen.insert((hit.pc, path.as_str())) {
                    list.push(path);
                }
            }
        }
        all
    }

    /// The script that prints the same: lines `H pc` and `S sp`, then one for each expression.
    pub fn script(&self, program: &str) -> String {
        let mut script = String::from("global hits%\n");
        for (pc, paths) in self.expressions() {
            let count = self.hits.iter().filter(|hit| hit.pc == pc).count();
            let _ = writeln!(script, "probe process(\"{program}\").statement({pc:#x}) {{");
            let _ = writeln!(script, "    if (hits[{pc}]++ >= {count}) next");
            let _ = writeln!(script, "    printf(\"H {pc:x}\\nS %x\\n\", register(\"rsp\"))");
            for (index, path) in paths.iter().enumerate() {
                let print = format!("printf(\"{index} %x\\n\", {path})");
                let fault = format!("println(\"{index} fault\")");
                let _ = writeln!(script, "    if (@defined({path})) try {{ {print} }} catch {{ {fault} }}");
            }
            script.push_str("}\n");
        }
        script
    }
}

/// What the members of a record or the elements of an array have in common; of a variable, its own name.
fn beside(path: &str) -> &str {
    let end = path.rfind("->").max(path.rfind('['));
    end.map_or(path, |end| &path[..=end])
}

/// Counts the hits of each instruction.
#[derive(Default)]
struct Rounds(HashMap<u64, usize>);

impl Rounds {
    fn next(&mut self, pc: u64) -> (u64, usize) {
        let round = self.0.entry(pc).or_default();
        *round += 1;
        (pc, *round)
    }
}

/// Compares hit by hit. `explain` names the reason of a difference that has one.
pub fn tally(
    judgement: &Judgement,
    answers: &str,
    explain: impl Fn(Difference<'_>) -> Option<&'static str>,
) -> Tally {
    let expressions = judgement.expressions();
    let mut answered = parse_answers(answers);
    let mut rounds = Rounds::default();
    let mut tally = Tally::default();
    for hit in &judgement.hits {
        let round = rounds.next(hit.pc);
        let Some(answer) = answered.remove(&round) else {
            tally.note(Difference { pc: hit.pc, path: "", judged: None, given: None }, &explain);
            continue;
        };
        let index: HashMap<&str, usize> = expressions[&hit.pc].iter().copied().zip(0..).collect();
        let moved = answer.sp.wrapping_sub(hit.sp);
        for (path, judged) in &hit.values {
            let given = answer.values.get(&index[path.as_str()]).copied().flatten();
            let judged = match *judged {
                Judged::Value(judged) => Some(judged),
                Judged::Nothing => None,
                Judged::ZeroOrNothing if given.is_some_and(|given| given != 0) => Some(0),
                Judged::ZeroOrNothing | Judged::Varies => {
                    tally.left_out += 1;
                    continue;
                }
            };
            match (judged, given) {
                (None, None) => tally.absent += 1,
                // An address of the stack, which may be elsewhere (Go's are where threads have left room).
                (Some(a), Some(b)) if a == b || a.wrapping_add(moved) == b => tally.equal += 1,
                _ => tally.note(Difference { pc: hit.pc, path, judged, given }, &explain),
            }
        }
    }
    tally
}

/// One expression of which gdb and rstap say different things. Without a path: rstap was not there.
#[derive(Clone, Copy)]
pub struct Difference<'a> {
    /// Address of the instruction in the file.
    pub pc: u64,
    /// As in the script.
    pub path: &'a str,
    /// What gdb says.
    pub judged: Option<u64>,
    /// What rstap says.
    pub given: Option<u64>,
}

/// What rstap says at a hit.
#[derive(Default)]
struct Answer {
    /// The stack pointer.
    sp: u64,
    /// By index of the expression, `None` for a fault.
    values: HashMap<usize, Option<u64>>,
}

/// By instruction and number of the hit.
fn parse_answers(text: &str) -> HashMap<(u64, usize), Answer> {
    let mut all: HashMap<(u64, usize), Answer> = HashMap::new();
    let mut rounds = Rounds::default();
    let mut here = None;
    for line in text.lines() {
        let Some((word, value)) = line.split_once(' ') else { continue };
        if word == "H" {
            here = Some(rounds.next(u64::from_str_radix(value, 16).unwrap_or(0)));
        }
        let Some(key) = here else { continue };
        let answer = all.entry(key).or_default();
        if word == "S" {
            answer.sp = u64::from_str_radix(value, 16).unwrap_or(0);
        } else if let Ok(index) = word.parse() {
            answer.values.insert(index, u64::from_str_radix(value, 16).ok());
        }
    }
    all
}

impl Tally {
    fn note(&mut self, difference: Difference<'_>, explain: impl Fn(Difference<'_>) -> Option<&'static str>) {
        if let Some(reason) = explain(difference) {
            *self.explained.entry(reason).or_default() += 1;
            return;
        }
        let Difference { pc, path, judged, given } = difference;
        let show = |value: Option<u64>| value.map_or("nothing".to_owned(), |value| format!("{value:#x}"));
        let line = format!("{pc:#x} {path}: gdb {}, rstap {}", show(judged), show(given));
        match (judged, given) {
            (Some(_), None) => self.missing.push(line),
            (None, Some(_)) => self.extra.push(line),
            _ => self.wrong.push(line),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }

    /// How many of the values that gdb printed are equal. None at all is 0.
    pub fn equal_percent(&self) -> f64 {
        let compared = self.equal + self.wrong.len() + self.missing.len();
        self.equal as f64 * 100.0 / compared.max(1) as f64
    }

    /// The numbers in one line.
    pub fn summary(&self) -> String {
        format!(
            "{:.2} % equal: {} equal, {} wrong, {} missing, {} explained; {} extra, {} absent, {} left out",
            self.equal_percent(),
            self.equal,
            self.wrong.len(),
            self.missing.len(),
            self.explained.values().sum::<usize>(),
            self.extra.len(),
            self.absent,
            self.left_out,
        )
    }

    /// The numbers, then the differences.
    pub fn report(&self) -> String {
        let mut text = self.summary() + "\n";
        for (reason, count) in &self.explained {
            let _ = writeln!(text, "explained: {reason}: {count}");
        }
        for (kind, list) in [("wrong", &self.wrong), ("missing", &self.missing), ("extra", &self.extra)] {
            for line in list {
                let _ = writeln!(text, "{kind} {line}");
            }
        }
        text
    }
}
