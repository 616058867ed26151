//! What is printed from a record of raw arguments is what a handler would have printed, and nothing foreign in a record
//! does harm.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use rstap_abi::format::{FROM_ARGUMENT, UNSET, flag};
use rstap_abi::image::{ImageHeader, MAGIC};

use super::*;

/// Where the directives stand in the images of these tests.
const AT: usize = 64;

/// An image of these directives, which have no literals.
fn image(directives: &[Directive]) -> Vec<u64> {
    let bytes = AT + size_of_val(directives);
    let header = ImageHeader {
        magic: MAGIC,
        abi_version: rstap_abi::ABI_VERSION,
        size: bytes as u32,
        handlers: 0,
        handler_count: 0,
        probes: 0,
        probe_count: 0,
        shards: 0,
        shard_stride: 0,
        shard_count: 0,
        pad: 0,
    };
    let mut memory = vec![0u64; bytes.div_ceil(8)];
    // SAFETY: both lie in the memory, which nobody else uses.
    unsafe {
        let base = memory.as_mut_ptr().cast::<u8>();
        base.cast::<ImageHeader>().write(header);
        core::ptr::copy_nonoverlapping(directives.as_ptr(), base.add(AT).cast(), directives.len());
    }
    memory
}

fn with_image<T>(directives: &[Directive], what: impl FnOnce(&Image<'_>) -> T) -> T {
    let memory = image(directives);
    // SAFETY: the memory holds an image, whose code nobody calls.
    let image = unsafe { Image::new(memory.as_ptr().cast(), size_of_val(&*memory)) };
    what(&image.expect("it is an image"))
}

/// Strings of this test's memory.
struct Own;

impl<'s> Source<'s> for Own {
    fn literal(&self, _at: u32, _len: u32) -> &'s [u8] {
        b""
    }

    fn string(&self, argument: &Argument) -> &'s [u8] {
        // SAFETY: the arguments of these tests name strings that live as long as the test.
        unsafe { core::slice::from_raw_parts(argument.a as *const u8, argument.b as usize) }
    }
}

fn directives() -> impl Strategy<Value = Vec<Directive>> {
    let number = || prop_oneof![Just(UNSET), Just(FROM_ARGUMENT), 0..12];
    let flags =
        prop_oneof![Just(0), Just(flag::LEFT), Just(flag::ZERO), Just(flag::ALTERNATE), Just(flag::PLUS)];
    let one = (conversion::SIGNED..=conversion::BINARY, flags, number(), number()).prop_map(
        |(conversion, flags, width, precision)| Directive {
            conversion,
            flags,
            pad: 0,
            width,
            precision,
            text: 0,
            text_len: 0,
        },
    );
    proptest::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn packed_arguments_print_as_they_would_have_before(
        directives in directives(),
        numbers in proptest::collection::vec(prop_oneof![-20i64..20, any::<i64>()], 24),
        texts in proptest::collection::vec("[ -~]{0,20}", 24),
    ) {
        let mut arguments = Vec::new();
        for directive in &directives {
            for left in (0..argument_count(directive)).rev() {
                let index = arguments.len();
                arguments.push(match directive.conversion {
                    conversion::STRING if left == 0 => {
                        Argument { a: texts[index].as_ptr() as u64, b: texts[index].len() as u64 }
                    }
                    _ => Argument { a: numbers[index] as u64, b: 0 },
                });
            }
        }
        let mut expected = Vec::new();
        let mut put = |bytes: &[u8]| expected.extend_from_slice(bytes);
        prop_assert!(format::print(&directives, &arguments, &Own, &mut Put(&mut put)).is_ok());
        let mut payload = [0; MOST_BYTES];
        let len = pack(AT as u32, &directives, &arguments, &Own, &mut payload);
        let len = len.expect("eight directives have room");
        let mut printed = Vec::new();
        with_image(&directives, |image| {
            print(image, &payload[..len], &mut |bytes: &[u8]| printed.extend_from_slice(bytes));
        });
        prop_assert_eq!(printed, expected);
    }

    #[test]
    fn foreign_payloads_print_something_bounded(
        directives in directives(),
        mut payload in proptest::collection::vec(any::<u8>(), 0..80),
        sound in any::<bool>(),
    ) {
        if sound && payload.len() >= 8 {
            payload[..4].copy_from_slice(&(AT as u32).to_le_bytes());
            payload[4..8].copy_from_slice(&(directives.len() as u32).to_le_bytes());
        }
        let mut printed = 0;
        with_image(&directives, |image| print(image, &payload, &mut |bytes: &[u8]| printed += bytes.len()));
        prop_assert!(printed < 1 << 22);
    }
}
