//! Which jumps a probed address needs, and whether they fit: one at the address, and for return probes one at each
//! return of the function. What cannot be had as a whole is left to breakpoints. Nothing is written here.

use std::collections::BTreeMap;
use std::ops::Range;

use rstap_abi::inject::ProbeAt;

use super::injecting::Clean;
use super::planting::Wanted;
use super::space::{Space, SpaceId};
use super::tracer::Tracer;
use crate::backend::Handlers;
use crate::backend::inject::code::{self, Functions};
use crate::backend::inject::{Injector, at_return};
use crate::breakpoint::Refusal;
use crate::patch::flow::{Flow, Memory};
use crate::patch::{Jump, Refused};
use crate::process::Mapping;

/// A jump with the probes of each of its hits.
type Planned = (Jump, Vec<Vec<ProbeAt>>);

/// The jumps of a wanted address: they are written together or not at all.
pub(super) struct Group {
    /// The address.
    pub address: u64,
    /// The jumps.
    pub jumps: Vec<Planned>,
}

impl<H: Handlers> Tracer<H> {
    /// The jumps of those of the wanted addresses that can have them: decided by the code of the whole function, and
    /// by all other code of the mapping.
    pub(super) fn plan_jumps(
        &mut self,
        pid: i32,
        space: SpaceId,
        mappings: &[Mapping],
        wanted: &Wanted,
        candidates: &[u64],
        injector: &Injector,
    ) -> Vec<Group> {
        let Some(space) = self.spaces.get(&space) else { return Vec::new() };
        self.functions.look_anew();
        let mut groups: Vec<Group> = Vec::new();
        let mut taken = Taken { space, wanted, ranges: BTreeMap::new() };
        for mapping in mappings.iter().filter(|m| m.executable) {
            let mut planner = Planner {
                pid,
                mapping,
                clean: Clean { space, mappings },
                functions: &mut self.functions,
                known: None,
                neighbours: BTreeMap::new(),
            };
            let here = groups.len();
            let from = candidates.partition_point(|address| *address < mapping.start);
            let to = candidates.partition_point(|address| *address < mapping.end);
            for &address in &candidates[from..to] {
                let probes = wanted.get(&address).and_then(|probes| injector.probes_at(probes));
                let Some(probes) = probes else { continue };
                let planned = planner.group(address, probes).and_then(|group| taken.take(group));
                match planned {
                    Ok(group) => groups.push(group),
                    Err(why) => {
                        self.report.say(1, format_args!("{address:#x} is probed by ptrace: {why}"));
                    }
                }
            }
            let entered = planner.entered_from_elsewhere(&groups[here..]);
            for group in groups.split_off(here) {
                let is_entered = |jump: &Jump| entered.iter().any(|to| jump.inside().contains(to));
                match group.jumps.iter().find(|(jump, _)| is_entered(jump)) {
                    None => groups.push(group),
                    Some((jump, _)) => self.report.say(
                        1,
                        format_args!(
                            "{:#x} is probed by ptrace: other code goes behind {:#x}",
                            group.address,
                            jump.site()
                        ),
                    ),
                }
            }
        }
        groups
    }
}

/// Why an address gets no jump.
#[derive(Debug, thiserror::Error)]
enum Unplanned {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("its function has no known extent")]
    NoExtent,
    #[error("another site is too near")]
    TooNear,
    #[error("the code at {0:#x}, of another function, goes behind it")]
    Entered(u64),
}

/// A piece of code, with where its branches go.
struct Part {
    range: Range<u64>,
    flow: Result<Flow, Refusal>,
}

impl Part {
    fn flow(&self) -> Result<&Flow, Refused> {
        self.flow.as_ref().map_err(|refusal| Refused::from(*refusal))
    }
}

/// Plans for one mapping.
struct Planner<'a> {
    pid: i32,
    mapping: &'a Mapping,
    clean: Clean<'a>,
    functions: &'a mut Functions,
    /// The function looked at last.
    known: Option<Part>,
    /// Functions near those looked at: their ends and where they go outside of themselves, by their starts. `None` for
    /// what cannot be decoded.
    neighbours: BTreeMap<u64, (u64, Option<Vec<u64>>)>,
}

