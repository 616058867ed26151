//! What must be known of the code round a site before a jump is written: which function it is in, and that nothing in
//! another function (or in a part of this one that the compiler put elsewhere) goes to the bytes the jump overwrites.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rstap_debuginfo::{FileOffset, LinkAddr};

use crate::process::{FileId, Mapping};
use crate::symbols::{self, ModuleFile};

/// Functions of mapped files; each file is read once.
#[derive(Default)]
pub struct Functions {
    modules: HashMap<FileId, Option<Arc<ModuleFile>>>,
    /// The mapping asked about last. To find out what file it is of takes system calls, and the questions about one
    /// function are many.
    last: Option<(i32, Mapping, Option<Arc<ModuleFile>>)>,
}

impl Functions {
    /// Processes may have mapped other files since the last question.
    pub fn look_anew(&mut self) {
        self.last = None;
    }

    /// Addresses of the function that an address in this mapping belongs to.
    pub fn at(&mut self, pid: i32, mapping: &Mapping, address: u64) -> Option<Range<u64>> {
        let (module, link) = self.place(pid, mapping, address)?;
        let extent = module.headers().extent_at(link)?;
        let bias = address.wrapping_sub(link.0);
        let (start, end) = (extent.start.0.wrapping_add(bias), extent.end.0.wrapping_add(bias));
        (mapping.start <= start && end <= mapping.end).then_some(start..end)
    }

    /// What is behind a function up to the next one, as far as functions are aligned and this belongs to none.
    pub fn gap_behind(&mut self, pid: i32, mapping: &Mapping, function: &Range<u64>) -> Range<u64> {
        const ALIGN: u64 = 16;
        let end = function.end;
        let aligned = end.next_multiple_of(ALIGN).min(mapping.end);
        let is_free = (end..aligned).all(|address| {
            self.place(pid, mapping, address).is_some_and(|(module, link)| {
                module.headers().extent_at(link).is_none() && module.symbols().symbol_at(link).is_none()
            })
        });
        if is_free { end..aligned } else { end..end }
    }

    /// Whether an address is in the part of the function at `entry` that the compiler put aside, by its name.
    pub fn is_cold_part(&mut self, pid: i32, mapping: &Mapping, entry: u64, address: u64) -> bool {
        let mut names = |address| {
            let (module, link) = self.place(pid, mapping, address)?;
            let symbols = module.symbols().symbols();
            let start = module.symbols().symbol_at(link)?.address;
            let from = symbols.partition_point(|symbol| symbol.address < start);
            let same = symbols[from..].iter().take_while(|symbol| symbol.address == start);
            Some(same.map(|symbol| symbol.name.to_owned()).collect::<Vec<_>>())
        };
        let (Some(own), Some(there)) = (names(entry), names(address)) else { return false };
        let is_cold = |name: &String| own.iter().any(|own| name.strip_prefix(own.as_str()) == Some(".cold"));
        there.iter().any(is_cold)
    }

    /// Whether the file is a program of Go, whose stacks move.
    pub fn is_go(&mut self, pid: i32, mapping: &Mapping) -> bool {
        self.place(pid, mapping, mapping.start).is_some_and(|(module, _)| module.headers().is_go())
    }

    fn place(&mut self, pid: i32, mapping: &Mapping, address: u64) -> Option<(Arc<ModuleFile>, LinkAddr)> {
        let module = match &self.last {
            Some((last_pid, last, module)) if *last_pid == pid && last == mapping => module.clone()?,
            _ => {
                let module = symbols::open(&mut self.modules, pid, mapping, &Arc::default());
                self.last = Some((pid, mapping.clone(), module.clone()));
                module?
            }
        };
        let offset = address.checked_sub(mapping.start)?.checked_add(mapping.offset)?;
        let link = module.headers().link_addr(FileOffset(offset))?;
        Some((module, link))
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
