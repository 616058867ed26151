//! The stack of a stopped thread, frame by frame: by call frame information where a module has it, by frame pointers
//! where not. Memory of the target is foreign: whatever is in it, there are no more frames than are asked for.

use rstap_abi::context::{Registers, register};
use rstap_debuginfo::unwind::{Caller, FRAME_REGISTERS, FrameRegisters, words_pushed_in_prologue};

use super::Place;
use crate::backend::TargetMemory;

/// A stack, unwound as far as was asked for.
pub struct Stack {
    addresses: Vec<u64>,
    /// The caller of the last frame; `None` when that was the outermost one.
    next: Option<Frame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    registers: FrameRegisters,
    /// The thread is (or was, by a signal) about to run the instruction at the pc. If not, the pc is a return address.
    exact: bool,
}

impl Stack {
    /// Of a thread with these registers; nothing is read yet.
    pub fn new(registers: &Registers) -> Stack {
        let mut own = [0; FRAME_REGISTERS];
        own.copy_from_slice(&registers[..FRAME_REGISTERS]);
        Stack { addresses: Vec::new(), next: Some(Frame { registers: own, exact: true }) }
    }

    /// The pc of the frame that is `n` calls outside the innermost one, if there are so many.
    pub fn frame(
        &mut self,
        n: u64,
        memory: &dyn TargetMemory,
        find: &dyn Fn(u64) -> Option<Place>,
    ) -> Option<u64> {
        let n = usize::try_from(n).ok()?;
        while self.addresses.len() <= n {
            let frame = self.next.take()?;
            let place = find(frame.lookup());
            // Garbage is not shown as a frame, but a jump to nowhere is: that is where the thread is.
            if !self.addresses.is_empty() && !place.as_ref().is_some_and(|place| place.executable) {
                return None;
            }
            self.addresses.push(frame.pc());
            self.next = frame.caller(place.as_ref(), memory);
        }
        self.addresses.get(n).copied()
    }
}

impl Frame {
    fn pc(&self) -> u64 {
        self.registers[register::RIP]
    }

    /// An address that is certainly in the function.
    fn lookup(&self) -> u64 {
        self.pc().wrapping_sub(u64::from(!self.exact))
    }

    fn caller(&self, place: Option<&Place>, memory: &dyn TargetMemory) -> Option<Frame> {
        let read = |address| word(memory, address);
        let by_rules = place
            .and_then(|place| place.code.as_ref())
            .and_then(|code| code.module.symbols().caller(code.link, &self.registers, code.bias, &read));
        let caller = match by_rules {
            Some(Caller::None) => return None,
            Some(Caller::Frame { registers, interrupted }) => Frame { registers, exact: interrupted },
            None => self.caller_by_frame_pointer(place, memory)?,
        };
        // Stacks grow down. A signal handler may run on a stack of its own, anywhere.
        let proceeds = caller.exact || caller.registers[register::RSP] > self.registers[register::RSP];
        (proceeds && caller.pc() != 0).then_some(caller)
    }

    /// The caller by the chain of saved rbp (psABI, 3.2.2), which a function has joined after its prologue.
    fn caller_by_frame_pointer(&self, place: Option<&Place>, memory: &dyn TargetMemory) -> Option<Frame> {
        let (rsp, rbp) = (self.registers[register::RSP], self.registers[register::RBP]);
        let in_prologue = if self.exact { words_pushed(place, memory, self.pc()) } else { None };
        let (return_at, saved) = match in_prologue {
            Some(words) => {
                let return_at = rsp.wrapping_add(words * 8);
                (return_at, if words == 0 { rbp } else { word(memory, rsp)? })
            }
            None if rbp >= rsp && rbp.is_multiple_of(8) => (rbp.wrapping_add(8), word(memory, rbp)?),
            None => return None,
        };
        let mut registers = self.registers;
        registers[register::RIP] = word(memory, return_at)?;
        registers[register::RSP] = return_at.wrapping_add(8);
        registers[register::RBP] = saved;
        Some(Frame { registers, exact: false })
    }
}

