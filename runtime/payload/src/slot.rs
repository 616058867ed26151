//! A thread's context in the pool: what [`crate::entry`] saves registers to, and everything a handler needs. Found by
//! fs base, which differs between threads; claimed on the first hit of a thread by [`claim`], which also decides what
//! the common path cannot: on which stack to run, and whether the context is still that of the running thread.

use core::mem::offset_of;

use rstap_abi::ABI_VERSION;
use rstap_abi::context::register::RSP;
use rstap_abi::inject::{
    CLAIM_STACK, CONTEXTS_AT, Config, KEY_BITS, KEY_TAIL, KeyEntry, POOL_HEAD, POOL_WIPED, PoolHead,
    SLOT_STACK_POINTER,
};
use rstap_core::arena::Arena;
use rstap_core::handler::{Memory, Runner};
use rstap_core::image::Image;
use rstap_core::session::{SessionView, Skip};

use crate::frames::Frames;
use crate::sys::{self, number};

/// Values of [`Slot::state`].
pub mod state {
    /// No handler runs, and what the common path tests is all there is to test.
    pub const READY: u32 = 0;
    /// A handler runs.
    pub const BUSY: u32 = 1;
    /// No handler runs, and each hit goes through [`super::claim`].
    pub const ASK: u32 = 2;
}

/// Bytes at the top of a stack that `entry` saves vector registers in.
pub const VECTOR_AREA: u64 = 256;

/// A context. The first fields are read and written by the code in `entry`.
#[repr(C, align(64))]
pub struct Slot {
    /// One of [`state`].
    pub state: u32,
    /// What `state` is between handlers.
    pub idle: u32,
    /// Where, from the fs base, the thread library keeps the thread's id.
    pub check_at: u64,
    /// What must stand there.
    pub check: u32,
    /// The thread.
    pub tid: u32,
    /// Stack pointers from here …
    pub safe_low: u64,
    /// … and this many above are not on the signal stack.
    pub safe_len: u64,
    /// The program's stack pointer, less what `entry` pushed.
    pub stack_pointer: u64,
    /// Where the context's own stack begins.
    pub own_stack: u64,
    /// The same of the stack that a hit is to run on which came through [`claim`].
    pub hit_stack: u64,
    /// What it is found by.
    pub key: u64,
    /// Where the session's state is: `SessionView::running_words`.
    pub running: u64,
    /// The process.
    pub pid: u32,
    /// Hits, for what is done from time to time only.
    pub hits: u32,
    /// Until when a full ring is not waited for, on the monotonic clock.
    pub no_wait_before: i64,
    /// All of it is initialised: [`LIVE`].
    pub live: u64,
    /// Calls that have not returned.
    pub frames: Frames,
    /// Runs the handlers.
    pub runner: Runner<'static>,
}

const _: () = assert!(offset_of!(Slot, stack_pointer) as u64 == SLOT_STACK_POINTER);

/// [`Slot::live`] of a context that is initialised.
pub const LIVE: u64 = 0x6576_696c;

/// Where the context is that handlers are given.
pub const CONTEXT: usize = offset_of!(Slot, runner) + Runner::CONTEXT_AT;
/// Where the registers are.
pub const REGISTERS: usize = offset_of!(Slot, runner) + Runner::REGISTERS_AT;
/// Bytes from the start of the pool to the table of keys.
pub const KEYS: u64 = POOL_HEAD + CLAIM_STACK;
/// Fibonacci hashing (Knuth, TAOCP 3, 6.4).
pub const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits that a product is shifted by to be an index.
pub const SHIFT: u32 = 64 - KEY_BITS;

/// `struct pthread`'s thread id from the fs base: glibc 2.4 to 2.42, musl 1.1.20 to 1.2.5. What is found there is
/// compared with the id the kernel gives, so a wrong place costs time only.
const TID_PLACES: [u64; 3] = [0x2d0, 0x30, 0x38];

/// Half of the window round a stack pointer for which the common path does not ask about the signal stack.
const WINDOW: u64 = 1 << 20;

/// The process's configuration, written by rstap.
#[repr(transparent)]
pub struct ConfigCell(core::cell::UnsafeCell<core::mem::MaybeUninit<Config>>);

// SAFETY: nobody in this process writes it; rstap does while all threads are stopped.
unsafe impl Sync for ConfigCell {}

