//! Steps from one element of a container of the target to the next one. Offsets come from the debug information; what a
//! container looks like in memory is from the sources of libstdc++ (`_Rb_tree_increment`), hashbrown, Rust's `alloc`
//! (`btree/node.rs`) and Go's runtime (`map.go` up to Go 1.23). Memory that is no such container ends every walk.

use rstap_abi::fault::Fault;

use crate::call::Call;
use crate::env::Env;

/// Slots of a hash table that are looked at for the next one in use.
const MOST_SLOTS: i64 = 1 << 20;

/// No balanced tree in 64-bit memory is deeper.
const TREE_DEPTH: u32 = 128;

/// Buckets of a map that are looked at for an element.
const MOST_BUCKETS: u32 = 1 << 16;

/// The marks of a bucket's slots below this one say why a slot is empty, or that its element has moved.
const IN_USE: u8 = 5;

impl<E: Env> Call<'_, E> {
    /// Down to the first of those behind it, or up to the first that it is before.
    pub fn tree_next(&mut self, node: i64, parent: i64, left: i64, right: i64) -> i64 {
        let found = self.find_next(node, parent, left, right);
        self.found(found, node)
    }

    /// A table is at most seven eighths full, so a slot in use is seldom far.
    pub fn full_next(&mut self, address: i64) -> i64 {
        let (mut at, mut found) = (address as u64, None);
        let all_read = self.read_chunks(at, MOST_SLOTS, |chunk| {
            let full = chunk.iter().position(|byte| byte & 0x80 == 0);
            found = full.map(|index| at.wrapping_add(index as u64) as i64);
            at = at.wrapping_add(chunk.len() as u64);
            found.is_none()
        });
        self.found(found.filter(|_| all_read), address)
    }

    /// From behind an entry down to the leaf there; from the end of a node up to one with an entry left.
    pub fn btree_next(&mut self, cursor: i64, parent: i64, parent_index: i64, len: i64, edges: i64) -> i64 {
        let start = Cursor::unpack(cursor);
        let found = self.find_entry(start, parent, parent_index, len, edges);
        self.found(found.and_then(Cursor::pack), start.node)
    }

    /// A map that grows has some elements in its old buckets still, and none twice.
    #[allow(
        clippy::too_many_arguments,
        reason = "where the two rows of buckets are, and what a bucket looks like"
    )]
    pub fn go_map_slot(
        &mut self,
        n: i64,
        buckets: i64,
        count: i64,
        old: i64,
        old_count: i64,
        size: i64,
        overflow: i64,
    ) -> i64 {
        let found = self.find_slot(n, [(old, old_count), (buckets, count)], size, overflow);
        self.found(found.and_then(Cursor::pack), buckets)
    }

    fn found(&mut self, found: Option<i64>, from: i64) -> i64 {
        if found.is_none() {
            self.fail(Fault::ReadFault, from as u64);
        }
        found.unwrap_or(0)
    }

    fn link(&self, node: i64, at: i64) -> Option<i64> {
        self.read_number(node.wrapping_add(at) as u64, 8).map(|to| to as i64)
    }

    fn find_next(&self, node: i64, parent: i64, left: i64, right: i64) -> Option<i64> {
        let mut at = node;
        let mut below = self.link(node, right)?;
        if below != 0 {
            for _ in 0..TREE_DEPTH {
                at = below;
                below = self.link(at, left)?;
                if below == 0 {
                    return Some(at);
                }
            }
            return None;
        }
        for _ in 0..TREE_DEPTH {
            let above = self.link(at, parent)?;
            if self.link(above, right)? != at {
                return Some(above);
            }
            at = above;
        }
        None
    }

    fn find_entry(
        &self,
        start: Cursor,
        parent: i64,
        parent_index: i64,
        len: i64,
        edges: i64,
    ) -> Option<Cursor> {
        let Cursor { mut node, passed: mut index, height } = start;
        for _ in 0..height {
            node = self.link(node, edges.wrapping_add(index.wrapping_mul(8)))?;
            index = 0;
        }
        let half = |at: i64| self.read_number(at as u64, 2).map(|value| value as i64);
        for height in 0..i64::from(TREE_DEPTH) {
            if index < half(node.wrapping_add(len))? {
                return Some(Cursor { node, passed: index.wrapping_add(1), height });
            }
            index = half(node.wrapping_add(parent_index))?;
            node = self.link(node, parent)?;
        }
        None
    }

    fn find_slot(&self, n: i64, rows: [(i64, i64); 2], size: i64, overflow: i64) -> Option<Cursor> {
        let (mut left, mut looked_at) = (n, 0);
        for (first, count) in rows.into_iter().filter(|row| row.0 != 0) {
            for index in 0..count {
                let mut bucket = first.wrapping_add(index.wrapping_mul(size));
                while bucket != 0 {
                    looked_at = u32::wrapping_add(looked_at, 1);
                    if looked_at > MOST_BUCKETS {
                        return None;
                    }
                    for (slot, mark) in (0..).zip(self.link(bucket, 0)?.to_le_bytes()) {
                        if mark >= IN_USE && left == 0 {
                            return Some(Cursor { node: bucket, passed: slot, height: 0 });
                        }
                        left = left.wrapping_sub(i64::from(mark >= IN_USE));
                    }
                    bucket = self.link(bucket, overflow)?;
                }
            }
        }
        None
    }
}

/// Where a walk is in a node with several elements, in one number: 48 bits of address, the number of elements passed,
/// and how many levels of nodes are below.
#[derive(Clone, Copy)]
struct Cursor {
    node: i64,
    passed: i64,
    height: i64,
}

impl Cursor {
    fn unpack(cursor: i64) -> Cursor {
        let byte = |at: u32| cursor.wrapping_shr(at) & 0xff;
        Cursor { node: cursor & 0xffff_ffff_ffff, passed: byte(48), height: byte(56) }
    }

    /// `None` for what no container has.
    fn pack(self) -> Option<i64> {
        let Cursor { node, passed, height } = self;
        let fits = node >> 48 == 0 && (0..=0xff).contains(&passed) && (0..=0x7f).contains(&height);
        fits.then_some(node | passed << 48 | height << 56)
    }
}
