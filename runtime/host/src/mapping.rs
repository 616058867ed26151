//! Anonymous shared memory: the arena, read and written, and the handler image, written once and then only executed.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rstap_core::arena::Arena;
use rstap_core::image::Image;

/// Memory could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot map {bytes} bytes for the {what}: {error}")]
pub struct MappingError {
    /// What for.
    what: &'static str,
    /// How much.
    bytes: u64,
    /// Why not.
    #[source]
    error: io::Error,
}

/// A mapped memfd.
#[derive(Debug)]
struct Mapping {
    file: File,
    base: *mut libc::c_void,
    size: usize,
}

// SAFETY: the address is valid in all threads; what is done with it is the users' concern.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(
        what: &'static str,
        name: &str,
        size: u64,
        protection: libc::c_int,
        fill: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<Mapping, MappingError> {
        let map = || {
            let file = memfd(name)?;
            file.set_len(size)?;
            fill(&file)?;
            let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
            // SAFETY: a new mapping at a place of the kernel's choice, of a file of that size.
            let base = unsafe {
                libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
            };
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(Mapping { file, base, size })
        };
        map().map_err(|error| MappingError { what, bytes: size, error })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size; what was given out borrows from the owner of this.
        unsafe { libc::munmap(self.base, self.size) };
    }
}

fn memfd(name: &str) -> io::Result<File> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the name is a C string; the result is a new descriptor or negative.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// The memory of an arena, zeroed.
#[derive(Debug)]
pub struct ArenaMapping {
    mapping: Mapping,
    name: String,
}

impl ArenaMapping {
    /// Of this size in bytes.
    pub fn new(size: u64) -> Result<ArenaMapping, MappingError> {
        /// Several sessions of one process have arenas of different names.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("rstap-arena-{}-{}.", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mapping = Mapping::new("arena", &name, size, libc::PROT_READ | libc::PROT_WRITE, |_| Ok(()))?;
        Ok(ArenaMapping { mapping, name })
    }

    /// The arena in it.
    pub fn arena(&self) -> Arena<'_> {
        // SAFETY: mapped readable and writable for as long as `self`, page-aligned; nothing here accesses it but
        // through `Arena`.
        unsafe { Arena::new(self.mapping.base.cast(), self.mapping.size as u64) }
    }

    /// The file's name, which its mappings in other processes have too (proc(5), maps).
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// The file behind it, for other processes to map.
    pub fn file(&self) -> &File {
        &self.mapping.file
    }
}

/// A handler image, mapped for execution and never writable while it is.
#[derive(Debug)]
pub struct ImageMapping(Mapping);

impl ImageMapping {
    /// Maps the image of a program.
    pub fn new(bytes: &[u8]) -> Result<ImageMapping, MappingError> {
        let size = (bytes.len() as u64).max(1);
        Mapping::new("image", "rstap-image", size, libc::PROT_READ | libc::PROT_EXEC, |file| {
            file.write_all_at(bytes, 0)
        })
        .map(ImageMapping)
    }

    /// The image in it; `None` if it is not one of this ABI version.
    ///
    /// # Safety
    /// The bytes were made by `rstap_codegen` for this ABI (or keep its contracts).
    pub unsafe fn image(&self) -> Option<Image<'_>> {
        // SAFETY: readable, executable and unchanged for as long as `self`; the rest is the caller's contract.
        unsafe { Image::new(self.0.base.cast(), self.0.size) }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: u64) -> bool {
        let base = self.0.base as u64;
        (base..base + self.0.size as u64).contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_image_is_refused() {
        for bytes in [&b""[..], b"rstapimg", &[0; 4096]] {
            let mapping = ImageMapping::new(bytes).expect("there is memory");
            // SAFETY: the bytes are no image, which is what the call finds out.
            assert!(unsafe { mapping.image() }.is_none());
        }
    }

    #[test]
    fn an_absurd_arena_is_an_error() {
        let error = ArenaMapping::new(1 << 60).expect_err("there is not that much").to_string();
        assert!(error.contains("1152921504606846976 bytes"), "{error}");
    }
}
