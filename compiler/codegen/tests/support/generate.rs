//! Random well-typed scripts. They end because actions run out; they fault on purpose now and then.

use rstap_abi::builtins::Builtin;
use rstap_abi::format::{FROM_ARGUMENT, UNSET, conversion, flag};
use rstap_abi::layout::{order, stat_op};
use rstap_program::Point;
use rstap_sema::ir::*;

use super::build::{locals, script};
use super::dice::Random;
use super::globals::*;

const LONG_LOCALS: u32 = 3;
const STRING_LOCALS: u32 = 3;

/// What may be used where code is being made.
#[derive(Clone)]
struct Scope {
    longs: Vec<u32>,
    strings: Vec<u32>,
    /// Locals that stand for statistics.
    stats: Vec<u32>,
    in_loop: bool,
    walking: bool,
    /// Of the function; `None` in a handler.
    ret: Option<Option<Type>>,
    may_decline: bool,
    depth: u32,
}

struct Generator {
    random: Random,
    sites: u32,
    /// Parameter types and result of each function that can be called.
    functions: Vec<(Vec<Type>, Option<Type>)>,
    locals: Vec<Type>,
    /// Keys of the body that is being made.
    keys: Vec<Vec<Expr>>,
}

/// A script for a seed: one probe that does anything, one that shows what became of the globals.
pub fn generate(seed: u64) -> Script {
    let mut generator = Generator {
        random: Random::new(seed),
        sites: 0,
        functions: Vec::new(),
        locals: Vec::new(),
        keys: Vec::new(),
    };
    let count = generator.random.below(4);
    for _ in 0..count {
        let params = (0..generator.random.below(3)).map(|_| generator.ty()).collect();
        let ret = if generator.random.chance(4) { None } else { Some(generator.ty()) };
        generator.functions.push((params, ret));
    }
    let functions = (0..count as usize).map(|index| generator.function(index)).collect();
    let body = generator.handler();
    let types = generator.locals.clone();
    let mut script = script(globals(), functions, &types, body);
    let dump = generator.dump();
    script.handlers.push(Handler {
        locals: locals(&generator.locals),
        body: dump,
        ..script.handlers[0].clone()
    });
    script.probes.push(DerivedProbe { handler: HandlerId(1), ..script.probes[0].clone() });
    script.sites = vec![script.sites[0].clone(); generator.sites as usize + 1];
    script.limits.max_string_len = generator.random.pick(&[512, 24, 9]);
    script.limits.max_action_interruptible = generator.random.pick(&[2000, 400, 30]);
    script.limits.max_nesting = generator.random.pick(&[10, 3]);
    if generator.random.chance(2) {
        // The first handler is one of a program's: it is compiled with another aim.
        script.probes[0].point = Point::Never;
    }
    rstap_sema::shards::assign(&mut script);
    rstap_sema::locks::assign(&mut script);
    rstap_sema::keys::assign(&mut script);
    script
}

impl Generator {
    fn ty(&mut self) -> Type {
        self.random.pick(&[Type::Long, Type::Str])
    }

    fn site(&mut self) -> SiteId {
        self.sites += 1;
        SiteId(self.sites)
    }

    fn local(&mut self, ty: Type) -> u32 {
        self.locals.push(ty);
        self.locals.len() as u32 - 1
    }

    /// Begins a body with these parameters.
    fn scope(&mut self, params: &[Type], ret: Option<Option<Type>>, may_decline: bool) -> Scope {
        self.locals = params.to_vec();
        self.keys.clear();
        self.locals.extend([Type::Long; LONG_LOCALS as usize]);
        self.locals.extend([Type::Str; STRING_LOCALS as usize]);
        let of =
            |ty: Type| (0..self.locals.len() as u32).filter(|l| self.locals[*l as usize] == ty).collect();
        Scope {
            longs: of(Type::Long),
            strings: of(Type::Str),
            stats: Vec::new(),
            in_loop: false,
            walking: false,
            ret,
            may_decline,
            depth: 0,
        }
    }

