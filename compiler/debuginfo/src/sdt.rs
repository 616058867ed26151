//! Markers that <sys/sdt.h> puts into programs: the notes of .note.stapsdt and the operands that their arguments are in
//! (SystemTap wiki, "UserSpaceProbeImplementation"; GNU as, "i386-Memory"). An operand is what the compiler would have
//! written in assembler, so this reads AT&T syntax.

use rstap_abi::address::LinkAddr;

use crate::elf::Elf;

/// NT_STAPSDT of the third version of the format, the only one compilers of this century have met.
const NT_STAPSDT: u32 = 3;

/// DWARF number of rip.
const RIP: u16 = 16;

/// DWARF number of xmm0.
const XMM0: u16 = 17;

/// A marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark<'d> {
    /// The first argument of `DTRACE_PROBE`.
    pub provider: &'d str,
    /// The second.
    pub name: &'d str,
    /// The nop that stands at its place.
    pub address: LinkAddr,
    /// A 16-bit counter of those who watch it; the program may skip the marker while it is 0.
    pub semaphore: Option<LinkAddr>,
    /// The values it passes.
    pub arguments: Vec<Argument>,
}

/// A value that a marker passes: `-4@%edi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Bytes of it, from 1 to 8 if it is a number.
    pub size: u8,
    /// How they are read.
    pub number: Number,
    /// Where it is; for an operand that is not understood its text.
    pub operand: Result<Operand, String>,
}

/// How the bytes of an argument are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Number {
    Unsigned,
    Signed,
    Float,
}

/// An operand of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// `%eax`
    Register {
        /// DWARF number.
        number: u16,
        /// The lowest bit of it that counts: 8 in `%ah`.
        shift: u8,
    },
    /// `$77`, or `$symbol`
    Immediate(Offset),
    /// `-4(%rbp,%rax,4)`: the memory at offset + base + index × scale.
    Memory {
        /// What stands before the parentheses.
        offset: Offset,
        /// DWARF number. `symbol(%rip)` has none: the symbol is the address.
        base: Option<u16>,
        /// DWARF number and 1, 2, 4 or 8.
        index: Option<(u16, u8)>,
    },
}

/// A number, to which a symbol may be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// The address of the symbol.
    pub symbol: Option<LinkAddr>,
    /// The number.
    pub number: i64,
}

/// The markers of a file, in the order of the notes; notes that say nothing sensible are left out. A debug file of it
/// may have symbols that operands name.
pub(crate) fn read_marks<'d>(elf: &Elf<'d>, debug: Option<&Elf<'d>>) -> Vec<Mark<'d>> {
    let holder = if elf.section(".note.stapsdt").is_some() { Some(elf) } else { debug };
    let Some(notes) = holder.and_then(|holder| holder.section(".note.stapsdt")) else { return Vec::new() };
    let base = elf.section_address(".stapsdt.base");
    let symbol = |name: &str| elf.symbol_address(name).or_else(|| debug?.symbol_address(name));
    Elf::notes(notes)
        .filter(|note| note.owner == b"stapsdt\0" && note.kind == NT_STAPSDT)
        .filter_map(|note| read_mark(note.description, base, &symbol))
        .collect()
}

/// The description: addresses of the marker, of .stapsdt.base when it was linked and of the semaphore, then three
/// strings.
fn read_mark<'d>(
    description: &'d [u8],
    base: Option<u64>,
    symbol: &dyn Fn(&str) -> Option<LinkAddr>,
) -> Option<Mark<'d>> {
    let word = |at: usize| Some(u64::from_le_bytes(description.get(at..at + 8)?.try_into().ok()?));
    let (address, linked_base, semaphore) = (word(0)?, word(8)?, word(16)?);
    // prelink(8) moves sections and does not know these notes.
    let moved = base.map_or(0, |base| base.wrapping_sub(linked_base));
    let mut strings = description.get(24..)?.split(|&byte| byte == 0);
    let mut string = || std::str::from_utf8(strings.next()?).ok();
    let (provider, name, arguments) = (string()?, string()?, string()?);
    Some(Mark {
        provider,
        name,
        address: LinkAddr(address.wrapping_add(moved)),
        semaphore: (semaphore != 0).then(|| LinkAddr(semaphore.wrapping_add(moved))),
        arguments: words(arguments).map(|word| argument(word, symbol)).collect(),
    })
}

/// Words between blanks; those inside parentheses do not count.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0i32;
    let is_gap = move |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ' ' && depth <= 0
    };
    text.split(is_gap).filter(|word| !word.is_empty())
}

