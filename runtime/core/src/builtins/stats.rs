//! Statistics. `stat` is the arena offset of one, 0 for an empty one.

use crate::call::Call;
use crate::env::Env;
use crate::histogram;
use crate::stat::Stat;
use crate::text::{Sink, Text};

impl<'c, E: Env> Call<'c, E> {
    fn stat(&self, stat: i64) -> Stat<'c> {
        Stat::at(&self.arena, stat as u64)
    }

    pub fn stat_add(&mut self, stat: i64, value: i64) {
        let added = self.stat(stat).add(value);
        self.check(added, ());
    }

    pub fn stat_get(&mut self, stat: i64, op: i64) -> i64 {
        let value = self.stat(stat).get(op as u64);
        self.check(value, 0)
    }

    pub fn stat_quantile(&mut self, stat: i64, p: i64, of: i64) -> i64 {
        let value = self.stat(stat).quantile(p, of);
        self.check(value, 0)
    }

    pub fn stat_clear(&mut self, stat: i64) {
        // One that makes no sense any more stays as it is; the next use of it says so.
        let _ = self.stat(stat).clear();
    }

    pub fn hist_bucket(&mut self, stat: i64, index: i64) -> i64 {
        let count = self.stat(stat).bucket(index);
        self.check(count, 0)
    }

    pub fn hist_size(&mut self, stat: i64) -> i64 {
        self.stat(stat).bucket_count().map_or(0, |count| count as i64)
    }

    pub fn hist_print(&mut self, stat: i64) {
        let stat = self.stat(stat);
        let drawn = histogram::draw(&stat, &mut Output(self));
        self.check(drawn, ());
    }

    pub fn hist_sprint(&mut self, stat: i64, out: &mut Text<'_>) {
        let drawn = histogram::draw(&self.stat(stat), out);
        self.check(drawn, ());
    }
}

/// The handler's output as a place for text.
pub(super) struct Output<'x, 'c, E>(pub &'x mut Call<'c, E>);

impl<E: Env> Sink for Output<'_, '_, E> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0.print(bytes);
    }
}
