//! One location expression made into a [`Place`]: the expression is run once, with trees instead of numbers on its
//! stack. A branch runs both ways and joins them in a `Select`.

use gimli::{AttributeValue, DieReference, Operation, UnitOffset};
use rstap_abi::address::LinkAddr;

use super::{BinaryOp, Expr, LocationError, Piece, Place, UnaryOp};
use crate::cfi::Cfa;
use crate::dwarf::{DebugData, DieRef, Slice};

type Expression<'d> = gimli::Expression<Slice<'d>>;

/// Operations that one expression may run, counting both ways of each branch.
const MAX_STEPS: usize = 2000;
/// Nodes that a tree may have. Every `dup` copies one.
const MAX_NODES: usize = 4000;
/// Expressions that may call or contain one another.
const MAX_NESTING: usize = 8;

/// What expressions may ask for.
pub(super) struct Surroundings<'m, 'd> {
    pub data: &'m DebugData<'d>,
    /// Unit of the expression, for addresses, types and calls.
    pub unit: u32,
    pub encoding: gimli::Encoding,
    pub pc: LinkAddr,
    /// The function's frame base expression and its unit.
    pub frame_base: Option<(Expression<'d>, u32)>,
    pub cfa: &'m dyn Fn() -> Option<Cfa<'d>>,
    /// Whether the pc is the first instruction of the function, where entry values are those of now.
    pub at_entry: bool,
    /// Where the variable is that an implicit pointer points to.
    pub pointed_to: &'m dyn Fn(DieRef) -> Result<Place, LocationError>,
}

/// How a value on the stack is read by arithmetic and comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The generic type: 64 bits.
    Generic,
    Int {
        bits: u8,
        signed: bool,
    },
    Float {
        bits: u8,
    },
}

#[derive(Clone, Debug)]
struct Item {
    expr: Expr,
    nodes: usize,
    kind: Kind,
}

impl Item {
    fn leaf(expr: Expr) -> Self {
        Item { expr, nodes: 1, kind: Kind::Generic }
    }
}

/// What an expression left behind.
enum Outcome {
    Place(Place),
    /// The stack of an expression without a location operation.
    Stack(Vec<Item>),
}

pub(super) struct Translator<'m, 'd> {
    around: &'m Surroundings<'m, 'd>,
    steps: usize,
    nesting: usize,
}

impl<'m, 'd> Translator<'m, 'd> {
    pub fn new(around: &'m Surroundings<'m, 'd>) -> Self {
        Translator { around, steps: 0, nesting: 0 }
    }

    /// The place an expression describes.
    pub fn place(&mut self, expression: Expression<'d>) -> Result<Place, LocationError> {
        if expression.0.is_empty() {
            return Ok(Place::OptimizedOut);
        }
        match self.run(expression, Vec::new())? {
            Outcome::Place(place) => Ok(place),
            Outcome::Stack(mut stack) => Ok(Place::Memory(pop(&mut stack)?.expr)),
        }
    }

    /// The value of an expression that is no location.
    pub fn value_of(&mut self, expression: Expression<'d>) -> Result<Expr, LocationError> {
        Ok(self.value(expression, Vec::new())?.expr)
    }

    /// The value an expression computes.
    fn value(&mut self, expression: Expression<'d>, stack: Vec<Item>) -> Result<Item, LocationError> {
        match self.run(expression, stack)? {
            Outcome::Stack(mut stack) => pop(&mut stack),
            // A register location names the register's contents here (frame bases, DW_OP_entry_value).
            Outcome::Place(Place::Register(register)) => Ok(Item::leaf(Expr::Register(register))),
            Outcome::Place(Place::Value(expr)) => Ok(Item::leaf(expr)),
            Outcome::Place(_) => Err(LocationError::Unsupported("a location used as a value".into())),
        }
    }

    fn run(&mut self, expression: Expression<'d>, stack: Vec<Item>) -> Result<Outcome, LocationError> {
        if self.nesting == MAX_NESTING {
            return Err(LocationError::TooLong);
        }
        self.nesting += 1;
        let outcome = self.run_from(expression, 0, stack, Vec::new());
        self.nesting -= 1;
        outcome
    }

