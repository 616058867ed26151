//! What must be known of the code round a site before a jump is written: which function it is in, and that nothing in
//! another function (or in a part of this one that the compiler put elsewhere) goes to the bytes the jump overwrites.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rstap_debuginfo::FileOffset;

use crate::process::{FileId, Mapping};
use crate::symbols::{self, ModuleFile};

/// Functions of mapped files; each file is read once.
#[derive(Default)]
pub struct Functions {
    modules: HashMap<FileId, Option<Arc<ModuleFile>>>,
}

impl Functions {
    /// Addresses of the function that an address in this mapping belongs to.
    pub fn at(&mut self, pid: i32, mapping: &Mapping, address: u64) -> Option<Range<u64>> {
        let module = symbols::open(&mut self.modules, pid, mapping, &Arc::default())?;
        let offset = address.checked_sub(mapping.start)?.checked_add(mapping.offset)?;
        let link = module.headers().link_addr(FileOffset(offset))?;
        let extent = module.headers().extent_at(link)?;
        let bias = address.wrapping_sub(link.0);
        let (start, end) = (extent.start.0.wrapping_add(bias), extent.end.0.wrapping_add(bias));
        (mapping.start <= start && end <= mapping.end).then_some(start..end)
    }
}

/// Where near calls and jumps with 32-bit distances go that stand anywhere in `text`, which is mapped at `base`, as
/// far as they go into one of `ranges` (by rising start, apart from each other). Every byte is taken for the beginning
/// of a jump, so none is missed, whatever lies between functions; what is no jump almost never hits.
pub fn targets_in(text: &[u8], base: u64, ranges: &[Range<u64>]) -> Vec<u64> {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Vec::new() };
    let span = first.start..last.end;
    let mut targets = Vec::new();
    for (at, window) in text.windows(5).enumerate() {
        let is_jump = match window[0] {
            0xe8 | 0xe9 => true,
            second => second & 0xf0 == 0x80 && at > 0 && text[at - 1] == 0x0f,
        };
        if !is_jump {
            continue;
        }
        let distance = i32::from_le_bytes([window[1], window[2], window[3], window[4]]);
        let to = base.wrapping_add(at as u64 + 5).wrapping_add(i64::from(distance) as u64);
        if span.contains(&to) {
            let index = ranges.partition_point(|range| range.end <= to);
            if ranges.get(index).is_some_and(|range| range.contains(&to)) {
                targets.push(to);
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_found_wherever_they_stand() {
        // nop; jmp 0x1002; jne 0x1003; call 0x1001
        let mut text = vec![0x90, 0xe9];
        text.extend((0x1002_i32 - 0x1006).to_le_bytes());
        text.extend([0x0f, 0x85]);
        text.extend((0x1003_i32 - 0x100c).to_le_bytes());
        text.push(0xe8);
        text.extend((0x1001_i32 - 0x1011).to_le_bytes());
        assert_eq!(targets_in(&text, 0x1000, &[0x1001..0x1003, 0x1003..0x1004]), [0x1002, 0x1003, 0x1001]);
        assert_eq!(targets_in(&text, 0x1000, &[0x1000..0x1001, 0x1003..0x1005]), [0x1003]);
        assert_eq!(targets_in(&text, 0x1000, &[]), [0; 0]);
        assert_eq!(targets_in(&text[..4], 0x1000, &[0..1, 1..u64::MAX]), [0; 0]);
    }

    #[test]
    fn an_own_function_has_its_extent() {
        let pid = std::process::id() as i32;
        let address = an_own_function_has_its_extent as fn() as usize as u64;
        let maps = crate::process::maps::read(pid).expect("own maps");
        let mapping = maps.iter().find(|m| (m.start..m.end).contains(&address)).expect("mapped");
        let extent = Functions::default().at(pid, mapping, address).expect("it has a symbol");
        assert_eq!(extent.start, address);
        assert!(extent.end > address);
    }
}