fn argument(text: &str, symbol: &dyn Fn(&str) -> Option<LinkAddr>) -> Argument {
    let (size, place) = text.split_once('@').unwrap_or(("", text));
    let (size, is_float) = size.strip_suffix('f').map_or((size, false), |size| (size, true));
    let written = size.parse::<i8>().ok().filter(|size| *size != 0);
    let number = match written {
        _ if is_float => Number::Float,
        Some(size) if size > 0 => Number::Unsigned,
        // As SystemTap takes an operand without size.
        _ => Number::Signed,
    };
    let (operand, width) = match operand(place, symbol) {
        Some((operand, width)) => (Ok(operand), width),
        None => (Err(place.to_owned()), 8),
    };
    Argument { size: written.map_or(width, i8::unsigned_abs), number, operand }
}

/// The operand, and how many bytes it has if nothing else says it.
fn operand(text: &str, symbol: &dyn Fn(&str) -> Option<LinkAddr>) -> Option<(Operand, u8)> {
    if let Some(value) = text.strip_prefix('$') {
        return Some((Operand::Immediate(offset(value, symbol)?), 8));
    }
    if let Some(name) = text.strip_prefix('%') {
        let (number, shift, width) = register(name)?;
        return Some((Operand::Register { number, shift }, width));
    }
    let Some((before, inside)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
        return Some((Operand::Memory { offset: offset(text, symbol)?, base: None, index: None }, 8));
    };
    let mut parts = inside.split(',').map(str::trim);
    let address_register = |part: &str| {
        let (number, shift, width) = register(part.strip_prefix('%')?)?;
        (width == 8 && shift == 0 && number < XMM0).then_some(number)
    };
    let base = match parts.next()? {
        "" => None,
        part => Some(address_register(part)?),
    };
    let index = match parts.next() {
        None | Some("") => None,
        Some(part) => Some(address_register(part)?),
    };
    let scale = parts.next().map_or(Some(1), |part| part.parse().ok())?;
    if parts.next().is_some() || !matches!(scale, 1 | 2 | 4 | 8) {
        return None;
    }
    let offset = offset(before, symbol)?;
    // The distance from an instruction says nothing without the instruction; a symbol is at its address.
    let base = match (base, offset.symbol) {
        (Some(RIP), None) => return None,
        (Some(RIP), Some(_)) => None,
        _ => base,
    };
    Some((Operand::Memory { offset, base, index: index.map(|index| (index, scale)) }, 8))
}

/// A sum of numbers and at most one symbol; nothing is 0.
fn offset(text: &str, symbol: &dyn Fn(&str) -> Option<LinkAddr>) -> Option<Offset> {
    let mut sum = Offset::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (negative, term) = match rest.as_bytes() {
            [b'-', ..] => (true, &rest[1..]),
            [b'+', ..] => (false, &rest[1..]),
            _ => (false, rest),
        };
        let end = term.find(['+', '-']).unwrap_or(term.len());
        let (term, behind) = term.split_at(end);
        let term = term.trim();
        match number(term) {
            Some(value) if negative => sum.number = sum.number.wrapping_sub(value),
            Some(value) => sum.number = sum.number.wrapping_add(value),
            None if negative || sum.symbol.is_some() => return None,
            None => sum.symbol = Some(symbol(term)?),
        }
        rest = behind;
    }
    Some(sum)
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<i64> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        None => return None,
    };
    Some(value.cast_signed())
}

