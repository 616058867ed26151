//! The probes of a program, ordered as the tracer looks for them.

use std::collections::HashMap;

use rstap_abi::address::{FileOffset, TargetAddr};
use rstap_program::{CodeKind, DataPlace, ModuleId, Point, ProbeId, ProcessEvent, ProcessFilter, Program};

use crate::process::filter::Subject;
use crate::process::{FileId, Mapping, Modules};

/// A probe at a place in a file.
#[derive(Clone, Copy, Debug)]
pub struct SiteProbe {
    /// Where.
    pub at: FileOffset,
    /// Which.
    pub probe: ProbeId,
    /// When it fires.
    pub kind: CodeKind,
}

/// A probe of data.
#[derive(Clone, Copy, Debug)]
pub struct DataProbe {
    /// The file, if the place is in one.
    file: Option<FileId>,
    place: DataPlace,
    /// Bytes.
    pub length: u64,
    /// Reads count as well.
    pub reads: bool,
    /// Which.
    pub probe: ProbeId,
}

impl DataProbe {
    /// Where the data is in a process, if it is there.
    pub fn address(&self, pid: i32, mappings: &[Mapping]) -> Option<u64> {
        match self.place {
            DataPlace::Address(at) => Some(at.0),
            DataPlace::File { code, distance, .. } => mappings.iter().find_map(|mapping| {
                let to = code.0.checked_sub(mapping.offset)?;
                let is_there = mapping.executable && to < mapping.end - mapping.start;
                (is_there && mapping.file_id(pid) == self.file && self.file.is_some())
                    .then(|| (mapping.start + to).wrapping_add(distance))
            }),
        }
    }
}

/// What the tracer needs of a probe besides its place.
#[derive(Clone, Debug)]
struct About {
    filter: Option<ProcessFilter>,
    entry: Option<ProbeId>,
    entry_bytes: u32,
}

/// All probes that concern processes.
#[derive(Debug)]
pub struct Registry {
    modules: Modules,
    by_file: HashMap<FileId, Vec<SiteProbe>>,
    semaphores: HashMap<FileId, Vec<(FileOffset, ProbeId)>>,
    addresses: Vec<(TargetAddr, ProbeId)>,
    data: Vec<DataProbe>,
    events: Vec<(ProcessEvent, ProbeId)>,
    has_profile: bool,
    about: Vec<About>,
}

impl Registry {
    /// Of a program.
    pub fn new(program: &Program, modules: Modules) -> Registry {
        let mut registry = Registry {
            modules,
            by_file: HashMap::new(),
            semaphores: HashMap::new(),
            addresses: Vec::new(),
            data: Vec::new(),
            events: Vec::new(),
            has_profile: false,
            about: Vec::with_capacity(program.probes.len()),
        };
        for (index, probe) in program.probes.iter().enumerate() {
            let id = ProbeId(index as u32);
            let filter = match &probe.point {
                Point::Code { process, module, at, kind } => {
                    registry.add_site(*module, SiteProbe { at: *at, probe: id, kind: *kind });
                    Some(process.clone())
                }
                Point::Mark { process, module, at, semaphore } => {
                    registry.add_site(*module, SiteProbe { at: *at, probe: id, kind: CodeKind::Hit });
                    if let (Some(file), Some(semaphore)) = (registry.modules.id(*module), semaphore) {
                        registry.semaphores.entry(file).or_default().push((*semaphore, id));
                    }
                    Some(process.clone())
                }
                Point::Address { process, at } => {
                    registry.addresses.push((*at, id));
                    Some(process.clone())
                }
                Point::Data { process, place, length, reads } => {
                    registry.add_data(*place, *length, *reads, id);
                    Some(process.clone())
                }
                Point::Process { process, event } => {
                    registry.events.push((*event, id));
                    Some(process.clone())
                }
                Point::Profile { .. } => {
                    registry.has_profile = true;
                    Some(ProcessFilter::default())
                }
                _ => None,
            };
            registry.about.push(About { filter, entry: probe.entry, entry_bytes: probe.entry_bytes });
        }
        for sites in registry.by_file.values_mut() {
            sites.sort_by_key(|site| (site.at, site.probe));
        }
        registry
    }

    fn add_site(&mut self, module: ModuleId, site: SiteProbe) {
        if let Some(file) = self.modules.id(module) {
            self.by_file.entry(file).or_default().push(site);
        }
    }

    fn add_data(&mut self, place: DataPlace, length: u64, reads: bool, probe: ProbeId) {
        let file = match place {
            DataPlace::File { module, .. } => match self.modules.id(module) {
                Some(file) => Some(file),
                None => return,
            },
            DataPlace::Address(_) => None,
        };
        if let Some(file) = file {
            self.by_file.entry(file).or_default();
        }
        self.data.push(DataProbe { file, place, length, reads, probe });
    }

