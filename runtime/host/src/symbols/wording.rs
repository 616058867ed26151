//! Addresses in words, in the forms of SystemTap's symbol functions.

use std::fmt::Write as _;

use rstap_core::env::{Address, SymbolForm};
use rstap_core::text::Text;
use rstap_debuginfo::{Line, demangle};

use super::{Code, Place};

/// Words an address; `find` says what is at one.
pub fn put(address: Address, form: SymbolForm, find: impl Fn(u64) -> Option<Place>, out: &mut Text<'_>) {
    // Behind a call that does not return, another function may begin: a return address belongs to what is before
    // it. Where nothing is, it is none: the kernel makes signal handlers return to the start of a function.
    let before = address.is_return.then(|| find(address.value.wrapping_sub(1))).flatten();
    let before = before.filter(|place| Symbol::at(place, 1).is_some());
    let back = u64::from(before.is_some());
    let place = before.or_else(|| find(address.value)).filter(|place| !place.path.is_empty());
    let wording = Wording { address: address.value, back, place: place.as_ref() };
    out.put(wording.text(form).as_bytes());
}

/// The same for messages: symbol, offset and module if there are any.
pub fn word(address: u64, place: Option<&Place>) -> String {
    Wording { address, back: 0, place }.text(SymbolForm::Simple)
}

struct Wording<'a> {
    address: u64,
    /// How far before the address the place is.
    back: u64,
    place: Option<&'a Place>,
}

struct Symbol {
    name: String,
    offset: u64,
    size: u64,
}

impl Symbol {
    fn at(place: &Place, back: u64) -> Option<Symbol> {
        let code = place.code.as_ref()?;
        let symbol = best_name(code)?;
        let offset = code.link.0 - symbol.address.0 + back;
        Some(Symbol { name: demangle(symbol.name).into_owned(), offset, size: symbol.size })
    }
}

/// The symbol at a place; of several names for it, one that programs use before those that a library has inside.
fn best_name(code: &Code) -> Option<&rstap_debuginfo::Symbol<'static>> {
    let module = code.module.symbols();
    let found = module.symbol_at(code.link)?;
    let first = module.symbols().partition_point(|symbol| symbol.address < found.address);
    let same = module.symbols()[first..].iter().take_while(|symbol| symbol.address == found.address);
    let fitting = same.filter(|symbol| symbol.size == found.size);
    let underscores = |name: &str| name.bytes().take_while(|byte| *byte == b'_').count();
    fitting.min_by_key(|symbol| (!symbol.exported, underscores(symbol.name)))
}

impl Wording<'_> {
    fn text(&self, form: SymbolForm) -> String {
        match form {
            SymbolForm::Name => self.symbol().map(|symbol| symbol.name).unwrap_or_else(|| self.hex()),
            SymbolForm::Brief => self.brief().unwrap_or_else(|| self.hex()),
            SymbolForm::Simple => self.simple(),
            SymbolForm::Data => self.full("", ""),
            SymbolForm::Full => self.full(&self.prefix(), ""),
            SymbolForm::FullLine => self.with_inlined(),
            SymbolForm::FileLine => self.of_line(|line| format!("{}:{}", line.file, line.line)),
            SymbolForm::File => self.of_line(|line| line.file.to_string()),
            SymbolForm::Line => self.of_line(|line| line.line.to_string()),
            SymbolForm::Module => self.place.map(|place| place.path.clone()).unwrap_or_default(),
            SymbolForm::ModuleStart => {
                self.place.map(|place| format!("{:#x}", place.start)).unwrap_or_default()
            }
            SymbolForm::BuildId => self.build_id().unwrap_or_default(),
        }
    }

    fn hex(&self) -> String {
        format!("{:#x}", self.address)
    }

    fn prefix(&self) -> String {
        format!("{:#x} : ", self.address)
    }

    fn symbol(&self) -> Option<Symbol> {
        Symbol::at(self.place?, self.back)
    }

    fn brief(&self) -> Option<String> {
        self.symbol().map(|symbol| format!("{}+{:#x}", symbol.name, symbol.offset))
    }

    fn simple(&self) -> String {
        let Some(place) = self.place else { return self.hex() };
        let module = place.path.rsplit('/').next().unwrap_or(&place.path);
        match self.brief() {
            Some(brief) => format!("{brief} [{module}]"),
            None => format!("{:#x} [{module}+{:#x}]", self.address, self.address.wrapping_sub(place.start)),
        }
    }

    /// A line for each call that was inlined there, the innermost first, then that of the function itself.
    fn with_inlined(&self) -> String {
        let prefix = self.prefix();
        let at =
            |line: Option<&Line>| line.map_or_else(String::new, |l| format!(" at {}:{}", l.file, l.line));
        let mut line = self.line();
        let mut text = String::new();
        if let Some((place, code)) = self.place.and_then(|place| Some((place, place.code.as_ref()?))) {
            for call in code.module.lines().inlined_calls(code.link) {
                let _ =
                    write!(text, "{prefix}{} (inlined){} [{}]\n ", call.name, at(line.as_ref()), place.path);
                line = call.call;
            }
        }
        text + &self.full(&prefix, &at(line.as_ref()))
    }

    fn full(&self, prefix: &str, line: &str) -> String {
        let Some(place) = self.place else { return self.hex() };
        match self.symbol() {
            Some(symbol) => format!(
                "{prefix}{}+{:#x}/{:#x}{line} [{}]",
                symbol.name, symbol.offset, symbol.size, place.path
            ),
            None => format!(
                "{:#x} [{}+{:#x}/{:#x}]{line}",
                self.address,
                place.path,
                self.address.wrapping_sub(place.start),
                place.end - place.start
            ),
        }
    }

    fn line(&self) -> Option<Line> {
        let code = self.place?.code.as_ref()?;
        code.module.lines().line_at(code.link).filter(|line| line.line != 0)
    }

    fn of_line(&self, word: impl FnOnce(&Line) -> String) -> String {
        self.line().map_or_else(|| self.hex(), |line| word(&line))
    }

    fn build_id(&self) -> Option<String> {
        let id = self.place?.code.as_ref()?.module.headers().build_id()?;
        Some(id.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }
}