    fn run_from(
        &mut self,
        expression: Expression<'d>,
        offset: usize,
        mut stack: Vec<Item>,
        mut pieces: Vec<Piece>,
    ) -> Result<Outcome, LocationError> {
        let whole = expression.0;
        let mut at = offset;
        let mut simple: Option<Place> = None;
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(LocationError::TooLong);
            }
            let mut rest = whole;
            if at >= whole.len() {
                break;
            }
            gimli::Reader::skip(&mut rest, at).map_err(|e| self.broken(e))?;
            let before = rest.len();
            let code = rest.slice()[0];
            let operation = Operation::parse(&mut rest, self.around.encoding).map_err(|e| self.broken(e))?;
            let next = at + (before - rest.len());
            match operation {
                Operation::Piece { size_in_bits, bit_offset } => {
                    let place = match (simple.take(), stack.pop()) {
                        (Some(place), _) => place,
                        (None, Some(item)) => Place::Memory(item.expr),
                        (None, None) => Place::OptimizedOut,
                    };
                    pieces.push(Piece { bits: size_in_bits, bit_offset: bit_offset.unwrap_or(0), place });
                }
                Operation::Register { register } => simple = Some(Place::Register(register.0)),
                Operation::ImplicitValue { data } => simple = Some(Place::Constant(data.slice().to_vec())),
                Operation::StackValue => simple = Some(Place::Value(pop(&mut stack)?.expr)),
                Operation::ImplicitPointer { value, byte_offset } => {
                    let die = self.around.data.at_section_offset(self.around.unit, value.0);
                    let die = die.ok_or_else(|| self.bad_reference())?;
                    let to = Box::new((self.around.pointed_to)(die)?);
                    simple = Some(Place::ImplicitPointer { to, offset: byte_offset });
                }
                Operation::Skip { target } => {
                    at = jump(next, target, whole.len())?;
                    continue;
                }
                Operation::Bra { target } => {
                    let condition = pop(&mut stack)?;
                    let taken = jump(next, target, whole.len())?;
                    let then = self.run_from(expression, taken, stack.clone(), pieces.clone())?;
                    let otherwise = self.run_from(expression, next, stack, pieces)?;
                    return join(condition, then, otherwise);
                }
                Operation::Call { offset } => {
                    if let Some(callee) = self.callee(offset)? {
                        match self.run(callee, std::mem::take(&mut stack))? {
                            Outcome::Stack(left) => stack = left,
                            Outcome::Place(place) => simple = Some(place),
                        }
                    }
                }
                operation => self.step(operation, code, &mut stack)?,
            }
            at = next;
        }
        Ok(match simple {
            _ if !pieces.is_empty() => Outcome::Place(Place::Pieces(pieces)),
            Some(place) => Outcome::Place(place),
            None => Outcome::Stack(stack),
        })
    }

    /// An operation that works on the stack.
    fn step(
        &mut self,
        operation: Operation<Slice<'d>>,
        code: u8,
        stack: &mut Vec<Item>,
    ) -> Result<(), LocationError> {
        match operation {
            Operation::Nop | Operation::Uninitialized => {}
            Operation::Drop => drop(pop(stack)?),
            Operation::Pick { index } => {
                let at =
                    stack.len().checked_sub(1 + usize::from(index)).ok_or(LocationError::StackUnderflow)?;
                let item = stack[at].clone();
                push(stack, item)?;
            }
            Operation::Swap => rotate(stack, 2)?,
            Operation::Rot => rotate(stack, 3)?,
            Operation::UnsignedConstant { value } => push_leaf(stack, Expr::Constant(value as i64))?,
            Operation::SignedConstant { value } => push_leaf(stack, Expr::Constant(value))?,
            Operation::Address { address } => push_leaf(stack, Expr::Address(LinkAddr(address)))?,
            Operation::AddressIndex { index } => {
                let address = self.indexed(index)?;
                push_leaf(stack, Expr::Address(LinkAddr(address)))?;
            }
            // Used for offsets in thread-local storage, which are not relocated.
            Operation::ConstantIndex { index } => {
                let value = self.indexed(index)?;
                push_leaf(stack, Expr::Constant(value as i64))?;
            }
            Operation::RegisterOffset { register, offset, base_type } => {
                let base = Item::leaf(Expr::Register(register.0));
                let mut item = add(base, offset);
                item.kind = self.kind_of(base_type)?;
                push(stack, self.narrow(item)?)?;
            }
            Operation::FrameOffset { offset } => {
                let base = self.frame_base()?;
                push(stack, add(base, offset))?;
            }
            Operation::CallFrameCFA => {
                let cfa = self.cfa()?;
                push(stack, cfa)?;
            }
            Operation::TLS => {
                let offset = pop(stack)?;
                push(stack, wrap(offset, |e| Expr::ThreadLocal(Box::new(as_offset(e)))))?;
            }
            Operation::EntryValue { expression } => {
                let value = self.value(gimli::Expression(expression), Vec::new())?;
                let at_entry = self.around.at_entry;
                let kind = value.kind;
                let at_call = |value| Item { kind, ..wrap(value, |e| Expr::EntryValue(Box::new(e))) };
                push(stack, if at_entry { value } else { at_call(value) })?;
            }
            Operation::ParameterRef { offset } => {
                push_leaf(stack, Expr::Parameter(DieRef { unit: self.around.unit, offset: offset.0 }))?;
            }
            Operation::PushObjectAddress => push_leaf(stack, Expr::Object)?,
            Operation::Deref { base_type, size, space: false } => {
                let address = pop(stack)?;
                let kind = self.kind_of(base_type)?;
                if !(1..=8).contains(&size) {
                    return Err(LocationError::Unsupported(format!("a load of {size} bytes")));
                }
                let mut item = wrap(address, |e| Expr::Load { address: Box::new(e), size });
                item.kind = kind;
                push(stack, self.narrow(item)?)?;
            }
            Operation::TypedLiteral { base_type, value } => {
                let mut bytes = [0; 8];
                let len = value.len().min(8);
                bytes[..len].copy_from_slice(&value.slice()[..len]);
                let mut item = Item::leaf(Expr::Constant(i64::from_le_bytes(bytes)));
                item.kind = self.kind_of(base_type)?;
                push(stack, self.narrow(item)?)?;
            }
            Operation::Convert { base_type } => {
                let (item, to) = (pop(stack)?, self.kind_of(base_type)?);
                push(stack, self.narrow(converted(item, to)?)?)?;
            }
            Operation::Reinterpret { base_type } => {
                let (item, to) = (pop(stack)?, self.kind_of(base_type)?);
                push(stack, self.narrow(Item { kind: to, ..item })?)?;
            }
            Operation::PlusConstant { value } => {
                let item = pop(stack)?;
                let kind = item.kind;
                push(stack, self.narrow(Item { kind, ..add(item, value as i64) })?)?;
            }
            Operation::Abs => self.unary(stack, UnaryOp::Abs)?,
            Operation::Neg => self.unary(stack, UnaryOp::Neg)?,
            Operation::Not => self.unary(stack, UnaryOp::Not)?,
            other => match binary_operator(&other) {
                Some((signed, unsigned)) => self.binary(stack, signed, unsigned)?,
                None => {
                    let name = gimli::DwOp(code).static_string();
                    return Err(match name {
                        Some(name) => unsupported(name),
                        None => LocationError::Unsupported(format!("operation {code:#x}")),
                    });
                }
            },
        }
        Ok(())
    }

    fn unary(&self, stack: &mut Vec<Item>, op: UnaryOp) -> Result<(), LocationError> {
        let item = pop(stack)?;
        let kind = item.kind;
        if let (Kind::Float { bits }, UnaryOp::Neg) = (kind, op) {
            let sign = Box::new(Expr::Constant(1i64 << (bits - 1)));
            let item = wrap(item, |e| Expr::Binary(BinaryOp::Xor, Box::new(e), sign));
            return push(stack, Item { kind, nodes: item.nodes + 1, ..item });
        }
        no_float(kind)?;
        let item = Item { kind, ..wrap(item, |e| Expr::Unary(op, Box::new(e))) };
        push(stack, self.narrow(item)?)
    }

    fn binary(
        &self,
        stack: &mut Vec<Item>,
        signed: BinaryOp,
        unsigned: BinaryOp,
    ) -> Result<(), LocationError> {
        let (right, left) = (pop(stack)?, pop(stack)?);
        let kind = left.kind;
        if matches!(kind, Kind::Float { .. }) && kind == right.kind {
            return push(stack, float_binary(left, right, signed)?);
        }
        no_float(left.kind)?;
        no_float(right.kind)?;
        let op = if matches!(kind, Kind::Int { signed: false, .. }) { unsigned } else { signed };
        let nodes = left.nodes + right.nodes + 1;
        let expr = Expr::Binary(op, Box::new(left.expr), Box::new(right.expr));
        // DWARF 5, 2.5.1.5: the result of a comparison is of the generic type.
        let compares = matches!(
            signed,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        );
        let item = Item { expr, nodes, kind: if compares { Kind::Generic } else { kind } };
        push(stack, self.narrow(item)?)
    }

    /// Cuts a value to the width of its type.
    fn narrow(&self, item: Item) -> Result<Item, LocationError> {
        Ok(match item.kind {
            Kind::Int { bits, signed } if bits < 64 => {
                let kind = item.kind;
                Item { kind, ..wrap(item, |e| Expr::Extend { value: Box::new(e), bits, signed }) }
            }
            _ => item,
        })
    }

    fn kind_of(&self, base_type: UnitOffset) -> Result<Kind, LocationError> {
        if base_type.0 == 0 {
            return Ok(Kind::Generic);
        }
        let die = self.around.data.die(DieRef { unit: self.around.unit, offset: base_type.0 })?;
        let size = die.number(gimli::DW_AT_byte_size).unwrap_or(0);
        let bits = match size {
            1 | 2 | 4 | 8 => (size * 8) as u8,
            _ => return Err(LocationError::Unsupported(format!("a value of {size} bytes on the stack"))),
        };
        Ok(match die.attr(gimli::DW_AT_encoding) {
            Some(AttributeValue::Encoding(gimli::DW_ATE_float)) => Kind::Float { bits },
            Some(AttributeValue::Encoding(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char)) => {
                Kind::Int { bits, signed: true }
            }
            _ => Kind::Int { bits, signed: false },
        })
    }

    fn frame_base(&mut self) -> Result<Item, LocationError> {
        let no_base = LocationError::NoFrameBase { pc: self.around.pc.0 };
        let (expression, unit) = self.around.frame_base.ok_or(no_base)?;
        if unit != self.around.unit || self.nesting == MAX_NESTING {
            return Err(unsupported("a frame base of another unit"));
        }
        self.value(expression, Vec::new())
    }

    fn cfa(&mut self) -> Result<Item, LocationError> {
        match (self.around.cfa)() {
            Some(Cfa::Register { register, offset }) => Ok(add(Item::leaf(Expr::Register(register)), offset)),
            Some(Cfa::Expression(expression, _)) => self.value(expression, Vec::new()),
            None => Err(LocationError::NoCfi { pc: self.around.pc.0 }),
        }
    }

    fn indexed(&self, index: gimli::DebugAddrIndex) -> Result<u64, LocationError> {
        let unit = self.around.data.unit(self.around.unit)?;
        let dwarf = self.around.data.dwarf_of(self.around.data.slot(self.around.unit)?);
        dwarf.address(unit, index).map_err(|e| self.broken(e))
    }

    /// The expression of the entry that DW_OP_call2, call4 or call_ref names; none has no effect.
    fn callee(&self, reference: DieReference<usize>) -> Result<Option<Expression<'d>>, LocationError> {
        let (data, unit) = (self.around.data, self.around.unit);
        let die = match reference {
            DieReference::UnitRef(offset) => Some(DieRef { unit, offset: offset.0 }),
            DieReference::DebugInfoRef(offset) => data.at_section_offset(unit, offset.0),
        };
        let die = data.die(die.ok_or_else(|| self.bad_reference())?)?;
        match die.attr(gimli::DW_AT_location) {
            Some(AttributeValue::Exprloc(expression)) if die.id.unit == unit => Ok(Some(expression)),
            Some(_) => Err(unsupported("DW_OP_call of an entry with a location list")),
            None => Ok(None),
        }
    }

    fn broken(&self, error: gimli::Error) -> LocationError {
        LocationError::Dwarf(self.around.data.broken(self.around.unit, error))
    }

    fn bad_reference(&self) -> LocationError {
        let unit = self.around.data.slot(self.around.unit).map_or(0, |slot| slot.section_offset());
        LocationError::Dwarf(crate::DwarfError::BadReference { unit })
    }
}