    fn function(&mut self, index: usize) -> Function {
        let (params, ret) = self.functions[index].clone();
        let can_decline = self.random.chance(3);
        let scope = self.scope(&params, Some(ret), can_decline);
        let mut body = self.statements(&scope);
        if let Some(ret) = ret {
            body.push(Stmt::Return(Some(self.expr(ret, 3, &scope))));
        }
        Function {
            name: format!("f{index}"),
            param_count: params.len() as u32,
            locals: locals(&self.locals),
            ret,
            can_decline,
            body,
        }
    }

    fn handler(&mut self) -> Vec<Stmt> {
        let scope = self.scope(&[], None, false);
        let mut body = Vec::new();
        for _ in 0..3 {
            body.extend(self.statements(&scope));
        }
        body
    }

    fn dump(&mut self) -> Vec<Stmt> {
        let scope = self.scope(&[], None, false);
        let mut args = Vec::new();
        for (numbers, ty) in [(LONGS, Type::Long), (STRINGS, Type::Str)] {
            for number in numbers {
                args.push(self.read(Place::Global(GlobalId(number)), ty));
            }
        }
        args.push(self.read(Place::Global(GlobalId(SUM)), Type::Long));
        for number in [STAT_LOG, STAT_LINEAR, TALLY] {
            args.push(self.extract(StatRef::Global(GlobalId(number)), stat_op::COUNT));
            args.push(self.extract(StatRef::Global(GlobalId(number)), stat_op::SUM));
        }
        let mut body = vec![self.show(args)];
        for map in [MAP_LONG, MAP_STRING, MAP_STAT, SUMS, TALLIES] {
            body.push(self.walk(map, true, &scope));
        }
        body
    }

    fn show(&mut self, args: Vec<Expr>) -> Stmt {
        let mut directives = Vec::new();
        for arg in &args {
            let conversion = if arg.ty == Type::Str { conversion::STRING } else { conversion::SIGNED };
            directives.push(Directive::Conversion { conversion, flags: 0, width: UNSET, precision: UNSET });
            directives.push(Directive::Literal(b" ".to_vec()));
        }
        directives.push(Directive::Literal(b"\n".to_vec()));
        Stmt::Print(Format { directives, args }, SiteId(0))
    }

    fn statements(&mut self, scope: &Scope) -> Vec<Stmt> {
        let count = 1 + self.random.below(4);
        let inner = Scope { depth: scope.depth + 1, ..scope.clone() };
        (0..count).map(|_| self.statement(&inner)).collect()
    }

    fn statement(&mut self, scope: &Scope) -> Stmt {
        let kinds = if scope.depth > 3 { 12 } else { 18 };
        match self.random.below(kinds) {
            0..3 => self.assignment(scope),
            3 => self.addition(scope),
            4 | 5 => {
                let args = (0..1 + self.random.below(3)).map(|_| self.any(3, scope)).collect();
                self.show(args)
            }
            6 => Stmt::Print(self.format(scope), SiteId(0)),
            7 => {
                let stat = self.stat(scope, true);
                let value = self.small(scope);
                let site = self.site();
                Stmt::Aggregate(stat, value, site)
            }
            8 => self.deletion(scope),
            10 => self.rare(scope),
            11 if scope.ret.is_none() => {
                let ty = self.ty();
                let value = self.expr(ty, 3, scope);
                let slot = self.random.below(3) as u32;
                Stmt::SaveEntry(if ty == Type::Str { 64 + 544 * slot } else { 8 * slot }, value)
            }
            9 | 11 => {
                let expr = self.any(3, scope);
                Stmt::Expr(expr)
            }
            12 | 13 => {
                let condition = self.expr(Type::Long, 3, scope);
                let then = self.statements(scope);
                let otherwise = if self.random.chance(2) { self.statements(scope) } else { Vec::new() };
                Stmt::If(condition, then, otherwise)
            }
            14 => self.repeat(scope),
            15 => {
                let map = self.random.pick(&[MAP_LONG, MAP_STRING, MAP_STAT]);
                self.walk(map, false, scope)
            }
            16 => {
                let local = self.local(Type::Long);
                let stat = self.stat(scope, false);
                let mut inner = Scope { in_loop: true, ..scope.clone() };
                inner.longs.push(local);
                let body = self.statements(&inner);
                Stmt::ForeachBucket(LocalId(local), stat, body)
            }
            _ => {
                let body = self.statements(scope);
                let message =
                    if self.random.chance(3) { None } else { Some(self.random.pick(&scope.strings)) };
                let catch = self.statements(scope);
                Stmt::Try(body, message.map(LocalId), catch)
            }
        }
    }

