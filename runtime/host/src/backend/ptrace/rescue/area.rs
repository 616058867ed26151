//! The layout of the memory that protects a target: what its SIGTRAP handler reads, and what any later rstap needs to
//! undo what a dead one left. One page of code, then the [`Header`], then the table; the slots are elsewhere and listed
//! in the header.
//!
//! A target can write this memory, so whoever reads it takes each number in it as an allegation.

/// Bytes of a page; the code takes one, the header the next.
pub const PAGE: usize = 4096;
/// What a header begins with.
pub const MAGIC: [u8; 8] = *b"rstapINT";
/// Changes with every change of the layout.
pub const VERSION: u32 = 2;
/// Most pieces of memory that a header lists.
pub const MAX_AREAS: usize = 240;

/// `struct kernel_sigaction` of Linux on x86-64.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Address of the handler, or [`Action::DEFAULT`], or [`Action::IGNORE`].
    pub handler: u64,
    /// `SA_…`
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Signals blocked while it runs.
    pub mask: u64,
}

impl Action {
    /// `SIG_DFL`
    pub const DEFAULT: u64 = 0;
    /// `SIG_IGN`
    pub const IGNORE: u64 = 1;

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        self.handler > Action::IGNORE
    }
}

/// A piece of memory that is ours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
}

/// The page behind the code.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`MAGIC`]
    pub magic: [u8; 8],
    /// [`VERSION`]
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// Pid of the rstap that works here, as it sees itself; 0: nobody does, and nothing is planted.
    pub owner: u64,
    /// When that process started.
    pub owner_start: u64,
    /// Bytes of the mapping, from the page of code on.
    pub size: u64,
    /// Address of the table, 0 for none.
    pub table: u64,
    /// Address of an instruction that is being stepped, 0 for none.
    pub stepping: u64,
    /// What the program wants done with SIGTRAP.
    pub old: Action,
    /// What it wanted when we came.
    pub first: Action,
    /// What we have the kernel do.
    pub ours: Action,
    /// All zero: the default action.
    pub default: Action,
    /// SIGTRAP alone.
    pub trap_mask: u64,
    /// Where the kernel writes what it is asked for.
    pub scratch: Action,
    /// How many of `areas` are used.
    pub area_count: u64,
    /// All our memory.
    pub areas: [Piece; MAX_AREAS],
}

const _: () = assert!(size_of::<Header>() <= PAGE && size_of::<Action>() == 32 && size_of::<Entry>() == 32);

/// A breakpoint.
pub const KIND_SITE: u8 = 1;
/// A counter of a marker.
pub const KIND_SEMAPHORE: u8 = 2;
/// A thread that blocked SIGTRAP.
pub const KIND_THREAD: u8 = 3;

/// Nothing any more.
pub const KIND_LOST: u8 = 4;
/// A jump in place of `mov eax, count`.
pub const KIND_GUARD: u8 = 5;

/// Something to undo. Never across a page, so that a dying tracer has written all of it or nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Address of a breakpoint or counter, or a thread id; 0: empty.
    pub key: u64,
    /// Where a thread goes on that met the breakpoint; 0 for none.
    pub slot: u64,
    /// `KIND_…`
    pub kind: u8,
    /// The byte that the breakpoint replaced.
    pub original: u8,
    /// `PROT_…` of the page.
    pub protection: u8,
    /// Zero.
    pub reserved: u8,
    /// How often a counter was raised; the number that an instruction gave.
    pub count: u32,
    /// Zero.
    pub spare: u64,
}

impl Header {
    /// Of memory with nothing planted.
    pub fn new(size: u64, owner: u64, owner_start: u64) -> Header {
        Header {
            magic: MAGIC,
            version: VERSION,
            reserved: 0,
            owner,
            owner_start,
            size,
            table: 0,
            stepping: 0,
            old: Action::default(),
            first: Action::default(),
            ours: Action::default(),
            default: Action::default(),
            trap_mask: 1 << (libc::SIGTRAP - 1),
            scratch: Action::default(),
            area_count: 0,
            areas: [Piece::default(); MAX_AREAS],
        }
    }
}

/// The bytes of one of the types above.
pub fn bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: see `Plain`: every byte is one of an integer.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A value of one of the types above from its bytes; `None` if they are too few.
pub fn from_bytes<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: long enough, and any bytes are a value (see `Plain`).
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Types of integers only, without padding: any bytes are a value, and each value is bytes.
///
/// # Safety
/// That must be so.
pub unsafe trait Plain: Copy {}

// SAFETY: integers and arrays of them.
unsafe impl Plain for Header {}
// SAFETY: integers.
unsafe impl Plain for Entry {}
// SAFETY: integers.
unsafe impl Plain for Action {}
// SAFETY: an array of integers.
unsafe impl<const N: usize> Plain for [u64; N] {}
