//! What the debug registers of the processor can watch (Intel SDM, volume 3, 18.2 "Debug Registers").

/// Debug registers that hold an address: dr0 to dr3.
pub const REGISTERS: usize = 4;

/// Bytes that one register watches, at an address that is a multiple of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Piece {
    /// Where.
    pub address: u64,
    /// 1, 2, 4 or 8.
    pub length: u8,
}

/// The fewest pieces that cover these bytes and nothing else.
pub fn pieces(address: u64, length: u64) -> impl Iterator<Item = Piece> {
    let (mut address, mut left) = (address, length);
    core::iter::from_fn(move || {
        let fits = |size: &u64| *size <= left && address.is_multiple_of(*size);
        let size = [8_u64, 4, 2, 1].into_iter().find(fits)?;
        let piece = Piece { address, length: size as u8 };
        address = address.wrapping_add(size);
        left -= size;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::pieces;

    fn lengths(address: u64, length: u64) -> Vec<u8> {
        pieces(address, length).map(|piece| piece.length).collect()
    }

    #[test]
    fn pieces_are_aligned_and_cover_what_is_asked() {
        assert_eq!(lengths(0x1000, 4), [4]);
        assert_eq!(lengths(0x1000, 12), [8, 4]);
        assert_eq!(lengths(0x1001, 8), [1, 2, 4, 1]);
        assert_eq!(lengths(0x1004, 3), [2, 1]);
        assert_eq!(lengths(0x1007, 0), []);
        let covered: Vec<u64> = pieces(0x1003, 10).map(|piece| piece.address).collect();
        assert_eq!(covered, [0x1003, 0x1004, 0x1008, 0x100c]);
    }
}