impl Planner<'_> {
    fn group(&mut self, address: u64, probes: Vec<ProbeAt>) -> Result<Group, Unplanned> {
        let part = match self.known.take().filter(|part| part.range.contains(&address)) {
            Some(part) => part,
            None => self.part(address).ok_or(Unplanned::NoExtent)?,
        };
        let jumps = self.jumps(&part, address, probes);
        let own = part.range.clone();
        self.known = Some(part);
        let jumps = jumps?;
        match jumps.iter().find_map(|(jump, _)| self.entered_from_near(&own, jump)) {
            Some(from) => Err(Unplanned::Entered(from)),
            None => Ok(Group { address, jumps }),
        }
    }

    /// Code beside a function that goes to the inside of a jump in it by a short jump. Functions that share code are
    /// written by hand: the C library's memcpy and mempcpy.
    fn entered_from_near(&mut self, own: &Range<u64>, jump: &Jump) -> Option<u64> {
        let inside = jump.inside();
        let (first, last) = (inside.start.saturating_sub(129), inside.end.saturating_add(127));
        let mut at = first.max(self.mapping.start);
        while !inside.is_empty() && at < last.min(self.mapping.end) {
            if own.contains(&at) {
                at = own.end;
            } else if let Some((end, branches)) = self.neighbour(at) {
                if branches.iter().any(|to| inside.contains(to)) {
                    return Some(at);
                }
                at = end;
            } else {
                // Not known to be code: any byte may be the beginning of a jump.
                let mut bytes = [0; 2];
                if !self.clean.read(at, &mut bytes)
                    || short_target(at, bytes).is_some_and(|to| inside.contains(&to))
                {
                    return Some(at);
                }
                at += 1;
            }
        }
        None
    }

    /// The end of the function that an address is in, and where it goes outside of itself.
    fn neighbour(&mut self, address: u64) -> Option<(u64, &[u64])> {
        let known = |neighbours: &BTreeMap<u64, (u64, _)>| {
            let (start, (end, _)) = neighbours.range(..=address).next_back()?;
            (address < *end).then_some(*start)
        };
        let start = match known(&self.neighbours) {
            Some(start) => start,
            None => {
                let range = self.functions.at(self.pid, self.mapping, address)?;
                let bytes = self.clean.copy(&range)?;
                let flow = Flow::new(range.start, bytes, &self.clean).ok();
                let branches =
                    flow.map(|flow| flow.exits().branches.iter().map(|branch| branch.to).collect());
                self.neighbours.insert(range.start, (range.end, branches));
                range.start
            }
        };
        let (end, branches) = self.neighbours.get(&start)?;
        Some((*end, branches.as_deref()?))
    }

    fn part(&mut self, address: u64) -> Option<Part> {
        let range = self.functions.at(self.pid, self.mapping, address)?;
        let gap = self.functions.gap_behind(self.pid, self.mapping, &range);
        let (bytes, padding) = (self.clean.copy(&range)?, self.clean.copy(&gap)?);
        let flow = Flow::new(range.start, bytes, &self.clean).map(|flow| flow.with_padding(padding));
        Some(Part { range, flow })
    }

    fn jumps(&mut self, part: &Part, address: u64, probes: Vec<ProbeAt>) -> Result<Vec<Planned>, Refused> {
        let flow = part.flow()?;
        let returning = at_return(&probes);
        if returning.is_empty() {
            return Ok(vec![(Jump::new(flow, address)?, vec![probes])]);
        }
        if address != part.range.start {
            return Err(Refused::NotAnEntry);
        }
        if self.functions.is_go(self.pid, self.mapping) {
            return Err(Refused::MovingStacks);
        }
        let others = self.other_parts(part, flow)?;
        let mut returns = Vec::new();
        for flow in &others {
            let flow = flow.flow()?;
            for at in &flow.exits().returns {
                returns.push(Jump::at_return(flow, *at)?);
            }
        }
        let mut entry = Jump::new(flow, address);
        for &at in &flow.exits().returns {
            match (&entry, Jump::at_return(flow, at)) {
                (Ok(entry), Ok(jump)) if jump.site() >= entry.end() => returns.push(jump),
                (_, jump) => {
                    let through = Jump::through(flow, address, at);
                    // What is wrong with the jump itself says more.
                    entry = Ok(through.map_err(|refused| jump.err().unwrap_or(refused))?);
                }
            }
        }
        let entry = entry?;
        let mut jumps = Vec::with_capacity(returns.len() + 1);
        let is_through = entry.hits().len() > 1;
        jumps.push((entry, if is_through { vec![probes, returning.clone()] } else { vec![probes] }));
        jumps.extend(returns.into_iter().map(|jump| (jump, vec![returning.clone()])));
        Ok(jumps)
    }

    /// The parts of a function that lie elsewhere, if it is known of all ways out where they lead.
    fn other_parts(&mut self, main: &Part, flow: &Flow) -> Result<Vec<Part>, Refused> {
        let entry = main.range.start;
        let mut parts: Vec<Part> = Vec::new();
        let mut unread = vec![(flow.exits().clone(), flow.unknown())];
        while let Some((exits, unknown)) = unread.pop() {
            if let Some(at) = exits.elsewhere.or(unknown) {
                return Err(Refused::OtherExit { at });
            }
            let meant = exits.branches.iter().chain(&exits.addresses).map(|branch| (branch, true));
            for (branch, is_meant) in meant.chain(exits.distances.iter().map(|branch| (branch, false))) {
                let is_known = |part: &Part| part.range.contains(&branch.to);
                if is_known(main) || parts.iter().any(is_known) {
                    continue;
                }
                let is_own = self.mapping.start <= branch.to
                    && branch.to < self.mapping.end
                    && self.functions.is_cold_part(self.pid, self.mapping, entry, branch.to);
                match self.part(branch.to).filter(|_| is_own) {
                    Some(part) => {
                        let flow = part.flow()?;
                        unread.push((flow.exits().clone(), flow.unknown()));
                        parts.push(part);
                    }
                    None if is_meant => return Err(Refused::OtherExit { at: branch.from }),
                    None => {}
                }
            }
        }
        Ok(parts)
    }

    /// Addresses inside these jumps that code anywhere in the mapping goes to.
    fn entered_from_elsewhere(&self, groups: &[Group]) -> Vec<u64> {
        let jumps = groups.iter().flat_map(|group| &group.jumps);
        let mut inside: Vec<_> = jumps.map(|(jump, _)| jump.inside()).filter(|r| !r.is_empty()).collect();
        if inside.is_empty() {
            return Vec::new();
        }
        inside.sort_by_key(|range| range.start);
        match self.clean.copy(&(self.mapping.start..self.mapping.end)) {
            Some(text) => code::targets_in(&text, self.mapping.start, &inside),
            // Nobody knows: all of them count as entered.
            None => inside.iter().map(|range| range.start).collect(),
        }
    }
}

