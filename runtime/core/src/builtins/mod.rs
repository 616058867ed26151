//! The builtins that compiled code calls, as safe methods: one for each row of `rstap_abi::builtins`, of the same
//! name. They find the parts that the call is about and leave the work to the modules for those.

mod arrays;
mod containers;
mod floats;
mod memory;
mod printing;
mod process;
mod regex;
mod shards;
mod stats;
mod strings;
mod wide;

use rstap_abi::context::flags;
use rstap_abi::fault::Fault;
use rstap_abi::record::RecordKind;

use crate::call::Call;
use crate::env::Env;
use crate::text::{Text, until_nul};

/// Errors and the session.
impl<E: Env> Call<'_, E> {
    pub fn raise(&mut self, text: &[u8]) {
        self.fail_saying(Fault::Raised, |message| {
            message.put(until_nul(text));
        });
    }

    pub fn fault_text(&mut self, out: &mut Text<'_>) {
        match Fault::from_code(self.context.fault) {
            Some(Fault::Raised | Fault::BadArgument) => {
                out.put(self.message());
            }
            Some(fault) => fault_words(fault, self.context.fault_value, out),
            None => {}
        }
    }

    pub fn exit(&mut self) {
        self.context.flags |= flags::EXIT;
    }

    pub fn abort(&mut self) {
        self.context.flags |= flags::EXIT;
        self.fail(Fault::Abort, 0);
    }

    pub fn warn(&mut self, text: &[u8]) {
        self.push(RecordKind::Warning, &[text]);
    }

    pub fn log(&mut self, text: &[u8]) {
        self.push(RecordKind::Log, &[text]);
    }

    pub fn system(&mut self, command: &[u8]) {
        // What was printed before the command comes before the command's output.
        self.flush();
        self.push(RecordKind::System, &[command]);
    }

    pub fn switch_file(&mut self) {
        self.flush();
        self.push(RecordKind::SwitchFile, &[]);
    }

    pub fn speculation(&mut self) -> i64 {
        let number = self.new_speculation();
        self.check(number, 0) as i64
    }

    /// Output goes to speculation `number` from now on, 0 for the real output.
    pub fn speculate(&mut self, number: i64) {
        self.flush();
        self.context.speculation = u32::try_from(number).unwrap_or(0);
    }

    pub fn commit(&mut self, number: i64) {
        self.flush();
        self.push(RecordKind::Commit, &[&number.to_le_bytes()]);
    }

    pub fn discard(&mut self, number: i64) {
        self.flush();
        self.push(RecordKind::Discard, &[&number.to_le_bytes()]);
    }
}

/// SystemTap's words for a fault that has no message of its own.
pub(crate) fn fault_words(fault: Fault, value: u64, out: &mut Text<'_>) {
    let words: &[u8] = match fault {
        Fault::DivisionByZero => b"division by 0",
        Fault::MaxAction => b"MAXACTION exceeded",
        Fault::MaxNesting => b"MAXNESTING exceeded",
        Fault::ArrayOverflow | Fault::AggregationOverflow if value == 0 => {
            b"Array overflow, check MAXMAPENTRIES"
        }
        Fault::ArrayOverflow | Fault::AggregationOverflow => {
            out.put(b"Array overflow, check size limit (");
            out.put_long(value as i64);
            b")"
        }
        Fault::EmptyAggregate => b"empty aggregate",
        Fault::HistogramIndex => b"histogram index out of range",
        Fault::OverloadsExhausted => b"all functions exhausted",
        Fault::ReadFault | Fault::WriteFault => {
            out.put(if fault == Fault::ReadFault { b"read" } else { b"write" });
            out.put(b" fault [man error::fault] at ");
            out.put_hex(value);
            b""
        }
        Fault::Abort => b"aborted",
        Fault::ScratchExhausted => b"too many nested foreach loops, their memory is used up",
        Fault::CorruptArena => b"memory shared with the target was overwritten",
        Fault::Busy => b"the lock of a sharded array was busy",
        Fault::Crash => b"the handler's code crashed, please report this bug of rstap",
        Fault::Raised | Fault::BadArgument => b"",
    };
    out.put(words);
}

#[cfg(test)]
mod tests;
