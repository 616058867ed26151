//! The one list of runtime functions that compiled code can call. `rstap_codegen` makes signatures of it,
//! `rstap_core` the table of addresses, `rstap_sema` lets library functions name a row (`%{ strlen %}`).
//!
//! Calling convention: `extern "C" fn(ctx: *mut Context, …)`. A `Long` is one `i64`; a `Str` argument is two, the
//! address and the length in bytes; a `Str` result needs one more argument at the end, the address of MAXSTRINGLEN
//! bytes to write it to, and the function returns its length. That memory must not overlap an argument's: `s = s . t`
//! needs another buffer. A row marked `true` may set `Context::fault`, which compiled code tests after the call.

/// Type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// `i64`, or an address or arena offset of something.
    Long,
    /// Address and length.
    Str,
}

/// Type of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// None.
    Void,
    /// `i64`
    Long,
    /// Written to the last argument; the length is returned.
    Str,
}

/// A row of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Its arguments after the context.
    pub args: &'static [Arg],
    /// Its result.
    pub ret: Ret,
    /// Whether it can set a fault.
    pub fallible: bool,
}

/// Hands the list to the macro `$m`, as rows `name(Arg, …) -> Ret, fallible;`.
#[macro_export]
macro_rules! for_each_builtin {
    ($m:ident) => {
        $m! {
            // Errors and the session.
            /// `error(text)`
            raise(Str) -> Void, true;
            /// The text that `catch (name)` gives.
            fault_text() -> Str, false;
            /// `exit()`: end the session after this handler.
            exit() -> Void, false;
            /// `abort()`: end the handler and the session.
            abort() -> Void, true;
            /// `warn(text)`
            warn(Str) -> Void, false;
            /// `log(text)`: a line on standard error... as the library says.
            log(Str) -> Void, false;
            /// `system(command)`, run by rstap later.
            system(Str) -> Void, false;
            /// What is printed from here on goes to the next output file.
            switch_file() -> Void, false;

            // Strings.
            /// `a . b`
            concat(Str, Str) -> Str, false;
            /// Appends to the string of this length that the memory for the result holds already: (length, text)
            extend(Long, Str) -> Str, false;
            /// The string, cut to MAXSTRINGLEN - 1 bytes.
            copy(Str) -> Str, false;
            /// -1, 0 or 1, bytewise.
            compare(Str, Str) -> Long, false;
            strlen(Str) -> Long, false;
            /// `substr(s, start, length)`
            substr(Str, Long, Long) -> Str, false;
            /// `stringat(s, index)`
            stringat(Str, Long) -> Long, true;
            /// `strpos(s, text)`: -1 if absent.
            strpos(Str, Str) -> Long, false;
            /// `str_replace(s, old, new)`
            str_replace(Str, Str, Str) -> Str, false;
            /// `strtol(s, base)`
            strtol(Str, Long) -> Long, false;
            isdigit(Str) -> Long, false;
            /// `tokenize(s, delimiters)`
            tokenize(Str, Str) -> Str, false;
            /// `text_strn(s, max, quoted)`: unprintable bytes escaped.
            text_strn(Str, Long, Long) -> Str, false;
            /// `string_quoted(s)`
            string_quoted(Str) -> Str, false;
            /// Whole seconds since 1970 as `Thu Jan  1 00:00:00 1970`, plus an offset in seconds.
            ctime(Long) -> Str, true;

            // Regular expressions.
            /// (subject, expression as `regex` lays down): whether it matches, from the leftmost place the longest.
            regex_match(Str, Str) -> Long, false;
            /// `matched(n)`: group `n` of the last match.
            matched(Long) -> Str, true;
            /// Groups of the last match, the whole one included.
            ngroups() -> Long, true;

            // Floating point: a long is the bits of a double.
            fp_add(Long, Long) -> Long, false;
            fp_sub(Long, Long) -> Long, false;
            fp_mul(Long, Long) -> Long, false;
            fp_div(Long, Long) -> Long, false;
            /// IEEE 754's remainder: from -y/2 to y/2.
            fp_rem(Long, Long) -> Long, false;
            fp_sqrt(Long) -> Long, false;
            fp_eq(Long, Long) -> Long, false;
            fp_lt(Long, Long) -> Long, false;
            fp_le(Long, Long) -> Long, false;
            fp32_to_fp64(Long) -> Long, false;
            /// To the nearest.
            fp64_to_fp32(Long) -> Long, false;
            /// (value, rounding): to the nearest and even 0, towards zero 1, down 2, up 3, to the nearest and away 4.
            fp_to_long(Long, Long) -> Long, true;
            /// (value, digits after the point)
            fp_to_string(Long, Long) -> Str, false;
            /// The shortest decimal number that is this double and no other.
            fp_text(Long) -> Str, false;
            /// (low half, high half, whether it is signed): an integer of 128 bits in decimal.
            wide_text(Long, Long, Long) -> Str, false;
            /// (mantissa, sign and exponent) of the x87's format: the nearest double.
            fp80_to_fp64(Long, Long) -> Long, false;
            long_to_fp(Long) -> Long, false;
            string_to_fp(Str) -> Long, true;

            // Globals. The first argument is the global's arena offset.
            string_get(Long) -> Str, false;
            string_set(Long, Str) -> Void, false;
            string_append(Long, Str) -> Void, false;

            // Arrays. `map`: `MapShape::handle` of the global (NOT its plain offset); `key`: address of a
            // KeyHead and, behind it, `key_count` KeyParts.
            map_get_long(Long, Long) -> Long, true;
            map_get_string(Long, Long) -> Str, true;
            map_set_long(Long, Long, Long) -> Void, true;
            map_set_string(Long, Long, Str) -> Void, true;
            map_append_string(Long, Long, Str) -> Void, true;
            /// Adds to an element, making it if absent; the new value.
            map_add_long(Long, Long, Long) -> Long, true;
            /// `[k, *] in a`: (map, key, mask); bit `i` of the mask: part `i` is `*`.
            map_contains(Long, Long, Long) -> Long, true;
            /// `delete a[k, *]`: (map, key, mask)
            map_delete(Long, Long, Long) -> Void, true;
            /// `delete a`
            map_clear(Long) -> Void, true;
            /// `a[k] <<< v`
            map_stat_add(Long, Long, Long) -> Void, true;
            /// Arena offset of the element's statistic, 0 if the element is absent.
            map_stat_find(Long, Long) -> Long, true;

            // Sharded globals. `part`: where in a shard the global's part is.
            /// Adds to an element in this context's shard: (map, key, part, value)
            shard_add_long(Long, Long, Long, Long) -> Void, true;
            /// The same where the key is one long: (map, key, part, value)
            shard_add_long_1(Long, Long, Long, Long) -> Void, true;
            /// `a[k] <<< v`: (map, key, part, value)
            shard_add_stat(Long, Long, Long, Long) -> Void, true;
            /// The same where the key is one long: (map, key, part, value)
            shard_add_stat_1(Long, Long, Long, Long) -> Void, true;
            /// `s <<< v` in the shard that several contexts share: (stat, part, value)
            shard_stat_add(Long, Long, Long) -> Void, true;

            // Walks. `iter`: address of ITERATOR_SIZE bytes.
            /// (iter, map, order, limit, slice mask, slice key): limit < 0 is none; mask bit `i`: part `i` is free.
            iter_begin(Long, Long, Long, Long, Long, Long) -> Void, true;
            /// Steps to the first or next element; 0 at the end.
            iter_next(Long) -> Long, false;
            /// Gives the walk's memory back. Walks end in the reverse order of their begin.
            iter_end(Long) -> Void, false;
            /// (iter, part)
            iter_key_long(Long, Long) -> Long, false;
            /// (iter, part)
            iter_key_string(Long, Long) -> Str, false;
            iter_value_long(Long) -> Long, false;
            iter_value_string(Long) -> Str, false;
            /// Arena offset of the element's statistic.
            iter_value_stat(Long) -> Long, false;

            // Statistics. `stat`: arena offset of the statistic itself (a global's is at its offset + VALUE); 0 is
            // an empty one.
            /// `s <<< v`
            stat_add(Long, Long) -> Void, true;
            /// (stat, op of layout::stat_op)
            stat_get(Long, Long) -> Long, true;
            /// `@quantile(s, p)`: (stat, p, of), the value that p of `of` parts of all values are not above.
            stat_quantile(Long, Long, Long) -> Long, true;
            stat_clear(Long) -> Void, false;
            /// `@hist_x(s)[i]`
            hist_bucket(Long, Long) -> Long, true;
            /// Number of buckets.
            hist_size(Long) -> Long, false;
            /// `print(@hist_x(s))`
            hist_print(Long) -> Void, true;
            /// `sprint(@hist_x(s))`
            hist_sprint(Long) -> Str, true;

            // Output.
            print_string(Str) -> Void, false;
            print_long(Long) -> Void, false;
            /// (directives, count, arguments): addresses of format::Directive and format::Argument.
            printf(Long, Long, Long) -> Void, true;
            /// The same, to a string.
            sprintf(Long, Long, Long) -> Str, true;

            // Memory of the target.
            /// (address, size 1, 2, 4 or 8): zero-extended.
            read_memory(Long, Long) -> Long, true;
            /// (address, size, value)
            write_memory(Long, Long, Long) -> Void, true;
            /// (address, most bytes): up to the NUL.
            user_string(Long, Long) -> Str, true;
            /// (address, bytes): raw, NULs and all.
            user_buffer(Long, Long) -> Str, true;
            /// (address, most bytes): the string in quotes, escaped; the address where it cannot be read.
            user_string_quoted(Long, Long) -> Str, false;
            /// (address, bytes): all of these bytes in quotes, escaped; the address where they cannot be read.
            user_text_quoted(Long, Long) -> Str, false;
            /// (node, offsets of the addresses of its parent and of its children before and behind it): the next node
            /// of a binary tree in its order.
            tree_next(Long, Long, Long, Long) -> Long, true;
            /// (address): the first byte from there on whose highest bit is clear: a slot in use of Rust's hash tables.
            full_next(Long) -> Long, true;
            /// (cursor, offsets of a node's parent, of its number there, of its length, of the nodes below it): the next
            /// entry of Rust's B-trees. A cursor is a node's address, the number of its entries passed (from bit 48), and
            /// how many levels of nodes are below it (from bit 56).
            btree_next(Long, Long, Long, Long, Long) -> Long, true;
            /// (n, buckets, how many, old buckets, how many, bytes of one, offset of the next in its chain): the n-th slot
            /// in use of Go's maps: the bucket's address, and the slot's number (from bit 48).
            go_map_slot(Long, Long, Long, Long, Long, Long, Long) -> Long, true;
            /// (address, bytes): whether all of them can be read.
            user_readable(Long, Long) -> Long, false;
            /// (address, text): with its NUL.
            write_string(Long, Str) -> Void, true;
            /// Sets a register of the thread at the probe, by DWARF number (target variable in a register, -g).
            write_register(Long, Long) -> Void, true;

            // Who and where.
            pid() -> Long, false;
            tid() -> Long, false;
            ppid() -> Long, false;
            pgrp() -> Long, false;
            sid() -> Long, false;
            uid() -> Long, false;
            euid() -> Long, false;
            gid() -> Long, false;
            egid() -> Long, false;
            cpu() -> Long, false;
            /// pid of -x or of -c's process, 0 without.
            target() -> Long, false;
            execname() -> Str, false;
            /// Argument `n` of the command line; -1 for all of them, joined by blanks.
            cmdline(Long) -> Str, false;
            env_var(Str) -> Str, false;
            /// (thread or process id, `which` of `rstap_core::env::TaskNumber`): of any that exists; else 0.
            task_number(Long, Long) -> Long, false;
            /// (thread or process id, `which` of `rstap_core::env::TaskText`, file descriptor for that of a file)
            task_text(Long, Long, Long) -> Str, false;
            /// Sends a signal to the thread at the probe.
            send_signal(Long) -> Void, true;
            is_return() -> Long, false;
            registers_valid() -> Long, false;
            pp() -> Str, false;
            pn() -> Str, false;
            ppfunc() -> Str, false;
            /// Register by name ("rdi", "edi", "di", "dil", …), sign-extended.
            register(Str) -> Long, true;
            /// The same, not sign-extended.
            u_register(Str) -> Long, true;
            /// Register by DWARF number.
            register_number(Long) -> Long, true;
            /// (DWARF number of xmm0 … xmm15 or st0 … st7, half): eight bytes of it, the low ones first.
            vector_register(Long, Long) -> Long, true;
            /// Argument `n` (from 1) of the function entered, by the calling convention: registers, then the stack.
            argument(Long) -> Long, true;
            /// `symbol(address, form)`: what is known about an address, worded as number `form` of
            /// `rstap_core::env::SymbolForm`, plus 16 if the address is where a call returns to.
            symbol(Long, Long) -> Str, false;
            /// Address in memory minus address in the file, of the file with this path as the process at the probe maps
            /// it; in a begin, end or timer probe as the target does.
            load_bias(Str) -> Long, true;
            /// Backtrace of at most n frames as hexadecimal addresses.
            backtrace(Long) -> Str, false;
            /// `frame(n)`: address of the n-th frame of the backtrace, 0 being the innermost; 0 where there is none.
            frame(Long) -> Long, false;

            // Time and chance.
            /// Clock 0: since 1970; 1: monotonic; 2: CPU time of the thread. Nanoseconds.
            time_ns(Long) -> Long, false;
            get_cycles() -> Long, false;
            /// Offset of local time from UTC in seconds.
            tz_offset() -> Long, false;
            tz_name() -> Str, false;
            /// Lets so many microseconds go by: at most a minute.
            delay_us(Long) -> Void, false;
            /// From 0 to n - 1.
            randint(Long) -> Long, false;

            // Speculation.
            speculation() -> Long, true;
            speculate(Long) -> Void, true;
            commit(Long) -> Void, true;
            discard(Long) -> Void, true;
        }
    };
}

macro_rules! declare {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) -> $ret:ident, $fallible:literal;)*) => {
        /// A row of the list.
        #[allow(non_camel_case_types, missing_docs, reason = "rows are named as the functions are")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Builtin { $($name),* }

        /// All rows in order.
        pub const ALL: &[Builtin] = &[$(Builtin::$name),*];

        const SIGNATURES: &[Signature] = &[$(Signature {
            name: stringify!($name),
            args: &[$(Arg::$arg),*],
            ret: Ret::$ret,
            fallible: $fallible,
        }),*];
    };
}

for_each_builtin!(declare);

/// Number of rows.
pub const COUNT: usize = ALL.len();

impl Builtin {
    /// Its row.
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }

    /// The row with this name.
    pub fn by_name(name: &str) -> Option<Builtin> {
        ALL.iter().copied().find(|b| b.signature().name == name)
    }
}