    /// Statements that end something, or fault.
    fn rare(&mut self, scope: &Scope) -> Stmt {
        match self.random.below(6) {
            0 if scope.in_loop => Stmt::Break,
            1 if scope.in_loop => Stmt::Continue,
            2 => match scope.ret {
                None => Stmt::Return(None),
                Some(ret) => Stmt::Return(ret.map(|ret| self.expr(ret, 2, scope))),
            },
            3 if self.random.chance(2) => Stmt::Next,
            4 if scope.may_decline => Stmt::Decline,
            5 if self.random.chance(2) => {
                let text = self.expr(Type::Str, 2, scope);
                let site = self.site();
                Stmt::Expr(Expr { ty: Type::Long, kind: ExprKind::Builtin(Builtin::raise, vec![text], site) })
            }
            _ => Stmt::PrintHistogram(self.stat(scope, false)),
        }
    }

    fn repeat(&mut self, scope: &Scope) -> Stmt {
        let condition = if self.random.chance(6) { None } else { Some(self.expr(Type::Long, 2, scope)) };
        let body = self.statements(&Scope { in_loop: true, ..scope.clone() });
        let step = if self.random.chance(2) { Some(self.any(2, scope)) } else { None };
        Stmt::Loop(condition, body, step)
    }

    fn walk(&mut self, map: u32, dump: bool, scope: &Scope) -> Stmt {
        let (key_types, value): (&[Type], _) = match map {
            MAP_STRING => (&[Type::Str, Type::Long], Some(Type::Str)),
            MAP_LONG | SUMS => (&[Type::Long], Some(Type::Long)),
            _ => (&[Type::Long], None),
        };
        let mut inner = Scope { in_loop: true, walking: true, ..scope.clone() };
        let mut keys = Vec::new();
        for ty in key_types {
            let used = dump || !self.random.chance(4);
            keys.push(used.then(|| LocalId(self.local(*ty))));
        }
        let value_local =
            (dump || self.random.chance(2)).then(|| LocalId(self.local(value.unwrap_or(Type::Long))));
        for local in keys.iter().flatten().chain(value_local.iter().filter(|_| value.is_some())) {
            match self.locals[local.0 as usize] {
                Type::Long => inner.longs.push(local.0),
                Type::Str => inner.strings.push(local.0),
            }
        }
        if value.is_none() {
            inner.stats.extend(value_local.map(|local| local.0));
        }
        let slice = if dump || self.random.chance(2) {
            Vec::new()
        } else {
            key_types
                .iter()
                .map(|ty| if self.random.chance(2) { None } else { Some(self.key_part(*ty, scope)) })
                .collect()
        };
        let limit = if dump || self.random.chance(2) { None } else { Some(self.small(scope)) };
        let by = if dump { order::NONE } else { self.order(key_types.len() as u64, value) };
        let body = if dump {
            let mut args: Vec<Expr> = Vec::new();
            for local in keys.iter().flatten().chain(value_local.iter().filter(|_| value.is_some())) {
                let ty = self.locals[local.0 as usize];
                args.push(self.read(Place::Local(*local), ty));
            }
            if value.is_none() {
                let local = value_local.expect("a dump shows the value");
                args.push(self.extract(StatRef::Local(local), stat_op::SUM));
            }
            vec![self.show(args)]
        } else {
            self.statements(&inner)
        };
        Stmt::Foreach(Box::new(Foreach {
            map: GlobalId(map),
            keys,
            value: value_local,
            slice,
            order: by,
            limit,
            body,
            site: self.site(),
        }))
    }