/// The operator for signed and generic values, and the one for unsigned values. The generic type is unsigned, but
/// DWARF 5, 2.5.1.4 has its division and comparisons signed, and its remainder and shift to the right unsigned.
fn binary_operator(operation: &Operation<Slice<'_>>) -> Option<(BinaryOp, BinaryOp)> {
    use BinaryOp as B;
    Some(match operation {
        Operation::Plus => (B::Add, B::Add),
        Operation::Minus => (B::Sub, B::Sub),
        Operation::Mul => (B::Mul, B::Mul),
        Operation::Div => (B::Div, B::UDiv),
        Operation::Mod => (B::URem, B::URem),
        Operation::And => (B::And, B::And),
        Operation::Or => (B::Or, B::Or),
        Operation::Xor => (B::Xor, B::Xor),
        Operation::Shl => (B::Shl, B::Shl),
        Operation::Shr => (B::Shr, B::Shr),
        Operation::Shra => (B::Sar, B::Sar),
        Operation::Eq => (B::Eq, B::Eq),
        Operation::Ne => (B::Ne, B::Ne),
        Operation::Lt => (B::Lt, B::ULt),
        Operation::Le => (B::Le, B::ULe),
        Operation::Gt => (B::Gt, B::UGt),
        Operation::Ge => (B::Ge, B::UGe),
        _ => return None,
    })
}

