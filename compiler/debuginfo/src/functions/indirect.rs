//! Indirect functions (STT_GNU_IFUNC): the symbol's address is that of a resolver, which the dynamic linker calls once,
//! and what that returns is what the program calls from then on. Which one that is depends on the machine, so all that
//! the resolver's code can return are meant by the name.

use foldhash::HashSet;

use rstap_abi::address::LinkAddr;

use super::{Function, Functions, Range, symbols_at};
use crate::{calls, cfi};

/// Resolvers only choose; what goes on longer than this is something else.
const MAX_RESOLVER_BYTES: u64 = 1 << 14;

impl<'d> Functions<'_, 'd> {
    /// Puts the implementations of indirect functions in the place of their resolvers. One whose implementations are not
    /// known stays, as its resolver. What is among `functions` under its own name is not there twice.
    pub(super) fn resolve_indirect(&self, functions: &mut Vec<Function<'d>>) {
        if !functions.iter().any(|function| function.ifunc) {
            return;
        }
        let mut known: HashSet<LinkAddr> = functions
            .iter()
            .filter(|function| !function.ifunc)
            .filter_map(|function| function.entry)
            .collect();
        let all = std::mem::take(functions);
        for function in all {
            let implementations = if function.ifunc { self.implementations(&function) } else { Vec::new() };
            if implementations.is_empty() {
                functions.push(function);
                continue;
            }
            let new =
                implementations.into_iter().filter(|chosen| chosen.entry.is_some_and(|at| known.insert(at)));
            functions.extend(new);
        }
    }

    /// What a resolver can return, under the name of the indirect function.
    fn implementations(&self, resolver: &Function<'d>) -> Vec<Function<'d>> {
        let Some(entry) = resolver.entry else { return Vec::new() };
        let end = resolver.ranges.first().map_or(entry.0, |range| range.end.0);
        let code = Range { start: entry, end: LinkAddr(end.min(entry.0.saturating_add(MAX_RESOLVER_BYTES))) };
        let mut addresses = calls::addresses_in(self.elf, code);
        addresses.retain(|&address| !code.contains(address) && self.is_function(address));
        addresses.sort_unstable();
        addresses.dedup();
        let function = |address: LinkAddr| {
            let known = self.function_at(address).filter(|function| function.entry == Some(address));
            let symbol = symbols_at(self.symbols, address).first();
            let of_symbol = || symbol.map(|symbol| self.function_of_symbol(symbol, symbol.name.into()));
            let found = known.or_else(of_symbol).unwrap_or_else(|| Function {
                entry: Some(address),
                ranges: Vec::new(),
                die: None,
                ..resolver.clone()
            });
            let (name, exported, external) = (resolver.name.clone(), resolver.exported, resolver.external);
            Function { name, exported, external, ifunc: false, inlines: Vec::new(), ..found }
        };
        addresses.into_iter().map(function).collect()
    }

    /// Whether a function starts there, by the symbols or by the call frame information.
    fn is_function(&self, address: LinkAddr) -> bool {
        self.elf.is_executable(address)
            && (!symbols_at(self.symbols, address).is_empty()
                || cfi::extent_at(self.elf, None, address).is_some_and(|(start, _)| start == address.0))
    }
}
