//! Replaces what no script can make deterministic: folders, the script's name, addresses and process ids.
//!
//! | text | becomes |
//! | --- | --- |
//! | the folder the case runs in | `<DIR>` |
//! | the script's file name | `<FILE>` |
//! | the folders after `also looked in `, which /etc/ld.so.conf names | `<DIRS>` |
//! | a number where programs, libraries and stacks are mapped, in hexadecimal or decimal | `<ADDR>` |
//! | a hexadecimal number after `statement(`, `dynamic+` or `pc ` (a link-time address) | `<ADDR>` |
//! | a number after `pid `, `pid=`, `tid=`, `process(`, `in process ` or `thread ` | `<PID>` |
//! | a byte that is neither printable UTF-8, newline nor tab | `\xHH` |

/// What stands for itself in the output of one case.
pub struct Names<'a> {
    pub dir: &'a str,
    pub file: &'a str,
}

/// The output as it is compared. A last line without a newline ends in a backslash.
pub fn normalize(output: &[u8], names: &Names) -> String {
    let text = printable(output).replace(names.dir, "<DIR>").replace(names.file, "<FILE>");
    let mut text = replace_numbers(&replace_library_folders(&text));
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str("\\\n");
    }
    text
}

fn replace_library_folders(text: &str) -> String {
    const BEFORE: &str = "also looked in ";
    let replaced = |line: &str| match line.split_once(BEFORE) {
        Some((start, folders)) if folders.starts_with('/') => {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            format!("{start}{BEFORE}<DIRS>{end}")
        }
        _ => line.to_string(),
    };
    text.split_inclusive('\n').map(replaced).collect()
}

fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' | '\t' => out.push(char),
                char if char.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(char))),
                char => out.push(char),
            }
        }
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out
}

fn replace_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
        let (before, from_digit) = rest.split_at(start);
        out.push_str(before);
        let end = from_digit.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(from_digit.len());
        let (number, after) = from_digit.split_at(end);
        out.push_str(if in_a_word(&out) { number } else { name_of(number, &out).unwrap_or(number) });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn in_a_word(before: &str) -> bool {
    before.ends_with(|char: char| char.is_ascii_alphanumeric() || char == '_')
}

fn name_of(number: &str, before: &str) -> Option<&'static str> {
    let after_any = |words: &[&str]| words.iter().any(|word| before.ends_with(word));
    if let Some(digits) = number.strip_prefix("0x") {
        let link_time = after_any(&["statement(", "dynamic+", "pc "]);
        let mapped = digits.len() == 12 && u64::from_str_radix(digits, 16).is_ok_and(is_mapped);
        return (link_time || mapped).then_some("<ADDR>");
    }
    let value: u64 = number.parse().ok()?;
    if is_mapped(value) {
        return Some("<ADDR>");
    }
    after_any(&["pid ", "pid=", "tid=", "process(", "in process ", "thread "]).then_some("<PID>")
}

/// Where Linux on x86-64 maps position-independent programs, and libraries and stacks.
fn is_mapped(address: u64) -> bool {
    matches!(address >> 40, 0x55 | 0x56 | 0x7e | 0x7f)
}