    fn order(&mut self, keys: u64, value: Option<Type>) -> u64 {
        let by = match self.random.below(3) {
            0 => return order::NONE,
            1 => order::KEY + self.random.below(keys),
            _ if value.is_some() => order::VALUE,
            _ => order::STAT + self.random.below(5),
        };
        by + if self.random.chance(2) { order::DESCENDING } else { 0 }
    }

    fn assignment(&mut self, scope: &Scope) -> Stmt {
        let ty = self.ty();
        Stmt::Expr(self.assign(ty, 3, scope))
    }

    /// Adds to what nothing else is done to before the dump: it is sharded.
    fn addition(&mut self, scope: &Scope) -> Stmt {
        let key = |generator: &mut Self| generator.long_key(scope);
        let (place, stat) = match self.random.below(4) {
            0 => (Some(Place::Global(GlobalId(SUM))), None),
            1 => (Some(Place::Element(GlobalId(SUMS), key(self))), None),
            2 => (None, Some(StatRef::Global(GlobalId(TALLY)))),
            _ => (None, Some(StatRef::Element(GlobalId(TALLIES), key(self)))),
        };
        let (value, site) = (self.small(scope), self.site());
        match (place, stat) {
            (Some(place), _) => {
                let op = self.random.pick(&[BinaryOp::Add, BinaryOp::Sub]);
                let (operand, yields_old) = (Box::new(value), self.random.chance(2));
                let kind = ExprKind::Update { place, op, operand, yields_old, site };
                Stmt::Expr(Expr { ty: Type::Long, kind })
            }
            (None, Some(stat)) => Stmt::Aggregate(stat, value, site),
            (None, None) => unreachable!("it is one or the other"),
        }
    }

    fn assign(&mut self, ty: Type, depth: u32, scope: &Scope) -> Expr {
        let place = self.place(ty, scope);
        let site = self.site();
        if self.random.chance(2) {
            let value = Box::new(self.expr(ty, depth, scope));
            return Expr { ty, kind: ExprKind::Assign(place, value, site) };
        }
        let op = match ty {
            Type::Str => BinaryOp::Concat,
            Type::Long => self.operator(),
        };
        let operand = Box::new(self.expr(ty, depth, scope));
        let yields_old = self.random.chance(2);
        Expr { ty, kind: ExprKind::Update { place, op, operand, yields_old, site } }
    }

    fn deletion(&mut self, scope: &Scope) -> Stmt {
        let site = self.site();
        match self.random.below(6) {
            0 => Stmt::DeleteGlobal(GlobalId(self.random.below(8) as u32), site),
            1 if !scope.walking && scope.ret.is_none() => Stmt::DeleteGlobal(GlobalId(MAP_STAT), site),
            2 if !scope.walking && scope.ret.is_none() => {
                let key = self.whole_key(scope);
                Stmt::DeleteElement(GlobalId(MAP_STAT), key, site)
            }
            3 => {
                let key = self.whole_key(scope);
                Stmt::DeleteElement(GlobalId(MAP_LONG), key, site)
            }
            _ => {
                let key = self.part_of_key(scope);
                Stmt::DeleteElement(GlobalId(MAP_STRING), key, site)
            }
        }
    }

    fn place(&mut self, ty: Type, scope: &Scope) -> Place {
        match (self.random.below(3), ty) {
            (0, Type::Long) => Place::Local(LocalId(self.random.pick(&scope.longs))),
            (0, Type::Str) => Place::Local(LocalId(self.random.pick(&scope.strings))),
            (1, Type::Long) => Place::Global(GlobalId(self.random.pick(&LONGS))),
            (1, Type::Str) => Place::Global(GlobalId(self.random.pick(&STRINGS))),
            (_, Type::Long) => Place::Element(GlobalId(MAP_LONG), self.long_key(scope)),
            (_, Type::Str) => Place::Element(GlobalId(MAP_STRING), self.mixed_key(scope)),
        }
    }

