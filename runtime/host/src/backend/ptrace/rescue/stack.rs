//! What can be told from a stopped thread's stack, word by word, without knowing its frames.

use super::area::{Action, PAGE, Piece};
use super::code;
use crate::backend::ptrace::memory::Memory;
use crate::backend::ptrace::sys::{self, Tid};
use crate::process::maps::{self, Mapping};

/// The deepest stack that is searched.
const DEEPEST: u64 = 64 << 20;

/// Whether a thread is in this memory, or may return to it: an address of it is in its instruction pointer, or anywhere
/// on its stack, such as in the frame of a signal that came while it was in a slot. `ours` is our handler's.
pub fn leads_into(tid: Tid, pid: i32, memory: &Memory, pieces: &[Piece], ours: Option<&Frames>) -> bool {
    let within = |address: &u64| pieces.iter().any(|piece| (piece.start..piece.end).contains(address));
    let Ok(registers) = sys::registers(tid) else { return true };
    let Ok(mappings) = maps::read(pid) else { return true };
    let is_over = |words: &[u64], index| ours.is_some_and(|frames| frames.is_over(words, index, within));
    let leads = |words: Vec<u64>| {
        words.iter().enumerate().any(|(index, word)| within(word) && !is_over(&words, index))
    };
    within(&registers.rip) || words(registers.rsp, memory, &mappings).is_none_or(leads)
}

/// What frames of our handler's signals look like: an address to return to, a `ucontext` and a `siginfo`.
///
/// A thread that was sent to a slot leaves such a frame behind, below its stack pointer at first. Later calls take the
/// place without writing all of it, so the address of the slot can stand among what is in use for ever. But our handler
/// calls nothing: when the thread is not in it, the frame of an `int3` of ours is over.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Where our memory is.
    pub base: u64,
    /// What the program has for the signal.
    pub old: Action,
}

impl Frames {
    /// Words from a frame's start to the instruction pointer in it, and to the two words that say what signal it was.
    const RIP: usize = 1 + code::UC_RIP / 8;
    const SIGNAL: usize = 39;

    /// Whether a word is of a frame that nobody returns by. To be asked when the thread is not in our handler; where
    /// that is interrupted, other words lead to its code.
    fn is_over(&self, words: &[u64], index: usize, within: impl Fn(&u64) -> bool) -> bool {
        // The program's own handler, called by ours, returns by our restorer. It is not called for a thread that ours
        // sends to a slot, or finds in one.
        let is_slots = || words.get(index + Frames::RIP).is_some_and(&within);
        let as_return = (!self.old.is_function() || is_slots()).then_some(index);
        let starts = [index.checked_sub(Frames::RIP), as_return];
        starts.into_iter().flatten().any(|start| {
            let returns = [self.base, self.old.restorer].contains(&words[start]);
            let low = |at: usize| words.get(start + at).map(|word| *word as u32 as i32);
            returns
                && low(Frames::SIGNAL) == Some(libc::SIGTRAP)
                && low(Frames::SIGNAL + 1) == Some(sys::SI_KERNEL)
        })
    }
}

/// Makes a thread that is in a signal handler of the program's own by way of ours independent of it: ours is left where
/// it has only begun, and the program's returns by its own restorer, which does the same. `old` is the program's action,
/// `base` where our memory is; `is_ours`: whether a breakpoint was at an address.
pub fn detour(tid: Tid, pid: i32, memory: &Memory, base: u64, old: &Action, is_ours: impl Fn(u64) -> bool) {
    let Ok(mut registers) = sys::registers(tid) else { return };
    if !old.is_function() || old.restorer == 0 {
        return;
    }
    if registers.rip == base + code::handler() {
        let rip = memory.word(registers.rdx.wrapping_add(code::UC_RIP as u64)).unwrap_or(0);
        if is_ours(rip.wrapping_sub(1)) {
            return;
        }
        registers.rip = old.handler;
        let _ = sys::set_registers(tid, &registers);
    }
    if (base..base + PAGE as u64).contains(&registers.rip) {
        return;
    }
    let Ok(mappings) = maps::read(pid) else { return };
    let from = registers.rsp & !7;
    for (index, word) in words(registers.rsp, memory, &mappings).unwrap_or_default().iter().enumerate() {
        if *word == base {
            // Failing means that the process is gone.
            let _ = memory.write_raw(from + index as u64 * 8, &old.restorer.to_le_bytes());
        }
    }
}

