//! Places that the debug information names, as IR: expressions over registers and memory of the target.

use rstap_abi::address::LinkAddr;
use rstap_abi::builtins::Builtin;
use rstap_abi::context::{FS_BASE, register as dwarf};
use rstap_debuginfo::{self as debuginfo, Kind, Module, Place, TlsSlot, Variable};

use super::build::{
    add, binary, call, choose, compare, extend, load, multiply, number, register, select, sequence, text,
    unary,
};
use crate::ir::{BinaryOp, CompareOp, Expr, SiteId, UnaryOp};
use crate::modules::Binary;

/// Where a value is, in terms of IR.
#[derive(Clone, Debug)]
pub enum Spot {
    /// At an address.
    Memory(Expr),
    /// In a register, by DWARF number.
    Register(u16),
    /// This is the value.
    Value(Expr),
    /// These are its bytes.
    Bytes(Vec<u8>),
    /// In several places.
    Pieces(Vec<Part>),
    /// Nowhere: it points so many bytes into what is there.
    PointsTo(Box<Spot>, i64),
    /// Nowhere, for this reason.
    Gone(String),
}

/// A part of a value in several places, first bits first.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its length.
    pub bits: u64,
    /// First bit of it in its place.
    pub from: u64,
    /// Its place.
    pub spot: Spot,
}

/// What a location expression refers to besides registers and memory.
pub struct Surroundings<'m, 'd> {
    /// The file whose addresses it has.
    pub module: &'m Module<'d>,
    /// Run-time address minus address in the file, if that can be known here.
    pub bias: Option<Expr>,
    /// The variable that is looked for, if it is one of a function.
    pub variable: Option<&'m Variable<'d>>,
    /// The address of what is described, if a type's expressions are evaluated.
    pub object: Option<Expr>,
    /// The instruction that is about to run.
    pub at: LinkAddr,
    /// Whether the registers are those at the function's entry.
    pub at_entry: bool,
    /// Where memory reads fault.
    pub site: SiteId,
}

/// How [`Builtin::fp_to_long`] rounds as conversions in C do.
const TOWARDS_ZERO: i64 = 1;

/// The difference between run-time and file addresses where the instruction at `at` is about to run.
pub fn bias_at(module: &Module<'_>, at: LinkAddr, site: SiteId) -> Expr {
    match module.kind() {
        Kind::Executable => number(0),
        _ => add(register(dwarf::RIP), number(at.0.cast_signed().wrapping_neg()), site),
    }
}

/// The same difference for a file that need not be that of the probe: looked up when the handler runs.
pub fn load_bias(binary: &Binary<'_>, site: SiteId) -> Expr {
    call(Builtin::load_bias, vec![text(&binary.path().to_string_lossy())], site)
}

impl Surroundings<'_, '_> {
    /// The place as IR; what can not be turned into code is `Gone`.
    pub fn spot(&self, place: &Place) -> Spot {
        match self.try_spot(place) {
            Ok(spot) => spot,
            Err(reason) => Spot::Gone(reason),
        }
    }

    /// A number that the debug information computes; `None` if it can not be had here.
    pub fn number(&self, expr: &debuginfo::Expr) -> Option<Expr> {
        self.expr(expr).ok()
    }

    fn try_spot(&self, place: &Place) -> Result<Spot, String> {
        Ok(match place {
            Place::Memory(address) => Spot::Memory(self.expr(address)?),
            Place::Register(number) => Spot::Register(*number),
            Place::Value(value) => Spot::Value(self.expr(value)?),
            Place::Constant(bytes) => Spot::Bytes(bytes.clone()),
            Place::Pieces(pieces) => Spot::Pieces(
                pieces
                    .iter()
                    .map(|piece| Part {
                        bits: piece.bits,
                        from: piece.bit_offset,
                        spot: self.spot(&piece.place),
                    })
                    .collect(),
            ),
            Place::ImplicitPointer { to, offset } => Spot::PointsTo(Box::new(self.spot(to)), *offset),
            Place::OptimizedOut => Spot::Gone("the compiler has optimised it out here".to_owned()),
        })
    }

