//! Values that a function was entered with and has not kept, as its callers know them (DWARF 5, 2.5.1.7 and 3.4): the
//! return address tells the call site, which says what it passed in terms of registers that calls preserve, and the
//! call frame information says where those are now.
//!
//! A return address is not where the function was called from if it has called itself by a jump meanwhile, so of a
//! function that may, nothing is said.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use rstap_abi::address::LinkAddr;

use super::{BinaryOp, Expr, LocationError, Spot};
use crate::cfi::{self, Cfa, Rule};
use crate::dwarf::{DebugData, Die, DieRef};
use crate::elf::Elf;

/// Callers of callers that are asked.
const MAX_CALLERS: usize = 3;
/// More call sites than this make too much code.
const MAX_SITES: usize = 200;
/// Bytes of `call rel32`.
const CALL: u64 = 5;
/// DWARF numbers (psABI, figure 3.36).
const RSP: usize = 7;
const RIP: usize = 16;

/// A value at a function's entry, by where the function was called from.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryValue {
    /// The run-time return address.
    pub return_address: Expr,
    /// Address in the file that it is in each case, and the value then.
    pub cases: Vec<(LinkAddr, Expr)>,
}

/// The calls of a module.
#[derive(Debug, Default)]
pub(crate) struct CallSites {
    /// By the address called.
    direct: HashMap<u64, Vec<Site>>,
    /// Calls by jumps, by the function that they are in.
    tails: HashMap<DieRef, Vec<DieRef>>,
}

#[derive(Clone, Copy, Debug)]
struct Site {
    /// The call returns to here.
    returns_to: LinkAddr,
    /// The DW_TAG_call_site.
    die: DieRef,
    /// The function that it is in, not an inlined one.
    caller: DieRef,
}

struct Found {
    die: DieRef,
    caller: DieRef,
    /// Address called and address returned to; `None` for a jump.
    call: Option<(u64, LinkAddr)>,
}

impl CallSites {
    /// Reads all units.
    pub fn read(data: &DebugData<'_>, elf: &Elf<'_>) -> CallSites {
        let units = 0..data.slots().len() as u32;
        let found: Vec<Found> = if data.is_large() {
            units.into_par_iter().with_max_len(1).flat_map_iter(|unit| of_unit(data, elf, unit)).collect()
        } else {
            units.flat_map(|unit| of_unit(data, elf, unit)).collect()
        };
        let mut sites = CallSites::default();
        for Found { die, caller, call } in found {
            match call {
                Some((target, returns_to)) => {
                    sites.direct.entry(target).or_default().push(Site { returns_to, die, caller });
                }
                None => sites.tails.entry(caller).or_default().push(die),
            }
        }
        sites
    }
}

/// What is found before an error is kept.
fn of_unit(data: &DebugData<'_>, elf: &Elf<'_>, unit: u32) -> Vec<Found> {
    let mut found = Vec::new();
    let _ = scan(data, elf, unit, &mut found);
    found
}

