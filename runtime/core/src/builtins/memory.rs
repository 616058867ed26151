//! Memory and registers of the target.

use rstap_abi::context::{REGISTER_COUNT, flags, register};
use rstap_abi::fault::Fault;

use crate::call::Call;
use crate::env::Env;
use crate::string::Quoted;
use crate::text::{Text, until_nul};

/// Bytes read at once: a string may end just before memory that cannot be read, so no read crosses a multiple of it.
const CHUNK: u64 = 64;

/// Memory is readable or not by pages (x86-64).
const PAGE: u64 = 4096;
/// Of larger things only the start is looked at.
const MOST_PAGES: usize = 64;

impl<E: Env> Call<'_, E> {
    pub(super) fn read_number(&self, address: u64, size: i64) -> Option<u64> {
        let mut bytes = [0; 8];
        let into = bytes.get_mut(..usize::try_from(size).ok()?)?;
        self.env.read_target(self.context, address, into).then(|| u64::from_le_bytes(bytes))
    }

    pub fn read_memory(&mut self, address: i64, size: i64) -> i64 {
        match self.read_number(address as u64, size) {
            Some(value) => value as i64,
            None => {
                self.fail(Fault::ReadFault, address as u64);
                0
            }
        }
    }

    pub fn write_memory(&mut self, address: i64, size: i64, value: i64) {
        let bytes = value.to_le_bytes();
        let bytes = usize::try_from(size).ok().and_then(|size| bytes.get(..size)).unwrap_or_default();
        self.write(address, bytes);
    }

    pub fn write_string(&mut self, address: i64, text: &[u8]) {
        self.write(address, text);
        if self.context.fault == 0 {
            self.write(address.wrapping_add(text.len() as i64), &[0]);
        }
    }

    fn write(&mut self, address: i64, bytes: &[u8]) {
        if !self.env.write_target(self.context, address as u64, bytes) {
            self.fail(Fault::WriteFault, address as u64);
        }
    }

    pub fn user_string(&mut self, address: i64, most: i64, out: &mut Text<'_>) {
        self.read_string(address as u64, most, out);
    }

    pub fn user_buffer(&mut self, address: i64, len: i64, out: &mut Text<'_>) {
        self.read_buffer(address as u64, len, out);
    }

    /// The byte after the last is looked at too: only memory that cannot be read or a NUL ends a string.
    fn read_string(&mut self, address: u64, most: i64, out: &mut Text<'_>) {
        let most = usize::try_from(most).unwrap_or(0).min(out.room());
        let beyond = if most == 0 { 0 } else { most.saturating_add(1) };
        let all_read = self.read_chunks(address, beyond as i64, |chunk| {
            let text = until_nul(chunk);
            out.put(text.get(..most.saturating_sub(out.len())).unwrap_or(text));
            text.len() == chunk.len()
        });
        if !all_read {
            self.copy_fault(address, out);
        }
    }

    fn read_buffer(&mut self, address: u64, len: i64, out: &mut Text<'_>) {
        let len = len.min(i64::try_from(out.room()).unwrap_or(i64::MAX));
        if !self.read_chunks(address, len, |chunk| out.put(chunk)) {
            self.copy_fault(address, out);
        }
    }

    pub fn user_string_quoted(&mut self, address: i64, most: i64, out: &mut Text<'_>) {
        self.put_quoted(address, most, true, out);
    }

    pub fn user_text_quoted(&mut self, address: i64, bytes: i64, out: &mut Text<'_>) {
        self.put_quoted(address, bytes, false, out);
    }

    fn put_quoted(&mut self, address: i64, most: i64, ends_at_nul: bool, out: &mut Text<'_>) {
        let mut quoted = Quoted::new(out, 0);
        let all_read = self.read_chunks(address as u64, most, |chunk| {
            let text = if ends_at_nul { until_nul(chunk) } else { chunk };
            quoted.put(text) && text.len() == chunk.len()
        });
        quoted.finish();
        if !all_read {
            out.truncate(0);
            out.put_hex(address as u64);
        }
    }

    /// Hands bytes to `take` for as long as it wants more; whether they could be read.
    pub(super) fn read_chunks(&self, address: u64, most: i64, mut take: impl FnMut(&[u8]) -> bool) -> bool {
        let most = u64::try_from(most).unwrap_or(0);
        let mut done = 0u64;
        while done < most {
            let at = address.wrapping_add(done);
            let to_boundary = CHUNK.saturating_sub(at % CHUNK);
            let now = most.saturating_sub(done).min(to_boundary);
            let mut chunk = [0; CHUNK as usize];
            let Some(chunk) = chunk.get_mut(..now as usize) else { return false };
            if !self.env.read_target(self.context, at, chunk) {
                return false;
            }
            if !take(chunk) {
                return true;
            }
            done = done.saturating_add(now);
        }
        true
    }

    /// Looks at one byte of each page.
    pub fn user_readable(&mut self, address: i64, size: i64) -> i64 {
        let (first, size) = (address as u64, u64::try_from(size).unwrap_or(0));
        let Some(last) = first.checked_add(size.saturating_sub(1)) else { return 0 };
        let pages = (first / PAGE..=last / PAGE).take(MOST_PAGES);
        let all = pages.map(|page| page.saturating_mul(PAGE).max(first)).all(|at| {
            let mut byte = [0];
            self.env.read_target(self.context, at, &mut byte)
        });
        i64::from(all)
    }

    fn copy_fault(&mut self, address: u64, out: &mut Text<'_>) {
        out.truncate(0);
        self.fail_saying(Fault::BadArgument, |message| {
            message.put(b"user string copy fault -14 at ");
            message.put_hex(address);
            message.put(b" [man error::fault]");
        });
    }

    pub fn write_register(&mut self, number: i64, value: i64) {
        let index = number as usize;
        let done = self.env.write_register(self.context, index, value as u64);
        match self.context.registers.get_mut(index) {
            Some(register) if done => *register = value as u64,
            _ => self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"cannot write registers here");
            }),
        }
    }

    pub fn register_number(&mut self, number: i64) -> i64 {
        if !self.has_registers() {
            return 0;
        }
        let value = usize::try_from(number).ok().and_then(|index| self.context.registers.get(index)).copied();
        value.unwrap_or_else(|| {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"Unknown register: ");
                message.put_long(number);
            });
            0
        }) as i64
    }

    pub fn vector_register(&mut self, number: i64, half: i64) -> i64 {
        if !self.has_registers() {
            return 0;
        }
        let (number, half) = (usize::try_from(number).ok(), usize::try_from(half).ok());
        let value = number.zip(half).and_then(|(n, half)| self.env.vector_register(self.context, n, half));
        value.unwrap_or_else(|| {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"cannot read floating-point registers here");
            });
            0
        }) as i64
    }

    pub fn register(&mut self, name: &[u8]) -> i64 {
        self.named_register(name, true)
    }

    pub fn u_register(&mut self, name: &[u8]) -> i64 {
        self.named_register(name, false)
    }

    fn named_register(&mut self, name: &[u8], signed: bool) -> i64 {
        let Some(found) = find_register(name) else {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"Unknown register: ");
                message.put(name);
            });
            return 0;
        };
        if !self.has_registers() {
            return 0;
        }
        let whole = self.context.registers.get(found.index).copied().unwrap_or(0) >> found.shift;
        let unused = 64u32.saturating_sub(found.bits);
        let top = whole.wrapping_shl(unused);
        if signed { (top as i64).wrapping_shr(unused) } else { top.wrapping_shr(unused) as i64 }
    }

    fn has_registers(&mut self) -> bool {
        let has = self.context.flags & flags::HAS_REGISTERS != 0;
        if !has {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"cannot access CPU registers in this context");
            });
        }
        has
    }

    /// System V AMD64 ABI: six in registers, the others on the stack above the return address.
    pub fn argument(&mut self, number: i64) -> i64 {
        const IN_REGISTERS: [usize; 6] =
            [register::RDI, register::RSI, register::RDX, register::RCX, register::R8, register::R9];
        if !self.has_registers() {
            return 0;
        }
        let Some(index) = number.checked_sub(1).and_then(|index| usize::try_from(index).ok()) else {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"cannot fetch argument number ");
                message.put_long(number);
            });
            return 0;
        };
        if let Some(&register) = IN_REGISTERS.get(index) {
            return self.context.registers.get(register).copied().unwrap_or(0) as i64;
        }
        let stack = self.context.registers.get(register::RSP).copied().unwrap_or(0);
        let slot = (index as u64).wrapping_sub(5).wrapping_mul(8);
        self.read_memory(stack.wrapping_add(slot) as i64, 8)
    }
}