    /// A number that the debug information computes; the reason where it can not be had here.
    pub fn expr(&self, expr: &debuginfo::Expr) -> Result<Expr, String> {
        use debuginfo::Expr as D;
        Ok(match expr {
            D::Register(number) => register_half(*number, 0, self.site)?,
            D::Constant(value) => number(*value),
            D::Address(address) => self.address(*address)?,
            D::ThreadLocal(offset) => self.thread_local(offset)?,
            D::EntryValue(value) if self.at_entry => self.expr(value)?,
            D::EntryValue(asked) => self.at_entry_of(asked)?,
            D::Parameter(_) => self.at_entry_of(expr)?,
            D::Object => self.object.clone().ok_or("the address of its descriptor is not known here")?,
            D::ByCaller(entry) => self.by_caller(entry)?,
            D::Load { address, size } => load(self.expr(address)?, u64::from(*size), false, self.site),
            D::Unary(op, value) => self.unary(*op, self.expr(value)?),
            D::Binary(op, a, b) => self.binary(*op, self.expr(a)?, self.expr(b)?)?,
            D::Extend { value, bits, signed } => {
                extend(self.expr(value)?, u64::from(*bits), *signed, self.site)
            }
            D::Select { condition, then, otherwise } => {
                select(self.expr(condition)?, self.expr(then)?, self.expr(otherwise)?)
            }
        })
    }

    /// A value that the function was entered with and has not kept: as its callers tell.
    fn at_entry_of(&self, asked: &debuginfo::Expr) -> Result<Expr, String> {
        let gone = "only its value at the function's entry is known, and that is gone here";
        let found = self.variable.and_then(|variable| self.module.entry_value(variable, self.at, asked).ok());
        self.by_caller(&found.ok_or(gone)?)
    }

    fn by_caller(&self, entry: &debuginfo::EntryValue) -> Result<Expr, String> {
        let from = self.expr(&entry.return_address)?;
        let bias = self.bias.clone().ok_or("the address that its file is loaded at is not known here")?;
        let from = match super::build::constant(&bias) {
            Some(0) => from,
            _ => binary(BinaryOp::Sub, from, bias, self.site),
        };
        let case =
            |(address, value): &(LinkAddr, debuginfo::Expr)| Ok((address.0.cast_signed(), self.expr(value)?));
        let cases = entry.cases.iter().map(case).collect::<Result<Vec<_>, String>>()?;
        let unknown = "its value is known for some callers of this function only, and this is none of them";
        let fault = call(Builtin::raise, vec![text(unknown)], self.site);
        Ok(choose(from, cases, sequence(fault, number(0))))
    }

    fn address(&self, address: LinkAddr) -> Result<Expr, String> {
        match &self.bias {
            Some(bias) => Ok(add(bias.clone(), number(address.0.cast_signed()), self.site)),
            None => Err("the address that its file is loaded at is not known here".to_owned()),
        }
    }

    /// The block of an executable ends at the thread pointer (ELF Handling For Thread-Local Storage, variant II).
    fn thread_local(&self, offset: &debuginfo::Expr) -> Result<Expr, String> {
        if self.module.kind() == Kind::SharedObject {
            return self.thread_local_of_library(offset);
        }
        let tls = self.module.tls().ok_or("its file has no thread-local storage")?;
        let block = tls.size.checked_next_multiple_of(tls.align.max(1)).unwrap_or(tls.size).cast_signed();
        let offset = self.expr(offset)?;
        Ok(add(register(FS_BASE), add(offset, number(block.wrapping_neg()), self.site), self.site))
    }

    /// Each thread has a table of the blocks of all modules, of which the second word at the thread pointer is the
    /// address. The block of one that the thread has not used yet may not be there: its address cannot be read then.
    fn thread_local_of_library(&self, offset: &debuginfo::Expr) -> Result<Expr, String> {
        let (offset, site) = (self.expr(offset)?, self.site);
        let block = match self.module.tls_slot() {
            Some(TlsSlot::Module(slot)) => {
                let table = load(add(register(FS_BASE), number(8), site), 8, false, site);
                let module = load(self.address(slot)?, 8, false, site);
                // An entry of glibc's table has two words, one of musl's has one.
                let is_musl = |name: &str| name == "libc.so" || name.starts_with("libc.musl");
                let entry = if self.module.needed().into_iter().any(is_musl) { 8 } else { 16 };
                load(add(table, multiply(module, entry, site), site), 8, false, site)
            }
            Some(TlsSlot::Offset { slot, of }) => {
                let distance = load(self.address(slot)?, 8, false, site);
                let start = add(distance, number(of.cast_signed().wrapping_neg()), site);
                add(register(FS_BASE), start, site)
            }
            None => return Err("its library does not tell where its thread-local storage is".to_owned()),
        };
        Ok(add(block, offset, site))
    }

