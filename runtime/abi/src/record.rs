//! What handlers send to rstap through the output ring.

/// The first word of a record in the ring, from its lowest bit on: how often the ring was gone round, the record's words,
/// its producer's thread, its state. `rstap_core::ring` says how it is used.
#[allow(missing_docs, reason = "the names say it")]
pub mod ring_word {
    pub const LAP_BITS: u32 = 14;
    pub const WORDS_BITS: u32 = 24;
    pub const OWNER_BITS: u32 = 24;
    pub const FREE: u64 = 0;
    pub const RESERVED: u64 = 1;
    pub const COMMITTED: u64 = 2;
}

/// Words of a record before its payload: that, and one of the payload's length in bytes and, in the upper half, its kind.
pub const HEADER_WORDS: u64 = 2;

/// Kinds of record.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Bytes for standard output.
    Output = 1,
    /// A text for `WARNING: …` on standard error.
    Warning = 2,
    /// A fault: [`FaultRecord`], then the text.
    Fault = 3,
    /// Space nobody wrote (a producer died, or the ring's end was too near).
    Padding = 4,
    /// A command for `system()`, run by rstap.
    System = 5,
    /// A line for standard error as it is (`log` and its like).
    Log = 6,
    /// Output of a speculation: its number as `u64`, then bytes. Kept by rstap until one of the next two.
    Speculated = 7,
    /// `commit()`: number of a speculation, whose bytes are written at this place of the output.
    Commit = 8,
    /// `discard()`: number of a speculation, whose bytes are forgotten.
    Discard = 9,
    /// `switch_file()`: what follows goes to the next output file.
    SwitchFile = 10,
    /// Output as the arguments of one `printf`, which rstap makes the text of: `rstap_core::output::put_formatted`.
    Formatted = 11,
}

impl RecordKind {
    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<RecordKind> {
        Some(match code {
            1 => RecordKind::Output,
            2 => RecordKind::Warning,
            3 => RecordKind::Fault,
            4 => RecordKind::Padding,
            5 => RecordKind::System,
            6 => RecordKind::Log,
            7 => RecordKind::Speculated,
            8 => RecordKind::Commit,
            9 => RecordKind::Discard,
            10 => RecordKind::SwitchFile,
            11 => RecordKind::Formatted,
            _ => return None,
        })
    }
}

/// Head of a [`RecordKind::Fault`] record's payload; sites of callers and the message follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// [`crate::fault::Fault`] code.
    pub fault: u32,
    /// Index into the program's sites; `u32::MAX` for none.
    pub site: u32,
    /// Index of the probe.
    pub probe: u32,
    /// How many sites of callers follow, innermost first, a `u32` each, before the message.
    pub callers: u32,
}

const _: () = assert!(size_of::<FaultRecord>() == 16);

/// No site.
pub const NO_SITE: u32 = u32::MAX;
