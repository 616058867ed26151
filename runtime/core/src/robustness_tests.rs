//! Whatever is written over the arena while it is used: no panic, no endless loop, nothing outside it.
