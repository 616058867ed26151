//! What protects a forked process: a copy of what protects its parent, as that was when the memory was copied.

use super::area::{Header, MAGIC, PAGE, from_bytes};
use super::table::{Table, size_by_mask};
use super::{Memory, Rescue};
use crate::process::status;

impl Rescue {
    /// That of a process with this memory, which is a copy. `None`: it was made before our handler was in force.
    pub fn of_copy(&self, pid: i32, memory: &Memory) -> Option<Rescue> {
        let mut bytes = [0; size_of::<Header>()];
        let all = memory.read_raw(self.base + PAGE as u64, &mut bytes) == bytes.len();
        let header: Header = from_bytes(&bytes).filter(|_| all)?;
        let is_ours = header.magic == MAGIC
            && (header.owner, header.owner_start) == (self.header.owner, self.header.owner_start)
            && header.area_count <= self.header.area_count;
        if !is_ours || status::catches(pid, libc::SIGTRAP) == Some(false) {
            return None;
        }
        let table = table_at(memory, header.table)?;
        Some(Rescue { header: Box::new(header), table, ..self.clone() })
    }
}

fn table_at(memory: &Memory, address: u64) -> Option<Table> {
    let mut bytes = vec![0; size_by_mask(memory.word(address)?)?];
    (memory.read_raw(address, &mut bytes) == bytes.len()).then(|| Table::of_bytes(&bytes))
}
