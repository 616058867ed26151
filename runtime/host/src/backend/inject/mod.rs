//! The inject backend: handlers run inside the target, reached by a jump at the probed instruction; no stop, no system
//! call. Which probes of a process it can take is decided one by one; the rest are the ptrace backend's, so the two
//! share one tracer: `ptrace/injecting.rs` uses what is here.
//!
//! What is here is plain: which memory a process gets and how it is laid out ([`home`]), the payload as bytes
//! ([`blob`]), what stands in it for who has to clean up ([`ledger`]), the code at the end of a jump ([`trampoline`]), what
//! handlers it may call at once ([`leaf`]), what suits a process ([`suitable`]). docs/INJECT.md
//! explains the whole to a sceptical reader.

pub mod blob;
pub mod code;
pub mod home;
pub mod leaf;
pub mod ledger;
pub mod suitable;
pub mod sys;
pub mod trampoline;

use std::fs::File;

use self::leaf::Leaf;
use rstap_abi::inject::{ContextMemory, ProbeAt, kind};
use rstap_abi::limits::Limits;
use rstap_program::{CodeKind, Point, Probe, ProbeId, Program};

/// What a session brings into each process.
#[derive(Debug)]
pub struct Injector {
    /// The arena.
    pub arena: File,
    /// What its mappings are called.
    pub arena_name: String,
    /// Its size in bytes.
    pub arena_size: u64,
    /// The handler image.
    pub image: Vec<u8>,
    /// Limits of the run.
    pub limits: Limits,
    /// How contexts are divided.
    pub memory: ContextMemory,
    /// For each probe, whether its handler can run in a target.
    pub probes: Vec<bool>,
    /// For each return probe, the probe whose handler saves values at the entry, `u32::MAX` for none, and their bytes.
    pub entries: Vec<Option<(u32, u32)>>,
    /// The handlers of those probes that can be called at once.
    leaves: Vec<Option<Leaf>>,
}

impl Injector {
    /// Of a program whose arena is this file, of that name.
    pub fn new(
        program: &Program,
        (arena, arena_name): (File, String),
        arena_size: u64,
        memory: ContextMemory,
    ) -> Injector {
        let mut probes = vec![true; program.probes.len()];
        for ProbeId(probe) in &program.host_only {
            if let Some(can_run) = probes.get_mut(*probe as usize) {
                *can_run = false;
            }
        }
        let entry = |probe: &Probe| match probe.point {
            Point::Code { kind: CodeKind::Return, .. } => {
                Some((probe.entry.map_or(u32::MAX, |saver| saver.0), probe.entry_bytes))
            }
            _ => None,
        };
        Injector {
            leaves: leaf::of_probes(&program.image),
            entries: program.probes.iter().map(entry).collect(),
            arena,
            arena_name,
            arena_size,
            image: program.image.clone(),
            limits: program.limits,
            memory,
            probes,
        }
    }

    /// The handler to be called at once where only this is probed.
    pub fn leaf_of(&self, probes: &[ProbeAt]) -> Option<Leaf> {
        match probes {
            [ProbeAt { probe, kind: kind::HIT, .. }] => *self.leaves.get(*probe as usize)?,
            _ => None,
        }
    }

    /// The probes of a place as the payload knows them, if it can run all of them.
    pub fn probes_at(&self, probes: &[(ProbeId, CodeKind)]) -> Option<Vec<ProbeAt>> {
        let can_run = |probe: u32| self.probes.get(probe as usize) == Some(&true);
        let one = |(ProbeId(probe), at): &(ProbeId, CodeKind)| {
            let (kind, saver, value_bytes) = match at {
                CodeKind::Hit => (kind::HIT, u32::MAX, 0),
                CodeKind::Return => {
                    let (saver, bytes) = (*self.entries.get(*probe as usize)?)?;
                    (kind::ENTRY, saver, bytes)
                }
            };
            let all_can = can_run(*probe) && (saver == u32::MAX || can_run(saver));
            all_can.then_some(ProbeAt { probe: *probe, kind, saver, value_bytes })
        };
        probes.iter().map(one).collect()
    }
}

/// What is to happen at the returns of a function with these probes at its entry.
pub fn at_return(probes: &[ProbeAt]) -> Vec<ProbeAt> {
    let entries = probes.iter().filter(|at| at.kind == kind::ENTRY);
    entries.map(|at| ProbeAt { kind: kind::RETURN, saver: u32::MAX, value_bytes: 0, ..*at }).collect()
}
