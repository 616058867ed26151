//! Why a handler failed. A [`Fault`] is a code in the context; the words are SystemTap's.

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),* $(,)?) => {
        /// A run-time error of a handler.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $variant = $code,)* }

        impl Fault {
            /// The fault with this code; `None` for 0 and for codes nobody gave out.
            pub fn from_code(code: u32) -> Option<Fault> {
                match code { $($code => Some(Fault::$variant),)* _ => None }
            }
        }
    };
}

faults! {
    /// `error("…")`: the text is in the context's message.
    Raised = 1,
    /// Division or remainder by zero.
    DivisionByZero = 2,
    /// MAXACTION used up. Not caught by `try`.
    MaxAction = 3,
    /// Function calls too deep.
    MaxNesting = 4,
    /// A new element in a full array; the value is the declared size, 0 for MAXMAPENTRIES.
    ArrayOverflow = 5,
    /// A statistic array is full; the value as above.
    AggregationOverflow = 6,
    /// An extractor on a statistic without values.
    EmptyAggregate = 7,
    /// `@hist_x(s)[i]` outside the buckets.
    HistogramIndex = 8,
    /// Overloaded function, no candidate left.
    OverloadsExhausted = 9,
    /// Target memory that cannot be read; the value is the address.
    ReadFault = 10,
    /// Target memory that cannot be written; the value is the address.
    WriteFault = 11,
    /// `abort()`: not an error and not caught, but ends the handler in the same way.
    Abort = 12,
    /// Too many nested walks over arrays: the context's scratch memory is used up.
    ScratchExhausted = 13,
    /// An argument outside its range, such as `stringat` past the end; the text is in the message.
    BadArgument = 14,
    /// Something in the arena is not as the runtime left it: the target wrote over it.
    CorruptArena = 15,
    /// The handler's code crashed: a bug of rstap. Not caught by `try`.
    Crash = 16,
    /// The lock for making an element of a sharded array was not to be had in time: the handler counts as skipped.
    Busy = 17,
}

impl Fault {
    /// Whether `try … catch` takes it.
    pub fn can_be_caught(self) -> bool {
        !matches!(self, Fault::MaxAction | Fault::Abort | Fault::CorruptArena | Fault::Crash | Fault::Busy)
    }
}