fn scan(data: &DebugData<'_>, elf: &Elf<'_>, unit: u32, found: &mut Vec<Found>) -> Option<()> {
    let mut raw = data.unit(unit).ok()?.entries_raw(None).ok()?;
    let mut caller: Option<(isize, DieRef)> = None;
    while !raw.is_empty() {
        let (depth, offset) = (raw.next_depth(), raw.next_offset().0);
        let Some(abbreviation) = raw.read_abbreviation().ok()? else { continue };
        raw.skip_attributes(abbreviation.attributes()).ok()?;
        let id = DieRef { unit, offset };
        caller = caller.filter(|(inside, _)| depth > *inside);
        match abbreviation.tag() {
            gimli::DW_TAG_subprogram => caller = Some((depth, id)),
            gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site => {
                let (Some((_, caller)), Ok(die)) = (caller, data.die(id)) else { continue };
                if die.flag(gimli::DW_AT_call_tail_call) || die.flag(gimli::DW_AT_GNU_tail_call) {
                    found.push(Found { die: id, caller, call: None });
                } else if let Some(call) = direct_call(elf, &die) {
                    found.push(Found { die: id, caller, call: Some(call) });
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// Where a `call rel32` goes, and where it returns to.
fn direct_call(elf: &Elf<'_>, site: &Die<'_, '_>) -> Option<(u64, LinkAddr)> {
    let returns_to =
        site.address(gimli::DW_AT_call_return_pc).or_else(|| site.address(gimli::DW_AT_low_pc))?;
    let bytes = elf.bytes_at(LinkAddr(returns_to.checked_sub(CALL)?), CALL as usize)?;
    let (&0xe8, distance) = bytes.split_first()? else { return None };
    let distance = i32::from_le_bytes(distance.try_into().ok()?);
    Some((returns_to.wrapping_add_signed(distance.into()), LinkAddr(returns_to)))
}

/// What registers of a frame are, in terms of those of the frame at the probe; `None` where that is not known.
type Registers = [Option<Expr>; 17];

/// What is asked of the callers.
#[derive(Clone, Copy)]
enum Asked {
    Register(u16),
    Parameter(DieRef),
}

/// The value of `asked` (a register, or a parameter that is not kept) at the entry of the function at `spot`.
pub(crate) fn entry_value<'m, 'd>(
    spot: &Spot<'m, 'd>,
    sites: &CallSites,
    asked: &Expr,
) -> Result<EntryValue, LocationError> {
    let asked = match asked {
        Expr::Register(number) => Asked::Register(*number),
        Expr::Parameter(die) => Asked::Parameter(*die),
        _ => return Err(unknown("of an expression")),
    };
    let now: Registers = std::array::from_fn(|number| Some(Expr::Register(number as u16)));
    in_frame(spot, sites, asked, &now, MAX_CALLERS)
}

fn unknown(what: &str) -> LocationError {
    LocationError::Unsupported(format!("the value at the function's entry {what}"))
}

fn in_frame<'m, 'd>(
    spot: &Spot<'m, 'd>,
    sites: &CallSites,
    asked: Asked,
    registers: &Registers,
    callers: usize,
) -> Result<EntryValue, LocationError> {
    let callers = callers.checked_sub(1).ok_or_else(|| unknown("of a caller's caller"))?;
    let frame = spot.frame.ok_or_else(|| unknown("of no function"))?;
    let function = spot.data.die(frame)?;
    let entry = function.ranges().first().map(|range| range.0).ok_or_else(|| unknown("of no code"))?;
    if may_jump_to_itself(spot.data, sites, &function)? {
        return Err(unknown("of a function that may call itself by a jump"));
    }
    let (cfa, caller_registers) = unwind(spot, registers).ok_or(LocationError::NoCfi { pc: spot.pc.0 })?;
    let return_address = Expr::Load { address: Box::new(plus(cfa, -8)), size: 8 };
    let calls = sites.direct.get(&entry).map(Vec::as_slice).unwrap_or_default();
    if calls.len() > MAX_SITES {
        return Err(unknown("of a function that is called from too many places"));
    }
    let mut cases = Vec::new();
    for site in calls {
        if let Some(value) = passed(spot, sites, site, asked, &caller_registers, callers) {
            cases.push((site.returns_to, value));
        }
    }
    match cases.is_empty() {
        true => Err(unknown("that no caller tells")),
        false => Ok(EntryValue { return_address, cases }),
    }
}

/// What a call site says it passes, in terms of the registers at the probe.
fn passed<'m, 'd>(
    spot: &Spot<'m, 'd>,
    sites: &CallSites,
    site: &Site,
    asked: Asked,
    registers: &Registers,
    callers: usize,
) -> Option<Expr> {
    let die = spot.data.die(site.die).ok()?;
    let parameters = die.children().ok()?;
    let parameter = parameters.iter().find(|parameter| is_asked(parameter, asked))?;
    let value = [gimli::DW_AT_call_value, gimli::DW_AT_GNU_call_site_value];
    let value = value.into_iter().find_map(|name| parameter.attr(name))?.exprloc_value()?;
    // The call is before its return address, which may be behind the end of the caller.
    let call = LinkAddr(site.returns_to.0.checked_sub(1)?);
    let caller = Spot { frame: Some(site.caller), pc: call, ..*spot };
    let value = caller.value_of(parameter, value).ok()?;
    substitute(&value, registers, &|asked| {
        let entry = in_frame(&caller, sites, asked, registers, callers).ok()?;
        Some(Expr::ByCaller(Box::new(entry)))
    })
}

fn is_asked(parameter: &Die<'_, '_>, asked: Asked) -> bool {
    match asked {
        Asked::Register(number) => {
            let Some(location) = parameter.attr(gimli::DW_AT_location) else { return false };
            let mut operations = match location.exprloc_value() {
                Some(expression) => expression.operations(parameter.unit.encoding()),
                None => return false,
            };
            matches!(operations.next(), Ok(Some(gimli::Operation::Register { register })) if register.0 == number)
                && matches!(operations.next(), Ok(None))
        }
        Asked::Parameter(die) => {
            let of = [gimli::DW_AT_call_parameter, gimli::DW_AT_abstract_origin];
            of.into_iter().any(|name| parameter.reference(name) == Some(die))
        }
    }
}

/// The CFA of a frame and the registers of its caller.
fn unwind(spot: &Spot<'_, '_>, registers: &Registers) -> Option<(Expr, Registers)> {
    let rules = cfi::rules_at(spot.elf, spot.debug, spot.pc)?;
    let Cfa::Register { register, offset } = rules.cfa else { return None };
    let cfa = plus(registers.get(usize::from(register))?.clone()?, offset);
    let mut caller: Registers = std::array::from_fn(|number| match rules.registers[number] {
        // A call site names only registers that hold after the call what they held before, so the function leaves
        // them alone where it has not saved them (gcc's -fipa-ra keeps values in others than the psABI has).
        Rule::Same => registers[number].clone(),
        Rule::AtCfa(offset) => Some(Expr::Load { address: Box::new(plus(cfa.clone(), offset)), size: 8 }),
        Rule::Register(other) => registers.get(usize::from(other)).cloned().flatten(),
        Rule::Other => None,
    });
    (caller[RSP], caller[RIP]) = (Some(cfa.clone()), None);
    Some((cfa, caller))
}

fn plus(base: Expr, offset: i64) -> Expr {
    match base {
        base if offset == 0 => base,
        Expr::Binary(BinaryOp::Add, inner, by) if matches!(*by, Expr::Constant(_)) => match *by {
            Expr::Constant(by) => plus(*inner, by.wrapping_add(offset)),
            by => Expr::Binary(BinaryOp::Add, inner, Box::new(by)),
        },
        base => Expr::Binary(BinaryOp::Add, Box::new(base), Box::new(Expr::Constant(offset))),
    }
}

/// The expression with another frame's registers; `None` if one is needed that is not known.
fn substitute(expr: &Expr, registers: &Registers, at_entry: &dyn Fn(Asked) -> Option<Expr>) -> Option<Expr> {
    let inner = |e: &Expr| substitute(e, registers, at_entry).map(Box::new);
    Some(match expr {
        Expr::Register(number) => registers.get(usize::from(*number))?.clone()?,
        Expr::Constant(_) | Expr::Address(_) => expr.clone(),
        Expr::Parameter(die) => at_entry(Asked::Parameter(*die))?,
        Expr::EntryValue(of) => match **of {
            Expr::Register(number) => at_entry(Asked::Register(number))?,
            _ => return None,
        },
        Expr::ByCaller(_) | Expr::Object => return None,
        Expr::ThreadLocal(e) => Expr::ThreadLocal(inner(e)?),
        Expr::Load { address, size } => Expr::Load { address: inner(address)?, size: *size },
        Expr::Unary(op, e) => Expr::Unary(*op, inner(e)?),
        Expr::Binary(op, a, b) => Expr::Binary(*op, inner(a)?, inner(b)?),
        Expr::Extend { value, bits, signed } => {
            Expr::Extend { value: inner(value)?, bits: *bits, signed: *signed }
        }
        Expr::Select { condition, then, otherwise } => {
            Expr::Select { condition: inner(condition)?, then: inner(then)?, otherwise: inner(otherwise)? }
        }
    })
}

/// A function, however many entries describe it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Identity<'d> {
    External(&'d str),
    Local(DieRef),
}

fn identity<'d>(die: &Die<'_, 'd>) -> Result<Identity<'d>, LocationError> {
    let chain = die.chain()?;
    let name = |attribute| chain.iter().find_map(|link| link.string(attribute));
    let external = chain.iter().any(|link| link.flag(gimli::DW_AT_external));
    let name = name(gimli::DW_AT_linkage_name).or_else(|| name(gimli::DW_AT_name));
    Ok(match name {
        Some(name) if external => Identity::External(name),
        _ => Identity::Local(chain.last().map_or(die.id, |root| root.id)),
    })
}

/// Whether the function may come to run again in its own frame. If the compiler does not tell all its jumps: yes.
fn may_jump_to_itself(
    data: &DebugData<'_>,
    sites: &CallSites,
    function: &Die<'_, '_>,
) -> Result<bool, LocationError> {
    const TELLS_ALL: [gimli::DwAt; 5] = [
        gimli::DW_AT_call_all_calls,
        gimli::DW_AT_call_all_source_calls,
        gimli::DW_AT_call_all_tail_calls,
        gimli::DW_AT_GNU_all_call_sites,
        gimli::DW_AT_GNU_all_tail_call_sites,
    ];
    if !TELLS_ALL.iter().any(|attribute| function.flag(*attribute)) {
        return Ok(true);
    }
    let itself = identity(function)?;
    let mut bodies: HashMap<Identity<'_>, Vec<DieRef>> = HashMap::new();
    for caller in sites.tails.keys().filter(|caller| **caller != function.id) {
        bodies.entry(identity(&data.die(*caller)?)?).or_default().push(*caller);
    }
    let mut seen = HashSet::new();
    let mut pending = vec![function.id];
    while let Some(body) = pending.pop() {
        for site in sites.tails.get(&body).into_iter().flatten() {
            let site = data.die(*site)?;
            let target = [gimli::DW_AT_call_origin, gimli::DW_AT_abstract_origin];
            let Some(target) = target.into_iter().find_map(|name| site.reference(name)) else {
                return Ok(true);
            };
            let target = identity(&data.die(target)?)?;
            if target == itself {
                return Ok(true);
            }
            if seen.insert(target) {
                pending.extend(bodies.get(&target).into_iter().flatten());
            }
        }
    }
    Ok(false)
}
