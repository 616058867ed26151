//! Text to tree (POSIX.1-2017, 9.4, without collating symbols and back references).

use rstap_abi::regex::{MEMORY_WORDS, memory_words};

use super::{Node, Pattern, Set};

/// What is wrong with an expression, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Byte of the expression.
    pub at: usize,
    /// What it is.
    pub message: String,
}

/// Deepest nesting of groups.
const MOST_NESTED: usize = 100;

/// Parses an expression.
pub fn parse(text: &[u8]) -> Result<Pattern, Mistake> {
    let mut parser = Parser { text, at: 0, groups: 1, depth: 0 };
    let root = parser.choice()?;
    if parser.at < text.len() {
        return Err(parser.mistake("unexpected ')'"));
    }
    parser.check_size(root.steps())?;
    Ok(Pattern { text: text.to_vec(), root, groups: parser.groups })
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    groups: usize,
    depth: usize,
}

type Parsed<T> = Result<T, Mistake>;

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { at: self.at, message: message.into() }
    }

    /// Three steps frame the whole: its two slots and the match.
    fn check_size(&self, steps: usize) -> Parsed<()> {
        match memory_words(steps.saturating_add(3).min(MEMORY_WORDS), self.groups) <= MEMORY_WORDS {
            true => Ok(()),
            false => Err(self.mistake("the expression is too large: write it shorter or repeat fewer times")),
        }
    }

    fn choice(&mut self) -> Parsed<Node> {
        let mut choices = vec![self.sequence()?];
        while self.take(b'|') {
            choices.push(self.sequence()?);
        }
        Ok(if choices.len() == 1 { choices.remove(0) } else { Node::Choice(choices) })
    }

    fn sequence(&mut self) -> Parsed<Node> {
        let mut nodes = Vec::new();
        while !matches!(self.peek(), None | Some(b'|' | b')')) {
            let one = self.one()?;
            nodes.push(self.repeated(one)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Sequence(nodes) })
    }

    fn one(&mut self) -> Parsed<Node> {
        let start = self.at;
        let Some(byte) = self.peek() else { return Err(self.mistake("unexpected end of regex")) };
        if let b'*' | b'+' | b'?' | b'{' = byte {
            return Err(self.mistake(format!("unexpected '{}'", char::from(byte))));
        }
        self.at += 1;
        Ok(match byte {
            b'^' => Node::Start,
            b'$' => Node::End,
            b'.' => Node::Byte(Set::ALL),
            b'[' => Node::Byte(self.set(start)?),
            b'(' => self.group(start)?,
            b'\\' => {
                let Some(escaped) = self.peek() else {
                    return Err(self.mistake("unexpected end of regex after '\\'"));
                };
                self.at += 1;
                exactly(escaped)
            }
            other => exactly(other),
        })
    }

    fn group(&mut self, start: usize) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(self.mistake("groups are nested too deeply"));
        }
        let number = match self.text[self.at..].starts_with(b"?:") {
            true => {
                self.at += 2;
                None
            }
            false => {
                self.groups += 1;
                Some(self.groups - 1)
            }
        };
        let inner = self.choice()?;
        if !self.take(b')') {
            return Err(Mistake { at: start, message: "expected ), found end of regex".to_owned() });
        }
        self.depth -= 1;
        Ok(match number {
            Some(number) => Node::Group(number, Box::new(inner)),
            None => inner,
        })
    }

    fn repeated(&mut self, mut node: Node) -> Parsed<Node> {
        let is_anchor = matches!(node, Node::Start | Node::End);
        while let Some(sign @ (b'*' | b'+' | b'?' | b'{')) = self.peek() {
            if is_anchor {
                let sign = char::from(sign);
                return Err(self.mistake(format!("postfix closure '{sign}' applied to anchoring operator")));
            }
            self.at += 1;
            let inner = Box::new(node);
            node = match sign {
                b'*' => Node::Star(inner),
                b'+' => Node::Plus(inner),
                b'?' => Node::Optional(inner),
                _ => self.interval(&inner)?,
            };
            self.check_size(node.steps())?;
        }
        Ok(node)
    }

    /// `{n}`, `{n,}`, `{n,m}`: copies.
    fn interval(&mut self, node: &Node) -> Parsed<Node> {
        let least = self.number()?;
        let most = if !self.take(b',') {
            Some(least)
        } else if self.peek() == Some(b'}') {
            None
        } else {
            Some(self.number()?)
        };
        if most.is_some_and(|most| most < least) {
            return Err(self.mistake("the most is less than the least in '{}'"));
        }
        if !self.take(b'}') {
            return Err(self.mistake("expected '}'"));
        }
        let steps = node.steps();
        let others = most.map_or(steps + 2, |most| (most - least).saturating_mul(steps + 1));
        self.check_size(steps.saturating_mul(least).saturating_add(others))?;
        // Empty parts take no step and still take memory.
        self.check_size(most.unwrap_or(least))?;
        let mut nodes = vec![node.clone(); least];
        match most {
            None => nodes.push(Node::Star(Box::new(node.clone()))),
            Some(most) => nodes.extend(at_most(node, most - least)),
        }
        Ok(Node::Sequence(nodes))
    }

    fn number(&mut self) -> Parsed<usize> {
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.mistake("expected number"));
        }
        let text = String::from_utf8_lossy(&self.text[self.at..self.at + digits]).into_owned();
        match text.parse() {
            Ok(number) if number <= MEMORY_WORDS => {
                self.at += digits;
                Ok(number)
            }
            _ => Err(self.mistake(format!("{text} is too large"))),
        }
    }

    /// `[…]` behind its bracket, which is at `start`.
    fn set(&mut self, start: usize) -> Parsed<Set> {
        let unclosed = || Mistake { at: start, message: "unclosed character class".to_owned() };
        let negated = self.take(b'^');
        let first = self.at;
        let mut set = Set::default();
        loop {
            let byte = self.peek().ok_or_else(unclosed)?;
            if byte == b']' && self.at > first {
                break;
            }
            if self.text[self.at..].starts_with(b"[:") {
                set = set.union(self.named()?);
                continue;
            }
            if matches!(self.text[self.at..], [b'[', b'.' | b'=', ..]) {
                return Err(self.mistake("collating elements are not supported"));
            }
            self.at += 1;
            let [b'-', last, ..] = self.text[self.at..] else {
                set.add(byte);
                continue;
            };
            if last == b']' {
                set.add(byte);
                continue;
            }
            if last < byte {
                let (from, to) = (char::from(byte), char::from(last));
                self.at -= 1;
                return Err(self.mistake(format!("inverted character range {from}-{to}")));
            }
            self.at += 2;
            (byte..=last).for_each(|byte| set.add(byte));
        }
        self.at += 1;
        Ok(if negated { set.complement() } else { set })
    }

    /// `[:name:]`
    fn named(&mut self) -> Parsed<Set> {
        let rest = &self.text[self.at + 2..];
        let Some(len) = rest.windows(2).position(|two| two == b":]") else {
            return Err(self.mistake("unclosed character class '[:'"));
        };
        let set = match &rest[..len] {
            b"alnum" => Set::of(|b| b.is_ascii_alphanumeric()),
            b"alpha" => Set::of(|b| b.is_ascii_alphabetic()),
            b"blank" => Set::of(|b| matches!(b, b' ' | b'\t')),
            b"cntrl" => Set::of(|b| b.is_ascii_control()),
            b"digit" => Set::of(|b| b.is_ascii_digit()),
            b"graph" => Set::of(|b| b.is_ascii_graphic()),
            b"lower" => Set::of(|b| b.is_ascii_lowercase()),
            b"print" => Set::of(|b| b.is_ascii_graphic() || b == b' '),
            b"punct" => Set::of(|b| b.is_ascii_punctuation()),
            b"space" => Set::of(|b| matches!(b, b' ' | b'\t'..=b'\r')),
            b"upper" => Set::of(|b| b.is_ascii_uppercase()),
            b"xdigit" => Set::of(|b| b.is_ascii_hexdigit()),
            name => {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(self.mistake(format!("unknown character class '{name}'")));
            }
        };
        self.at += len + 4;
        Ok(set)
    }
}

