//! Trampolines: where a probed instruction's jump leads. One for each site, in an area of memory within reach of the
//! text; no thread writes to it, so all threads share it.
//!
//! ```text
//! head        jmp [enter]                 once per area: the blob may be farther away than a call reaches
//!             jmp [quick]                 for handlers that are leaves
//! trampoline  lea rsp, [rsp - 128]        over the red zone
//!             push SITE
//!             call head
//!             lea rsp, [rsp + 136]
//!             displaced instructions, relocated; jump back
//! ```
//!
//! All of it leaves flags and registers alone; `rstap_payload_enter` puts back what it uses.

/// Bytes of an area's head.
pub const HEAD: usize = 32;
/// Where in it the way is for handlers that are leaves.
pub const QUICK: u64 = 16;
/// Trampolines begin at multiples of this.
pub const ALIGN: usize = 16;
/// Bytes of a trampoline before the displaced instructions.
pub const PREFIX: usize = 23;
/// Room to be reckoned with for one.
pub const USUAL_SIZE: usize = 80;

/// The head of an area, for the addresses of `rstap_payload_enter` and `rstap_payload_quick`.
pub fn head(enter: u64, quick: u64) -> [u8; HEAD] {
    let mut code = [0xcc; HEAD];
    for (jump, to) in code.chunks_exact_mut(QUICK as usize).zip([enter, quick]) {
        jump[..6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        jump[6..14].copy_from_slice(&to.to_le_bytes());
    }
    code
}

/// Whether an area begins like this, by this or an earlier version.
pub fn is_head(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD && bytes[..6] == [0xff, 0x25, 0, 0, 0, 0] && bytes[14..16] == [0xcc; 2]
}

/// What stands before the displaced instructions in the trampoline at `address`. `None` if the head is too far.
pub fn prefix(address: u64, site: u32, head: u64) -> Option<[u8; PREFIX]> {
    let mut code = [0; PREFIX];
    code[..5].copy_from_slice(&[0x48, 0x8d, 0x64, 0x24, 0x80]);
    code[5] = 0x68;
    code[6..10].copy_from_slice(&site.to_le_bytes());
    code[10] = 0xe8;
    code[11..15].copy_from_slice(&distance(head, address.wrapping_add(15))?.to_le_bytes());
    code[15..].copy_from_slice(&[0x48, 0x8d, 0xa4, 0x24, 0x88, 0, 0, 0]);
    Some(code)
}

/// Distance from the address behind an instruction, if 32 bits hold it.
fn distance(to: u64, behind: u64) -> Option<i32> {
    i32::try_from(to.wrapping_sub(behind) as i64).ok()
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Mnemonic, Register};

    use super::*;

    #[test]
    fn a_trampoline_reads_as_described() {
        let code = prefix(0x1_0040, 7, 0x1_0000).expect("in reach");
        let all: Vec<_> = Decoder::with_ip(64, &code, 0x1_0040, DecoderOptions::NONE).iter().collect();
        let mnemonics: Vec<_> = all.iter().map(|instruction| instruction.mnemonic()).collect();
        assert_eq!(mnemonics, [Mnemonic::Lea, Mnemonic::Push, Mnemonic::Call, Mnemonic::Lea]);
        assert_eq!(all[0].memory_displacement64() as i64, -128);
        assert_eq!(all[1].immediate(0), 7);
        assert_eq!(all[2].near_branch_target(), 0x1_0000);
        assert_eq!((all[3].op0_register(), all[3].memory_displacement64()), (Register::RSP, 136));
        assert_eq!(prefix(0x1_0040, 7, 0x7fff_0000_0000), None);
    }

    #[test]
    fn a_head_jumps_through_the_addresses_behind() {
        let code = head(0x1234, 0x5678);
        let jump = Decoder::with_ip(64, &code, 0x1_0000, DecoderOptions::NONE).decode();
        assert_eq!((jump.mnemonic(), jump.ip_rel_memory_address()), (Mnemonic::Jmp, 0x1_0006));
        assert_eq!(code[6..14], 0x1234_u64.to_le_bytes());
        let quick = &code[QUICK as usize..];
        let jump = Decoder::with_ip(64, quick, 0x1_0010, DecoderOptions::NONE).decode();
        assert_eq!((jump.mnemonic(), jump.ip_rel_memory_address()), (Mnemonic::Jmp, 0x1_0016));
        assert_eq!(quick[6..14], 0x5678_u64.to_le_bytes());
        assert!(is_head(&code) && !is_head(&code[..8]) && !is_head(&[0xff; HEAD]));
    }
}
