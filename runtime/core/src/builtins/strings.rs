//! Strings and string globals.

use rstap_abi::fault::Fault;
use rstap_abi::layout::VALUE;

use crate::call::Call;
use crate::env::Env;
use crate::text::Text;
use crate::{string, time};

impl<E: Env> Call<'_, E> {
    pub fn concat(&mut self, a: &[u8], b: &[u8], out: &mut Text<'_>) {
        out.put(a);
        out.put(b);
    }

    pub fn extend(&mut self, len: i64, more: &[u8], out: &mut Text<'_>) {
        out.fill_with(|held| held.len().min(len as usize));
        out.put(more);
    }

    pub fn copy(&mut self, s: &[u8], out: &mut Text<'_>) {
        out.put(s);
    }

    pub fn compare(&mut self, a: &[u8], b: &[u8]) -> i64 {
        a.cmp(b) as i64
    }

    pub fn strlen(&mut self, s: &[u8]) -> i64 {
        s.len() as i64
    }

    pub fn substr(&mut self, s: &[u8], start: i64, length: i64, out: &mut Text<'_>) {
        out.put(string::substr(s, start, length));
    }

    pub fn stringat(&mut self, s: &[u8], index: i64) -> i64 {
        string::stringat(s, index).unwrap_or_else(|| {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"Position out of bounds");
            });
            0
        })
    }

    pub fn strpos(&mut self, s: &[u8], text: &[u8]) -> i64 {
        string::strpos(s, text)
    }

    pub fn str_replace(&mut self, s: &[u8], old: &[u8], new: &[u8], out: &mut Text<'_>) {
        string::str_replace(s, old, new, out);
    }

    pub fn strtol(&mut self, s: &[u8], base: i64) -> i64 {
        string::strtol(s, base)
    }

    pub fn isdigit(&mut self, s: &[u8]) -> i64 {
        string::isdigit(s)
    }

    /// A string starts anew; an empty one goes on with the string before.
    pub fn tokenize(&mut self, s: &[u8], delimiters: &[u8], out: &mut Text<'_>) {
        if !s.is_empty() {
            let mut kept = Text::new(self.tokens());
            kept.put(s);
            let len = kept.len();
            self.context.token_len = len as u32;
            self.context.token_at = 0;
        }
        let (at, len) = (self.context.token_at as usize, self.context.token_len as usize);
        let rest: &[u8] = self.tokens().get(at..len).unwrap_or_default();
        let (token, used) = string::token(rest, delimiters);
        out.put(token);
        self.context.token_at = at.saturating_add(used) as u32;
    }

    pub fn text_strn(&mut self, s: &[u8], max: i64, quoted: i64, out: &mut Text<'_>) {
        string::text_strn(s, max, quoted != 0, out);
    }

    pub fn string_quoted(&mut self, s: &[u8], out: &mut Text<'_>) {
        string::text_strn(s, 0, true, out);
    }

    pub fn ctime(&mut self, seconds: i64, out: &mut Text<'_>) {
        if !time::ctime(seconds, out) {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"Time cannot be converted");
            });
        }
    }

    /// What is not a string any more reads as "".
    pub fn string_get(&mut self, global: i64, out: &mut Text<'_>) {
        let at = (global as u64).wrapping_add(VALUE);
        if let Ok(stored) = self.arena.string(at, self.longest_string() as u64) {
            out.fill_with(|room| stored.copy_to(room));
        }
    }

    pub fn string_set(&mut self, global: i64, value: &[u8]) {
        let value = value.get(..self.longest_string()).unwrap_or(value);
        // A global outside the arena cannot come from compiled code, and there is nothing to be done about it.
        let _ = self.arena.set_string((global as u64).wrapping_add(VALUE), value);
    }

    pub fn string_append(&mut self, global: i64, more: &[u8]) {
        let most = self.longest_string() as u64;
        // What is not a string any more reads as "".
        if self.arena.append_string((global as u64).wrapping_add(VALUE), more, most).is_err() {
            self.string_set(global, more);
        }
    }
}