/// Nothing is pushed where a function begins, whatever it does then. What the file has is asked before the memory, where a
/// probe may stand.
fn words_pushed(place: Option<&Place>, memory: &dyn TargetMemory, pc: u64) -> Option<u64> {
    if let Some(code) = place.and_then(|place| place.code.as_ref()) {
        let symbol = code.module.symbols().symbol_at(code.link);
        if symbol.is_some_and(|symbol| symbol.address == code.link) {
            return Some(0);
        }
        return words_pushed_in_prologue(code.module.headers().bytes_at(code.link, 4)?);
    }
    let mut code = [0; 4];
    memory.read(pc, &mut code).then(|| words_pushed_in_prologue(&code)).flatten()
}

fn word(memory: &dyn TargetMemory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack at [`BASE`] that is all there is to read.
    struct Words(Vec<u64>);

    const BASE: u64 = 0x7000_0000;
    const CODE: std::ops::Range<u64> = 0x1000..0x2000;

    impl TargetMemory for Words {
        fn read(&self, address: u64, into: &mut [u8]) -> bool {
            let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            let from = address.checked_sub(BASE).and_then(|at| bytes.get(at as usize..));
            let Some(from) = from.and_then(|from| from.get(..into.len())) else { return false };
            into.copy_from_slice(from);
            true
        }

        fn write(&self, _address: u64, _from: &[u8]) -> bool {
            false
        }
    }

    fn anonymous_code(address: u64) -> Option<Place> {
        let (start, end) = (CODE.start, CODE.end);
        let place = Place { path: String::new(), start, end, executable: true, code: None };
        CODE.contains(&address).then_some(place)
    }

    fn unwind(words: Vec<u64>, rsp: u64, rbp: u64) -> Vec<u64> {
        let mut registers = [0; rstap_abi::context::REGISTER_COUNT];
        (registers[register::RIP], registers[register::RSP], registers[register::RBP]) = (0x1100, rsp, rbp);
        let (memory, mut stack) = (Words(words), Stack::new(&registers));
        (0..100).map_while(|n| stack.frame(n, &memory, &anonymous_code)).collect()
    }

    #[test]
    fn frame_pointers_are_followed_to_their_end() {
        let words = vec![0, BASE + 24, 0x1200, 0, 0x1300];
        assert_eq!(unwind(words, BASE, BASE + 8), [0x1100, 0x1200, 0x1300]);
    }

    #[test]
    fn frames_that_lead_back_are_not_followed() {
        let circle = vec![BASE, 0x1200, BASE, 0x1300];
        assert_eq!(unwind(circle, BASE, BASE), [0x1100, 0x1200]);
    }

    #[test]
    fn garbage_ends_the_stack() {
        assert_eq!(unwind(vec![BASE + 16, 0xdead, 0, 0], BASE, BASE), [0x1100]);
        assert_eq!(unwind(vec![], 0, u64::MAX - 7), [0x1100]);
        assert_eq!(unwind(vec![], u64::MAX, u64::MAX), [0x1100]);
        assert_eq!(unwind(vec![1, 0x1200], BASE, BASE), [0x1100, 0x1200]);
    }

    #[test]
    fn random_stacks_of_real_code_are_bounded() {
        // This test's own code and stack rules, with stacks that hold its addresses at random.
        let own = std::process::id() as i32;
        let symbols = super::super::Symbols::default();
        symbols.refresh(own);
        let inside = unwind as fn(_, _, _) -> _ as usize as u64;
        let find = |address| symbols.find(Some(own), address, None);
        let text = find(inside).expect("own code is mapped");
        let mut seed = 1u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed >> 20
        };
        for _ in 0..300 {
            let mut word = || match random() % 3 {
                0 => BASE + random() % 2048,
                1 => text.start + random() % (text.end - text.start),
                _ => random(),
            };
            let words: Vec<u64> = (0..256).map(|_| word()).collect();
            let mut registers = [0; rstap_abi::context::REGISTER_COUNT];
            registers.fill_with(&mut word);
            registers[register::RSP] = BASE + 64;
            let (memory, mut stack) = (Words(words), Stack::new(&registers));
            let frames = (0..1000).map_while(|n| stack.frame(n, &memory, &find)).count();
            assert!((1..=1000).contains(&frames));
        }
    }
}
