//! `.data(NAME or ADDRESS)`, its `.length(N)`, `.write` and `.rw`: global variables that the processor watches
//! (stap(1), HARDWARE BREAKPOINTS, has the same of the kernel's).

use std::rc::Rc;

use rstap_abi::address::{LinkAddr, TargetAddr};
use rstap_abi::context::flags;
use rstap_abi::watch;
use rstap_debuginfo::{Expr, Place, Symbol, Variable};
use rstap_program::{DataPlace, Point, ProcessFilter};
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::near;
use rstap_syntax::source::Span;

use super::code::Search;
use super::missing_debug;
use super::spec::{DataKind, Which};
use crate::points::{DerivedPoint, Resolved};
use crate::target_var::Frame;

/// Data of one file.
struct Data {
    at: LinkAddr,
    length: u64,
}

impl<'d> Search<'_, 'd> {
    /// The point of a variable, or of an address as in the ELF file.
    pub fn data(&self, which: &Which, length: Option<i64>, kind: DataKind) -> Resolved<'d> {
        let (data, argument) = match which {
            Which::Address(at) => (Data { at: LinkAddr(*at), length: 1 }, format!("{at:#x}")),
            Which::Pattern(name) => (self.variable(name)?, format!("\"{name}\"")),
        };
        let wanted = checked_length(length, self.span)?.unwrap_or(data.length);
        check_registers(data.at.0, wanted, self.span)?;
        let Some((code, start)) = self.binary.module().code_start() else {
            let message = format!("no match ({} has no code)", self.binary.path().display());
            return Err(Box::new(Diagnostic::error(message).at(self.span, "")));
        };
        let place = DataPlace::File {
            module: self.modules.number(&self.binary),
            code,
            distance: data.at.0.wrapping_sub(start.0),
        };
        let text = text(&argument, length, kind);
        Ok(vec![DerivedPoint {
            point: Point::Data {
                process: self.filter.clone(),
                place,
                length: wanted,
                reads: kind == DataKind::ReadWrite,
            },
            pp: format!("{}{text}", self.pp),
            pn: format!("{}{text}", self.pn),
            function: String::new(),
            flags: flags::HAS_REGISTERS,
            scope: Some(Rc::new(self.code_scope(Frame::Nowhere))),
        }])
    }

    /// A global variable: by the debug information, else by the symbols.
    fn variable(&self, written: &str) -> Result<Data, Box<Diagnostic>> {
        let (name, file) = match written.split_once('@') {
            Some((name, file)) => (name, Some(file)),
            None => (written, None),
        };
        let module = self.binary.module();
        let globals = module.globals(name, file).map_err(|error| self.broken(&error))?;
        let described = globals.first().map(|variable| self.described(written, variable));
        if let Some(Ok(data)) = described {
            return Ok(data);
        }
        let symbols = module.data_symbols();
        match (symbols.iter().find(|symbol| symbol.name == name && file.is_none()), described) {
            (Some(symbol), _) => Ok(Data { at: symbol.address, length: symbol.size.max(1) }),
            (None, Some(error)) => error,
            (None, None) => Err(self.no_data(name, &symbols)),
        }
    }

    fn described(&self, written: &str, variable: &Variable<'d>) -> Result<Data, Box<Diagnostic>> {
        let module = self.binary.module();
        let error = |why: &str| {
            Box::new(Diagnostic::error(format!("cannot watch '{written}': {why}")).at(self.span, ""))
        };
        let length = module.size_of(variable.ty).filter(|size| *size > 0);
        match module.place(variable, LinkAddr(0)) {
            Ok(Place::Memory(Expr::Address(at))) => {
                let length = length.ok_or_else(|| error("its size is not known; give one with .length(N)"));
                Ok(Data { at, length: length? })
            }
            Ok(Place::Memory(Expr::ThreadLocal(_))) => Err(error("each thread has its own")),
            Ok(_) => Err(error("it is not in memory, as the compiler has it")),
            Err(why) => Err(error(&why.to_string())),
        }
    }

    fn no_data(&self, name: &str, symbols: &[Symbol<'_>]) -> Box<Diagnostic> {
        let path = self.binary.path().display();
        let message = format!("no match ({path} has no global variable '{name}')");
        let diagnostic = Diagnostic::error(message).at(self.span, "");
        let diagnostic = match near::best(name, symbols.iter().map(|symbol| symbol.name)) {
            Some(similar) => diagnostic.note(format!("did you mean '{similar}'?")),
            None => diagnostic,
        };
        Box::new(match self.binary.module().has_dwarf() {
            true => diagnostic,
            false => missing_debug::explain(diagnostic, &self.binary),
        })
    }
}

/// `.data(ADDRESS)` of a running process: whatever is there.
pub fn absolute<'d>(
    filter: ProcessFilter,
    prefix: &str,
    address: u64,
    length: Option<i64>,
    kind: DataKind,
    span: Span,
) -> Result<DerivedPoint<'d>, Box<Diagnostic>> {
    let wanted = checked_length(length, span)?.unwrap_or(1);
    check_registers(address, wanted, span)?;
    let text = format!("{prefix}{}", text(&format!("{address:#x}"), length, kind));
    Ok(DerivedPoint {
        point: Point::Data {
            process: filter,
            place: DataPlace::Address(TargetAddr(address)),
            length: wanted,
            reads: kind == DataKind::ReadWrite,
        },
        pp: text.clone(),
        pn: text,
        function: String::new(),
        flags: flags::HAS_REGISTERS,
        scope: None,
    })
}

fn text(argument: &str, length: Option<i64>, kind: DataKind) -> String {
    let length = length.map_or_else(String::new, |length| format!(".length({length})"));
    let kind = match kind {
        DataKind::Write => ".write",
        DataKind::ReadWrite => ".rw",
    };
    format!(".data({argument}){length}{kind}")
}

fn checked_length(length: Option<i64>, span: Span) -> Result<Option<u64>, Box<Diagnostic>> {
    let positive = |length: i64| u64::try_from(length).ok().filter(|length| *length > 0);
    length
        .map(|length| {
            positive(length).ok_or_else(|| {
                Box::new(Diagnostic::error("the length of watched data must be at least 1 byte").at(span, ""))
            })
        })
        .transpose()
}

/// Whether the processor can watch so much at once.
fn check_registers(address: u64, length: u64, span: Span) -> Result<(), Box<Diagnostic>> {
    let needed = watch::pieces(address, length).take(watch::REGISTERS + 1).count();
    if needed <= watch::REGISTERS {
        return Ok(());
    }
    let message = format!("{length} bytes at {address:#x} are more than the processor can watch");
    let note = format!(
        "it has {} debug registers, each for 1, 2, 4 or 8 bytes at a multiple of that; watch a part: \
         .data(ADDRESS).length(N)",
        watch::REGISTERS
    );
    Err(Box::new(Diagnostic::error(message).at(span, "").note(note)))
}
