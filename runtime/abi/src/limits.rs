//! Limits of a run, with SystemTap's names and defaults (stap(1), SAFETY AND SECURITY). `-D NAME=VALUE` sets one.

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $name:literal : $default:expr),* $(,)?) => {
        /// The limits of one run. Lives in the arena header, so that every backend sees the same.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits { $($(#[$doc])* pub $field: u64,)* }

        impl Limits {
            /// SystemTap's defaults.
            pub const DEFAULT: Limits = Limits { $($field: $default,)* };
            /// Names as `-D` takes them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The values, in the order of the fields.
            pub const fn values(&self) -> [u64; Limits::NAMES.len()] {
                [$(self.$field),*]
            }

            /// The limit with this `-D` name.
            pub fn by_name(&mut self, name: &str) -> Option<&mut u64> {
                match name { $($name => Some(&mut self.$field),)* _ => None }
            }
        }
    };
}

limits! {
    /// Longest string value in bytes, with the NUL that a C string would need: values have at most one less.
    max_string_len = "MAXSTRINGLEN": 512,
    /// Statements one handler may run.
    max_action = "MAXACTION": 1000,
    /// The same for begin, end and error handlers.
    max_action_interruptible = "MAXACTION_INTERRUPTIBLE": 10_000,
    /// Depth of function calls.
    max_nesting = "MAXNESTING": 10,
    /// Entries of an array declared without a size.
    max_map_entries = "MAXMAPENTRIES": 2048,
    /// Run-time errors that are survived; one more ends the session.
    max_errors = "MAXERRORS": 0,
    /// Skipped probes that are survived; one more ends the session.
    max_skipped = "MAXSKIPPED": 100,
    /// Times a busy lock is tried again.
    max_try_lock = "MAXTRYLOCK": 100,
    /// Microseconds between two tries.
    try_lock_delay_us = "TRYLOCKDELAY": 10,
    /// Frames of a backtrace.
    max_backtrace = "MAXBACKTRACE": 20,
    /// Cycles after which the time that handlers took is looked at.
    overload_interval = "STP_OVERLOAD_INTERVAL": 1_000_000_000,
    /// Cycles that handlers of one thread may take of such an interval.
    overload_threshold = "STP_OVERLOAD_THRESHOLD": 500_000_000,
    /// Milliseconds that a handler waits at most for room for its output; 0: a moment only (`--lossless` sets it).
    max_output_wait_ms = "MAXOUTPUTWAIT": 0,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// Shards of the globals that handlers only add to: one for each context that runs handlers, while there are so many.
/// Number 0 is for all others.
pub const MAX_SHARDS: u32 = 32;

/// Key parts of an array.
pub const MAX_KEYS: usize = 9;
