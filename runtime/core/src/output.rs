//! The consumer's side of the output ring: what rstap reads handlers' output, warnings and faults with.

use rstap_abi::fault::Fault;
use rstap_abi::record::{FaultRecord, RecordKind};

use crate::arena::{Arena, Checked};
use crate::image::Image;
use crate::packed;
use crate::ring::{Found, Position, Ring};
use crate::setup::Plan;

/// A record as it came. The payload is whatever the producer wrote: foreign bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'b> {
    /// What it is.
    pub kind: RecordKind,
    /// Rises from record to record.
    pub seq: u64,
    /// Its bytes.
    pub payload: &'b [u8],
}

/// What one [`Consumer::drain`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records taken.
    pub records: u64,
    /// Records that were lost because their producer died in the middle or that made no sense.
    pub lost: u64,
    /// The ring had been overwritten, and was emptied.
    pub corrupt: bool,
}

/// The one consumer of a ring.
pub struct Consumer<'a> {
    ring: Ring<'a>,
    position: Position,
}

impl<'a> Consumer<'a> {
    /// The consumer of the ring of a new arena. There must be no other.
    pub fn new(arena: &Arena<'a>, plan: &Plan) -> Checked<Consumer<'a>> {
        Ok(Consumer {
            ring: Ring::in_arena(arena, plan.ring, plan.ring_words)?,
            position: Position::default(),
        })
    }

    /// Hands complete records to `take`, in order, as long as that says it takes more. Stops at one whose producer is still at it, unless `is_alive`
    /// says that this thread is gone. `buffer` holds one payload at a time; what is larger is cut, so give it as many
    /// bytes as the ring has.
    pub fn drain(
        &mut self,
        buffer: &mut [u8],
        is_alive: impl Fn(u32) -> bool,
        mut take: impl FnMut(Record<'_>) -> bool,
    ) -> Drained {
        let mut drained = Drained::default();
        for _ in 0..self.ring.capacity() {
            match self.position.next(&self.ring, buffer, &is_alive) {
                Found::Nothing => break,
                Found::Record { kind, seq, payload } => {
                    drained.records = drained.records.saturating_add(1);
                    if !take(Record { kind, seq, payload }) {
                        break;
                    }
                }
                Found::Lost => drained.lost = drained.lost.saturating_add(1),
                Found::Corrupt => {
                    drained.corrupt = true;
                    break;
                }
            }
        }
        drained
    }
}

/// Hands the text of a [`RecordKind::Formatted`] record to `put`, piece by piece. `image` is that of the program.
pub fn put_formatted(image: &Image<'_>, payload: &[u8], mut put: impl FnMut(&[u8])) {
    packed::print(image, payload, &mut put);
}

/// Head, sites of callers and text of a fault record's payload; `None` if it is not one.
pub fn parse_fault(payload: &[u8]) -> Option<(FaultRecord, impl Iterator<Item = u32>, &[u8])> {
    let (head, text) = payload.split_at_checked(size_of::<FaultRecord>())?;
    let (words, _) = head.as_chunks::<4>();
    let [fault, site, probe, callers] = words else { return None };
    let [fault, site, probe, callers] = [fault, site, probe, callers].map(|word| u32::from_le_bytes(*word));
    Fault::from_code(fault)?;
    let (places, text) = text.split_at_checked((callers as usize).checked_mul(4)?)?;
    let (places, _) = places.as_chunks::<4>();
    let places = places.iter().map(|word| u32::from_le_bytes(*word));
    Some((FaultRecord { fault, site, probe, callers }, places, text))
}

/// Number of the speculation that a `Speculated`, `Commit` or `Discard` record is about, and its bytes.
pub fn parse_speculation(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (number, bytes) = payload.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), bytes))
}

/// The head of a fault record as bytes.
pub(crate) fn fault_head(record: &FaultRecord) -> [u8; size_of::<FaultRecord>()] {
    let words = [record.fault, record.site, record.probe, record.callers];
    let mut bytes = [0; size_of::<FaultRecord>()];
    for (to, word) in bytes.chunks_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