fn unsupported(what: &str) -> LocationError {
    LocationError::Unsupported(what.into())
}

fn no_float(kind: Kind) -> Result<(), LocationError> {
    match kind {
        Kind::Float { bits } => {
            Err(LocationError::Unsupported(format!("{bits}-bit floating-point arithmetic")))
        }
        _ => Ok(()),
    }
}

/// The value as one of another type (DWARF 5, 2.5.1.6).
fn converted(item: Item, to: Kind) -> Result<Item, LocationError> {
    let from = item.kind;
    let apply = |item, op| wrap(item, |e| Expr::Unary(op, Box::new(e)));
    let item = match (from, to) {
        _ if from == to => item,
        // Half of the numbers of 64 bits without sign are not signed ones.
        (Kind::Int { bits: 64, signed: false }, Kind::Float { .. }) => {
            return Err(unsupported("a large unsigned number as a floating-point number"));
        }
        (Kind::Float { .. }, Kind::Float { bits: 64 }) => widened(item),
        (Kind::Float { .. }, Kind::Float { .. }) => apply(item, UnaryOp::Round),
        (Kind::Float { .. }, _) => apply(widened(item), UnaryOp::FromDouble),
        (_, Kind::Float { bits: 64 }) => apply(item, UnaryOp::ToDouble),
        (_, Kind::Float { .. }) => apply(apply(item, UnaryOp::ToDouble), UnaryOp::Round),
        _ => item,
    };
    Ok(Item { kind: to, ..item })
}

