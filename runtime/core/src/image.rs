//! Reads the handler image. Unlike the arena it is trusted: it comes from pass 4 and nobody else writes it.

use core::marker::PhantomData;

use rstap_abi::context::Context;
use rstap_abi::format::Directive;
use rstap_abi::image::{ConditionEntry, HandlerEntry, ImageHeader, LockEntry, MAGIC, ProbeEntry, Text};

/// A handler's code.
pub type Code = unsafe extern "C" fn(*mut Context);

/// A handler image mapped for execution.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    base: *const u8,
    header: ImageHeader,
    mapping: PhantomData<&'a [u8]>,
}

// SAFETY: nobody writes the image.
unsafe impl Send for Image<'_> {}
// SAFETY: as above.
unsafe impl Sync for Image<'_> {}

impl<'a> Image<'a> {
    /// The image at `base`; `None` if it is not an image of this ABI version or does not fit into `size` bytes.
    ///
    /// # Safety
    /// For all of `'a`, `size` bytes from `base` are readable, executable and unchanged. If they are an image, it was
    /// made by `rstap_codegen` for this ABI: its tables lie in it and its code keeps the contracts of
    /// `rstap_abi::builtins` and `rstap_abi::context`.
    pub unsafe fn new(base: *const u8, size: usize) -> Option<Image<'a>> {
        if size < size_of::<ImageHeader>() {
            return None;
        }
        // SAFETY: readable by the contract, long enough by the check above; any bytes are an `ImageHeader`.
        let header = unsafe { base.cast::<ImageHeader>().read_unaligned() };
        let ours = header.magic == MAGIC && header.abi_version == rstap_abi::ABI_VERSION;
        let first = (base as usize).wrapping_add(header.handlers as usize);
        let is_aligned = first.is_multiple_of(align_of::<HandlerEntry>());
        (ours && is_aligned && header.size as usize <= size).then_some(Image {
            base,
            header,
            mapping: PhantomData,
        })
    }

    /// The image that a context names.
    ///
    /// # Safety
    /// `context.image` is the address of an [`Image`] that lives for `'a`.
    pub(crate) unsafe fn of_context(context: &Context) -> Image<'a> {
        let base = context.image as *const u8;
        // SAFETY: by the contract an image begins there.
        let header = unsafe { base.cast::<ImageHeader>().read_unaligned() };
        Image { base, header, mapping: PhantomData }
    }

    /// Where it is mapped.
    pub fn address(&self) -> u64 {
        self.base as u64
    }

    /// Number of probes.
    pub fn probe_count(&self) -> u32 {
        self.header.probe_count
    }

    /// Probe `index`.
    pub fn probe(&self, index: u32) -> Option<ProbeEntry> {
        if index >= self.header.probe_count {
            return None;
        }
        // SAFETY: the table has that many entries and lies in the image, by the contract of `new`.
        Some(unsafe { self.read(self.header.probes, index) })
    }

    /// Handler `index`.
    pub fn handler(&self, index: u32) -> Option<&'a HandlerEntry> {
        if index >= self.header.handler_count {
            return None;
        }
        let table = self.base.wrapping_add(self.header.handlers as usize).cast::<HandlerEntry>();
        // SAFETY: as for probes; `new` has looked at the alignment. Not a copy: each hit asks, and needs some fields.
        Some(unsafe { &*table.add(index as usize) })
    }

    /// Place of the first shard, bytes of each, and their number.
    pub(crate) fn shards(&self) -> (u64, u64, u32) {
        (self.header.shards, self.header.shard_stride, self.header.shard_count)
    }

    /// The lock set of a handler.
    pub(crate) fn locks(&self, handler: &HandlerEntry) -> impl DoubleEndedIterator<Item = LockEntry> + Clone {
        let (image, at) = (*self, handler.locks);
        // SAFETY: the handler is one of this image (`handler` gave it out), so its lock set lies in it.
        (0..handler.lock_count).map(move |index| unsafe { image.read(at, index) })
    }

    /// The conditions whose outcome a handler may change.
    pub(crate) fn conditions(&self, handler: &HandlerEntry) -> impl Iterator<Item = ConditionEntry> {
        let (image, at) = (*self, handler.conditions);
        // SAFETY: as for lock sets.
        (0..handler.condition_count).map(move |index| unsafe { image.read(at, index) })
    }

    /// The code of a handler.
    pub(crate) fn code(&self, handler: &HandlerEntry) -> Code {
        // SAFETY: by the contract of `new` a function of this type begins there.
        unsafe { core::mem::transmute::<*const u8, Code>(self.base.add(handler.code as usize)) }
    }

    /// A text of the image; nothing if it is not in it.
    pub fn text(&self, text: Text) -> &'a [u8] {
        let end = u64::from(text.at).saturating_add(u64::from(text.len));
        if end > u64::from(self.header.size) {
            return &[];
        }
        // SAFETY: in bounds by the check, unchanged for 'a by the contract of `new`.
        unsafe { core::slice::from_raw_parts(self.base.add(text.at as usize), text.len as usize) }
    }

    /// Directive `index` of the format at `at`; `None` if it is not in the image.
    pub(crate) fn directive(&self, at: u32, index: u32) -> Option<Directive> {
        const BYTES: u64 = size_of::<Directive>() as u64;
        let end = u64::from(index).checked_add(1)?.checked_mul(BYTES)?.checked_add(u64::from(at))?;
        // SAFETY: in the image by the check; any bytes are a `Directive`.
        (end <= u64::from(self.header.size)).then(|| unsafe { self.read(at, index) })
    }

    /// Entry `index` of the table at `at`.
    ///
    /// # Safety
    /// The entry lies in the image, and any bytes are a `T`.
    unsafe fn read<T: Copy>(&self, at: u32, index: u32) -> T {
        let offset = (at as usize).wrapping_add((index as usize).wrapping_mul(size_of::<T>()));
        // SAFETY: by the contract.
        unsafe { self.base.add(offset).cast::<T>().read_unaligned() }
    }
}
