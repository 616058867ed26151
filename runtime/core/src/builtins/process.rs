//! Who, where and when.

use rstap_abi::context::flags;
use rstap_abi::fault::Fault;
use rstap_abi::image;

use crate::call::Call;
use crate::env::{Address, Clock, Env, ProcessNumber, ProcessText, SymbolForm, TaskNumber, TaskText};
use crate::text::Text;

/// Added to the form of `symbol` for a return address.
const RETURN_ADDRESS: i64 = 16;

/// A mistake in a script must not stop the target for good.
const LONGEST_DELAY_US: u64 = 60_000_000;

macro_rules! numbers {
    ($($method:ident = $which:ident,)*) => {
        impl<E: Env> Call<'_, E> {
            $(pub fn $method(&mut self) -> i64 {
                self.env.process_number(self.context, ProcessNumber::$which)
            })*
        }
    };
}

numbers! {
    ppid = Ppid,
    pgrp = Pgrp,
    sid = Sid,
    uid = Uid,
    euid = Euid,
    gid = Gid,
    egid = Egid,
    cpu = Cpu,
    target = Target,
    tz_offset = TimeZoneOffset,
}

impl<E: Env> Call<'_, E> {
    pub fn pid(&mut self) -> i64 {
        i64::from(self.context.pid)
    }

    pub fn tid(&mut self) -> i64 {
        i64::from(self.context.tid)
    }

    pub fn execname(&mut self, out: &mut Text<'_>) {
        self.env.process_text(self.context, ProcessText::ExecName, out);
    }

    pub fn cmdline(&mut self, index: i64, out: &mut Text<'_>) {
        self.env.process_text(self.context, ProcessText::CommandLine(index), out);
    }

    pub fn env_var(&mut self, name: &[u8], out: &mut Text<'_>) {
        self.env.process_text(self.context, ProcessText::Variable(name), out);
    }

    pub fn task_number(&mut self, task: i64, which: i64) -> i64 {
        TaskNumber::from_argument(which).map_or(0, |which| self.env.task_number(task, which))
    }

    pub fn task_text(&mut self, task: i64, which: i64, file: i64, out: &mut Text<'_>) {
        let which = match which {
            0 => TaskText::Name,
            1 => TaskText::Directory,
            2 => TaskText::Program,
            _ => TaskText::File(file),
        };
        self.env.task_text(task, which, out);
    }

    pub fn send_signal(&mut self, signal: i64) {
        if !self.env.send_signal(self.context, signal) {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"cannot send signal ");
                message.put_long(signal);
                message.put(b" to the thread at the probe");
            });
        }
    }

    pub fn tz_name(&mut self, out: &mut Text<'_>) {
        self.env.process_text(self.context, ProcessText::TimeZone, out);
    }

    pub fn is_return(&mut self) -> i64 {
        i64::from(self.context.flags & flags::IS_RETURN != 0)
    }

    pub fn registers_valid(&mut self) -> i64 {
        i64::from(self.context.flags & flags::HAS_REGISTERS != 0)
    }

    pub fn pp(&mut self, out: &mut Text<'_>) {
        self.put_probe_text(|probe| probe.pp, out);
    }

    pub fn pn(&mut self, out: &mut Text<'_>) {
        self.put_probe_text(|probe| probe.pn, out);
    }

    pub fn ppfunc(&mut self, out: &mut Text<'_>) {
        self.put_probe_text(|probe| probe.function, out);
    }

    fn put_probe_text(&self, which: impl FnOnce(&image::ProbeEntry) -> image::Text, out: &mut Text<'_>) {
        if let Some(probe) = self.image().probe(self.context.probe) {
            out.put(self.image_text(which(&probe)));
        }
    }

    pub fn symbol(&mut self, address: i64, kind: i64, out: &mut Text<'_>) {
        let is_return = kind & RETURN_ADDRESS != 0;
        let form = usize::try_from(kind & !RETURN_ADDRESS).ok().and_then(|kind| SymbolForm::ALL.get(kind));
        if let Some(form) = form {
            self.env.symbol(self.context, Address { value: address as u64, is_return }, *form, out);
        }
    }

    pub fn load_bias(&mut self, path: &[u8]) -> i64 {
        if let Some(bias) = self.env.load_bias(self.context, path) {
            return bias as i64;
        }
        self.fail_saying(Fault::Raised, |message| {
            message.put(path);
            message.put(b" is not loaded in this process");
        });
        0
    }

    pub fn backtrace(&mut self, frames: i64, out: &mut Text<'_>) {
        let frames = u64::try_from(frames).unwrap_or(0).min(self.context.limits.max_backtrace);
        if self.registers_valid() != 0 {
            self.env.backtrace(self.context, frames, out);
        }
    }

    pub fn frame(&mut self, n: i64) -> i64 {
        let n = u64::try_from(n).ok().filter(|n| *n < self.context.limits.max_backtrace);
        let n = n.filter(|_| self.registers_valid() != 0);
        n.and_then(|n| self.env.frame(self.context, n)).map_or(0, |address| address as i64)
    }

    pub fn time_ns(&mut self, clock: i64) -> i64 {
        self.env.time_ns(match clock {
            0 => Clock::Realtime,
            1 => Clock::Monotonic,
            _ => Clock::Thread,
        })
    }

    pub fn get_cycles(&mut self) -> i64 {
        self.env.cycles() as i64
    }

    pub fn delay_us(&mut self, us: i64) {
        self.env.pause_us(u64::try_from(us).unwrap_or(0).min(LONGEST_DELAY_US));
    }

    /// Xorshift (Marsaglia 2003), then the high half of a product instead of a remainder.
    pub fn randint(&mut self, n: i64) -> i64 {
        let mut x = self.context.random.max(1);
        x ^= x.wrapping_shl(13);
        x ^= x >> 7;
        x ^= x.wrapping_shl(17);
        self.context.random = x;
        match u64::try_from(n) {
            Ok(n) => (u128::from(x).wrapping_mul(u128::from(n)) >> 64) as i64,
            Err(_) => 0,
        }
    }
}
