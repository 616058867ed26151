//! Expressions.

use rstap_abi::builtins::Builtin;
use rstap_abi::fault::Fault;

use super::statement::at;
use super::{
    Element, Environment, Evaluated, Evaluator, Failure, Flow, GlobalValue, Locals, Part, Statistic, Stop,
    Value, store,
};
use crate::ir::{
    BinaryOp, CompareOp, Expr, ExprKind, FuncId, Place, SiteId, StatIndex, StatRef, Type, UnaryOp,
};
use crate::regex::Pattern;

/// A place whose index has been evaluated.
enum Located {
    Local(crate::ir::LocalId),
    Global(crate::ir::GlobalId),
    Element(crate::ir::GlobalId, Vec<Part>),
}

impl<E: Environment> Evaluator<'_, E> {
    pub(super) fn long(&mut self, expr: &Expr, locals: &mut Locals) -> Evaluated<i64> {
        Ok(self.expr(expr, locals)?.long())
    }

    fn text(&mut self, expr: &Expr, locals: &mut Locals) -> Evaluated<Vec<u8>> {
        Ok(self.expr(expr, locals)?.text().to_vec())
    }

    pub(super) fn expr(&mut self, expr: &Expr, locals: &mut Locals) -> Evaluated<Value> {
        let value = match &expr.kind {
            ExprKind::Long(number) => Value::Long(*number),
            ExprKind::Str(text) => Value::Str(text.clone()),
            ExprKind::Read(place, _) => {
                let located = self.locate(place, locals)?;
                self.get(&located, expr.ty, locals)
            }
            ExprKind::Assign(place, value, site) => {
                let located = self.locate(place, locals)?;
                let value = self.expr(value, locals)?;
                let value = self.cut_value(value);
                self.set(&located, value.clone(), locals).map_err(|failure| failure.at(*site))?;
                value
            }
            ExprKind::Update { place, op, operand, yields_old, site } => {
                let located = self.locate(place, locals)?;
                let operand = self.expr(operand, locals)?;
                let old = self.get(&located, expr.ty, locals);
                let new = self.operate(*op, &old, &operand).map_err(|failure| failure.at(*site))?;
                self.set(&located, new.clone(), locals).map_err(|failure| failure.at(*site))?;
                if *yields_old { old } else { new }
            }
            ExprKind::Unary(op, operand) => {
                let value = self.long(operand, locals)?;
                Value::Long(match op {
                    UnaryOp::Negate => value.wrapping_neg(),
                    UnaryOp::Complement => !value,
                    UnaryOp::Not => i64::from(value == 0),
                })
            }
            ExprKind::Binary(op, a, b, site) => {
                let (a, b) = (self.expr(a, locals)?, self.expr(b, locals)?);
                self.operate(*op, &a, &b).map_err(|failure| failure.at(*site))?
            }
            ExprKind::Compare(op, a, b) => self.compare(*op, a, b, locals)?,
            ExprKind::And(a, b) => {
                Value::Long(i64::from(self.long(a, locals)? != 0 && self.long(b, locals)? != 0))
            }
            ExprKind::Or(a, b) => {
                Value::Long(i64::from(self.long(a, locals)? != 0 || self.long(b, locals)? != 0))
            }
            ExprKind::Ternary(condition, a, b) => {
                let taken = if self.long(condition, locals)? != 0 { a } else { b };
                self.expr(taken, locals)?
            }
            ExprKind::With(number, value, body) => {
                let value = self.long(value, locals)?;
                self.bound.insert(*number, value);
                self.expr(body, locals)?
            }
            ExprKind::Bound(number) => {
                Value::Long(*self.bound.get(number).expect("it is used within its expression only"))
            }
            ExprKind::Choose(subject, cases, otherwise) => {
                let subject = self.long(subject, locals)?;
                let taken = cases.iter().find(|(case, _)| *case == subject).map(|(_, value)| value);
                self.expr(taken.unwrap_or(otherwise), locals)?
            }
            ExprKind::Contains(global, key, _) => {
                let pattern = self.pattern(key, locals)?;
                Value::Long(i64::from(self.map(*global).contains(&pattern)))
            }
            ExprKind::Call(candidates, args, site) => self.call(candidates, args, expr.ty, *site, locals)?,
            ExprKind::Regex(subject, pattern, _) => self.regex(subject, pattern, locals)?,
            ExprKind::Builtin(builtin, args, site) => {
                let args = args.iter().map(|arg| self.expr(arg, locals)).collect::<Evaluated<Vec<_>>>()?;
                self.builtin(*builtin, &args).map_err(|failure| failure.at(*site))?
            }
            ExprKind::Stat(stat, op, site) => self.extract(stat, *op, *site, locals)?,
            ExprKind::StatAt(stat, which, index, site) => {
                Value::Long(self.stat_at(stat, *which, index, locals).map_err(|stop| at(stop, *site))?)
            }
            ExprKind::HistogramText(stat) => {
                let text = self.histogram(stat, locals)?;
                Value::Str(self.cut(text))
            }
            ExprKind::Format(format, site) => {
                let text = self.format(format, locals).map_err(|stop| at(stop, *site))?;
                Value::Str(self.cut(text))
            }
            ExprKind::Register(number) => Value::Long(self.environment.register(*number) as i64),
            ExprKind::Memory(address, size, signed, site) => {
                let address = self.long(address, locals)?;
                let value =
                    self.memory(address as u64, *size, *signed).map_err(|failure| failure.at(*site))?;
                Value::Long(value)
            }
            ExprKind::EntryValue(offset) => {
                self.entry.get(offset).cloned().unwrap_or_else(|| store::zero(expr.ty))
            }
            ExprKind::Sequence(first, second) => {
                self.expr(first, locals)?;
                self.expr(second, locals)?
            }
        };
        match (&value, expr.ty) {
            (Value::Str(_), Type::Str) | (Value::Long(_) | Value::Statistic(..), Type::Long) => Ok(value),
            _ => panic!("{value:?} is not a {:?}: {expr:?}", expr.ty),
        }
    }

    pub(super) fn key(&mut self, key: &[Expr], locals: &mut Locals) -> Evaluated<Vec<Part>> {
        key.iter().map(|part| self.expr(part, locals).map(|part| self.cut_value(part))).collect()
    }

    pub(super) fn pattern(
        &mut self,
        key: &[Option<Expr>],
        locals: &mut Locals,
    ) -> Evaluated<Vec<Option<Part>>> {
        key.iter()
            .map(|part| {
                let part = part.as_ref().map(|part| self.expr(part, locals)).transpose()?;
                Ok(part.map(|part| self.cut_value(part)))
            })
            .collect()
    }

    fn locate(&mut self, place: &Place, locals: &mut Locals) -> Evaluated<Located> {
        Ok(match place {
            Place::Local(local) => Located::Local(*local),
            Place::Global(global) => Located::Global(*global),
            Place::Element(global, key) => Located::Element(*global, self.key(key, locals)?),
        })
    }

    fn get(&self, located: &Located, ty: Type, locals: &Locals) -> Value {
        match located {
            Located::Local(local) => locals.get(*local).clone(),
            Located::Global(global) => match &self.globals[global.0 as usize] {
                GlobalValue::Scalar(value) => value.clone(),
                other => panic!("a scalar was expected, not {other:?}"),
            },
            Located::Element(global, key) => match self.map(*global).get(key) {
                Some(Element::Scalar(value)) => value.clone(),
                Some(Element::Stat(_)) => panic!("pass 2 reads statistics by extractors"),
                None => store::zero(ty),
            },
        }
    }

    fn set(&mut self, located: &Located, value: Value, locals: &mut Locals) -> Result<(), Failure> {
        match located {
            Located::Local(local) => locals.set(*local, value),
            Located::Global(global) => self.globals[global.0 as usize] = GlobalValue::Scalar(value),
            Located::Element(global, key) => match self.map_mut(*global).make(key)? {
                Element::Scalar(place) => *place = value,
                Element::Stat(_) => panic!("pass 2 assigns longs and strings"),
            },
        }
        Ok(())
    }

    fn operate(&self, op: BinaryOp, a: &Value, b: &Value) -> Result<Value, Failure> {
        if op == BinaryOp::Concat {
            return Ok(Value::Str(self.cut([a.text(), b.text()].concat())));
        }
        let (x, y) = (a.long(), b.long());
        if matches!(op, BinaryOp::Div | BinaryOp::Mod) && y == 0 {
            return Err(Failure::new(Fault::DivisionByZero));
        }
        // Wrapping shifts take the count modulo 64.
        Ok(Value::Long(match op {
            BinaryOp::Add => x.wrapping_add(y),
            BinaryOp::Sub => x.wrapping_sub(y),
            BinaryOp::Mul => x.wrapping_mul(y),
            BinaryOp::Div => x.wrapping_div(y),
            BinaryOp::Mod => x.wrapping_rem(y),
            BinaryOp::And => x & y,
            BinaryOp::Or => x | y,
            BinaryOp::Xor => x ^ y,
            BinaryOp::ShiftLeft => x.wrapping_shl(y as u32),
            BinaryOp::ShiftRight => x.wrapping_shr(y as u32),
            BinaryOp::UnsignedShiftRight => (x as u64).wrapping_shr(y as u32) as i64,
            BinaryOp::Concat => unreachable!("handled above"),
        }))
    }

    fn call(
        &mut self,
        candidates: &[FuncId],
        args: &[Expr],
        ty: Type,
        site: SiteId,
        locals: &mut Locals,
    ) -> Evaluated<Value> {
        let args = args
            .iter()
            .map(|arg| self.expr(arg, locals).map(|arg| self.cut_value(arg)))
            .collect::<Evaluated<Vec<_>>>()?;
        if self.nesting == 0 {
            return Err(Failure::new(Fault::MaxNesting).at(site).into());
        }
        for candidate in candidates {
            let function = &self.script.functions[candidate.0 as usize];
            assert_eq!(function.param_count as usize, args.len(), "pass 2 counts arguments");
            let mut inner = Locals::new(&function.locals);
            for (index, arg) in args.iter().enumerate() {
                inner.set(crate::ir::LocalId(index as u32), arg.clone());
            }
            self.nesting -= 1;
            let flow = self.statements(&function.body, &mut inner);
            self.nesting += 1;
            match flow? {
                Flow::Decline => continue,
                Flow::End => return Err(Stop::Ended),
                Flow::Return(Some(value)) => return Ok(value),
                Flow::On | Flow::Return(None) => return Ok(store::zero(ty)),
                flow => panic!("a function ends with {flow:?}"),
            }
        }
        Err(Failure::new(Fault::OverloadsExhausted).at(site).into())
    }

    /// A copy of a statistic; `None` for an absent element.
    pub(super) fn stat(
        &mut self,
        stat: &StatRef,
        locals: &mut Locals,
        site: Option<SiteId>,
    ) -> Evaluated<Option<Statistic>> {
        let (global, key) = match stat {
            StatRef::Global(global) => match &self.globals[global.0 as usize] {
                GlobalValue::Stat(stat) => return Ok(Some(stat.clone())),
                other => panic!("a statistic was expected, not {other:?}"),
            },
            StatRef::Element(global, key) => {
                let key = self.key(key, locals);
                (*global, key.map_err(|stop| if let Some(site) = site { at(stop, site) } else { stop })?)
            }
            StatRef::Local(local) => match locals.get(*local) {
                Value::Statistic(global, key) => (*global, key.clone()),
                // Before the walk it stands for nothing.
                Value::Long(0) => return Ok(None),
                other => panic!("a statistic was expected, not {other:?}"),
            },
        };
        Ok(match self.map(global).get(&key) {
            Some(Element::Stat(stat)) => Some(stat.clone()),
            Some(Element::Scalar(_)) => panic!("pass 2 extracts from statistics"),
            None => None,
        })
    }

    fn stat_at(
        &mut self,
        stat: &StatRef,
        which: StatIndex,
        index: &Expr,
        locals: &mut Locals,
    ) -> Evaluated<i64> {
        // The key comes first, then the index, then the element as it is by then.
        let located = match stat {
            StatRef::Element(global, key) => Some((*global, self.key(key, locals)?)),
            _ => None,
        };
        let index = self.long(index, locals)?;
        let stat = match located {
            None => self.stat(stat, locals, None)?,
            Some((global, key)) => match self.map(global).get(&key) {
                Some(Element::Stat(stat)) => Some(stat.clone()),
                _ => None,
            },
        };
        let Some(stat) = stat.filter(|stat| !stat.values.is_empty()) else {
            return Err(Failure::new(Fault::EmptyAggregate).into());
        };
        if let StatIndex::Quantile { of } = which {
            return Ok(stat.quantile(index, of));
        }
        let bucket = usize::try_from(index).ok().and_then(|index| stat.buckets().get(index).copied());
        bucket.map(|count| count as i64).ok_or_else(|| Failure::new(Fault::HistogramIndex).into())
    }

    fn memory(&mut self, address: u64, size: u8, signed: bool) -> Result<i64, Failure> {
        let bytes = self
            .environment
            .read(address, usize::from(size))
            .ok_or_else(|| Failure::about(Fault::ReadFault, address))?;
        let mut value = [if signed && bytes[usize::from(size) - 1] & 0x80 != 0 { 0xff } else { 0 }; 8];
        value[..usize::from(size)].copy_from_slice(&bytes);
        Ok(i64::from_le_bytes(value))
    }

    fn builtin(&mut self, builtin: Builtin, args: &[Value]) -> Result<Value, Failure> {
        match builtin {
            Builtin::exit => {
                self.outcome.exit = true;
                Ok(Value::Long(0))
            }
            Builtin::print_string => {
                self.outcome.output.extend_from_slice(args[0].text());
                Ok(Value::Long(0))
            }
            Builtin::print_long => {
                self.outcome.output.extend(args[0].long().to_string().into_bytes());
                Ok(Value::Long(0))
            }
            Builtin::matched => self.group(args[0].long()).map(Value::Str),
            Builtin::ngroups => match &self.matched {
                Some((_, groups)) => Ok(Value::Long(groups.len() as i64)),
                None => Err(bad("Attempted to get subexpression count from failed match".to_owned())),
            },
            _ => match super::strings::call(builtin, args).or_else(|| super::floats::call(builtin, args)) {
                Some(result) => result.map(|value| self.cut_value(value)),
                None => self.environment.builtin(builtin, args).map(|value| self.cut_value(value)),
            },
        }
    }

    fn compare(&mut self, op: CompareOp, a: &Expr, b: &Expr, locals: &mut Locals) -> Evaluated<Value> {
        let (a, b) = (self.expr(a, locals)?, self.expr(b, locals)?);
        let order = match (&a, &b) {
            (Value::Long(a), Value::Long(b)) => a.cmp(b),
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            _ => panic!("{a:?} and {b:?} are compared"),
        };
        Ok(Value::Long(i64::from(match op {
            CompareOp::Eq => order.is_eq(),
            CompareOp::Ne => order.is_ne(),
            CompareOp::Lt => order.is_lt(),
            CompareOp::Le => order.is_le(),
            CompareOp::Gt => order.is_gt(),
            CompareOp::Ge => order.is_ge(),
        })))
    }

    fn extract(&mut self, stat: &StatRef, op: u64, site: SiteId, locals: &mut Locals) -> Evaluated<Value> {
        let stat = self.stat(stat, locals, Some(site))?;
        let empty = || Statistic { shape: Default::default(), values: Vec::new() };
        let value = stat.unwrap_or_else(empty).extract(op);
        Ok(Value::Long(value.map_err(|failure| failure.at(site))?))
    }

    fn regex(&mut self, subject: &Expr, pattern: &Pattern, locals: &mut Locals) -> Evaluated<Value> {
        let subject = self.text(subject, locals)?;
        let subject = self.cut(subject);
        self.matched = super::regex::find(pattern, &subject).map(|groups| (subject, groups));
        Ok(Value::Long(i64::from(self.matched.is_some())))
    }

    /// `matched(number)`
    fn group(&self, number: i64) -> Result<Vec<u8>, Failure> {
        let Some((subject, groups)) = &self.matched else {
            return Err(bad(format!("Attempted to get subexpression {number} from failed match")));
        };
        match usize::try_from(number).ok().and_then(|number| groups.get(number)) {
            Some(Some((start, end))) => Ok(subject[*start..*end].to_vec()),
            Some(None) => Ok(Vec::new()),
            None => Err(bad(format!("Attempted to get nonexistent subexpression {number}"))),
        }
    }

    /// A string operand of a format.
    pub(super) fn format_arg(&mut self, arg: &Expr, locals: &mut Locals) -> Evaluated<Value> {
        match arg.ty {
            Type::Long => self.long(arg, locals).map(Value::Long),
            Type::Str => self.text(arg, locals).map(Value::Str),
        }
    }
}

fn bad(message: String) -> Failure {
    Failure { message: message.into_bytes(), ..Failure::new(Fault::BadArgument) }
}