/// What rstap writes. All zero until then: not enabled.
#[unsafe(no_mangle)]
pub static RSTAP_PAYLOAD_CONFIG: ConfigCell =
    ConfigCell(core::cell::UnsafeCell::new(core::mem::MaybeUninit::zeroed()));

/// The configuration.
pub fn config() -> &'static Config {
    // SAFETY: initialised with zeros, which are a valid `Config`, and written as a whole by rstap.
    unsafe { (*RSTAP_PAYLOAD_CONFIG.0.get()).assume_init_ref() }
}

/// Finds or makes the context of the running thread, whose fs base and stack pointer these are. Null: this hit is to
/// be passed by, and was counted.
///
/// # Safety
/// Called by `entry` only, with the pool's lock held.
pub unsafe extern "C" fn claim(fs_base: u64, stack_pointer: u64) -> *mut Slot {
    let config = config();
    if config.enabled == 0 || config.abi_version != u64::from(ABI_VERSION) {
        return core::ptr::null_mut();
    }
    // SAFETY: rstap has mapped the pool there, zeroed; the lock is held.
    let head = unsafe { &mut *(config.pool as *mut PoolHead) };
    let skip = |kind| {
        if let Some(session) = session(config) {
            session.count_skip(kind, &config.limits);
        }
        core::ptr::null_mut()
    };
    for _ in 0..core::mem::take(&mut head.missed) {
        let _ = skip(Skip::Other);
    }
    let tid = sys::ask(number::GETTID, 0, 0) as u32;
    let key = if fs_base == 0 { u64::from(tid) } else { fs_base };
    let Some(place) = find(config, key) else { return skip(Skip::Other) };
    if place.context == 0 {
        let context = inherited(config, head, key).or_else(|| unused(config));
        let Some(context) = context else { return skip(Skip::Other) };
        *place = KeyEntry { key, context };
    }
    let slot = place.context as *mut Slot;
    // SAFETY: contexts lie in the pool, aligned, and only the thread they belong to and holders of the lock use them.
    unsafe {
        if (*slot).live != LIVE && !initialise(config, slot) {
            return skip(Skip::Other);
        }
        let slot = &mut *slot;
        if slot.tid != tid {
            // A new thread where an ended one was.
            let pid = sys::ask(number::GETPID, 0, 0) as u32;
            if slot.pid == pid || slot.key != key {
                slot.frames.clear();
            }
            if slot.pid != pid {
                // The shard is the parent's still.
                slot.runner.forget_shard();
            }
            (slot.key, slot.tid, slot.pid) = (key, tid, pid);
            slot.runner.set_thread(pid, tid);
            slot.state = state::ASK;
        } else if slot.state == state::BUSY && !is_abandoned(slot, stack_pointer) {
            return skip(Skip::Reentrant);
        }
        if slot.runner.lacks_shard() {
            give_shard(head, slot);
        }
        adopt(slot, fs_base);
        if !choose_stack(config, slot, stack_pointer) {
            return skip(Skip::LowStack);
        }
        slot
    }
}

/// The session.
pub fn session(config: &Config) -> Option<SessionView<'static>> {
    // SAFETY: rstap has mapped the arena there; all of this process uses it through `Arena`.
    let arena = unsafe { Arena::new(config.arena as *const u8, config.arena_size) };
    SessionView::new(arena).ok()
}

/// Whether handlers are to run.
pub fn is_running() -> bool {
    session(config()).is_some_and(|session| session.is_running())
}

/// Counts a probe that is not to run.
pub fn skip() {
    if let Some(session) = session(config()) {
        session.count_skip(Skip::Other, &config().limits);
    }
}

/// Ends the session if rstap is gone without having ended it: nobody will read what handlers leave.
pub fn look_after_owner() {
    let config = config();
    if sys::ask(number::KILL, config.owner as usize, 0) == sys::ESRCH.wrapping_neg()
        && let Some(session) = session(config)
    {
        session.set_state(rstap_abi::session::state::STOPPED);
    }
}

/// The place of a key: its own, or a free one.
fn find(config: &Config, key: u64) -> Option<&'static mut KeyEntry> {
    let first = key.wrapping_mul(MULTIPLIER) >> SHIFT;
    let at = config.pool.wrapping_add(KEYS) as *mut KeyEntry;
    for index in first..first.wrapping_add(KEY_TAIL) {
        // SAFETY: the table has `KEY_TAIL` entries behind the last that a hash leads to; the lock is held, and who
        // reads without it reads whole words.
        let place = unsafe { &mut *at.add(index as usize) };
        if place.key == key || place.key == 0 {
            return Some(place);
        }
    }
    None
}

