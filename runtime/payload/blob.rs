//! The link root of the blob: the payload, and what a freestanding program must bring along itself. The memory
//! functions are here and not in a library, where they would take the place of the C library's in rstap and in tests.

#![no_std]
#![no_main]

use core::arch::asm;

pub use rstap_payload::entry::{rstap_payload_abi_version, rstap_payload_enter};
pub use rstap_payload::slot::RSTAP_PAYLOAD_CONFIG;

/// Ends the program at an instruction that says why: `ud2` before the letters `rstap!`. When nothing can panic the
/// linker leaves it out, and `tests/blob.rs` looks for those bytes.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it does not return.
    unsafe { asm!("ud2", ".ascii \"rstap!\"", options(noreturn)) }
}

/// `memcpy`: `rep movsb`, which is quick on every processor of the last ten years (ERMS).
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: by the contract.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// `memmove`
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the ends do not overlap in the direction that matters.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: from the end to the start, so that nothing is overwritten before it is read; the direction flag is
    // clear again afterwards, as the calling convention wants.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack));
    }
    to
}

/// `memset`
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: by the contract.
    unsafe {
        asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// `memcmp`
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for index in 0..len {
        // SAFETY: by the contract. Volatile, or the compiler makes a call of memcmp of this loop.
        let (left, right) = unsafe { (a.add(index).read_volatile(), b.add(index).read_volatile()) };
        if left != right {
            return i32::from(left).wrapping_sub(i32::from(right));
        }
    }
    0
}

/// `bcmp`
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: by the contract.
    unsafe { memcmp(a, b, len) }
}
