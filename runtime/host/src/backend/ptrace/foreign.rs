//! Threads that are in code which another session, dead or alive, has put into the process. Such code ends in a jump back
//! into the program, to the end of what that session displaced; a jump of ours must not be written round that place as
//! long as a thread may still come out there.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::injecting::Position;
use super::space::{Space, SpaceId};
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::backend::inject::ledger::Ledger;
use crate::backend::inject::trampoline;
use crate::process::maps::{self, Mapping};

/// How long threads are waited for that are in such code.
const PATIENCE: Duration = Duration::from_millis(100);
/// A time for them to get out of it.
const PAUSE: Duration = Duration::from_millis(1);
/// Largest mapping that is taken for anything of ours; what is larger is made by compilers in the process.
const LARGEST: u64 = 64 << 20;

impl<H: Handlers> Tracer<H> {
    /// Gives the threads of a parked process the time to come out of other sessions' code. They are parked again
    /// afterwards.
    pub(super) fn wait_for_strangers(&mut self, pid: i32, space: SpaceId) {
        let begin = Instant::now();
        while self.injector.is_some() && begin.elapsed() < PATIENCE && self.is_in_foreign_code(pid, space) {
            self.unpark(|other| other == pid);
            std::thread::sleep(PAUSE);
            self.park(|other| other == pid, Duration::from_millis(20));
        }
    }

    fn is_in_foreign_code(&self, pid: i32, space: SpaceId) -> bool {
        let positions = self.positions(space).unwrap_or_default();
        self.spaces.get(&space).is_some_and(|s| is_there(s, pid, &positions))
    }
}

/// Whether a thread is in code of another session, or will return there from a signal.
pub(super) fn is_there(s: &Space, pid: i32, positions: &[Position]) -> bool {
    let places: Vec<u64> = positions.iter().flat_map(|p| interrupted(&p.stack).chain([p.rip])).collect();
    let Ok(mappings) = maps::read(pid) else { return true };
    let holds = |m: &&Mapping| {
        m.executable
            && (m.path.is_empty() || m.path.starts_with("/memfd:rstap"))
            && places.iter().any(|place| (m.start..m.end).contains(place) && !is_own(s, *place))
    };
    mappings.iter().filter(holds).any(|m| !m.path.is_empty() || is_of_a_session(s, m.start..m.end))
}

/// Whether an address is in what this session has put there.
fn is_own(s: &Space, address: u64) -> bool {
    let in_home = s.home.as_ref().is_some_and(|home| {
        (home.base..home.base + home.plan.size).contains(&address)
            || home.areas.iter().any(|area| area.range.contains(&address))
    });
    let slots = s.areas.iter().any(|area| area.range.contains(&address));
    in_home || slots || s.rescue.as_ref().is_some_and(|rescue| rescue.holds(address))
}

/// Whether some page here begins as a home or an area for trampolines does.
fn is_of_a_session(s: &Space, range: Range<u64>) -> bool {
    let len = range.end - range.start;
    let mut bytes = vec![0; if len <= LARGEST { len as usize } else { 0 }];
    let count = s.memory.read_raw(range.start, &mut bytes);
    bytes[..count].chunks(4096).any(|page| trampoline::is_head(page) || Ledger::begins(page))
}

/// Where the threads whose stacks these are were interrupted by signals that are still being handled: from the frames
/// that the kernel has put there (asm/sigcontext.h: instruction pointer, flags, segments).
fn interrupted(stack: &[u64]) -> impl Iterator<Item = u64> {
    const USER_CODE: u64 = 0x33;
    const ALWAYS_SET: u64 = 1 << 1;
    const FLAGS: u64 = (1 << 22) - 1;
    let is_frame =
        |words: &&[u64]| words[1] & ALWAYS_SET != 0 && words[1] <= FLAGS && words[2] & 0xffff == USER_CODE;
    stack.windows(3).filter(is_frame).map(|words| words[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_signals_are_told_from_other_words() {
        let stack = [0x33, 0x40_1000, 0x246, 0x002b_0000_0000_0033, 7, 0x40_2000, 0x246, 0x32, 0x40_3000];
        assert_eq!(interrupted(&stack).collect::<Vec<_>>(), [0x40_1000]);
    }
}