/// Every context that was ever used, by its address.
fn contexts(config: &Config, count: u64) -> impl Iterator<Item = u64> {
    let first = config.pool.wrapping_add(CONTEXTS_AT);
    let size = config.memory.size();
    (0..count.min(config.contexts)).map(move |index| first.wrapping_add(index.wrapping_mul(size)))
}

/// Contexts that were ever used.
fn used(config: &Config) -> &'static mut u64 {
    // SAFETY: the pool has a word there for this, for who holds the lock.
    unsafe { &mut *(config.pool.wrapping_add(POOL_WIPED) as *mut u64) }
}

/// The context that the thread with this key had before it forked this process.
fn inherited(config: &Config, head: &mut PoolHead, key: u64) -> Option<u64> {
    if head.inherited == 0 {
        head.inherited = used(config).wrapping_add(1);
    }
    let pid = sys::ask(number::GETPID, 0, 0) as u32;
    contexts(config, head.inherited.wrapping_sub(1)).find(|context| {
        // SAFETY: as in `claim`.
        let slot = unsafe { &*(*context as *const Slot) };
        slot.live == LIVE && slot.key == key && slot.pid != pid
    })
}

/// A context for a thread that has none: one never used, else that of a thread that has ended, whose key goes.
fn unused(config: &Config) -> Option<u64> {
    let used = used(config);
    if *used < config.contexts {
        let context = contexts(config, config.contexts).nth(*used as usize);
        *used = used.wrapping_add(1);
        return context;
    }
    let pid = sys::ask(number::GETPID, 0, 0) as u32;
    contexts(config, config.contexts).find(|context| {
        // SAFETY: as in `claim`.
        let slot = unsafe { &mut *(*context as *mut Slot) };
        let is_free = slot.pid != pid || has_ended(slot.tid);
        if is_free {
            if let Some(place) = find(config, slot.key).filter(|place| place.context == *context) {
                // The key's place is not free, as other keys may have been placed behind it, but leads nowhere it
                // could be taken for that of a thread: no fs base is 1.
                *place = KeyEntry { key: 1, context: 0 };
            }
            slot.tid = 0;
        }
        is_free
    })
}

/// Gives a context a shard of its own: one that is free, or that of a thread that has ended. A context is one thread's
/// at a time, so what it adds to its shard nobody else does.
fn give_shard(head: &mut PoolHead, slot: &mut Slot) {
    let mut number = slot.runner.claim_shard() as usize;
    if number == 0 {
        for (other, context) in head.shards.iter().enumerate() {
            // SAFETY: the table has contexts of this pool, which only the thread they belong to and holders of the
            // lock use; the thread of this one has ended, and it is not the one in hand, which has no shard.
            let Some(ended) = (unsafe { (*context as *mut Slot).as_mut() }) else { continue };
            if has_ended(ended.tid) {
                slot.runner.take_shard_of(&mut ended.runner);
                number = other;
                break;
            }
        }
    }
    if let Some(place) = head.shards.get_mut(number).filter(|_| number != 0) {
        *place = slot as *mut Slot as u64;
    }
}

/// Whether a thread of this process is no more.
fn has_ended(tid: u32) -> bool {
    let pid = sys::ask(number::GETPID, 0, 0) as usize;
    // SAFETY: tgkill(2) with signal 0 only asks.
    let asked = unsafe { sys::call(number::TGKILL, [pid, tid as usize, 0, 0, 0, 0]) };
    asked == sys::ESRCH.wrapping_neg()
}

