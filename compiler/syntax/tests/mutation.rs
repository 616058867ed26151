//! Damaged scripts are parsed or refused, and what was printed of those that are parsed is parsed again. Each is a script
//! of the project with parts of it, or of another one, left out, doubled, moved or changed. `MUTATIONS=10000000` tries so
//! many; `MUTATION_SEED=N` begins elsewhere.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{most_steps, parse_text};
use rstap_syntax::diagnostic::render;
use rstap_syntax::fuzz_one;

/// Scripts longer than this are left out: short ones are damaged more thoroughly.
const LONGEST: usize = 1500;

/// A small generator (splitmix64), so that a failure can be had again from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn scripts() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders: Vec<PathBuf> = ["stdlib", "examples", "tests"].map(|name| root.join(name)).to_vec();
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "stp" => paths.push(path),
                _ => {}
            }
        }
    }
    paths.sort();
    let texts = paths.iter().map(|path| fs::read(path).expect("the script can be read"));
    texts.filter(|text| text.len() <= LONGEST).collect()
}

/// Damages a text in one place.
fn damage(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const PIECES: &[&str] = &[
        "%(",
        "%)",
        "%?",
        "%:",
        "%{",
        "%}",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "@",
        "$",
        "$$",
        "->",
        "<<<",
        "\"",
        "/*",
        "*/",
        "//",
        "#",
        "\\",
        ";",
        ",",
        "probe ",
        "function ",
        "global ",
        "foreach(",
        "@define x %( ",
        "@cast(",
        "@hist_log(",
        "%*.3d",
        "9223372036854775808",
        "0x",
        "\n",
        "\0",
        "\u{e9}",
        "?",
        "!",
        "if (",
        "else ",
        "try {",
        "catch (",
        "=~ \"(a|b)*\"",
        "~",
        "<",
        ">",
        "@m",
        "$x",
        "@count",
        "in ",
        "++",
        "-",
        "&",
        "if ",
        "foreach ",
    ];
    let at = random.below(text.len() + 1);
    let to = (at + 1 + random.below(20)).min(text.len());
    match random.below(7) {
        0 => drop(text.drain(at.min(to)..to)),
        1 => drop(text.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
        2 => {
            let from = random.below(other.len());
            let end = (from + 1 + random.below(60)).min(other.len());
            text.splice(at..at, other[from..end].iter().copied());
        }
        3 => {
            let part = text[at.min(to)..to].to_vec();
            text.splice(at..at, part);
        }
        4 if at < text.len() => text[at] = random.next() as u8,
        5 if at < text.len() => text[at] ^= 1 << random.below(8),
        _ => text.truncate(at),
    }
}

fn check(text: &str) {
    let (sources, parsed) = parse_text(text);
    let shown = render(&sources, &parsed.diagnostics, false);
    fuzz_one(text.as_bytes());
    assert!(parsed.steps < most_steps(text), "{} steps", parsed.steps);
    assert!(shown.len() < 100_000, "too much is said");
}

#[test]
fn damaged_scripts_are_parsed_or_refused() {
    let scripts = scripts();
    assert!(scripts.len() > 500, "the scripts are missing");
    let seed = number("MUTATION_SEED").unwrap_or(1);
    for round in 0..number("MUTATIONS").unwrap_or(3000) {
        let mut random = Random(seed.wrapping_mul(1 << 40).wrapping_add(round));
        let mut text = scripts[random.below(scripts.len())].clone();
        for _ in 0..1 + random.below(5) {
            let other = random.below(scripts.len());
            damage(&mut text, &scripts[other], &mut random);
        }
        let text = String::from_utf8_lossy(&text);
        let outcome = std::panic::catch_unwind(|| check(&text));
        assert!(outcome.is_ok(), "MUTATION_SEED={seed}, round {round}:\n{text}");
    }
}