    fn stat(&mut self, scope: &Scope, element: bool) -> StatRef {
        match self.random.below(4) {
            0 => StatRef::Global(GlobalId(STAT_LOG)),
            1 => StatRef::Global(GlobalId(STAT_LINEAR)),
            2 if !scope.stats.is_empty() && !element => {
                StatRef::Local(LocalId(self.random.pick(&scope.stats)))
            }
            _ => StatRef::Element(GlobalId(MAP_STAT), self.long_key(scope)),
        }
    }

    /// The key of an array of one long.
    fn long_key(&mut self, scope: &Scope) -> Key {
        self.key(&[Type::Long], scope).into()
    }

    /// The same where parts may be absent.
    fn whole_key(&mut self, scope: &Scope) -> Key<Option<Expr>> {
        self.key(&[Type::Long], scope).into_iter().map(Some).collect::<Vec<_>>().into()
    }

    /// A key of a string and a long.
    fn mixed_key(&mut self, scope: &Scope) -> Key {
        self.key(&[Type::Str, Type::Long], scope).into()
    }

    /// The same, with parts that may be absent.
    fn part_of_key(&mut self, scope: &Scope) -> Key<Option<Expr>> {
        let key = self.key(&[Type::Str, Type::Long], scope);
        let all = self.random.chance(2);
        let parts = key.into_iter().map(|part| if !all && self.random.chance(2) { None } else { Some(part) });
        parts.collect::<Vec<_>>().into()
    }

    /// Often one of those made before in the same body, so that accesses share keys.
    fn key(&mut self, types: &[Type], scope: &Scope) -> Vec<Expr> {
        let same: Vec<usize> =
            (0..self.keys.len()).filter(|key| self.keys[*key].len() == types.len()).collect();
        if !same.is_empty() && !self.random.chance(3) {
            return self.keys[self.random.pick(&same)].clone();
        }
        let key: Vec<Expr> = types.iter().map(|ty| self.key_part(*ty, scope)).collect();
        self.keys.push(key.clone());
        key
    }

    /// A key part from a small range, so that keys meet.
    fn key_part(&mut self, ty: Type, scope: &Scope) -> Expr {
        match ty {
            Type::Long => self.small(scope),
            Type::Str if self.random.chance(4) => self.expr(Type::Str, 2, scope),
            Type::Str if self.random.chance(3) => {
                let local = self.random.pick(&scope.strings);
                self.read(Place::Local(LocalId(local)), Type::Str)
            }
            Type::Str => self.literal(),
        }
    }

    fn small(&mut self, scope: &Scope) -> Expr {
        if self.random.chance(3) {
            let local = self.random.pick(&scope.longs);
            let a = match self.random.chance(2) {
                true => self.read(Place::Local(LocalId(local)), Type::Long),
                false => self.expr(Type::Long, 2, scope),
            };
            let a = Box::new(a);
            let b = Box::new(Expr { ty: Type::Long, kind: ExprKind::Long(5) });
            let site = self.site();
            return Expr { ty: Type::Long, kind: ExprKind::Binary(BinaryOp::Mod, a, b, site) };
        }
        let value = self.random.below(9) as i64 - 2;
        Expr { ty: Type::Long, kind: ExprKind::Long(value) }
    }

    fn literal(&mut self) -> Expr {
        let text = self.random.pick(&[
            "",
            "a",
            "b",
            "abc",
            "7",
            "x\ny",
            "abracadabra abracadabra",
            "\u{e9}\u{2713}",
        ]);
        Expr { ty: Type::Str, kind: ExprKind::Str(text.as_bytes().to_vec()) }
    }

    fn operator(&mut self) -> BinaryOp {
        self.random.pick(&[
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::And,
            BinaryOp::Or,
            BinaryOp::Xor,
            BinaryOp::ShiftLeft,
            BinaryOp::ShiftRight,
            BinaryOp::UnsignedShiftRight,
        ])
    }

