//! What a process has been given, as it stands in the process itself: in the first page of the home, and the list of
//! jumps that it names. Written before the change it tells of, so that whoever comes after an rstap that was killed
//! finds all of it. Everything read back is an allegation: text is changed only where a jump of the list stands.

use super::home::{Home, Jump, Plan};

/// Bytes at the front of a home.
pub const PAGE: u64 = 4096;
/// How the page begins.
const MAGIC: [u64; 2] = [u64::from_le_bytes(*b"rstap in"), u64::from_le_bytes(*b"ject v1\n")];
/// What stands behind the number of contexts in the pool, where a fork does not wipe it.
pub const POOL_MAGIC: u64 = u64::from_le_bytes(*b"rstapool");

/// Who has given a process what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its pid.
    pub pid: u64,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// The first page of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Who has made it. `None`: all that it tells of is undone.
    pub owner: Option<Owner>,
    /// The home's bytes.
    pub size: u64,
    /// Where the configuration is.
    pub config: u64,
    /// The pool and its bytes; 0 as long as there is none.
    pub pool: (u64, u64),
    /// The contexts in it, and the bytes of one.
    pub contexts: (u64, u64),
    /// The arena and its bytes.
    pub arena: (u64, u64),
    /// Where the list of jumps is.
    pub jumps: u64,
    /// Its length.
    pub count: u64,
}

/// Words of a [`Ledger`] in memory.
const WORDS: usize = 14;
/// Bytes of it.
pub const LEDGER_BYTES: usize = WORDS * 8;
/// Bytes of a jump in the list.
pub const ENTRY: usize = 40;

impl Ledger {
    /// That of a home.
    pub fn of(home: &Home, owner: Option<Owner>) -> Ledger {
        Ledger {
            owner,
            size: home.plan.size,
            config: home.config_at(),
            pool: (home.config.pool, if home.config.pool == 0 { 0 } else { home.plan.pool_size }),
            contexts: (home.plan.contexts, home.plan.context_size),
            arena: (home.config.arena, home.config.arena_size),
            jumps: home.base + home.plan.jumps,
            count: home.listed,
        }
    }

    /// As bytes.
    pub fn to_bytes(self) -> [u8; LEDGER_BYTES] {
        let owner = self.owner.unwrap_or(Owner { pid: 0, start: 0 });
        let [first, second] = MAGIC;
        let words: [u64; WORDS] = [
            first,
            second,
            owner.pid,
            owner.start,
            self.size,
            self.config,
            self.pool.0,
            self.pool.1,
            self.contexts.0,
            self.contexts.1,
            self.arena.0,
            self.arena.1,
            self.jumps,
            self.count,
        ];
        let mut bytes = [0; LEDGER_BYTES];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }

    /// Whether a home begins like this.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC.map(u64::to_le_bytes).as_flattened())
    }

    /// From bytes, if they are one.
    pub fn from_bytes(bytes: &[u8; LEDGER_BYTES]) -> Option<Ledger> {
        let mut words = [0; WORDS];
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .zip(&mut words)
            .for_each(|(from, to)| *to = u64::from_le_bytes(*from));
        let [a, b, pid, start, size, config, pool, pool_size, contexts, context_size, rest @ ..] = words;
        let [arena, arena_size, jumps, count] = rest;
        let owner = (pid != 0).then_some(Owner { pid, start });
        let (pool, arena) = ((pool, pool_size), (arena, arena_size));
        ([a, b] == MAGIC).then_some(Ledger {
            owner,
            size,
            config,
            pool,
            contexts: (contexts, context_size),
            arena,
            jumps,
            count,
        })
    }

    /// The home at `base` that it tells of, with these jumps.
    pub fn home(&self, base: u64, jumps: &[u8]) -> Home {
        let (contexts, context_size) = self.contexts;
        let plan = Plan {
            size: self.size,
            pool_size: self.pool.1,
            contexts,
            context_size,
            jumps: self.jumps - base,
            ..Plan::default()
        };
        let mut home = Home::found(base, plan, self.config);
        (home.config.pool, home.config.arena, home.config.arena_size) =
            (self.pool.0, self.arena.0, self.arena.1);
        home.listed = self.count;
        home.jumps.extend(jumps.as_chunks::<ENTRY>().0.iter().filter_map(entry));
        home
    }
}

/// A jump at an address as it stands in the list.
pub fn entry_bytes(address: u64, jump: &Jump) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    let words = [address, jump.end, jump.trampoline];
    bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    bytes[24..].iter_mut().zip(&jump.original).for_each(|(to, from)| *to = *from);
    bytes[32..].iter_mut().zip(&jump.patched).for_each(|(to, from)| *to = *from);
    bytes
}

fn entry(bytes: &[u8; ENTRY]) -> Option<(u64, Jump)> {
    use crate::patch::JUMP;
    let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
    let (address, end, trampoline) = (word(0), word(8), word(16));
    let (original, patched) = (bytes[24..24 + JUMP].to_vec(), bytes[32..32 + JUMP].to_vec());
    let is_jump = patched.first() == Some(&0xe9) && original.len() == JUMP;
    is_jump.then_some((address, Jump { sites: Vec::new(), of: address, original, patched, end, trampoline }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_again() {
        let owner = Some(Owner { pid: 7, start: 9 });
        let plan = Plan { size: 8192, pool_size: 4096, jumps: 6000, ..Plan::default() };
        let mut home = Home::found(0x7000_0000, plan, 0x7000_1100);
        (home.config.pool, home.config.arena, home.config.arena_size) = (0x9000, 0xa000, 64);
        let jump = Jump {
            sites: Vec::new(),
            of: 0x1000,
            original: vec![1, 2, 3, 4, 5],
            patched: vec![0xe9, 6, 7, 8, 9],
            end: 0x1006,
            trampoline: 0x8000,
        };
        let list = entry_bytes(0x1000, &jump);
        home.jumps.insert(0x1000, jump);
        home.listed = 1;
        let ledger = Ledger::of(&home, owner);
        let again = Ledger::from_bytes(&ledger.to_bytes()).expect("it is one");
        assert_eq!(again, ledger);
        let found = again.home(0x7000_0000, &list);
        assert_eq!((found.jumps, found.config.pool, found.plan.pool_size), (home.jumps, 0x9000, 4096));
        assert_eq!(Ledger::from_bytes(&[0; LEDGER_BYTES]), None);
        // What is no jump is not one.
        assert!(again.home(0x7000_0000, &[0; ENTRY]).jumps.is_empty());
    }
}
