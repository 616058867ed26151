//! Source texts and places in them. Every later pass names a place by a [`Span`]; only the driver and the
//! fault table turn one into `file:line:column`.

use std::ops::Range;

use crate::diagnostic::Diagnostic;

/// Which text a span points into: an index into [`SourceMap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A byte range of one source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub fn new(source: SourceId, start: u32, end: u32) -> Span {
        Span { source, start, end }
    }

    /// The smallest span over both. Where a macro put them into different texts, `self` alone.
    pub fn to(self, end: Span) -> Span {
        if self.source == end.source && end.end >= self.start {
            Span { end: self.end.max(end.end), ..self }
        } else {
            self
        }
    }

    /// The range as `usize`, for slicing and for codespan.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One source text.
#[derive(Clone, Debug)]
pub struct Source {
    /// As messages show it: the path as given, `<input>` for `-e` and for standard input.
    pub name: String,
    /// The text, valid UTF-8.
    pub text: String,
    /// Offset of each line's first byte.
    line_starts: Vec<u32>,
}

impl Source {
    /// The line of a byte, counted from 0; the last one for what lies behind the text.
    pub fn line_index(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|&start| start as usize <= byte).max(1) - 1
    }

    /// The bytes of a line counted from 0, with its line end.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let start = |line: usize| self.line_starts.get(line).map_or(self.text.len(), |&start| start as usize);
        start(line)..start(line + 1)
    }
}

/// Line and column of a place, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// All source texts of a run, script and tapset.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// Adds a text and gives it its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(i, _)| i as u32 + 1))
            .collect();
        self.sources.push(Source { name: name.into(), text, line_starts });
        SourceId(self.sources.len() as u32 - 1)
    }

    /// The text of an id this map gave out.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// All texts with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.sources.iter().enumerate().map(|(i, s)| (SourceId(i as u32), s))
    }

    /// The text a span covers.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.range()).unwrap_or("")
    }

    /// Line and column of the span's first byte.
    pub fn line_column(&self, span: Span) -> LineColumn {
        let source = self.get(span.source);
        let line = source.line_index(span.start as usize) + 1;
        let start = source.line_range(line - 1).start;
        let before = source.text.get(start..span.start as usize).unwrap_or("");
        LineColumn { line: line as u32, column: before.chars().count() as u32 + 1 }
    }

    /// `name:line:column`, as messages write a place.
    pub fn place(&self, span: Span) -> String {
        let at = self.line_column(span);
        format!("{}:{}:{}", self.get(span.source).name, at.line, at.column)
    }
}

/// The text of a script's bytes, or what to say about the first byte that is not UTF-8.
pub fn decode_script(name: &str, bytes: Vec<u8>) -> Result<String, Box<Diagnostic>> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let before = String::from_utf8_lossy(&bytes[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let byte = bytes[at];
        Box::new(
            Diagnostic::parse_error(format!("invalid UTF-8 at {name}:{line}:{column}: byte 0x{byte:02x}"))
                .note("scripts are UTF-8; write other bytes of a string as escapes: \"\\xff\""),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_byte_is_named() {
        let error = decode_script("a.stp", b"\xc3\xa9\n\xc3\xa9x\xff\xfe".to_vec()).unwrap_err();
        assert_eq!(error.message, "invalid UTF-8 at a.stp:2:3: byte 0xff");
        assert_eq!(decode_script("a.stp", b"probe begin {}".to_vec()).as_deref(), Ok("probe begin {}"));
    }

    #[test]
    fn columns_count_characters() {
        let mut sources = SourceMap::default();
        let id = sources.add("a", "\u{e9}\u{e9}x\n");
        assert_eq!(sources.line_column(Span::new(id, 4, 5)), LineColumn { line: 1, column: 3 });
        assert_eq!(sources.line_column(Span::new(id, 6, 6)), LineColumn { line: 2, column: 1 });
    }
}