    fn any(&mut self, depth: u32, scope: &Scope) -> Expr {
        let ty = self.ty();
        self.expr(ty, depth, scope)
    }

    fn read(&mut self, place: Place, ty: Type) -> Expr {
        Expr { ty, kind: ExprKind::Read(place, self.site()) }
    }

    fn extract(&mut self, stat: StatRef, op: u64) -> Expr {
        Expr { ty: Type::Long, kind: ExprKind::Stat(stat, op, self.site()) }
    }

    fn boxed(&mut self, ty: Type, depth: u32, scope: &Scope) -> Box<Expr> {
        Box::new(self.expr(ty, depth, scope))
    }

    fn expr(&mut self, ty: Type, depth: u32, scope: &Scope) -> Expr {
        if depth == 0 || self.random.chance(5) {
            return self.leaf(ty, scope);
        }
        let depth = depth - 1;
        let kind = match self.random.below(12) {
            0 | 1 => {
                let place = self.place(ty, scope);
                return self.read(place, ty);
            }
            2 => return self.assign(ty, depth, scope),
            3 => ExprKind::Ternary(
                self.boxed(Type::Long, depth, scope),
                self.boxed(ty, depth, scope),
                self.boxed(ty, depth, scope),
            ),
            4 => {
                let first = Box::new(self.any(depth, scope));
                ExprKind::Sequence(first, self.boxed(ty, depth, scope))
            }
            5 | 6 => match self.call(ty, depth, scope) {
                Some(call) => call,
                None => return self.leaf(ty, scope),
            },
            _ if ty == Type::Str => return self.text(depth, scope),
            _ => return self.long(depth, scope),
        };
        Expr { ty, kind }
    }

    fn call(&mut self, ty: Type, depth: u32, scope: &Scope) -> Option<ExprKind> {
        let fitting: Vec<usize> =
            (0..self.functions.len()).filter(|index| self.functions[*index].1 == Some(ty)).collect();
        if fitting.is_empty() {
            return None;
        }
        let first = self.random.pick(&fitting);
        let (params, _) = self.functions[first].clone();
        let same: Vec<usize> =
            fitting.into_iter().filter(|index| self.functions[*index].0 == params).collect();
        let mut candidates = vec![FuncId(first as u32)];
        if self.random.chance(2) {
            candidates.push(FuncId(self.random.pick(&same) as u32));
        }
        let args = params.iter().map(|param| self.expr(*param, depth.min(1), scope)).collect();
        Some(ExprKind::Call(candidates, args, self.site()))
    }

    fn leaf(&mut self, ty: Type, scope: &Scope) -> Expr {
        match (ty, self.random.below(6)) {
            (Type::Long, 0) => {
                let value = self.random.pick(&[0, 1, -1, 63, 64, i64::MAX, i64::MIN, 0x1234, 1000]);
                Expr { ty, kind: ExprKind::Long(value) }
            }
            (Type::Long, 1) => Expr { ty, kind: ExprKind::Register(self.random.below(21) as u8) },
            (Type::Long, 2) => Expr { ty, kind: ExprKind::EntryValue(8 * self.random.below(3) as u32) },
            (Type::Long, 3) => self.small(&Scope { depth: 9, ..scope.clone() }),
            (Type::Long, _) => {
                let local = self.random.pick(&scope.longs);
                self.read(Place::Local(LocalId(local)), ty)
            }
            (Type::Str, 0 | 1) => self.literal(),
            (Type::Str, 2) => Expr { ty, kind: ExprKind::EntryValue(64 + 544 * self.random.below(3) as u32) },
            (Type::Str, _) => {
                let local = self.random.pick(&scope.strings);
                self.read(Place::Local(LocalId(local)), ty)
            }
        }
    }