/// A float or double as a double.
fn widened(item: Item) -> Item {
    match item.kind {
        Kind::Float { bits: 32 } => wrap(item, |e| Expr::Unary(UnaryOp::Widen, Box::new(e))),
        _ => item,
    }
}

/// Of two floats the result is that of doubles, rounded: a double has more than twice as many digits, so rounding twice
/// makes no difference.
fn float_binary(left: Item, right: Item, op: BinaryOp) -> Result<Item, LocationError> {
    let kind = left.kind;
    let op = match op {
        BinaryOp::Add => BinaryOp::FAdd,
        BinaryOp::Sub => BinaryOp::FSub,
        BinaryOp::Mul => BinaryOp::FMul,
        BinaryOp::Div => BinaryOp::FDiv,
        _ => return Err(unsupported("this operation on floating-point numbers")),
    };
    let (left, right) = (widened(left), widened(right));
    let nodes = left.nodes + right.nodes + 1;
    let item = Item { expr: Expr::Binary(op, Box::new(left.expr), Box::new(right.expr)), nodes, kind };
    match kind {
        Kind::Float { bits: 32 } => {
            Ok(Item { kind, ..wrap(item, |e| Expr::Unary(UnaryOp::Round, Box::new(e))) })
        }
        _ => Ok(item),
    }
}

fn pop(stack: &mut Vec<Item>) -> Result<Item, LocationError> {
    stack.pop().ok_or(LocationError::StackUnderflow)
}

fn push(stack: &mut Vec<Item>, item: Item) -> Result<(), LocationError> {
    if item.nodes > MAX_NODES || stack.len() >= MAX_NODES {
        return Err(LocationError::TooLong);
    }
    stack.push(item);
    Ok(())
}

fn push_leaf(stack: &mut Vec<Item>, expr: Expr) -> Result<(), LocationError> {
    push(stack, Item::leaf(expr))
}

