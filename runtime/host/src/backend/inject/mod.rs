//! The inject backend: handlers run inside the target, reached by a jump at the probed instruction; no stop, no system
//! call. Which probes of a process it can take is decided one by one; the rest are the ptrace backend's, so the two
//! share one tracer: `ptrace/injecting.rs` uses what is here.
//!
//! What is here is plain: which memory a process gets and how it is laid out ([`home`]), the payload as bytes
//! ([`blob`]), the code at the end of a jump ([`trampoline`]), what suits a process ([`suitable`]). docs/INJECT.md
//! explains the whole to a sceptical reader.

pub mod blob;
pub mod code;
pub mod home;
pub mod suitable;
pub mod sys;
pub mod trampoline;

use std::fs::File;

use rstap_abi::inject::{ContextMemory, ProbeAt, kind};
use rstap_abi::limits::Limits;
use rstap_program::{CodeKind, ProbeId, Program};

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
        Injector {
            arena,
            arena_name,
            arena_size,
            image: program.image.clone(),
            limits: program.limits,
            memory,
            probes,
        }
    }

    /// The probes of a place as the payload knows them, if it can run all of them.
    pub fn probes_at(&self, probes: &[(ProbeId, CodeKind)]) -> Option<Vec<ProbeAt>> {
        let can_run = |probe: ProbeId| self.probes.get(probe.0 as usize) == Some(&true);
        let one = |(probe, at): &(ProbeId, CodeKind)| match at {
            CodeKind::Hit if can_run(*probe) => {
                Some(ProbeAt { probe: probe.0, kind: kind::HIT, saver: u32::MAX, value_bytes: 0 })
            }
            _ => None,
        };
        probes.iter().map(one).collect()
    }
}
