//! Puts the image together, as `rstap_abi::image` describes it:
//!
//! ```text
//! header · constants · handler table · probe table · lock sets · code (functions, then handlers)
//! ```

use rstap_abi::ABI_VERSION;
use rstap_abi::image::{HandlerEntry, ImageHeader, LOCK_WRITE, MAGIC, ProbeEntry, Text};
use rstap_program::ArenaPlan;
use rstap_sema::ir::{Handler, Script};

use crate::CodegenError;
use crate::bytes::{push_u32, push_u64};
use crate::constants::{Constants, START};

/// Alignment of tables and of the code.
const ALIGN: usize = 16;

/// Where a handler's code is, from the start of the code, and the stack it needs.
pub(crate) struct PlacedHandler {
    pub(crate) code: usize,
    pub(crate) stack_bytes: u32,
}

/// Makes the image.
pub(crate) fn assemble(
    script: &Script,
    arena: &ArenaPlan,
    mut constants: Constants,
    handlers: &[PlacedHandler],
    code: &[u8],
) -> Result<Vec<u8>, CodegenError> {
    let probes = probe_entries(script, &mut constants);
    let locks: Vec<Vec<u64>> = script.handlers.iter().map(|handler| lock_set(handler, arena)).collect();

    let handlers_at = (START + constants.bytes().len()).next_multiple_of(ALIGN);
    let probes_at = handlers_at + handlers.len() * size_of::<HandlerEntry>();
    let locks_at = (probes_at + probes.len() * size_of::<ProbeEntry>()).next_multiple_of(ALIGN);
    let lock_count: usize = locks.iter().map(Vec::len).sum();
    let code_at = (locks_at + lock_count * 8).next_multiple_of(ALIGN);
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
        },
    );
    image.extend_from_slice(constants.bytes());
    image.resize(handlers_at, 0);
    let mut set_at = locks_at;
    for (handler, set) in handlers.iter().zip(&locks) {
        push_u32(&mut image, (code_at + handler.code) as u32);
        push_u32(&mut image, set_at as u32);
        push_u32(&mut image, set.len() as u32);
        push_u32(&mut image, handler.stack_bytes);
        set_at += set.len() * 8;
    }
    for probe in &probes {
        push_u32(&mut image, probe.handler);
        push_u32(&mut image, probe.flags);
        for text in [probe.pp, probe.pn, probe.function] {
            push_u32(&mut image, text.at);
            push_u32(&mut image, text.len);
        }
    }
    image.resize(locks_at, 0);
    for lock in locks.iter().flatten() {
        push_u64(&mut image, *lock);
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
    assert_eq!(image.len(), START, "the header has no other fields");
}

fn probe_entries(script: &Script, constants: &mut Constants) -> Vec<ProbeEntry> {
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
        })
        .collect()
}

fn lock_set(handler: &Handler, arena: &ArenaPlan) -> Vec<u64> {
    let mut set: Vec<u64> = handler
        .locks
        .iter()
        .map(|lock| {
            let at = arena.globals[lock.global.0 as usize].at.bytes;
            if lock.write { at | LOCK_WRITE } else { at }
        })
        .collect();
    set.sort_unstable();
    set
}
