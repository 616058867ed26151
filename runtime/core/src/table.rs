//! The addresses of the builtins, in the order of `rstap_abi::builtins`. For each row of that list an `extern "C"`
//! function is made here that turns addresses and lengths into slices and calls the method of the same name in
//! `builtins`. A row without a method, or with one of another shape, does not compile.

use rstap_abi::builtins::COUNT;
use rstap_abi::context::Context;
use rstap_abi::for_each_builtin;

use crate::call::Call;
use crate::env::Env;
use crate::text::Text;

/// Addresses of all builtins.
#[repr(transparent)]
pub struct Table([*const (); COUNT]);

// SAFETY: addresses of functions, which never change.
unsafe impl Sync for Table {}

impl Table {
    /// The table's own address: what goes to `Context::builtins`.
    pub fn address(&'static self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// The addresses of the functions.
    pub fn functions(&self) -> &[*const (); COUNT] {
        &self.0
    }
}

/// The builtins for contexts whose environment is an `E`.
pub fn table<E: Env>() -> &'static Table {
    struct Of<E>(core::marker::PhantomData<E>);
    impl<E: Env> Of<E> {
        const TABLE: Table = Table(entry::all::<E>());
    }
    &Of::<E>::TABLE
}

/// A string argument.
///
/// # Safety
/// `len` bytes from `at` are readable for `'s`, and nobody writes them.
#[inline(always)]
unsafe fn string<'s>(at: *const u8, len: u64) -> &'s [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: by the contract.
    unsafe { core::slice::from_raw_parts(at, len as usize) }
}

/// Room for a string result.
///
/// # Safety
/// MAXSTRINGLEN bytes from `at` are writable for `'s`, and nobody else uses them.
#[inline(always)]
unsafe fn result<'s>(at: *mut u8, longest: usize) -> Text<'s> {
    if longest == 0 {
        return Text::new(&mut []);
    }
    // SAFETY: by the contract.
    Text::new(unsafe { core::slice::from_raw_parts_mut(at, longest) })
}

/// Makes one `extern "C"` function. Takes the argument types one by one; parameters of the same name in different
/// steps are different, by macro hygiene.
macro_rules! adapter {
    // All arguments are taken: the three kinds of result.
    ($(#[$doc:meta])* $name:ident ($call:ident) [] [$($param:tt)*] [$($arg:expr),*] Void) => {
        $(#[$doc])*
        pub unsafe extern "C" fn $name<E: Env>(context: *mut Context $($param)*) {
            // SAFETY: compiled code passes the context it was given, as `handler` filled it, and arguments as
            // `rstap_abi::builtins` lays down.
            unsafe {
                let mut $call = Call::<E>::new(context);
                $call.$name($($arg),*)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident ($call:ident) [] [$($param:tt)*] [$($arg:expr),*] Long) => {
        $(#[$doc])*
        pub unsafe extern "C" fn $name<E: Env>(context: *mut Context $($param)*) -> i64 {
            // SAFETY: as for `Void`.
            unsafe {
                let mut $call = Call::<E>::new(context);
                $call.$name($($arg),*)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident ($call:ident) [] [$($param:tt)*] [$($arg:expr),*] Str) => {
        $(#[$doc])*
        pub unsafe extern "C" fn $name<E: Env>(context: *mut Context $($param)*, out: *mut u8) -> u64 {
            // SAFETY: as for `Void`.
            unsafe {
                let mut $call = Call::<E>::new(context);
                let mut text = result(out, $call.longest_string());
                $call.$name($($arg,)* &mut text);
                text.len() as u64
            }
        }
    };
    ($(#[$doc:meta])* $name:ident ($call:ident) [Long $($rest:ident)*] [$($param:tt)*] [$($arg:expr),*] $ret:ident) => {
        adapter!($(#[$doc])* $name ($call) [$($rest)*] [$($param)*, long: i64] [$($arg,)* long] $ret);
    };
    ($(#[$doc:meta])* $name:ident ($call:ident) [Str $($rest:ident)*] [$($param:tt)*] [$($arg:expr),*] $ret:ident) => {
        adapter!($(#[$doc])* $name ($call) [$($rest)*] [$($param)*, at: *const u8, len: u64]
            [$($arg,)* string(at, len)] $ret);
    };
}

macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) -> $ret:ident, $fallible:literal;)*) => {
        #[allow(missing_docs, unused_mut, unused_variables, reason = "one shape for all rows")]
        mod entry {
            use super::*;

            $(adapter!($(#[$doc])* $name (call) [$($arg)*] [] [] $ret);)*

            pub const fn all<E: Env>() -> [*const (); COUNT] {
                [$($name::<E> as *const ()),*]
            }
        }
    };
}

for_each_builtin!(entries);
