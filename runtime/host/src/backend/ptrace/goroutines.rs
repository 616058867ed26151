//! Stacks that move: Go gives a goroutine another stack when it has to grow, and copies what is on it. That stays as far from
//! the end of the stack as it was.
//! Source: Go `runtime/runtime2.go` (`g`, `stack`), `runtime/stack.go` (`copystack`), `cmd/compile/abi-internal.md`.

use super::space::{SpaceId, StackPlace};
use super::sys::UserRegisters;
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::process::maps::{self, Mapping};

impl<H: Handlers> Tracer<H> {
    /// The place of an address on the stack of a thread with these registers.
    pub(super) fn stack_place(
        &mut self,
        pid: i32,
        space: SpaceId,
        registers: &UserRegisters,
        rsp: u64,
    ) -> StackPlace {
        let fixed = StackPlace { goroutine: 0, at: rsp };
        if !self.is_go(pid, space) {
            return fixed;
        }
        let Some(memory) = self.spaces.get(&space).map(|s| &s.memory) else { return fixed };
        // Go's own functions have the goroutine (`runtime.g`) in r14, and keep it in the thread's memory for others.
        let kept = memory.word(registers.fs_base.wrapping_sub(8));
        let stack = [Some(registers.r14), kept].into_iter().flatten().find_map(|goroutine| {
            // It begins with the bounds of its stack.
            let (low, high) = (memory.word(goroutine)?, memory.word(goroutine.wrapping_add(8))?);
            (low < rsp && rsp < high).then_some((goroutine, high))
        });
        stack.map_or(fixed, |(goroutine, high)| StackPlace { goroutine, at: high - rsp })
    }

    fn is_go(&mut self, pid: i32, space: SpaceId) -> bool {
        let known = self.spaces.get(&space).and_then(|s| s.is_go);
        known.unwrap_or_else(|| {
            let mappings = maps::read(pid).unwrap_or_default();
            let program = self.processes.get(&pid).and_then(|process| process.subject.executable);
            let is_its = |m: &&Mapping| m.executable && program.is_some() && m.file_id(pid) == program;
            let is_go = mappings.iter().find(is_its).is_some_and(|m| self.functions.is_go(pid, m));
            if let Some(s) = self.spaces.get_mut(&space) {
                s.is_go = Some(is_go);
            }
            is_go
        })
    }
}