/// Where a named register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    index: usize,
    bits: u32,
    shift: u32,
}

/// rax rdx rcx rbx, by the letter in the middle, with their 32, 16 and 8-bit parts.
const LETTERS: [(u8, usize); 4] =
    [(b'a', register::RAX), (b'b', register::RBX), (b'c', register::RCX), (b'd', register::RDX)];
/// rsi rdi rbp rsp: the last two letters.
const PAIRS: [(&[u8], usize); 4] =
    [(b"si", register::RSI), (b"di", register::RDI), (b"bp", register::RBP), (b"sp", register::RSP)];

fn find_register(name: &[u8]) -> Option<Named> {
    let named = |index: usize, bits: u32| Named { index, bits, shift: 0 };
    let letter = |letter: u8| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, index)| *index);
    let pair = |pair: &[u8]| PAIRS.iter().find(|(known, _)| *known == pair).map(|(_, index)| *index);
    Some(match name {
        b"rip" | b"eip" | b"pc" => named(register::RIP, if name == b"eip" { 32 } else { 64 }),
        b"eflags" | b"rflags" | b"flags" => named(rstap_abi::context::EFLAGS, 64),
        b"orig_rax" => named(rstap_abi::context::ORIG_RAX, 64),
        [b'r', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => return numbered_register(rest),
        [b'r', middle, b'x'] => named(letter(*middle)?, 64),
        [b'e', middle, b'x'] => named(letter(*middle)?, 32),
        [middle, b'x'] => named(letter(*middle)?, 16),
        [middle, b'l'] => named(letter(*middle)?, 8),
        [middle, b'h'] => Named { index: letter(*middle)?, bits: 8, shift: 8 },
        [b'r', rest @ ..] => named(pair(rest)?, 64),
        [b'e', rest @ ..] => named(pair(rest)?, 32),
        [first, second, b'l'] => named(pair(&[*first, *second])?, 8),
        rest => named(pair(rest)?, 16),
    })
}