    fn unary(&self, op: debuginfo::UnaryOp, value: Expr) -> Expr {
        match op {
            debuginfo::UnaryOp::Neg => unary(UnaryOp::Negate, value),
            debuginfo::UnaryOp::Not => unary(UnaryOp::Complement, value),
            debuginfo::UnaryOp::Widen => call(Builtin::fp32_to_fp64, vec![value], self.site),
            debuginfo::UnaryOp::Round => call(Builtin::fp64_to_fp32, vec![value], self.site),
            debuginfo::UnaryOp::ToDouble => call(Builtin::long_to_fp, vec![value], self.site),
            debuginfo::UnaryOp::FromDouble => {
                call(Builtin::fp_to_long, vec![value, number(TOWARDS_ZERO)], self.site)
            }
            debuginfo::UnaryOp::Abs => {
                let negative = compare(CompareOp::Lt, value.clone(), number(0));
                select(negative, unary(UnaryOp::Negate, value.clone()), value)
            }
        }
    }

    fn binary(&self, op: debuginfo::BinaryOp, a: Expr, b: Expr) -> Result<Expr, String> {
        use debuginfo::BinaryOp as D;
        let site = self.site;
        let signed = |op| Ok(compare(op, a.clone(), b.clone()));
        // Flipping the sign bits makes an unsigned comparison of a signed one.
        let flipped = |e: &Expr| binary(BinaryOp::Xor, e.clone(), number(i64::MIN), site);
        let unsigned = |op| Ok(compare(op, flipped(&a), flipped(&b)));
        let float = |builtin| Ok(call(builtin, vec![a.clone(), b.clone()], site));
        match op {
            D::Add => Ok(add(a, b, site)),
            D::Sub => Ok(binary(BinaryOp::Sub, a, b, site)),
            D::Mul => Ok(binary(BinaryOp::Mul, a, b, site)),
            D::Div => Ok(binary(BinaryOp::Div, a, b, site)),
            D::Rem => Ok(binary(BinaryOp::Mod, a, b, site)),
            D::UDiv | D::URem => {
                Err("its location divides unsigned numbers, which is not supported".to_owned())
            }
            D::And => Ok(binary(BinaryOp::And, a, b, site)),
            D::Or => Ok(binary(BinaryOp::Or, a, b, site)),
            D::Xor => Ok(binary(BinaryOp::Xor, a, b, site)),
            D::Shl => Ok(self.shift(BinaryOp::ShiftLeft, a, b)),
            D::Shr => Ok(self.shift(BinaryOp::UnsignedShiftRight, a, b)),
            D::Sar => Ok(self.shift(BinaryOp::ShiftRight, a, b)),
            D::FAdd => float(Builtin::fp_add),
            D::FSub => float(Builtin::fp_sub),
            D::FMul => float(Builtin::fp_mul),
            D::FDiv => float(Builtin::fp_div),
            D::Eq => signed(CompareOp::Eq),
            D::Ne => signed(CompareOp::Ne),
            D::Lt => signed(CompareOp::Lt),
            D::Le => signed(CompareOp::Le),
            D::Gt => signed(CompareOp::Gt),
            D::Ge => signed(CompareOp::Ge),
            D::ULt => unsigned(CompareOp::Lt),
            D::ULe => unsigned(CompareOp::Le),
            D::UGt => unsigned(CompareOp::Gt),
            D::UGe => unsigned(CompareOp::Ge),
        }
    }

    /// DWARF shifts everything out by 64 and more, the IR counts modulo 64.
    fn shift(&self, op: BinaryOp, a: Expr, b: Expr) -> Expr {
        let far = match op {
            BinaryOp::ShiftRight => binary(op, a.clone(), number(63), self.site),
            _ => number(0),
        };
        match super::build::constant(&b) {
            Some(0..=63) => binary(op, a, b, self.site),
            Some(_) => far,
            None => {
                let high = binary(BinaryOp::UnsignedShiftRight, b.clone(), number(6), self.site);
                let near = compare(CompareOp::Eq, high, number(0));
                select(near, binary(op, a, b, self.site), far)
            }
        }
    }
}

/// A general register or rip.
pub fn general_register(number: u16) -> Result<Expr, String> {
    match usize::from(number) {
        index @ 0..=16 => Ok(register(index)),
        other => Err(format!("it is in a register (number {other} in DWARF) that cannot be written")),
    }
}

/// Eight bytes of a register, its first or its second.
pub fn register_half(number: u16, half: u64, site: SiteId) -> Result<Expr, String> {
    match (usize::from(number), half) {
        (0..=16, 0) => general_register(number),
        (VECTORS..=LAST_X87, 0 | 1) => {
            let args = vec![super::build::number(number.into()), super::build::number(half.cast_signed())];
            Ok(call(Builtin::vector_register, args, site))
        }
        (0..=LAST_X87, _) => Err("only a part of it is in a register".to_owned()),
        (other, _) => Err(format!("it is in a register (number {other} in DWARF) that cannot be read")),
    }
}

/// DWARF numbers from xmm0 to st7 (psABI, figure 3.36).
const VECTORS: usize = 17;
const LAST_X87: usize = 40;
