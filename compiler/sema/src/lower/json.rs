//! `print_json(global)` in terms of what there is: a walk over the array that prints an object for each element.

use rstap_abi::format::{UNSET, conversion};
use rstap_abi::layout::{order, stat_op};
use rstap_syntax::source::Span;

use super::Lowerer;
use super::stmt::{add_text, add_value};
use crate::ir::{self, Directive, ExprKind, Place, StatRef, Stmt, Type};
use crate::types::Ty;

/// Extractors that an object shows, in its order.
const SHOWN: [(&str, u64); 5] = [
    ("count", stat_op::COUNT),
    ("sum", stat_op::SUM),
    ("min", stat_op::MIN),
    ("max", stat_op::MAX),
    ("avg", stat_op::AVG),
];

impl Lowerer<'_, '_> {
    /// `[{"key":K,"value":V},…]` of an array, K being a list if the key has parts; the value of a scalar.
    pub(super) fn json(&mut self, global: usize, token: Span) -> Vec<Stmt> {
        let (id, site) = (self.map_id(global), self.site(token));
        let (keys, value) = (self.types.globals[global].keys.clone(), self.types.globals[global].value);
        let mut line = ir::Format { directives: Vec::new(), args: Vec::new() };
        if keys.is_empty() {
            if value == Ty::Stat {
                return vec![statistic(&StatRef::Global(id), &[], b"\n", site)];
            }
            let ty = value.value();
            add(&mut line, ir::Expr { ty, kind: ExprKind::Read(Place::Global(id), site) });
            add_text(&mut line.directives, b"\n");
            return vec![Stmt::Print(line, site)];
        }
        let read = |local, ty| ir::Expr { ty, kind: ExprKind::Read(Place::Local(local), site) };
        let separator = self.json_local("separator", Type::Str);
        let set = |text: &[u8]| {
            let text = Box::new(ir::Expr { ty: Type::Str, kind: ExprKind::Str(text.to_vec()) });
            let kind = ExprKind::Assign(Place::Local(separator), text, site);
            Stmt::Expr(ir::Expr { ty: Type::Str, kind })
        };
        add_value(&mut line, read(separator, Type::Str));
        let is_list = keys.len() > 1;
        add_text(&mut line.directives, if is_list { b"{\"key\":[" } else { b"{\"key\":" });
        let mut parts = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let part = self.json_local(&format!("key{i}"), key.value());
            if i > 0 {
                add_text(&mut line.directives, b",");
            }
            add(&mut line, read(part, key.value()));
            parts.push(Some(part));
        }
        add_text(&mut line.directives, if is_list { b"],\"value\":" } else { b",\"value\":" });
        let element = self.json_local("value", value.value());
        let print = if value == Ty::Stat {
            let before = line.directives.clone();
            statistic_with(&StatRef::Local(element), before, line.args, b"}", site)
        } else {
            add(&mut line, read(element, value.value()));
            add_text(&mut line.directives, b"}");
            Stmt::Print(line, site)
        };
        let walk = ir::Foreach {
            map: id,
            keys: parts,
            value: Some(element),
            slice: Vec::new(),
            order: order::NONE,
            limit: None,
            body: vec![print, set(b",")],
            site,
        };
        let text = |text: &[u8]| {
            let directives = vec![Directive::Literal(text.to_vec())];
            Stmt::Print(ir::Format { directives, args: Vec::new() }, site)
        };
        vec![set(b""), text(b"["), Stmt::Foreach(Box::new(walk)), text(b"]\n")]
    }

    fn json_local(&mut self, name: &str, ty: Type) -> ir::LocalId {
        self.unit.locals.push(ir::Local { name: format!("_json_{name}"), ty });
        ir::LocalId(self.unit.locals.len() as u32 - 1)
    }
}

/// Appends a value as JSON has it.
pub(super) fn add(format: &mut ir::Format, value: ir::Expr) {
    match &value.kind {
        ExprKind::Str(text) => add_text(&mut format.directives, &crate::json::quoted(text)),
        _ if value.ty == Type::Str => {
            let (width, precision) = (UNSET, UNSET);
            let conversion = conversion::JSON;
            format.directives.push(Directive::Conversion { conversion, flags: 0, width, precision });
            format.args.push(value);
        }
        _ => add_value(format, value),
    }
}

/// Prints a statistic: an empty one has its count only.
fn statistic(stat: &StatRef, before: &[u8], after: &[u8], site: ir::SiteId) -> Stmt {
    let mut directives = Vec::new();
    add_text(&mut directives, before);
    let extract = |op| ir::Expr { ty: Type::Long, kind: ExprKind::Stat(stat.clone(), op, site) };
    let mut empty = ir::Format { directives: directives.clone(), args: Vec::new() };
    add_text(&mut empty.directives, b"{\"count\":0}");
    add_text(&mut empty.directives, after);
    let filled = statistic_with(stat, directives, Vec::new(), after, site);
    Stmt::If(extract(stat_op::COUNT), vec![filled], vec![Stmt::Print(empty, site)])
}

/// Prints a statistic that is not empty, behind what the directives and arguments print.
fn statistic_with(
    stat: &StatRef,
    directives: Vec<Directive>,
    args: Vec<ir::Expr>,
    after: &[u8],
    site: ir::SiteId,
) -> Stmt {
    let mut format = ir::Format { directives, args };
    for (i, (name, op)) in SHOWN.iter().enumerate() {
        let comma = if i == 0 { "{" } else { "," };
        add_text(&mut format.directives, format!("{comma}\"{name}\":").as_bytes());
        format.args.push(ir::Expr { ty: Type::Long, kind: ExprKind::Stat(stat.clone(), *op, site) });
        let conversion = conversion::SIGNED;
        format.directives.push(Directive::Conversion {
            conversion,
            flags: 0,
            width: UNSET,
            precision: UNSET,
        });
    }
    add_text(&mut format.directives, b"}");
    add_text(&mut format.directives, after);
    Stmt::Print(format, site)
}
