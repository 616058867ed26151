//! Short names for building IR by hand.

use rstap_abi::format::{UNSET, conversion};
use rstap_abi::limits::Limits;
use rstap_program::{Initial, Point, Site};
use rstap_sema::ir::*;

/// Site 0, which every script here has.
pub const SITE: SiteId = SiteId(0);

pub fn num(value: i64) -> Expr {
    Expr { ty: Type::Long, kind: ExprKind::Long(value) }
}

pub fn text(value: &str) -> Expr {
    Expr { ty: Type::Str, kind: ExprKind::Str(value.as_bytes().to_vec()) }
}

pub fn long(kind: ExprKind) -> Expr {
    Expr { ty: Type::Long, kind }
}

pub fn string(kind: ExprKind) -> Expr {
    Expr { ty: Type::Str, kind }
}

pub fn local(index: u32, ty: Type) -> Expr {
    Expr { ty, kind: ExprKind::Read(Place::Local(LocalId(index)), SITE) }
}

pub fn global(index: u32, ty: Type) -> Expr {
    Expr { ty, kind: ExprKind::Read(Place::Global(GlobalId(index)), SITE) }
}

pub fn element(index: u32, key: Vec<Expr>, ty: Type) -> Expr {
    Expr { ty, kind: ExprKind::Read(Place::Element(GlobalId(index), key.into()), SITE) }
}

pub fn binary(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr { ty: a.ty, kind: ExprKind::Binary(op, Box::new(a), Box::new(b), SITE) }
}

pub fn compare(op: CompareOp, a: Expr, b: Expr) -> Expr {
    long(ExprKind::Compare(op, Box::new(a), Box::new(b)))
}

pub fn assign(place: Place, value: Expr) -> Stmt {
    Stmt::Expr(Expr { ty: value.ty, kind: ExprKind::Assign(place, Box::new(value), SITE) })
}

pub fn set(index: u32, value: Expr) -> Stmt {
    assign(Place::Local(LocalId(index)), value)
}

pub fn update(place: Place, op: BinaryOp, operand: Expr, yields_old: bool) -> Expr {
    Expr {
        ty: operand.ty,
        kind: ExprKind::Update { place, op, operand: Box::new(operand), yields_old, site: SITE },
    }
}

/// `println(a, b…)` without the commas.
pub fn print(args: Vec<Expr>) -> Stmt {
    let mut directives: Vec<Directive> = args
        .iter()
        .map(|arg| Directive::Conversion {
            conversion: if arg.ty == Type::Str { conversion::STRING } else { conversion::SIGNED },
            flags: 0,
            width: UNSET,
            precision: UNSET,
        })
        .collect();
    directives.push(Directive::Literal(b"\n".to_vec()));
    Stmt::Print(Format { directives, args }, SiteId(0))
}

pub fn locals(types: &[Type]) -> Vec<Local> {
    types.iter().enumerate().map(|(i, ty)| Local { name: format!("l{i}"), ty: *ty }).collect()
}

pub fn scalar(name: &str, ty: Type) -> Global {
    Global { name: name.to_owned(), kind: GlobalKind::Scalar(ty), initial: Initial::Zero, sharded: false }
}

/// A script with one begin probe.
pub fn script(
    globals: Vec<Global>,
    functions: Vec<Function>,
    local_types: &[Type],
    body: Vec<Stmt>,
) -> Script {
    let locks =
        (0..globals.len()).map(|g| Lock { global: GlobalId(g as u32), write: true, gather: false }).collect();
    Script {
        globals,
        functions,
        handlers: vec![Handler {
            name: "begin".to_owned(),
            locals: locals(local_types),
            body,
            locks,
            conditions: Vec::new(),
        }],
        probes: vec![DerivedProbe {
            point: Point::Begin(0),
            pp: "begin".to_owned(),
            pn: "begin".to_owned(),
            function: String::new(),
            place: String::new(),
            handler: HandlerId(0),
            flags: rstap_abi::context::flags::INTERRUPTIBLE,
            condition: None,
            entry: None,
            entry_bytes: 0,
        }],
        conditions: Vec::new(),
        modules: Vec::new(),
        sites: vec![Site { token: "identifier 'x'".to_owned(), place: "test:1:1".to_owned() }],
        limits: Limits::DEFAULT,
    }
}
