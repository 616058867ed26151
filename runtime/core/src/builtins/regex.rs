//! `=~` and what it leaves behind: the groups of the last match of this handler.

use rstap_abi::fault::Fault;
use rstap_abi::regex::UNSET;

use crate::call::Call;
use crate::env::Env;
use crate::regex::{Program, find};
use crate::text::Text;

impl<E: Env> Call<'_, E> {
    pub fn regex_match(&mut self, subject: &[u8], program: &[u8]) -> i64 {
        let subject = subject.get(..self.longest_string()).unwrap_or(subject);
        let (words, kept) = self.matching();
        let mut groups = 0;
        let mut found = false;
        if let Some(program) = Program::new(program) {
            found = find(program, subject, words);
            if found {
                groups = program.groups() as u32;
            }
            if let (Some(kept), true) = (kept.get_mut(..subject.len()), groups > 0) {
                kept.copy_from_slice(subject);
            }
        }
        self.context.match_groups = groups;
        self.context.match_len = subject.len() as u32;
        i64::from(found)
    }

    pub fn matched(&mut self, group: i64, out: &mut Text<'_>) {
        if self.context.match_groups == 0 || !(0..i64::from(self.context.match_groups)).contains(&group) {
            let failed = self.context.match_groups == 0;
            return self.fail_saying(Fault::BadArgument, |message| {
                let what: &[u8] = if failed { b"subexpression " } else { b"nonexistent subexpression " };
                message.put(b"Attempted to get ");
                message.put(what);
                message.put_long(group);
                message.put(if failed { b" from failed match" } else { b"" });
            });
        }
        let len = self.context.match_len as usize;
        let (words, subject) = self.matching();
        let slot = (group as usize).wrapping_mul(2);
        let (Some(&start), Some(&end)) = (words.get(slot), words.get(slot.wrapping_add(1))) else { return };
        if start != UNSET && end != UNSET {
            let subject = subject.get(..len).unwrap_or_default();
            out.put(subject.get(start as usize..end as usize).unwrap_or_default());
        }
    }

    pub fn ngroups(&mut self) -> i64 {
        if self.context.match_groups == 0 {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"Attempted to get subexpression count from failed match");
            });
        }
        i64::from(self.context.match_groups)
    }
}
