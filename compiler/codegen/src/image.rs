//! Puts the image together, as `rstap_abi::image` describes it:
//!
//! ```text
//! header · constants · handler table · probe table · lock sets · conditions · code (functions, handlers, quick forms)
//! ```

use rstap_abi::ABI_VERSION;
use rstap_abi::image::{
    ConditionEntry, HandlerEntry, ImageHeader, LOCK_GATHER, LOCK_WRITE, LockEntry, MAGIC, ProbeEntry, Text,
    gather,
};
use rstap_abi::layout::{GlobalShape, SHARDED, VALUE};
use rstap_program::ArenaPlan;
use rstap_sema::ir::{GlobalId, Handler, Script};

use crate::CodegenError;
use crate::bytes::{push_u32, push_u64};
use crate::constants::{Constants, START};

/// Alignment of tables and of the code.
const ALIGN: usize = 16;

/// Where a handler's code is, from the start of the code, and the stack it needs.
pub(crate) struct PlacedHandler {
    pub(crate) code: usize,
    pub(crate) stack_bytes: u32,
    /// Bits of `rstap_abi::image::needs`.
    pub(crate) needs: u32,
    /// Where its quick form is.
    pub(crate) quick: Option<usize>,
}

/// Makes the image.
pub(crate) fn assemble(
    script: &Script,
    arena: &ArenaPlan,
    mut constants: Constants,
    handlers: &[PlacedHandler],
    code: &[u8],
) -> Result<Vec<u8>, CodegenError> {
    let probes = probe_entries(script, arena, &mut constants);
    let locks: Vec<Vec<LockEntry>> = script.handlers.iter().map(|handler| lock_set(handler, arena)).collect();

    let handlers_at = (START + constants.bytes().len()).next_multiple_of(ALIGN);
    let probes_at = handlers_at + handlers.len() * size_of::<HandlerEntry>();
    let locks_at = (probes_at + probes.len() * size_of::<ProbeEntry>()).next_multiple_of(ALIGN);
    let lock_count: usize = locks.iter().map(Vec::len).sum();
    let conditions: Vec<Vec<ConditionEntry>> =
        script.handlers.iter().map(|handler| conditions(handler, script, arena)).collect();
    let condition_count: usize = conditions.iter().map(Vec::len).sum();
    let conditions_at = locks_at + lock_count * size_of::<LockEntry>();
    let code_at = (conditions_at + condition_count * size_of::<ConditionEntry>()).next_multiple_of(ALIGN);
    let size = code_at + code.len();
    if size > i32::MAX as usize {
        return Err(CodegenError::ImageTooLarge { size });
    }

    let mut image = Vec::with_capacity(size);
    push_header(
        &mut image,
        &ImageHeader {
            magic: MAGIC,
            abi_version: ABI_VERSION,
            size: size as u32,
            handlers: handlers_at as u32,
            handler_count: handlers.len() as u32,
            probes: probes_at as u32,
            probe_count: probes.len() as u32,
            shards: arena.shards.at,
            shard_stride: arena.shards.stride,
            shard_count: arena.shards.count,
            pad: 0,
        },
    );
    image.extend_from_slice(constants.bytes());
    image.resize(handlers_at, 0);
    let (mut set_at, mut list_at) = (locks_at, conditions_at);
    for ((handler, set), conditions) in handlers.iter().zip(&locks).zip(&conditions) {
        push_u32(&mut image, (code_at + handler.code) as u32);
        push_u32(&mut image, set_at as u32);
        push_u32(&mut image, set.len() as u32);
        push_u32(&mut image, handler.stack_bytes);
        push_u32(&mut image, list_at as u32);
        push_u32(&mut image, conditions.len() as u32);
        push_u32(&mut image, handler.needs);
        push_u32(&mut image, handler.quick.map_or(0, |quick| (code_at + quick) as u32));
        set_at += set.len() * size_of::<LockEntry>();
        list_at += conditions.len() * size_of::<ConditionEntry>();
    }
    for probe in &probes {
        push_u32(&mut image, probe.handler);
        push_u32(&mut image, probe.flags);
        for text in [probe.pp, probe.pn, probe.function] {
            push_u32(&mut image, text.at);
            push_u32(&mut image, text.len);
        }
        push_u32(&mut image, probe.condition);
    }
    image.resize(locks_at, 0);
    for lock in locks.iter().flatten() {
        push_u64(&mut image, lock.global);
        push_u64(&mut image, lock.part);
    }
    for condition in conditions.iter().flatten() {
        push_u32(&mut image, condition.handler);
        push_u32(&mut image, condition.outcome);
    }
    image.resize(code_at, 0);
    image.extend_from_slice(code);
    Ok(image)
}

fn push_header(image: &mut Vec<u8>, header: &ImageHeader) {
    push_u64(image, header.magic);
    push_u32(image, header.abi_version);
    push_u32(image, header.size);
    push_u32(image, header.handlers);
    push_u32(image, header.handler_count);
    push_u32(image, header.probes);
    push_u32(image, header.probe_count);
    push_u64(image, header.shards);
    push_u64(image, header.shard_stride);
    push_u32(image, header.shard_count);
    push_u32(image, header.pad);
    assert_eq!(image.len(), START, "the header has no other fields");
}

fn probe_entries(script: &Script, arena: &ArenaPlan, constants: &mut Constants) -> Vec<ProbeEntry> {
    let mut text = |text: &str| -> Text { constants.text(text.as_bytes()) };
    script
        .probes
        .iter()
        .map(|probe| ProbeEntry {
            handler: probe.handler.0,
            flags: probe.flags,
            pp: text(&probe.pp),
            pn: text(&probe.pn),
            function: text(&probe.function),
            condition: probe
                .condition
                .and_then(|id| outcome(script.conditions[id].outcome, arena))
                .unwrap_or(0),
        })
        .collect()
}

fn conditions(handler: &Handler, script: &Script, arena: &ArenaPlan) -> Vec<ConditionEntry> {
    let entry = |&id: &usize| {
        let condition = &script.conditions[id];
        Some(ConditionEntry { handler: condition.handler.0, outcome: outcome(condition.outcome, arena)? })
    };
    handler.conditions.iter().filter_map(entry).collect()
}

/// Where a condition's outcome is, in words of the arena. Behind 32 GiB of arrays there is no room for a number; the
/// condition then has no outcome, and its handlers alone look at it.
fn outcome(global: GlobalId, arena: &ArenaPlan) -> Option<u32> {
    let at = arena.globals[global.0 as usize].at.bytes + VALUE;
    u32::try_from(at / 8).ok()
}

fn lock_set(handler: &Handler, arena: &ArenaPlan) -> Vec<LockEntry> {
    let mut set: Vec<LockEntry> = handler
        .locks
        .iter()
        .map(|lock| {
            let global = &arena.globals[lock.global.0 as usize];
            let write = if lock.write { LOCK_WRITE } else { 0 };
            let Some(part) = global.part.filter(|_| lock.gather) else {
                return LockEntry { global: global.at.bytes | write, part: 0 };
            };
            let (place, kind) = match &global.shape {
                GlobalShape::Map(map) => (map.handle(global.at) | SHARDED, gather::MAP),
                GlobalShape::Stat(_) => (global.at.bytes, gather::STAT),
                GlobalShape::Long | GlobalShape::String => (global.at.bytes, gather::LONG),
            };
            LockEntry { global: place | write | LOCK_GATHER, part: part | kind }
        })
        .collect();
    set.sort_unstable_by_key(LockEntry::at);
    set
}