/// DWARF number, lowest bit and bytes of a register's name (System V psABI for x86-64, 3.6.2).
fn register(name: &str) -> Option<(u16, u8, u8)> {
    const LEGACY: [&str; 8] = ["ax", "dx", "cx", "bx", "si", "di", "bp", "sp"];
    let position = |name: &str| LEGACY.iter().position(|legacy| *legacy == name).map(|at| at as u16);
    if name == "rip" {
        return Some((RIP, 0, 8));
    }
    if let Some(digits) = name.strip_prefix("xmm") {
        return digits.parse::<u16>().ok().filter(|number| *number < 16).map(|number| (XMM0 + number, 0, 16));
    }
    if let Some(name) = name.strip_prefix('r') {
        if let Some(number) = position(name) {
            return Some((number, 0, 8));
        }
        let (digits, width) = match name.as_bytes().last()? {
            b'd' => (name.strip_suffix('d')?, 4),
            b'w' => (name.strip_suffix('w')?, 2),
            b'b' => (name.strip_suffix('b')?, 1),
            _ => (name, 8),
        };
        return digits
            .parse()
            .ok()
            .filter(|number| (8..16u16).contains(number))
            .map(|number| (number, 0, width));
    }
    if let Some(number) = name.strip_prefix('e').and_then(position) {
        return Some((number, 0, 4));
    }
    if let Some(number) = position(name) {
        return Some((number, 0, 2));
    }
    match name.as_bytes() {
        [letter @ b'a'..=b'd', half @ (b'l' | b'h')] => {
            let number = position(&format!("{}x", char::from(*letter)))?;
            Some((number, if *half == b'h' { 8 } else { 0 }, 1))
        }
        _ => Some((position(name.strip_suffix('l')?)?, 0, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Argument {
        argument(text, &|name| (name == "counter").then_some(LinkAddr(0x4010)))
    }

    fn memory(offset: Offset, base: Option<u16>, index: Option<(u16, u8)>) -> Result<Operand, String> {
        Ok(Operand::Memory { offset, base, index })
    }

    fn plain(number: i64) -> Offset {
        Offset { symbol: None, number }
    }

    #[test]
    fn sizes_say_how_bytes_are_read() {
        let kind = |text| (parse(text).size, parse(text).number);
        assert_eq!(kind("-4@%edi"), (4, Number::Signed));
        assert_eq!(kind("8@%rdi"), (8, Number::Unsigned));
        assert_eq!(kind("1@-2(%rbp)"), (1, Number::Unsigned));
        assert_eq!(kind("8f@%xmm0"), (8, Number::Float));
        assert_eq!(kind("-8f@8(%rsp)"), (8, Number::Float));
        assert_eq!(kind("%ax"), (2, Number::Signed));
        assert_eq!(kind("$5"), (8, Number::Signed));
        assert_eq!(kind("-128@%rax"), (128, Number::Signed));
    }

    #[test]
    fn registers_of_all_widths_are_known() {
        let place = |text| parse(text).operand;
        let register = |number, shift| Ok(Operand::Register { number, shift });
        for (text, number) in [
            ("8@%rax", 0),
            ("4@%edx", 1),
            ("2@%cx", 2),
            ("1@%bl", 3),
            ("1@%sil", 4),
            ("1@%dil", 5),
            ("8@%rbp", 6),
            ("8@%rsp", 7),
            ("8@%r8", 8),
            ("4@%r9d", 9),
            ("2@%r14w", 14),
            ("1@%r15b", 15),
            ("8f@%xmm3", 20),
        ] {
            assert_eq!(place(text), register(number, 0), "{text}");
        }
        assert_eq!(place("1@%dh"), register(1, 8));
        for unknown in ["8@%r16", "8@%rxx", "8@%", "8@%xmm16", "4@%st0", "1@%h", "8@%él"] {
            assert!(place(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn memory_operands_have_base_index_scale_and_symbol() {
        let place = |text| parse(text).operand;
        assert_eq!(place("-4@-36(%rbp)"), memory(plain(-36), Some(6), None));
        assert_eq!(place("8@(%rsp)"), memory(plain(0), Some(7), None));
        assert_eq!(place("8@0x10(%rax,%rbx,8)"), memory(plain(16), Some(0), Some((3, 8))));
        assert_eq!(place("8@(%rax,%rbx)"), memory(plain(0), Some(0), Some((3, 1))));
        assert_eq!(place("8@-8+4(,%rcx,4)"), memory(plain(-4), None, Some((2, 4))));
        let symbol = |number| Offset { symbol: Some(LinkAddr(0x4010)), number };
        assert_eq!(place("4@counter(%rip)"), memory(symbol(0), None, None));
        assert_eq!(place("4@counter+8(%rip)"), memory(symbol(8), None, None));
        assert_eq!(place("4@8+counter(%rip)"), memory(symbol(8), None, None));
        assert_eq!(place("4@counter-4(,%rax,4)"), memory(symbol(-4), None, Some((0, 4))));
        assert_eq!(place("8@$counter"), Ok(Operand::Immediate(symbol(0))));
        assert_eq!(place("-4@$-1"), Ok(Operand::Immediate(plain(-1))));
        for unknown in [
            "4@other(%rip)",
            "4@4(%rax,%rbx,3)",
            "4@4(%eax)",
            "4@%fs:-4",
            "4@((",
            "4@)",
            "4@(%rax",
            "4@a-b",
            "4@8(%rip)",
        ] {
            assert_eq!(place(unknown), Err(unknown[2..].to_owned()));
        }
    }

    #[test]
    fn arguments_are_separated_by_blanks_outside_parentheses() {
        let split: Vec<&str> = words(" -4@%eax 8@4(%rax, %rbx, 8)  8@$1").collect();
        assert_eq!(split, ["-4@%eax", "8@4(%rax, %rbx, 8)", "8@$1"]);
    }

    #[test]
    fn a_moved_base_moves_the_addresses() {
        let mut description = Vec::new();
        for word in [0x1000u64, 0x2000, 0x3000] {
            description.extend_from_slice(&word.to_le_bytes());
        }
        description.extend_from_slice(b"shop\0sold\0-4@%edi\0");
        let mark = read_mark(&description, Some(0x2100), &|_| None).expect("it is complete");
        assert_eq!((mark.provider, mark.name, mark.arguments.len()), ("shop", "sold", 1));
        assert_eq!((mark.address, mark.semaphore), (LinkAddr(0x1100), Some(LinkAddr(0x3100))));
        for len in 0..description.len() {
            let _ = read_mark(&description[..len], None, &|_| None);
        }
    }
}