    /// A match of an expression made of few letters, so that it often matches; or a question about the last one.
    fn regex(&mut self, depth: u32, scope: &Scope) -> Expr {
        let site = self.site();
        if self.random.chance(3) {
            return Expr { ty: Type::Long, kind: ExprKind::Builtin(Builtin::ngroups, Vec::new(), site) };
        }
        let mut text = String::new();
        self.pattern(&mut text, 3);
        let pattern = rstap_sema::regex::parse(text.as_bytes()).expect("the pattern is well-formed");
        let subject = match self.random.chance(2) {
            true => self.boxed(Type::Str, depth, scope),
            false => {
                let len = self.random.below(9);
                let text = (0..len).map(|_| self.random.pick(b"aab")).collect();
                Box::new(Expr { ty: Type::Str, kind: ExprKind::Str(text) })
            }
        };
        // The groups go into the value, so that they are seen.
        let matches =
            Expr { ty: Type::Long, kind: ExprKind::Regex(subject, Box::new(pattern.clone()), true) };
        let zero = Expr { ty: Type::Long, kind: ExprKind::Long(0) };
        let group = self.random.below(pattern.groups as u64) as i64;
        let number = Expr { ty: Type::Long, kind: ExprKind::Long(group) };
        let matched = Expr { ty: Type::Str, kind: ExprKind::Builtin(Builtin::matched, vec![number], site) };
        let len = Expr { ty: Type::Long, kind: ExprKind::Builtin(Builtin::strlen, vec![matched], site) };
        Expr { ty: Type::Long, kind: ExprKind::Ternary(Box::new(matches), Box::new(len), Box::new(zero)) }
    }

    fn pattern(&mut self, text: &mut String, depth: u32) {
        match self.random.below(if depth == 0 { 4 } else { 9 }) {
            0..3 => text.push_str(self.random.pick(&["a", "b", ".", "[^b]", "[a-z]"])),
            3 => return text.push_str(self.random.pick(&["^", "$", "", "a"])),
            4 | 5 => {
                self.pattern(text, depth - 1);
                self.pattern(text, depth - 1);
                return;
            }
            6 => {
                text.push_str("(?:");
                self.pattern(text, depth - 1);
                text.push('|');
                self.pattern(text, depth - 1);
                text.push(')');
            }
            _ => {
                text.push('(');
                self.pattern(text, depth - 1);
                text.push_str(self.random.pick(&["", "|", "|a"]));
                text.push(')');
            }
        }
        text.push_str(self.random.pick(&["", "", "*", "+", "?", "{2}", "{1,3}", "{1,}"]));
    }

    fn long(&mut self, depth: u32, scope: &Scope) -> Expr {
        let site = self.site();
        let kind = match self.random.below(13) {
            12 => return self.regex(depth, scope),
            0..3 => {
                let op = self.operator();
                ExprKind::Binary(
                    op,
                    self.boxed(Type::Long, depth, scope),
                    self.boxed(Type::Long, depth, scope),
                    site,
                )
            }
            3 => {
                let op = self.random.pick(&[UnaryOp::Negate, UnaryOp::Complement, UnaryOp::Not]);
                ExprKind::Unary(op, self.boxed(Type::Long, depth, scope))
            }
            4 | 5 => {
                let ty = self.ty();
                let op = self.random.pick(&[
                    CompareOp::Eq,
                    CompareOp::Ne,
                    CompareOp::Lt,
                    CompareOp::Le,
                    CompareOp::Gt,
                    CompareOp::Ge,
                ]);
                ExprKind::Compare(op, self.boxed(ty, depth, scope), self.boxed(ty, depth, scope))
            }
            6 => ExprKind::And(self.boxed(Type::Long, depth, scope), self.boxed(Type::Long, depth, scope)),
            7 => ExprKind::Or(self.boxed(Type::Long, depth, scope), self.boxed(Type::Long, depth, scope)),
            8 => {
                let stat = self.stat(scope, false);
                let op = self.random.below(6);
                return self.extract(stat, op);
            }
            9 => {
                let stat = self.stat(scope, false);
                let index = Box::new(self.small(scope));
                let which = match self.random.below(2) {
                    0 => StatIndex::Bucket,
                    _ => StatIndex::Quantile { of: 100 },
                };
                ExprKind::StatAt(stat, which, index, site)
            }
            10 => {
                let address = if self.random.chance(4) {
                    self.expr(Type::Long, depth, scope)
                } else {
                    let at = super::run::READABLE.start + self.random.below(2040);
                    Expr { ty: Type::Long, kind: ExprKind::Long(at as i64) }
                };
                let size = self.random.pick(&[1, 2, 4, 8]);
                let signed = self.random.chance(2);
                ExprKind::Memory(Box::new(address), size, signed, site)
            }
            _ => match self.random.below(5) {
                0 => {
                    let key = self.whole_key(scope);
                    ExprKind::Contains(GlobalId(self.random.pick(&[MAP_LONG, MAP_STAT])), key, site)
                }
                1 => {
                    let key = self.part_of_key(scope);
                    ExprKind::Contains(GlobalId(MAP_STRING), key, site)
                }
                2 => ExprKind::Builtin(Builtin::strlen, vec![self.expr(Type::Str, depth, scope)], site),
                3 => {
                    let args = vec![self.expr(Type::Str, depth, scope), self.small(scope)];
                    ExprKind::Builtin(Builtin::stringat, args, site)
                }
                _ => {
                    let args = vec![self.expr(Type::Str, depth, scope), self.expr(Type::Str, depth, scope)];
                    ExprKind::Builtin(Builtin::strpos, args, site)
                }
            },
        };
        Expr { ty: Type::Long, kind }
    }

