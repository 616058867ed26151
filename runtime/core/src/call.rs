//! One call from compiled code into the core: the context, the environment and the arena, and safe access to the
//! memory that the context names.

use core::sync::atomic::Ordering::Relaxed;

use rstap_abi::context::{Context, flags};
use rstap_abi::fault::Fault;
use rstap_abi::format::{Argument, Directive};
use rstap_abi::image;
use rstap_abi::record::RecordKind;
use rstap_abi::regex::MEMORY_WORDS;

use crate::arena::{Arena, Checked};
use crate::env::Env;
use crate::format::Source;
use crate::image::Image;
use crate::packed;
use crate::ring::Refused;
use crate::session::SessionView;
use crate::text::Text;
use crate::walk::Item;

/// One call.
pub(crate) struct Call<'c, E> {
    pub context: &'c mut Context,
    pub env: &'c E,
    pub arena: Arena<'c>,
}

/// Times a full ring is tried again after it was drained. With MAXOUTPUTWAIT as many more as that has milliseconds.
const DRAINS: u64 = 4;

impl<'c, E: Env> Call<'c, E> {
    /// The call that `context` was passed in.
    ///
    /// # Safety
    /// `context` points to a context that nobody else uses for `'c`, whose addresses and capacities are those of
    /// memory that is mapped for `'c`, and used by nobody else either but for image and arena; whose `env` is the
    /// address of an `E`; and whose lengths do not exceed the capacities.
    #[inline(always)]
    pub unsafe fn new(context: *mut Context) -> Call<'c, E> {
        // SAFETY: by the contract.
        let context = unsafe { &mut *context };
        // SAFETY: by the contract.
        let env = unsafe { &*(context.env as *const E) };
        // SAFETY: by the contract the arena is mapped; all of this process uses it through `Arena`.
        let arena = unsafe { Arena::new(context.arena as *const u8, context.arena_size) };
        Call { context, env, arena }
    }

    /// The session.
    pub fn session(&self) -> Checked<SessionView<'c>> {
        SessionView::new(self.arena)
    }

    /// The handler image.
    pub fn image(&self) -> Image<'c> {
        // SAFETY: the context names its image (contract of `new`).
        unsafe { Image::of_context(self.context) }
    }

    /// A text of the image.
    pub fn image_text(&self, text: image::Text) -> &'c [u8] {
        self.image().text(text)
    }

    /// Longest string value.
    pub fn longest_string(&self) -> usize {
        self.context.limits.max_string_len.saturating_sub(1) as usize
    }

    /// Makes the handler fail.
    #[cold]
    pub fn fail(&mut self, fault: Fault, value: u64) {
        self.context.fault = fault as u32;
        self.context.fault_value = value;
    }

    /// Makes the handler fail with a text of its own.
    #[cold]
    pub fn fail_saying(&mut self, fault: Fault, say: impl FnOnce(&mut Text<'_>)) {
        let mut text = Text::new(self.message_memory());
        say(&mut text);
        let len = text.len();
        self.context.message_len = len as u32;
        self.fail(fault, 0);
    }

    /// The value, or `otherwise` and a fault.
    #[inline(always)]
    pub fn check<T>(&mut self, result: Result<T, impl Into<Fault>>, otherwise: T) -> T {
        match result {
            Ok(value) => value,
            Err(fault) => {
                self.fail(fault.into(), 0);
                otherwise
            }
        }
    }

    fn message_memory(&mut self) -> &mut [u8] {
        // SAFETY: the context's memory (contract of `new`).
        unsafe { memory(self.context.message, self.context.message_capacity) }
    }

    /// The text of `error()` and of faults with a text of their own.
    pub fn message(&self) -> &[u8] {
        // SAFETY: as above; the length does not exceed the capacity.
        unsafe { memory(self.context.message, self.context.message_len.min(self.context.message_capacity)) }
    }

    /// The rest of the string that `tokenize` works on.
    pub fn tokens(&mut self) -> &mut [u8] {
        let room = u32::try_from(self.context.limits.max_string_len).unwrap_or(u32::MAX);
        // SAFETY: the context's memory, of MAXSTRINGLEN bytes.
        unsafe { memory(self.context.token_buffer, room) }
    }

    /// Memory for running regular expressions, and for the subject of the last match.
    pub fn matching(&mut self) -> (&mut [u32], &mut [u8]) {
        const BYTES: u32 = (MEMORY_WORDS * 4) as u32;
        let Some(room) = self.context.match_capacity.checked_sub(BYTES) else { return (&mut [], &mut []) };
        let subject = self.context.match_memory.wrapping_add(u64::from(BYTES));
        // SAFETY: the context's memory, in two parts; it is aligned to 8 bytes, and any bytes are words.
        unsafe {
            let words = core::slice::from_raw_parts_mut(self.context.match_memory as *mut u32, MEMORY_WORDS);
            (words, memory(subject, room))
        }
    }

    /// Takes room for `count` items of a walk from scratch memory: their address.
    pub fn take_scratch(&mut self, count: u32) -> Option<u64> {
        let start = self.context.scratch_len.checked_next_multiple_of(16)?;
        let bytes = count.checked_mul(size_of::<Item>() as u32)?;
        let end = start.checked_add(bytes)?;
        if end > self.context.scratch_capacity {
            return None;
        }
        self.context.scratch_len = end;
        self.context.scratch.checked_add(u64::from(start))
    }

    /// The items at an address that [`Call::take_scratch`] gave for at least that many.
    ///
    /// # Safety
    /// That it did, and no other reference to them is in use.
    pub unsafe fn items_at(&self, address: u64, count: u32) -> &'c mut [Item] {
        if count == 0 {
            return &mut [];
        }
        // SAFETY: by the contract; scratch memory is aligned to 8 bytes, and any bytes are an `Item`.
        unsafe { core::slice::from_raw_parts_mut(address as *mut Item, count as usize) }
    }

    fn output(&mut self) -> &mut [u8] {
        // SAFETY: the context's memory (contract of `new`).
        unsafe { memory(self.context.output, self.context.output_capacity) }
    }

    /// Appends to the handler's output. What is larger than the room for it is handed to the ring in parts.
    #[inline]
    pub fn print(&mut self, bytes: &[u8]) {
        self.unpack();
        let mut rest = bytes;
        loop {
            let start = self.context.output_len as usize;
            let Some(room) = self.output().get_mut(start..) else { return };
            let now = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..now), rest.get(..now)) {
                to.copy_from_slice(from);
            }
            self.context.output_len = (start as u32).saturating_add(now as u32);
            rest = rest.get(now..).unwrap_or_default();
            if rest.is_empty() || self.context.output_capacity == 0 {
                return;
            }
            self.flush();
        }
    }

    /// Makes the arguments of a `printf` the handler's output, if they are its first and can stay as they are.
    #[inline]
    pub fn pack<'s>(
        &mut self,
        directives: &'s [Directive],
        arguments: &[Argument],
        source: &impl Source<'s>,
    ) -> bool {
        if self.context.output_len != 0 || self.context.speculation != 0 {
            return false;
        }
        let at = (directives.as_ptr() as u64).wrapping_sub(self.context.image) as u32;
        let Some(len) = packed::pack(at, directives, arguments, source, self.output()) else { return false };
        self.context.output_len = len as u32;
        self.context.flags |= flags::PACKED;
        true
    }

    /// Makes text of packed output, since there is more to come.
    #[inline]
    pub fn unpack(&mut self) {
        if self.context.flags & flags::PACKED != 0 {
            self.unpack_now();
        }
    }

    #[cold]
    fn unpack_now(&mut self) {
        let mut payload = [0; packed::MOST_BYTES];
        let len = (self.context.output_len as usize).min(payload.len());
        if let (Some(to), Some(from)) = (payload.get_mut(..len), self.output().get(..len)) {
            to.copy_from_slice(from);
        }
        self.context.output_len = 0;
        self.context.flags &= !flags::PACKED;
        let image = self.image();
        packed::print(&image, payload.get(..len).unwrap_or_default(), &mut |bytes: &[u8]| self.print(bytes));
    }

    /// Hands the output so far to the ring.
    pub fn flush(&mut self) {
        let len = self.context.output_len;
        if len == 0 {
            return;
        }
        self.context.output_len = 0;
        // SAFETY: the context's memory; it is only read until this reference is gone.
        let bytes: &[u8] = unsafe { memory(self.context.output, len.min(self.context.output_capacity)) };
        let packed = self.context.flags & flags::PACKED != 0;
        self.context.flags &= !flags::PACKED;
        match self.context.speculation {
            _ if packed => self.push(RecordKind::Formatted, &[bytes]),
            0 => self.push(RecordKind::Output, &[bytes]),
            number => self.push(RecordKind::Speculated, &[&u64::from(number).to_le_bytes(), bytes]),
        }
    }

    /// Hands a record to the ring. One that finds no room, not even after draining, is counted and gone.
    pub fn push(&self, kind: RecordKind, parts: &[&[u8]]) {
        let Ok(session) = self.session() else { return };
        let Ok(ring) = session.ring() else { return session.count_dropped() };
        for _ in 0..self.context.limits.max_output_wait_ms.saturating_add(DRAINS) {
            match ring.push(self.env.owner(), kind, parts) {
                Ok(()) => return self.env.pushed(),
                Err(Refused::Full) if self.env.make_room() => {}
                Err(_) => break,
            }
        }
        session.count_dropped();
    }

    /// A new number for a speculation.
    pub fn new_speculation(&self) -> Checked<u64> {
        Ok(self.session()?.cells.counts.speculations.fetch_add(1, Relaxed).wrapping_add(1))
    }
}

/// Memory that a context names.
///
/// # Safety
/// `len` bytes from `address` are readable and writable, and nobody else uses them for `'m`.
unsafe fn memory<'m>(address: u64, len: u32) -> &'m mut [u8] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: by the contract.
    unsafe { core::slice::from_raw_parts_mut(address as *mut u8, len as usize) }
}