/// Whether a thread is in a signal handler: it is in code that ends one, as C libraries and Go have it (`mov 15` to `rax` or
/// `eax`, `syscall`), or the address of such code is on its stack.
pub fn is_in_handler(tid: Tid, pid: i32, memory: &Memory) -> bool {
    const LONG: &[u8] = b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05";
    const SHORT: &[u8] = b"\xb8\x0f\0\0\0\x0f\x05";
    const SYSCALL: usize = 2;
    let Ok(registers) = sys::registers(tid) else { return false };
    let Ok(mappings) = maps::read(pid) else { return false };
    let ends_handler = |address: u64| {
        let mut bytes = [0; LONG.len()];
        mappings.iter().any(|m| m.executable && (m.start..m.end).contains(&address))
            && memory.read_raw(address, &mut bytes) == bytes.len()
            && (bytes.starts_with(LONG) || bytes.starts_with(SHORT))
    };
    // Before the first or the second of the two instructions: the handler has returned to them, and nothing of the signal but
    // its frame is left.
    let is_at_end = [0, LONG.len() - SYSCALL, SHORT.len() - SYSCALL]
        .into_iter()
        .any(|back| ends_handler(registers.rip.wrapping_sub(back as u64)));
    is_at_end
        || words(registers.rsp, memory, &mappings)
            .is_some_and(|words| words.iter().any(|address| ends_handler(*address)))
}

/// The words from the stack pointer to the end of the stack.
fn words(rsp: u64, memory: &Memory, mappings: &[Mapping]) -> Option<Vec<u64>> {
    let from = rsp & !7;
    let stack = mappings.iter().find(|m| (m.start..m.end).contains(&from))?;
    if stack.end - from > DEEPEST {
        return None;
    }
    let mut bytes = vec![0; (stack.end - from) as usize];
    let read = memory.read_raw(from, &mut bytes);
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or(0);
    (read == bytes.len()).then(|| bytes.chunks_exact(8).map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_over_leads_nowhere() {
        const BASE: u64 = 0x7000_0000;
        let mut words = vec![0; 64];
        let slot = BASE + 0x10_0000;
        (words[3], words[3 + 22]) = (BASE, slot);
        (words[3 + 39], words[3 + 40]) = (libc::SIGTRAP as u64 | 7 << 32, sys::SI_KERNEL as u64);
        let within = |word: &u64| *word == BASE || *word == slot;
        let is_over = |frames: &Frames, words: &[u64], index| frames.is_over(words, index, within);
        let default = Frames { base: BASE, old: Action::default() };
        assert!(is_over(&default, &words, 3) && is_over(&default, &words, 25));
        assert!(!is_over(&default, &words, 26) && !is_over(&default, &words, 60));
        let caught = Frames { base: BASE, old: Action { handler: 0x1234, ..Action::default() } };
        assert!(is_over(&caught, &words, 3) && is_over(&caught, &words, 25));
        // The program's own trap, outside of slots: its handler may be running.
        words[3 + 22] = 0x1000;
        assert!(is_over(&default, &words, 3) && !is_over(&caught, &words, 3));
        words[3 + 22] = slot;
        // Sent by somebody: the program's own handler may be running.
        words[3 + 40] = 0;
        assert!(!is_over(&default, &words, 3) && !is_over(&default, &words, 25));
    }
}
