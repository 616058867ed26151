//! Breakpoints all of whose probes are disabled by conditions. A stop of the target is what a hit costs, so a
//! breakpoint that nobody wants is taken out after a few hits in vain, and put back once one of its probes is enabled:
//! a condition that changes all the time then costs a few ignored hits, not a write to the target per change. Writing
//! one byte is safe while the target runs: a thread sees the breakpoint or the program's instruction.

use super::space::SpaceId;
use super::tracer::Tracer;
use crate::backend::Handlers;

/// Hits in vain before a breakpoint is taken out.
const PATIENCE: u32 = 8;

impl<H: Handlers> Tracer<H> {
    /// Whether a probe at this breakpoint is enabled. If not, the hit is in vain.
    pub(super) fn is_wanted(&mut self, space: SpaceId, address: u64) -> bool {
        let Some(site) = self.spaces.get_mut(&space).and_then(|s| s.sites.get_mut(&address)) else {
            return true;
        };
        let handlers = &self.handlers;
        if site.is_return
            || site.is_loader
            || site.is_mapper
            || site.probes.iter().any(|(probe, _)| handlers.is_enabled(*probe))
        {
            site.hits_in_vain = 0;
            return true;
        }
        site.hits_in_vain = site.hits_in_vain.saturating_add(1);
        // What enables it may run inside the target, which does not wait until the breakpoint is back.
        if site.hits_in_vain >= PATIENCE && self.injector.is_none() {
            site.is_resting = true;
            self.has_resting = true;
            let original = site.original;
            if let Some(space) = self.spaces.get(&space) {
                // Failing leaves the breakpoint in: hits stay in vain.
                let _ = space.restore(address, original);
            }
        }
        false
    }

    /// Puts back the breakpoints that have become wanted.
    pub(super) fn wake_wanted(&mut self) {
        let enablings = self.handlers.enablings();
        if !self.has_resting || std::mem::replace(&mut self.enablings, enablings) == enablings {
            return;
        }
        self.has_resting = false;
        for space in self.spaces.values_mut() {
            let mut woken = Vec::new();
            for (address, site) in space.sites.iter_mut().filter(|(_, site)| site.is_resting) {
                if site.probes.iter().any(|(probe, _)| self.handlers.is_enabled(*probe)) {
                    site.is_resting = false;
                    site.hits_in_vain = 0;
                    woken.push(*address);
                } else {
                    self.has_resting = true;
                }
            }
            for address in woken {
                // Failing means that the mapping is gone.
                let _ = space.insert(address);
            }
        }
    }
}