    /// Whether there is a probe that needs processes to be traced.
    pub fn wants_processes(&self) -> bool {
        !(self.by_file.is_empty()
            && self.addresses.is_empty()
            && self.events.is_empty()
            && self.data.is_empty())
    }

    /// Whether there are probes that a process must be traced for, wherever handlers run: events of processes, samples, data,
    /// and probes for one process only, which its children would take with them.
    pub fn needs_tracing(&self) -> bool {
        let one_process = |about: &About| about.filter.as_ref().is_some_and(|filter| filter.pid.is_some());
        !self.events.is_empty()
            || !self.data.is_empty()
            || self.has_profile
            || self.about.iter().any(one_process)
    }

    /// Whether some probe fires at this event.
    pub fn has_event(&self, event: ProcessEvent) -> bool {
        self.events.iter().any(|(e, _)| *e == event)
    }

    /// Whether exits must be seen before the thread is gone.
    pub fn watches_exit(&self) -> bool {
        self.has_event(ProcessEvent::End) || self.has_event(ProcessEvent::ThreadEnd)
    }

    /// Whether system calls of a process must be seen that takes these probes.
    pub fn watches_system_calls(&self, accepted: &[bool]) -> bool {
        self.events.iter().any(|(event, probe)| {
            matches!(event, ProcessEvent::Syscall | ProcessEvent::SyscallReturn)
                && accepted.get(probe.0 as usize) == Some(&true)
        })
    }

    /// Probes of this event.
    pub fn events(&self, event: ProcessEvent) -> impl Iterator<Item = ProbeId> + '_ {
        self.events.iter().filter(move |(e, _)| *e == event).map(|(_, probe)| *probe)
    }

    /// For each probe, whether it is for a process.
    pub fn accepted(&self, subject: &Subject) -> Vec<bool> {
        let takes = |about: &About| {
            about.filter.as_ref().is_some_and(|filter| subject.is_taken_by(filter, &self.modules))
        };
        self.about.iter().map(takes).collect()
    }

    /// Whether some probe is for a process as it is now.
    pub fn takes(&self, pid: i32) -> bool {
        // Kernel threads run no file.
        Subject::read(pid, false)
            .is_some_and(|subject| subject.executable.is_some() && self.accepted(&subject).contains(&true))
    }

    /// Whether some probe could be for this process if it ran another program.
    pub fn could_take(&self, subject: &Subject) -> bool {
        self.about.iter().filter_map(|about| about.filter.as_ref()).any(|filter| {
            let anywhere = ProcessFilter { executable: None, ..filter.clone() };
            filter.pid.is_none() && subject.is_taken_by(&anywhere, &self.modules)
        })
    }

    /// Probes in a part of a file.
    pub fn in_file(&self, file: FileId, offset: u64, len: u64) -> &[SiteProbe] {
        let Some(sites) = self.by_file.get(&file) else { return &[] };
        let from = sites.partition_point(|site| site.at.0 < offset);
        let to = sites.partition_point(|site| site.at.0 < offset.saturating_add(len));
        &sites[from..to]
    }

    /// Whether a file has probes.
    pub fn has_file(&self, file: FileId) -> bool {
        self.by_file.contains_key(&file)
    }

    /// Files with probes that some process takes which accepts these.
    pub fn files_for<'a>(&'a self, accepted: &'a [bool]) -> impl Iterator<Item = FileId> + 'a {
        let takes = |probe: ProbeId| accepted.get(probe.0 as usize) == Some(&true);
        let has_data =
            move |file: FileId| self.data.iter().any(|data| data.file == Some(file) && takes(data.probe));
        let is_for = move |(file, sites): &(&FileId, &Vec<SiteProbe>)| {
            sites.iter().any(|site| takes(site.probe)) || has_data(**file)
        };
        self.by_file.iter().filter(is_for).map(|(file, _)| *file)
    }

    /// Whether some marker has a counter.
    pub fn has_semaphores(&self) -> bool {
        !self.semaphores.is_empty()
    }

    /// Counters in a file, with the probes they are raised for.
    pub fn semaphores(&self, file: FileId) -> &[(FileOffset, ProbeId)] {
        self.semaphores.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Whether data is watched.
    pub fn watches_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// Probes of data, in script order.
    pub fn data(&self) -> &[DataProbe] {
        &self.data
    }

    /// Probes at addresses.
    pub fn addresses(&self) -> &[(TargetAddr, ProbeId)] {
        &self.addresses
    }

    /// The entry probe of a return probe, and the bytes it saves.
    pub fn entry_of(&self, probe: ProbeId) -> (Option<ProbeId>, usize) {
        self.about.get(probe.0 as usize).map_or((None, 0), |a| (a.entry, a.entry_bytes as usize))
    }
}