/// Moves the top item below the `count - 1` under it.
fn rotate(stack: &mut [Item], count: usize) -> Result<(), LocationError> {
    let from = stack.len().checked_sub(count).ok_or(LocationError::StackUnderflow)?;
    stack[from..].rotate_right(1);
    Ok(())
}

fn wrap(item: Item, make: impl FnOnce(Expr) -> Expr) -> Item {
    Item { expr: make(item.expr), nodes: item.nodes + 1, kind: Kind::Generic }
}

fn add(item: Item, offset: i64) -> Item {
    match item.expr {
        _ if offset == 0 => item,
        Expr::Address(LinkAddr(address)) => {
            Item { expr: Expr::Address(LinkAddr(address.wrapping_add_signed(offset))), ..item }
        }
        // Frame offsets on top of a CFA offset: one addition is enough.
        Expr::Binary(BinaryOp::Add, base, inner) if matches!(*inner, Expr::Constant(_)) => {
            let Expr::Constant(inner) = *inner else { unreachable!("matched above") };
            let sum = Box::new(Expr::Constant(inner.wrapping_add(offset)));
            Item { expr: Expr::Binary(BinaryOp::Add, base, sum), ..item }
        }
        expr => {
            let expr = Expr::Binary(BinaryOp::Add, Box::new(expr), Box::new(Expr::Constant(offset)));
            Item { expr, nodes: item.nodes + 2, kind: item.kind }
        }
    }
}

/// Old compilers give the offset in thread-local storage by DW_OP_addr.
fn as_offset(expr: Expr) -> Expr {
    match expr {
        Expr::Address(LinkAddr(offset)) => Expr::Constant(offset as i64),
        other => other,
    }
}

fn jump(from: usize, distance: i16, len: usize) -> Result<usize, LocationError> {
    let target = from.checked_add_signed(distance.into()).filter(|&target| target <= len);
    target.ok_or_else(|| unsupported("a jump out of the expression"))
}

