//! The conditions of `%( COND %? … %)`: stap(1), PREPROCESSING.

use std::cmp::Ordering;

use super::Preprocessor;
use super::glob::{compare_versions, glob_match};
use crate::lex::{Raw, number_value, string_value};
use crate::token::Token;

/// A mistake in a condition: where, what.
type Mistake<'a> = (Option<Token<'a>>, String);

const OPERAND_KINDS: &str = "expected 'arch', 'kernel_v', 'kernel_vr', 'systemtap_v', 'runtime', \
                             'systemtap_privilege', 'CONFIG_...', or comparison between strings or integers";

/// The value of an operand.
enum Value {
    Number(i64),
    Text(String),
    Name(String),
}

impl<'a> Preprocessor<'a> {
    /// Reads a condition up to its `%?` and decides it; `None` if it was wrong, which is reported.
    pub(super) fn evaluate_condition(&mut self, opened: Token<'a>) -> Option<bool> {
        match self.read_disjunction(opened) {
            Ok(value) => Some(value),
            Err((at, message)) => {
                let token = at.unwrap_or(opened);
                self.report.error(token.loc, message, "");
                None
            }
        }
    }

    fn next_condition_token(&mut self) -> Option<Token<'a>> {
        let token = self.next_expanded();
        self.condition_token = token.map(|token| token.kind);
        token
    }

    /// `a && b || c`, where `&&` binds tighter.
    fn read_disjunction(&mut self, opened: Token<'a>) -> Result<bool, Mistake<'a>> {
        let mut any = false;
        let mut all = true;
        loop {
            all &= self.read_comparison()?;
            let next = self.next_condition_token();
            match next.map(|token| token.kind) {
                Some(Raw::And) => {}
                Some(Raw::Or) => {
                    any |= all;
                    all = true;
                }
                Some(Raw::Then) => return Ok(any | all),
                _ => return Err((Some(opened), "expected '%?' marker for conditional".to_owned())),
            }
        }
    }

    fn read_comparison(&mut self) -> Result<bool, Mistake<'a>> {
        let left = self.next_condition_token().ok_or((None, OPERAND_KINDS.to_owned()))?;
        let left_value = self.operand(left).ok_or_else(|| (Some(left), OPERAND_KINDS.to_owned()))?;
        if let Value::Name(name) = &left_value
            && !is_fact(name)
        {
            return Err((Some(left), OPERAND_KINDS.to_owned()));
        }
        let end = || (None, "expected '%?' marker for conditional".to_owned());
        let operator = self.next_condition_token().ok_or_else(end)?;
        let accepts = acceptance(operator.kind).ok_or_else(|| {
            let message = match &left_value {
                Value::Name(_) => "expected comparison operator",
                _ => OPERAND_KINDS,
            };
            (Some(if matches!(left_value, Value::Name(_)) { operator } else { left }), message.to_owned())
        })?;
        let right = self.next_condition_token().ok_or_else(end)?;
        let right_value = self.operand(right);
        let wrong = |token: Token<'a>, message: &str| Err((Some(token), message.to_owned()));
        let only_equality = matches!(operator.kind, Raw::Equal | Raw::NotEqual);
        let ordering = match (left_value, right_value) {
            (Value::Number(a), Some(Value::Number(b))) => a.cmp(&b),
            (Value::Text(a), Some(Value::Text(b))) => a.cmp(&b),
            (Value::Number(_), _) => return wrong(right, "expected number literal as right value"),
            (Value::Text(_), _) => return wrong(right, "expected string literal as right value"),
            (Value::Name(name), value) => match (name.as_str(), value) {
                ("guru_mode" | "arch" | "runtime" | "systemtap_privilege", _) if !only_equality => {
                    return wrong(operator, "expected '==' or '!='");
                }
                ("guru_mode", Some(Value::Number(b))) => i64::from(self.config.guru).cmp(&b),
                ("guru_mode", _) => return wrong(right, "expected number"),
                ("kernel_v" | "kernel_vr" | "systemtap_v", Some(Value::Text(b))) => {
                    let fact = self.fact(&name);
                    if only_equality && b.contains(['*', '?', '[']) {
                        equal_if(glob_match(&b, fact))
                    } else {
                        compare_versions(fact, &b)
                    }
                }
                ("arch" | "runtime" | "systemtap_privilege", Some(Value::Text(b) | Value::Name(b))) => {
                    equal_if(glob_match(&b, self.fact(&name)))
                }
                // There is no kernel configuration here: every CONFIG_ name is unset.
                (_, Some(Value::Number(b))) if name.starts_with("CONFIG_") => 0.cmp(&b),
                (_, Some(Value::Text(b))) if name.starts_with("CONFIG_") => equal_if(glob_match(&b, "")),
                (_, Some(Value::Name(_))) if name.starts_with("CONFIG_") => Ordering::Equal,
                _ => return wrong(right, "expected string literal"),
            },
        };
        Ok(accepts(ordering))
    }

    fn operand(&self, token: Token<'a>) -> Option<Value> {
        Some(match token.kind {
            Raw::Number => Value::Number(number_value(token.text)?),
            Raw::ArgCount => Value::Number(self.config.args.len() as i64),
            Raw::String => Value::Text(String::from_utf8_lossy(&string_value(token.text)).into_owned()),
            Raw::ArgText => Value::Text(token.text.to_owned()),
            Raw::ArgCountText => Value::Text(self.config.args.len().to_string()),
            Raw::Word => Value::Name(token.text.to_owned()),
            _ => return None,
        })
    }

    fn fact(&self, name: &str) -> &str {
        match name {
            "kernel_v" => self.config.kernel_version(),
            "kernel_vr" => &self.config.kernel_release,
            "systemtap_v" => &self.config.compatible,
            "arch" => &self.config.arch,
            "runtime" => &self.config.runtime,
            _ => &self.config.privilege,
        }
    }
}

fn is_fact(name: &str) -> bool {
    name.starts_with("CONFIG_")
        || matches!(
            name,
            "kernel_v"
                | "kernel_vr"
                | "systemtap_v"
                | "arch"
                | "runtime"
                | "systemtap_privilege"
                | "guru_mode"
        )
}

/// Which orderings an operator accepts.
fn acceptance(kind: Raw) -> Option<fn(Ordering) -> bool> {
    Some(match kind {
        Raw::Equal => Ordering::is_eq,
        Raw::NotEqual => Ordering::is_ne,
        Raw::Less => Ordering::is_lt,
        Raw::LessEqual => Ordering::is_le,
        Raw::Greater => Ordering::is_gt,
        Raw::GreaterEqual => Ordering::is_ge,
        _ => return None,
    })
}

fn equal_if(equal: bool) -> Ordering {
    if equal { Ordering::Equal } else { Ordering::Less }
}
