//! Counters of markers (<sys/sdt.h>): one higher in each process where a probe on the marker is planted, so that the
//! program does not pass it by. The kernel's uprobes do the same (`ref_ctr_offset`).

use rstap_program::ProbeId;

use super::rescue::area::{Entry, KIND_SEMAPHORE};
use super::space::Space;
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::process::maps::Mapping;

impl<H: Handlers> Tracer<H> {
    /// Raises the counters that a process has mapped by now; each is raised once.
    pub(super) fn raise_semaphores(&mut self, pid: i32, mappings: &[Mapping]) {
        let Some(process) = self.processes.get(&pid).filter(|_| self.registry.has_semaphores()) else {
            return;
        };
        let Some(space) = self.spaces.get_mut(&process.space) else { return };
        let mut mapped: Vec<(u64, ProbeId)> = Vec::new();
        for mapping in mappings.iter().filter(|mapping| mapping.writable) {
            let Some(file) = mapping.file_id(pid) else { continue };
            for (at, probe) in self.registry.semaphores(file) {
                let inside = at.0.checked_sub(mapping.offset).filter(|to| *to < mapping.end - mapping.start);
                let takes = process.accepted.get(probe.0 as usize) == Some(&true);
                mapped.extend(inside.filter(|_| takes).map(|to| (mapping.start + to, *probe)));
            }
        }
        // A library may have been unloaded, and loaded again elsewhere.
        space.semaphores.retain(|raised| mapped.contains(raised));
        for (address, probe) in mapped {
            if space.semaphores.contains(&(address, probe)) {
                continue;
            }
            // What is to be undone is noted first: a tracer that dies in between would else leave the program with a
            // counter that nobody lowers.
            let raised = space.semaphores.iter().filter(|(at, _)| *at == address).count() as u32 + 1;
            space.note(Entry { key: address, kind: KIND_SEMAPHORE, count: raised, ..Entry::default() });
            match change(space, address, 1) {
                Some(()) => space.semaphores.push((address, probe)),
                None => self.report.warn(format_args!(
                    "the semaphore of a marker at {address:#x} in process {pid} could not be raised"
                )),
            }
        }
    }
}

/// Lowers those counters again that belong to these probes.
pub(super) fn lower_semaphores(space: &mut Space, of: impl Fn(ProbeId) -> bool) {
    let (gone, left): (Vec<_>, Vec<_>) =
        std::mem::take(&mut space.semaphores).into_iter().partition(|(_, probe)| of(*probe));
    for &(address, _) in &gone {
        // Failing means that the mapping is gone, and the counter with it.
        let _ = change(space, address, -1);
        let count = left.iter().filter(|(at, _)| *at == address).count() as u32;
        space.note(Entry { key: address, kind: KIND_SEMAPHORE, count, ..Entry::default() });
    }
    space.semaphores = left;
}

/// Lowers a counter that was raised this often, as far as it goes; whether it did.
pub(super) fn lower(space: &Space, address: u64, count: u32) -> bool {
    let mut bytes = [0; 2];
    let read = space.memory.read_raw(address, &mut bytes);
    let value = u16::from_le_bytes(bytes);
    let lowered = value.saturating_sub(u16::try_from(count).unwrap_or(u16::MAX));
    read == 2 && lowered < value && space.memory.write_raw(address, &lowered.to_le_bytes()).is_ok()
}

fn change(space: &Space, address: u64, by: i16) -> Option<()> {
    let mut bytes = [0; 2];
    let count = space.memory.read_raw(address, &mut bytes);
    let value = (count == bytes.len()).then(|| u16::from_le_bytes(bytes))?;
    space.memory.write_raw(address, &value.wrapping_add_signed(by).to_le_bytes()).ok()
}