fn exactly(byte: u8) -> Node {
    let mut set = Set::default();
    set.add(byte);
    Node::Byte(set)
}

/// `x{0,2}` is `(x(x)?)?` without groups.
fn at_most(node: &Node, count: usize) -> Option<Node> {
    let mut optional: Option<Node> = None;
    for _ in 0..count {
        let mut nodes = vec![node.clone()];
        nodes.extend(optional);
        optional = Some(Node::Optional(Box::new(Node::Sequence(nodes))));
    }
    optional
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_place() {
        for (text, at, message) in [
            ("(a", 0, "expected ), found end of regex"),
            ("a(b(c)", 1, "expected ), found end of regex"),
            ("ab)", 2, "unexpected ')'"),
            ("x[a", 1, "unclosed character class"),
            ("[]", 0, "unclosed character class"),
            ("[^]", 0, "unclosed character class"),
            ("*a", 0, "unexpected '*'"),
            ("a|*", 2, "unexpected '*'"),
            ("{2}", 0, "unexpected '{'"),
            ("(?a)", 1, "unexpected '?'"),
            ("^*", 1, "postfix closure '*' applied to anchoring operator"),
            ("a{", 2, "expected number"),
            ("a{2", 3, "expected '}'"),
            ("a{70000}", 2, "70000 is too large"),
            ("[z-a]", 1, "inverted character range z-a"),
            ("[[:foo:]]", 1, "unknown character class 'foo'"),
            ("[[:alpha:]", 0, "unclosed character class"),
            ("a\\", 2, "unexpected end of regex after '\\'"),
        ] {
            let expected = Mistake { at, message: message.to_owned() };
            assert_eq!(parse(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn large_expressions_are_refused_before_they_are_made() {
        for text in ["a{9999}", "((a{50}){50}){50}", &"(".repeat(5000), &"(a)".repeat(300)] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(parse(b"a{1000}").is_ok());
        assert!(parse("a|".repeat(400).as_bytes()).is_ok());
    }

    #[test]
    fn groups_are_counted() {
        let groups = |text: &str| parse(text.as_bytes()).expect("it is right").groups;
        assert_eq!([groups("a"), groups("(a)(b(c))"), groups("(?:a)(b)")], [1, 4, 2]);
    }
}
