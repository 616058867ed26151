//! Any text is parsed, or refused with diagnostics that can be shown; what was printed parses again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rstap_syntax::fuzz_one;

fuzz_target!(|bytes: &[u8]| fuzz_one(bytes));