/// Joins the two ways after a branch.
fn join(condition: Item, then: Outcome, otherwise: Outcome) -> Result<Outcome, LocationError> {
    let select = |then: Expr, otherwise: Expr| Expr::Select {
        condition: Box::new(condition.expr.clone()),
        then: Box::new(then),
        otherwise: Box::new(otherwise),
    };
    match (then, otherwise) {
        (Outcome::Stack(mut a), Outcome::Stack(mut b)) => {
            let (a, b) = (pop(&mut a)?, pop(&mut b)?);
            let nodes = condition.nodes + a.nodes + b.nodes + 1;
            let mut stack = Vec::new();
            push(&mut stack, Item { expr: select(a.expr, b.expr), nodes, kind: a.kind })?;
            Ok(Outcome::Stack(stack))
        }
        (Outcome::Place(Place::Value(a)), Outcome::Place(Place::Value(b))) => {
            Ok(Outcome::Place(Place::Value(select(a, b))))
        }
        _ => Err(unsupported("a branch between different kinds of location")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Elf;

    /// Translates expressions of a module without DWARF, whose frame base is rbp and whose CFA is rsp + 16.
    fn place_of(expression: &[u8]) -> Result<Place, LocationError> {
        let mut header = [0; 64];
        header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        (header[16], header[18]) = (2, 62);
        let elf = Elf::parse(&header).expect("a header is enough");
        let data = DebugData::new(&elf, &crate::dwarf::Parts::default());
        let around = Surroundings {
            data: &data,
            unit: 0,
            encoding: gimli::Encoding { format: gimli::Format::Dwarf32, version: 5, address_size: 8 },
            pc: LinkAddr(0x1000),
            frame_base: Some((gimli::Expression(Slice::new(&[0x56], gimli::LittleEndian)), 0)),
            cfa: &|| Some(Cfa::Register { register: 7, offset: 16 }),
            at_entry: expression.first() == Some(&0x96),
            pointed_to: &|_| Ok(Place::OptimizedOut),
        };
        Translator::new(&around).place(gimli::Expression(Slice::new(expression, gimli::LittleEndian)))
    }

    /// The tree of an expression that ends with DW_OP_stack_value.
    fn value_of(expression: &[u8]) -> String {
        match place_of(&[expression, &[0x9f]].concat()) {
            Ok(Place::Value(expr)) => expr.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn simple_locations() {
        assert_eq!(place_of(&[0x55]), Ok(Place::Register(5)));
        assert_eq!(place_of(&[0x90, 33]), Ok(Place::Register(33)));
        assert_eq!(place_of(&[]), Ok(Place::OptimizedOut));
        assert_eq!(place_of(&[0x9e, 2, 7, 8]), Ok(Place::Constant(vec![7, 8])));
        let address = [0x03, 0x10, 0x20, 0, 0, 0, 0, 0, 0];
        assert_eq!(place_of(&address), Ok(Place::Memory(Expr::Address(LinkAddr(0x2010)))));
        let thread_local = place_of(&[0x0e, 8, 0, 0, 0, 0, 0, 0, 0, 0xe0]);
        assert_eq!(thread_local, Ok(Place::Memory(Expr::ThreadLocal(Box::new(Expr::Constant(8))))));
    }

    #[test]
    fn frame_offsets_are_one_addition() {
        assert_eq!(value_of(&[0x91, 0x6c]), "Add(r6, -20)");
        assert_eq!(value_of(&[0x9c, 0x23, 8]), "Add(r7, 24)");
        assert_eq!(value_of(&[0x77, 0]), "r7");
    }

    #[test]
    fn arithmetic_and_the_stack() {
        assert_eq!(value_of(&[0x70, 0, 0x71, 4, 0x1c]), "Sub(r0, Add(r1, 4))");
        assert_eq!(value_of(&[0x31, 0x32, 0x16, 0x1c]), "Sub(2, 1)");
        assert_eq!(value_of(&[0x31, 0x32, 0x33, 0x17, 0x13, 0x1c]), "Sub(3, 1)");
        assert_eq!(value_of(&[0x70, 0, 0x12, 0x1e]), "Mul(r0, r0)");
        assert_eq!(value_of(&[0x70, 0, 0x06]), "load8(r0)");
        assert_eq!(value_of(&[0x70, 0, 0x94, 2, 0x1f]), "Neg(load2(r0))");
        assert_eq!(value_of(&[0x70, 0, 0x38, 0x1d]), "URem(r0, 8)");
        assert_eq!(value_of(&[0x70, 0, 0x38, 0x1b]), "Div(r0, 8)");
    }

    #[test]
    fn a_branch_becomes_a_choice() {
        // The smaller of rax and 5: rax; lit5; over; over; lt; bra +1 (drop the 5 … or keep it)
        let expression = [0x70, 0, 0x35, 0x2d, 0x28, 4, 0, 0x35, 0x2f, 2, 0, 0x70, 0];
        assert_eq!(value_of(&expression).split('?').next(), Some("(Lt(r0, 5) "));
        assert_eq!(value_of(&[0x30, 0x28, 4, 0, 0x31, 0x2f, 1, 0, 0x32]), "(0 ? 2 : 1)");
    }

    #[test]
    fn entry_values_are_plain_values_at_the_entry() {
        assert_eq!(value_of(&[0xa3, 1, 0x55]), "entry(r5)");
        // The test's surroundings are at the entry if the expression begins with DW_OP_nop.
        assert_eq!(value_of(&[0x96, 0xa3, 1, 0x55]), "r5");
    }

    #[test]
    fn pieces_keep_their_order_and_gaps() {
        let Ok(Place::Pieces(pieces)) = place_of(&[0x50, 0x93, 4, 0x93, 2, 0x91, 0x78, 0x9d, 5, 3]) else {
            panic!()
        };
        let shape: Vec<_> = pieces.iter().map(|p| (p.bits, p.bit_offset)).collect();
        assert_eq!(shape, [(32, 0), (16, 0), (5, 3)]);
        assert_eq!(pieces[0].place, Place::Register(0));
        assert_eq!(pieces[1].place, Place::OptimizedOut);
        assert!(matches!(pieces[2].place, Place::Memory(_)));
    }

    #[test]
    fn what_can_not_be_done_is_named() {
        assert_eq!(place_of(&[0x22]), Err(LocationError::StackUnderflow));
        assert_eq!(place_of(&[0x2f, 0xfd, 0xff]), Err(LocationError::TooLong));
        let doubling = [[0x12, 0x22]; 40].concat();
        assert_eq!(place_of(&[&[0x70, 0][..], &doubling].concat()), Err(LocationError::TooLong));
        let branching = [[0x31, 0x28, 0, 0]; 40].concat();
        assert_eq!(place_of(&[&[0x31][..], &branching].concat()), Err(LocationError::TooLong));
        assert!(matches!(place_of(&[0xff]), Err(LocationError::Dwarf(_))));
    }
}
