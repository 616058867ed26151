//! Any bytes as call frame information: a frame is unwound or is not, in bounded time.

#![no_main]

mod elf_file;

use libfuzzer_sys::fuzz_target;
use rstap_debuginfo::unwind::FRAME_REGISTERS;
use rstap_debuginfo::{LinkAddr, Module};

const SHT_PROGBITS: u32 = 1;
/// Code is at such addresses in the corpus.
const PLACES: [u64; 4] = [0x80, 0x100, 0x1000, 0x1139];

fuzz_target!(|bytes: &[u8]| {
    let [header, debug_frame, eh_frame] = elf_file::cut(bytes);
    let file = elf_file::build(&[
        (".eh_frame", SHT_PROGBITS, eh_frame),
        (".eh_frame_hdr", SHT_PROGBITS, header),
        (".debug_frame", SHT_PROGBITS, debug_frame),
    ]);
    let module = Module::parse(&file).expect("what is round the sections is sound");
    let mut registers = [0; FRAME_REGISTERS];
    for (number, register) in registers.iter_mut().enumerate() {
        *register = 0x7000 + 8 * number as u64;
    }
    // Memory that holds what looks like its own addresses.
    let read = |address: u64| (address < 0x10_0000).then(|| address.rotate_left(3) & 0xffff);
    for pc in PLACES {
        let _ = module.caller(LinkAddr(pc), &registers, 0, &read);
        let _ = module.return_address(LinkAddr(pc));
    }
});
