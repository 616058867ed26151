//! The link root of the blob: the payload, and what a freestanding program must bring along itself. The memory
//! functions are here and not in a library, where they would take the place of the C library's in rstap and in tests.

#![no_std]
#![no_main]

use core::arch::asm;

pub use rstap_payload::entry::{rstap_payload_abi_version, rstap_payload_enter};
pub use rstap_payload::quick::rstap_payload_quick;
pub use rstap_payload::slot::RSTAP_PAYLOAD_CONFIG;

/// Ends the program at an instruction that says why: `ud2` before the letters `rstap!`. When nothing can panic the
/// linker leaves it out, and `tests/blob.rs` looks for those bytes.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it does not return.
    unsafe { asm!("ud2", ".ascii \"rstap!\"", options(noreturn)) }
}

/// `memcpy`. Most copies are of some words, for which `rep movsb` takes ten times as long as it does for the bytes;
/// larger ones it is quick for on every processor of the last ten years (ERMS).
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    /// Copies the first and the last bytes, which may be some of the same.
    ///
    /// # Safety
    /// There are at least as many bytes as a `T` has, at both places.
    #[inline(always)]
    unsafe fn ends<T>(to: *mut u8, from: *const u8, len: usize) {
        let last = len.wrapping_sub(size_of::<T>());
        // SAFETY: by the contract. Everything is read before anything is written.
        unsafe {
            let (head, tail) = (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
            to.cast::<T>().write_unaligned(head);
            to.add(last).cast::<T>().write_unaligned(tail);
        }
    }
    // SAFETY: by the contract, and there are as many bytes as each length says.
    unsafe {
        match len {
            0 => {}
            1 => to.write(from.read()),
            2..=3 => ends::<u16>(to, from, len),
            4..=7 => ends::<u32>(to, from, len),
            8..=16 => ends::<u64>(to, from, len),
            17..=32 => ends::<[u64; 2]>(to, from, len),
            33..=64 => ends::<[u64; 4]>(to, from, len),
            _ => asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags)),
        }
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
    let mut index = 0;
    // What is the same by words, the rest by bytes. Volatile, or the compiler makes a call of memcmp of these loops.
    while len.wrapping_sub(index) >= 8 {
        // SAFETY: by the contract; `Word` has no alignment.
        let (left, right) = unsafe {
            (a.add(index).cast::<Word>().read_volatile(), b.add(index).cast::<Word>().read_volatile())
        };
        if { left.0 } != { right.0 } {
            break;
        }
        index = index.wrapping_add(8);
    }
    while index < len {
        // SAFETY: by the contract.
        let (left, right) = unsafe { (a.add(index).read_volatile(), b.add(index).read_volatile()) };
        if left != right {
            return i32::from(left).wrapping_sub(i32::from(right));
        }
        index = index.wrapping_add(1);
    }
    0
}

/// A word anywhere.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Word(u64);

/// `bcmp`
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: by the contract.
    unsafe { memcmp(a, b, len) }
}