/// r8 … r15, with suffix d, w or b for the low 32, 16 or 8 bits.
fn numbered_register(rest: &[u8]) -> Option<Named> {
    let (digits, bits) = match rest {
        [digits @ .., b'd'] => (digits, 32),
        [digits @ .., b'w'] => (digits, 16),
        [digits @ .., b'b'] => (digits, 8),
        digits => (digits, 64),
    };
    let index = match digits {
        b"8" => register::R8,
        b"9" => register::R9,
        [b'1', last @ b'0'..=b'5'] => register::R10.saturating_add(usize::from(last.wrapping_sub(b'0'))),
        _ => return None,
    };
    (index < REGISTER_COUNT).then_some(Named { index, bits, shift: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_names_of_the_manual() {
        let cases = [
            ("rax", 0, 64, 0),
            ("edx", 1, 32, 0),
            ("cx", 2, 16, 0),
            ("bl", 3, 8, 0),
            ("ah", 0, 8, 8),
            ("rsi", 4, 64, 0),
            ("edi", 5, 32, 0),
            ("bp", 6, 16, 0),
            ("spl", 7, 8, 0),
            ("r8", 8, 64, 0),
            ("r15d", 15, 32, 0),
            ("rip", 16, 64, 0),
        ];
        for (name, index, bits, shift) in cases {
            assert_eq!(find_register(name.as_bytes()), Some(Named { index, bits, shift }), "{name}");
        }
        for name in ["r16", "xyz", "", "r", "rxx", "r8q"] {
            assert_eq!(find_register(name.as_bytes()), None, "{name}");
        }
    }
}
