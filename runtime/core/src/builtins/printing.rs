//! Output.

use rstap_abi::format::{Argument, Directive};
use rstap_abi::image;

use super::stats::Output;
use crate::call::Call;
use crate::env::Env;
use crate::format::{self, Printer, Source, Unreadable};
use crate::image::Image;
use crate::text::{Digits, Sink, Text};

impl<'c, E: Env> Call<'c, E> {
    pub fn print_string(&mut self, s: &[u8]) {
        self.print(s);
    }

    pub fn print_long(&mut self, value: i64) {
        self.print(Digits::signed(value).as_bytes());
    }

    /// Prints nothing of it when it faults (unless some was handed to the ring already).
    pub fn printf(&mut self, directives: i64, count: i64, arguments: i64) {
        let (directives, arguments) = self.format(directives, count, arguments);
        let source = Constants(self.image());
        if self.pack(directives, arguments, &source) {
            return;
        }
        self.unpack();
        let before = self.context.output_len;
        if let Err(unreadable) = format::print(directives, arguments, &source, &mut Output(self)) {
            self.context.output_len = before.min(self.context.output_len);
            self.unreadable(unreadable);
        }
    }

    pub fn sprintf(&mut self, directives: i64, count: i64, arguments: i64, out: &mut Text<'_>) {
        let (directives, arguments) = self.format(directives, count, arguments);
        let source = Constants(self.image());
        let printed =
            format::print(directives, arguments, &source, &mut StringOutput { call: self, text: out });
        out.end_at_nul();
        if let Err(unreadable) = printed {
            out.truncate(0);
            self.unreadable(unreadable);
        }
    }

    fn unreadable(&mut self, unreadable: Unreadable) {
        self.fail(Unreadable::FAULT, unreadable.address);
    }

    fn format(&self, directives: i64, count: i64, arguments: i64) -> (&'c [Directive], &'c [Argument]) {
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return (&[], &[]);
        }
        // SAFETY: compiled code passes an array of the image.
        let directives = unsafe { core::slice::from_raw_parts(directives as *const Directive, count) };
        let taken = directives.iter().map(format::argument_count).fold(0, usize::saturating_add);
        if taken == 0 {
            return (directives, &[]);
        }
        // SAFETY: compiled code passes as many arguments as the directives take, from its own memory.
        (directives, unsafe { core::slice::from_raw_parts(arguments as *const Argument, taken) })
    }
}

/// The image and the strings of compiled code.
struct Constants<'c>(Image<'c>);

impl<'c> Source<'c> for Constants<'c> {
    fn literal(&self, at: u32, len: u32) -> &'c [u8] {
        self.0.text(image::Text { at, len })
    }

    fn string(&self, argument: &Argument) -> &'c [u8] {
        if argument.b == 0 {
            return &[];
        }
        // SAFETY: compiled code passes address and length of a string of its own where the directive takes one.
        unsafe { core::slice::from_raw_parts(argument.a as *const u8, argument.b as usize) }
    }
}

impl<E: Env> Printer for Output<'_, '_, E> {
    fn read_target(&mut self, address: u64, into: &mut [u8]) -> bool {
        self.0.env.read_target(self.0.context, address, into)
    }
}

/// A string being printed to.
struct StringOutput<'x, 'c, 't, 'b, E> {
    call: &'x Call<'c, E>,
    text: &'t mut Text<'b>,
}

impl<E> Sink for StringOutput<'_, '_, '_, '_, E> {
    fn put(&mut self, bytes: &[u8]) {
        self.text.put(bytes);
    }

    fn is_full(&self) -> bool {
        self.text.room() == 0
    }
}

impl<E: Env> Printer for StringOutput<'_, '_, '_, '_, E> {
    fn read_target(&mut self, address: u64, into: &mut [u8]) -> bool {
        self.call.env.read_target(self.call.context, address, into)
    }
}
