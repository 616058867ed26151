//! Which brackets are open, and how deep the grammar would nest.

use super::{Before, Bracket, Filter, MAX_NESTING, Open, Points};
use crate::report::Unclosed;
use crate::token::{Loc, Token};

impl<'a, I: Iterator<Item = Token<'a>>> Filter<'a, I> {
    pub(super) fn reset_depth(&mut self) {
        if let Some(open) = self.open.last_mut() {
            self.total_depth -= open.depth;
            open.depth = 0;
        }
    }

    /// An operator or statement that the next one may lie inside of.
    pub(super) fn deepen(&mut self, loc: Loc) {
        if let Some(open) = self.open.last_mut() {
            open.depth += 1;
            self.total_depth += 1;
            self.check_depth(loc);
        }
    }

    pub(super) fn check_depth(&self, loc: Loc) {
        if self.total_depth > MAX_NESTING {
            self.report.fatal(
                loc,
                "nesting too deep",
                format!("more than {MAX_NESTING} brackets, operators or statements inside each other"),
            );
        }
    }

    pub(super) fn push(&mut self, bracket: Bracket, loc: Loc) {
        let group = match bracket {
            Bracket::Brace | Bracket::Angle | Bracket::Alternatives => 0,
            _ if loc.group == 0 => loc.seq,
            _ => loc.group,
        };
        self.open.push(Open { bracket, span: loc.span, seq: loc.seq, group, depth: 0 });
        self.total_depth += 1;
        self.check_depth(loc);
        self.before = Before::Other;
    }

    pub(super) fn pop(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        self.total_depth -= 1 + open.depth;
        Some(open)
    }

    /// Closes the innermost bracket of a kind; those inside it were not closed. A closing bracket without
    /// opening one changes nothing.
    pub(super) fn close(&mut self, loc: Loc, wanted: &[Bracket]) -> Option<Bracket> {
        let Some(at) = self.open.iter().rposition(|open| wanted.contains(&open.bracket)) else {
            if wanted.contains(&Bracket::Brace)
                && let Some(orphan) = self.orphans.pop()
            {
                self.report.closers.borrow_mut().push((loc.seq, orphan));
            }
            return None;
        };
        while self.open.len() > at + 1 {
            self.pop_unclosed(loc);
        }
        let open = self.pop()?;
        self.report.closers.borrow_mut().push((loc.seq, open.seq));
        Some(open.bracket)
    }

    pub(super) fn pop_unclosed(&mut self, loc: Loc) {
        if let Some(open) = self.pop() {
            let bracket = open.bracket.opening();
            self.report.unclosed.borrow_mut().push(Unclosed { seq: loc.seq, opener: open.span, bracket });
        }
    }

    /// No statement can stand in parentheses, so those were not closed.
    pub(super) fn close_parens(&mut self, loc: Loc) {
        while let Some(Bracket::Paren | Bracket::HeadParen | Bracket::ForParen | Bracket::Square) =
            self.innermost()
        {
            self.pop_unclosed(loc);
        }
    }

    /// A declaration starts, or the text ends: nothing can be open.
    pub(super) fn unwind(&mut self, loc: Loc) {
        self.orphans = self.open.iter().filter(|o| o.bracket == Bracket::Brace).map(|o| o.seq).collect();
        while !self.open.is_empty() {
            self.pop_unclosed(loc);
        }
        self.total_depth = 0;
        self.report.foreign_keyword.set(None);
        self.points = Points::Outside;
        self.before = Before::Other;
    }
}