/// # Safety
/// `slot` is a context of the pool that nobody uses.
unsafe fn initialise(config: &Config, slot: *mut Slot) -> bool {
    let memory = &config.memory;
    let mut at = (slot as u64).wrapping_add(memory.own);
    let mut part = |bytes: u64| {
        let start = at;
        at = at.wrapping_add(bytes);
        start
    };
    // SAFETY: the context is as large as all its parts, which rstap has mapped, zeroed, for the life of the process;
    // each part is given out once.
    unsafe fn bytes(start: u64, len: u64) -> &'static mut [u8] {
        // SAFETY: as said above.
        unsafe { core::slice::from_raw_parts_mut(start as *mut u8, len as usize) }
    }
    // SAFETY: as above; parts are aligned to 16 bytes.
    unsafe fn words(start: u64, len: u64) -> &'static mut [u64] {
        // SAFETY: as said above.
        unsafe { core::slice::from_raw_parts_mut(start as *mut u64, (len / 8) as usize) }
    }
    // SAFETY: as above.
    let handlers = unsafe {
        Memory {
            message: bytes(part(memory.message), memory.message),
            output: bytes(part(memory.output), memory.output),
            scratch: words(part(memory.scratch), memory.scratch),
            tokens: bytes(part(memory.tokens), memory.tokens),
            matching: words(part(memory.matching), memory.matching),
        }
    };
    // SAFETY: as above.
    let frames = unsafe { words(part(memory.frames), memory.frames) };
    let frames = Frames::new(frames, memory.frame);
    let top = part(memory.stack).wrapping_add(memory.stack);
    // SAFETY: rstap has mapped the image and the arena there.
    let (image, arena) = unsafe {
        (
            Image::new(config.image as *const u8, config.image_size as usize),
            Arena::new(config.arena as *const u8, config.arena_size),
        )
    };
    let Ok(running) = SessionView::new(arena).map(|session| session.running_words()) else { return false };
    let Some(mut runner) = image.and_then(|image| Runner::new(image, arena, &config.limits, handlers)) else {
        return false;
    };
    runner.set_seed(sys::time_stamp());
    let own_stack = top.wrapping_sub(VECTOR_AREA) & !15;
    // SAFETY: by the contract.
    unsafe {
        slot.write(Slot {
            state: state::ASK,
            idle: state::ASK,
            check_at: 0,
            check: 0,
            tid: 0,
            safe_low: 0,
            safe_len: 0,
            stack_pointer: 0,
            own_stack,
            hit_stack: own_stack,
            key: 0,
            running,
            pid: 0,
            hits: 0,
            no_wait_before: 0,
            live: LIVE,
            frames,
            runner,
        });
    }
    true
}

/// Whether the program has left the handler that a signal interrupted, by a jump out of the signal's handler: the
/// frame that the hit came from is gone.
fn is_abandoned(slot: &mut Slot, stack_pointer: u64) -> bool {
    let interrupted = slot.runner.registers_mut()[RSP];
    stack_pointer > interrupted && stack_pointer.wrapping_sub(interrupted) < WINDOW
}

/// Makes the common path find the running thread's id, if its thread library keeps it where it is known to.
fn adopt(slot: &mut Slot, fs_base: u64) {
    let is_there = |place: &u64| {
        let mut word = [0; 4];
        fs_base != 0
            && sys::copy_from(fs_base.wrapping_add(*place), &mut word)
            && word == slot.tid.to_le_bytes()
    };
    slot.idle = state::ASK;
    if let Some(place) = TID_PLACES.iter().find(|place| is_there(place)) {
        (slot.check_at, slot.check, slot.idle) = (*place, slot.tid, state::READY);
    }
}

/// Decides on which stack this hit runs: the context's own, unless the thread is on its signal stack: leaving that
/// would make the kernel think it free (sigaltstack(2)), and the next signal would overwrite what lies there.
fn choose_stack(config: &Config, slot: &mut Slot, stack_pointer: u64) -> bool {
    let Some(signal_stack) = sys::signal_stack() else { return false };
    let (start, end) = (signal_stack.start, signal_stack.start.wrapping_add(signal_stack.len));
    if (start..end).contains(&stack_pointer) {
        (slot.safe_low, slot.safe_len) = (0, 0);
        slot.hit_stack = stack_pointer.wrapping_sub(1024).wrapping_sub(VECTOR_AREA) & !15;
        return slot.hit_stack.saturating_sub(start) > config.memory.stack_needed;
    }
    let mut low = stack_pointer.saturating_sub(WINDOW);
    let mut high = stack_pointer.saturating_add(WINDOW);
    if end <= stack_pointer {
        low = low.max(end);
    } else {
        high = high.min(start);
    }
    (slot.safe_low, slot.safe_len) = (low, high.wrapping_sub(low));
    slot.hit_stack = slot.own_stack;
    true
}