/// Where the short jump goes whose two bytes these may be.
fn short_target(at: u64, [opcode, distance]: [u8; 2]) -> Option<u64> {
    let is_jump = matches!(opcode, 0xeb | 0x70..=0x7f | 0xe0..=0xe3);
    is_jump.then(|| at.wrapping_add(2).wrapping_add(i64::from(distance.cast_signed()) as u64))
}

/// Places that a further jump must leave alone.
struct Taken<'a> {
    space: &'a Space,
    wanted: &'a Wanted,
    /// What jumps displace, by their first address.
    ranges: BTreeMap<u64, u64>,
}

impl Taken<'_> {
    /// Takes the places of a group, if they are free.
    fn take(&mut self, group: Group) -> Result<Group, Unplanned> {
        let free = group.jumps.iter().enumerate().all(|(index, (jump, _))| {
            let range = jump.site()..jump.end();
            let among = group
                .jumps
                .iter()
                .take(index)
                .all(|(other, _)| other.end() <= range.start || range.end <= other.site());
            among && self.is_free(range, group.address)
        });
        if !free {
            return Err(Unplanned::TooNear);
        }
        self.ranges.extend(group.jumps.iter().map(|(jump, _)| (jump.site(), jump.end())));
        Ok(group)
    }

    fn is_free(&self, range: Range<u64>, own: u64) -> bool {
        let planned = self.ranges.range(..range.end).next_back().is_some_and(|(_, end)| *end > range.start);
        let wanted = self.wanted.range(range.clone()).any(|(address, _)| *address != own);
        let planted = range.clone().any(|at| self.space.sites.contains_key(&at));
        let jumped = self.space.home.as_ref().is_some_and(|home| home.jumps_in(range.clone()));
        let guarded = self.space.guards.is_in(&range);
        !(planned || wanted || planted || jumped || guarded)
    }
}
