//! The memory that `cranelift-jit` places code in: not memory to run, but a buffer from which the image is copied.
//! All of it is one piece, so calls between functions become `rel32` and hold wherever the image is mapped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use cranelift_jit::{BranchProtection, JITMemoryKind, JITMemoryProvider};
use cranelift_module::ModuleResult;

/// A buffer of fixed size. Its bytes are atomics because the module writes them through a pointer while others hold
/// references to the buffer.
#[derive(Clone)]
pub(crate) struct CodeBuffer {
    bytes: Arc<[AtomicU8]>,
    used: Arc<AtomicUsize>,
}

impl CodeBuffer {
    /// A buffer for this many bytes.
    pub(crate) fn new(size: usize) -> CodeBuffer {
        CodeBuffer {
            bytes: (0..size).map(|_| AtomicU8::new(0)).collect(),
            used: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Offset of an address that the buffer gave out.
    pub(crate) fn offset_of(&self, address: *const u8) -> usize {
        address.addr() - self.bytes.as_ptr().addr()
    }

    /// What was placed.
    pub(crate) fn contents(&self) -> Vec<u8> {
        self.bytes.iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
    }
}

impl JITMemoryProvider for CodeBuffer {
    fn allocate(&mut self, size: usize, align: u64, _kind: JITMemoryKind) -> io::Result<*mut u8> {
        let at = self.used.load(Ordering::Relaxed).next_multiple_of(align as usize);
        if at.checked_add(size).is_none_or(|end| end > self.bytes.len()) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.used.store(at + size, Ordering::Relaxed);
        Ok(self.bytes.as_ptr().cast_mut().cast::<u8>().wrapping_add(at))
    }

    // The trait's signature has the word; nothing here relies on it: the buffer lives as long as its last reference.
    #[allow(
        unsafe_code,
        reason = "the trait declares the method unsafe; there is no unsafe block in this crate"
    )]
    unsafe fn free_memory(&mut self) {}

    fn finalize(&mut self, _branch_protection: BranchProtection) -> ModuleResult<()> {
        Ok(())
    }
}