    fn text(&mut self, depth: u32, scope: &Scope) -> Expr {
        let site = self.site();
        let kind = match self.random.below(6) {
            0 | 1 => ExprKind::Binary(
                BinaryOp::Concat,
                self.boxed(Type::Str, depth, scope),
                self.boxed(Type::Str, depth, scope),
                site,
            ),
            2 => {
                let args = vec![self.expr(Type::Str, depth, scope), self.small(scope), self.small(scope)];
                ExprKind::Builtin(Builtin::substr, args, site)
            }
            3 => ExprKind::Format(self.format(scope), site),
            4 => ExprKind::HistogramText(self.stat(scope, false)),
            _ => {
                let args = (0..3).map(|_| self.expr(Type::Str, depth, scope)).collect();
                ExprKind::Builtin(Builtin::str_replace, args, site)
            }
        };
        Expr { ty: Type::Str, kind }
    }

    fn format(&mut self, scope: &Scope) -> Format {
        let mut format = Format { directives: Vec::new(), args: Vec::new() };
        for _ in 0..1 + self.random.below(3) {
            let conversion = self.random.pick(&[
                conversion::SIGNED,
                conversion::UNSIGNED,
                conversion::HEX,
                conversion::HEX_UPPER,
                conversion::OCTAL,
                conversion::CHAR,
                conversion::STRING,
                conversion::POINTER,
            ]);
            let ty = if conversion == conversion::STRING { Type::Str } else { Type::Long };
            let numbers = [UNSET, UNSET, FROM_ARGUMENT, 3, 12];
            let (width, precision) = (self.random.pick(&numbers), self.random.pick(&numbers));
            // One flag: SystemTap refuses most combinations.
            let flags =
                self.random.pick(&[0, flag::LEFT, flag::PLUS, flag::SPACE, flag::ALTERNATE, flag::ZERO]);
            for number in [width, precision] {
                if number == FROM_ARGUMENT {
                    format.args.push(self.small(scope));
                }
            }
            let arg = if conversion == conversion::CHAR {
                // No NUL, which a string cannot hold.
                let byte = 33 + self.random.below(90) as i64;
                Expr { ty, kind: ExprKind::Long(byte) }
            } else {
                self.expr(ty, 1, scope)
            };
            format.args.push(arg);
            format.directives.push(Directive::Conversion { conversion, flags, width, precision });
            format.directives.push(Directive::Literal(b";".to_vec()));
        }
        format
    }
}
