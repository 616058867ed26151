//! The kinds of address, so that none is taken for another. Conversions are named functions elsewhere that take
//! the mapping they rely on.

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address!(
    /// Offset of a byte in an ELF file.
    FileOffset
);
address!(
    /// Virtual address as written in an ELF file (before relocation).
    LinkAddr
);
address!(
    /// Virtual address in a running target.
    TargetAddr
);
