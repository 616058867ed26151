//! `printf` as a record of raw arguments: what a handler does is copy them, and rstap makes the text, by the same code.
//!
//! ```text
//! u32 image offset of the directives, u32 their number
//! for each argument: a long, or the length of a string and its bytes, filled up to a multiple of 8
//! ```

use rstap_abi::format::{Argument, Directive, conversion};
use rstap_abi::image;

use crate::format::{self, Printer, Source, argument_count};
use crate::image::Image;
use crate::text::Sink;

/// Most bytes of such a record's payload; what needs more is printed by the handler.
pub(crate) const MOST_BYTES: usize = 512;
/// Most arguments of one.
const MOST_ARGUMENTS: usize = 32;

/// Writes the payload into `out`; its length. `None` if it has no room, or if rstap could not make the text.
#[inline]
pub(crate) fn pack<'s>(
    at: u32,
    directives: &[Directive],
    arguments: &[Argument],
    source: &impl Source<'s>,
    out: &mut [u8],
) -> Option<usize> {
    if arguments.len() > MOST_ARGUMENTS {
        return None;
    }
    let room = out.len().min(MOST_BYTES);
    let mut writer = Writer { out: out.get_mut(..room)?, len: 0 };
    writer.word(u64::from(at) | (directives.len() as u64) << 32)?;
    let mut arguments = arguments.iter();
    for directive in directives {
        let taken = argument_count(directive);
        if matches!(directive.conversion, conversion::MEMORY | conversion::MEMORY_HEX) {
            return None;
        }
        for left in (0..taken).rev() {
            let argument = arguments.next()?;
            // The value comes after the numbers of `*`.
            match directive.conversion {
                conversion::STRING | conversion::JSON if left == 0 => {
                    writer.string(source.string(argument))?
                }
                _ => writer.word(argument.a)?,
            }
        }
    }
    Some(writer.len)
}

struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn word(&mut self, word: u64) -> Option<()> {
        let place = self.out.get_mut(self.len..)?.first_chunk_mut::<8>()?;
        *place = word.to_le_bytes();
        self.len = self.len.checked_add(8)?;
        Some(())
    }

    fn string(&mut self, bytes: &[u8]) -> Option<()> {
        self.word(bytes.len() as u64)?;
        let padded = bytes.len().checked_next_multiple_of(8)?;
        let place = self.out.get_mut(self.len..)?.get_mut(..padded)?;
        let (text, rest) = place.split_at_mut_checked(bytes.len())?;
        text.copy_from_slice(bytes);
        rest.fill(0);
        self.len = self.len.checked_add(padded)?;
        Some(())
    }
}

/// Prints a payload. What makes no sense in it, or is not in it, counts as 0 or "": it may come from memory that the
/// target has overwritten.
pub(crate) fn print(image: &Image<'_>, payload: &[u8], put: &mut impl FnMut(&[u8])) {
    let Some((&head, _)) = payload.split_first_chunk::<8>() else { return };
    let head = u64::from_le_bytes(head);
    let (at, count) = (head as u32, (head >> 32) as u32);
    let mut next = 8usize;
    for index in 0..count {
        let Some(directive) = image.directive(at, index) else { return };
        let mut arguments = [Argument::default(); 3];
        let taken = argument_count(&directive);
        for (left, argument) in (0..taken).rev().zip(&mut arguments) {
            let word = payload.get(next..).and_then(|rest| rest.first_chunk::<8>()).copied();
            let word = u64::from_le_bytes(word.unwrap_or_default());
            next = next.saturating_add(8);
            if matches!(directive.conversion, conversion::STRING | conversion::JSON) && left == 0 {
                *argument = Argument { a: next as u64, b: word };
                next = next.saturating_add((word as usize).checked_next_multiple_of(8).unwrap_or(usize::MAX));
            } else {
                argument.a = word;
            }
        }
        let arguments = arguments.get(..taken).unwrap_or_default();
        // Only target memory can be unreadable, and such directives are not packed.
        let _ = format::print(&[directive], arguments, &Payload { image, payload }, &mut Put(put));
    }
}

/// Literals of an image, strings of a payload: `a` is where they are in it.
struct Payload<'p> {
    image: &'p Image<'p>,
    payload: &'p [u8],
}

impl<'p> Source<'p> for Payload<'p> {
    fn literal(&self, at: u32, len: u32) -> &'p [u8] {
        self.image.text(image::Text { at, len })
    }

    fn string(&self, argument: &Argument) -> &'p [u8] {
        let end = argument.a.saturating_add(argument.b);
        self.payload.get(argument.a as usize..end as usize).unwrap_or_default()
    }
}

struct Put<'f, F>(&'f mut F);

impl<F: FnMut(&[u8])> Sink for Put<'_, F> {
    fn put(&mut self, bytes: &[u8]) {
        (self.0)(bytes);
    }
}

impl<F: FnMut(&[u8])> Printer for Put<'_, F> {
    fn read_target(&mut self, _address: u64, _into: &mut [u8]) -> bool {
        false
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
