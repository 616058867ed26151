//! The listing that `-p4` shows: what the image and the arena consist of. It reads the image as the runtime does, so
//! it shows what is really there.

use std::fmt::Write;

use rstap_abi::image::{LOCK_GATHER, LOCK_WRITE, LockEntry};
use rstap_abi::layout::{GlobalShape, Histogram, MapShape, StatShape, ValueShape};
use rstap_program::{Global, Initial, Probe, Program};

use crate::bytes::{u32_at, u64_at};

/// A stable listing of a compiled script.
pub fn describe(program: &Program) -> String {
    let mut out = String::new();
    write_all(program, &mut out).expect("writing to a String cannot fail");
    out
}

fn write_all(program: &Program, out: &mut String) -> std::fmt::Result {
    let image = &program.image;
    writeln!(out, "# image: {} bytes", image.len())?;
    write_handlers(program, out)?;
    writeln!(out, "# probes")?;
    let (at, count) = (u32_at(image, 24) as usize, u32_at(image, 28) as usize);
    for (index, probe) in program.probes.iter().enumerate().take(count) {
        write_probe(index, probe, u32_at(image, at + index * PROBE_ENTRY), out)?;
    }
    writeln!(out, "# arena: {} bytes for globals", program.arena.size)?;
    for global in &program.arena.globals {
        write_global(global, out)?;
    }
    let shards = &program.arena.shards;
    if shards.count > 0 {
        writeln!(out, "{:#x} {} shards of {} bytes", shards.at, shards.count, shards.stride)?;
    }
    Ok(())
}

const HANDLER_ENTRY: usize = size_of::<rstap_abi::image::HandlerEntry>();
const PROBE_ENTRY: usize = size_of::<rstap_abi::image::ProbeEntry>();

fn write_handlers(program: &Program, out: &mut String) -> std::fmt::Result {
    let image = &program.image;
    let (at, count) = (u32_at(image, 16) as usize, u32_at(image, 20) as usize);
    writeln!(out, "# handlers")?;
    // Handlers stand at the image's end, and their quick forms behind them.
    let starts: Vec<u32> = (0..count)
        .flat_map(|index| [0, 7].map(|field| u32_at(image, at + index * HANDLER_ENTRY + field * 4)))
        .collect();
    for index in 0..count {
        let entry = at + index * HANDLER_ENTRY;
        let field = |number: usize| u32_at(image, entry + number * 4);
        let code = field(0);
        let end =
            |code| starts.iter().copied().filter(|start| *start > code).min().unwrap_or(image.len() as u32);
        write!(out, "handler {index}: code {code:#x}+{:#x}", end(code) - code)?;
        if field(7) != 0 {
            write!(out, ", quick form {:#x}+{:#x}", field(7), end(field(7)) - field(7))?;
        }
        write!(out, ", stack {} bytes, locks", field(3))?;
        let locks = (0..field(2) as usize).map(|lock| LockEntry {
            global: u64_at(image, field(1) as usize + lock * size_of::<LockEntry>()),
            part: 0,
        });
        for (position, lock) in locks.enumerate() {
            let global = program.arena.globals.iter().find(|global| global.at.bytes == lock.at());
            let name = global.map_or("?", |global| global.name.as_str());
            let mode = match (lock.global & LOCK_GATHER, lock.global & LOCK_WRITE) {
                (0, 0) => "read",
                (0, _) => "write",
                _ => "gather",
            };
            write!(out, "{} {name} ({mode})", if position == 0 { "" } else { "," })?;
        }
        writeln!(out, "{}", if field(2) == 0 { " none" } else { "" })?;
    }
    Ok(())
}

fn write_probe(index: usize, probe: &Probe, handler: u32, out: &mut String) -> std::fmt::Result {
    write!(out, "probe {index}: {} -> handler {handler}", probe.pp)?;
    if let Some(entry) = probe.entry {
        write!(out, ", values saved by probe {} ({} bytes)", entry.0, probe.entry_bytes)?;
    }
    writeln!(out)
}

fn write_global(global: &Global, out: &mut String) -> std::fmt::Result {
    write!(out, "{:#x} {}: {}", global.at.bytes, global.name, shape(&global.shape))?;
    if global.part.is_some() {
        write!(out, ", sharded")?;
    }
    match &global.initial {
        Initial::Zero => writeln!(out),
        Initial::Long(value) => writeln!(out, " = {value}"),
        Initial::String(text) => writeln!(out, " = \"{}\"", text.escape_ascii()),
    }
}

fn shape(shape: &GlobalShape) -> String {
    match shape {
        GlobalShape::Long => "long".to_owned(),
        GlobalShape::String => "string".to_owned(),
        GlobalShape::Stat(stat) => statistic(stat),
        GlobalShape::Map(map) => array(map),
    }
}

fn array(map: &MapShape) -> String {
    let keys: Vec<&str> = (0..map.key_count)
        .map(|part| if map.string_keys >> part & 1 == 1 { "string" } else { "long" })
        .collect();
    let value = match &map.value {
        ValueShape::Long => "long".to_owned(),
        ValueShape::String => "string".to_owned(),
        ValueShape::Stat(stat) => statistic(stat),
    };
    let wrap = if map.wrap { ", wraps" } else { "" };
    format!("array [{}] of {value}, {} entries{wrap}", keys.join(", "), map.capacity)
}

fn statistic(stat: &StatShape) -> String {
    match stat.histogram {
        Histogram::None => "statistic".to_owned(),
        Histogram::Log => "statistic with @hist_log".to_owned(),
        Histogram::Linear { start, stop, interval } => {
            format!("statistic with @hist_linear({start}, {stop}, {interval})")
        }
    }
}
