//! The handler that prints, at the end, globals which the script writes and never reads: `name=value`, arrays by
//! falling value, statistics with their extractors (stap(1), VARIABLES).

use rstap_abi::format::{UNSET, conversion};
use rstap_abi::layout::{MapShape, ValueShape, order, stat_op};

use crate::ir::{
    Directive, Expr, ExprKind, Foreach, Format, Global, GlobalId, GlobalKind, Handler, Local, LocalId, Place,
    SiteId, StatRef, Stmt, Type,
};
use crate::lower::add_text;

/// The handler for these globals.
pub fn handler(globals: &[(GlobalId, &Global)], site: SiteId) -> Handler {
    let mut printer = Printer { locals: Vec::new(), site };
    let body = globals.iter().map(|&(id, global)| printer.global(id, global)).collect();
    Handler {
        name: "end".to_owned(),
        locals: printer.locals,
        body,
        locks: Vec::new(),
        conditions: Vec::new(),
    }
}

struct Printer {
    locals: Vec<Local>,
    site: SiteId,
}

impl Printer {
    fn global(&mut self, id: GlobalId, global: &Global) -> Stmt {
        match global.kind {
            GlobalKind::Scalar(ty) => {
                let mut line = Line::new(&global.name);
                let read = ExprKind::Read(Place::Global(id), self.site);
                line.text("=");
                line.value(ty, Expr { ty, kind: read });
                line.end(self.site)
            }
            GlobalKind::Stat(_) => self.stat(Line::new(&global.name), StatRef::Global(id)),
            GlobalKind::Map(shape) => self.map(id, &global.name, &shape),
        }
    }

    fn map(&mut self, id: GlobalId, name: &str, shape: &MapShape) -> Stmt {
        let mut line = Line::new(name);
        let mut keys = Vec::new();
        for part in 0..u32::from(shape.key_count) {
            let ty = if shape.string_keys >> part & 1 == 1 { Type::Str } else { Type::Long };
            let local = self.local(format!("k{part}"), ty);
            line.text(if part == 0 { "[" } else { "," });
            line.value(ty, self.read(local, ty));
            keys.push(Some(local));
        }
        line.text("]");
        let (value_type, by) = match shape.value {
            ValueShape::Long => (Type::Long, order::VALUE),
            ValueShape::String => (Type::Str, order::VALUE),
            ValueShape::Stat(_) => (Type::Long, order::STAT + stat_op::COUNT),
        };
        let value = self.local("v".to_owned(), value_type);
        let print = if let ValueShape::Stat(_) = shape.value {
            self.stat(line, StatRef::Local(value))
        } else {
            line.text("=");
            line.value(value_type, self.read(value, value_type));
            line.end(self.site)
        };
        Stmt::Foreach(Box::new(Foreach {
            map: id,
            keys,
            value: Some(value),
            slice: Vec::new(),
            order: by + order::DESCENDING,
            limit: None,
            body: vec![print],
            site: self.site,
        }))
    }

    /// All extractors; of an empty statistic only those that have a value.
    fn stat(&self, line: Line, stat: StatRef) -> Stmt {
        let extract = |op| Expr { ty: Type::Long, kind: ExprKind::Stat(stat.clone(), op, self.site) };
        let mut empty = line.clone();
        empty.text(" @count=0");
        let mut filled = line;
        let parts = [
            ("count", stat_op::COUNT),
            ("min", stat_op::MIN),
            ("max", stat_op::MAX),
            ("sum", stat_op::SUM),
            ("avg", stat_op::AVG),
        ];
        for (name, op) in parts {
            filled.text(&format!(" @{name}="));
            filled.value(Type::Long, extract(op));
        }
        Stmt::If(extract(stat_op::COUNT), vec![filled.end(self.site)], vec![empty.end(self.site)])
    }

    fn local(&mut self, name: String, ty: Type) -> LocalId {
        self.locals.push(Local { name, ty });
        LocalId(self.locals.len() as u32 - 1)
    }

    fn read(&self, local: LocalId, ty: Type) -> Expr {
        Expr { ty, kind: ExprKind::Read(Place::Local(local), self.site) }
    }
}

/// A line of output in the making.
#[derive(Clone)]
struct Line {
    format: Format,
}

impl Line {
    fn new(name: &str) -> Line {
        let mut line = Line { format: Format { directives: Vec::new(), args: Vec::new() } };
        line.text(name);
        line
    }

    fn text(&mut self, text: &str) {
        add_text(&mut self.format.directives, text.as_bytes());
    }

    /// A number, or a string in quotes.
    fn value(&mut self, ty: Type, value: Expr) {
        let (quote, conversion) = match ty {
            Type::Long => ("", conversion::SIGNED),
            Type::Str => ("\"", conversion::STRING),
        };
        self.text(quote);
        self.format.directives.push(Directive::Conversion {
            conversion,
            flags: 0,
            width: UNSET,
            precision: UNSET,
        });
        self.format.args.push(value);
        self.text(quote);
    }

    fn end(mut self, site: SiteId) -> Stmt {
        self.text("\n");
        Stmt::Print(self.format, site)
    }
}
