//! An image mapped executable, and handlers called in it.

use memmap2::{Mmap, MmapMut};
use rstap_abi::context::Context;
use rstap_abi::image::HandlerEntry;

/// An image in executable memory.
pub struct Mapped {
    memory: Mmap,
}

impl Mapped {
    /// Maps a copy of the image.
    pub fn new(image: &[u8]) -> Mapped {
        let mut memory = MmapMut::map_anon(image.len()).expect("memory for the image");
        memory.copy_from_slice(image);
        Mapped { memory: memory.make_exec().expect("executable memory") }
    }

    /// Address of byte 0.
    pub fn address(&self) -> u64 {
        self.memory.as_ptr().addr() as u64
    }

    fn u32_at(&self, at: usize) -> usize {
        u32::from_le_bytes(self.memory[at..at + 4].try_into().expect("four bytes")) as usize
    }

    /// Calls a handler. The context must have its builtin table and whatever the handler uses.
    pub fn call(&self, handler: usize, context: &mut Context) {
        let entry = self.u32_at(16) + handler * size_of::<HandlerEntry>();
        let code = self.u32_at(entry);
        context.image = self.address();
        let address = self.memory[code..].as_ptr();
        // SAFETY: the image was made by `compile`, whose handlers have this type, and its memory lives with `self`.
        let function = unsafe { std::mem::transmute::<*const u8, extern "C" fn(*mut Context)>(address) };
        function(context);
    }
}
