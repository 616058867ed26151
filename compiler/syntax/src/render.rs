//! Shows findings to a user with their source lines. A label is shown on its first line only, and of a very long
//! line only the part around it.

use std::ops::Range;

use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::{self, Config, Styles, StylesWriter, termcolor};

use crate::diagnostic::{Diagnostic, Label, Pass, Severity};
use crate::source::{SourceId, SourceMap, Span};

/// Lines with more bytes are shown in part.
const MAX_LINE_BYTES: usize = 400;

/// How much of a long line is shown before and after a place.
const WINDOW_BYTES: usize = 100;

/// Renders findings as the user sees them. `color` asks for ANSI colours.
pub fn render(sources: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    let mut out = Vec::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push(b'\n');
        }
        render_one(sources, diagnostic, color, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn render_one(sources: &SourceMap, diagnostic: &Diagnostic, color: bool, out: &mut Vec<u8>) {
    let mut excerpts = Excerpts { sources, windows: Vec::new() };
    let (labels, far) = excerpts.place_labels(&diagnostic.labels);
    let severity = match diagnostic.severity {
        Severity::Warning => codespan::Severity::Warning,
        Severity::Error => codespan::Severity::Error,
    };
    let code = match (diagnostic.severity, diagnostic.pass) {
        (Severity::Warning, _) => None,
        (Severity::Error, Pass::Parse) => Some("parse"),
        (Severity::Error, Pass::Semantic) => Some("semantic"),
    };
    let shown = codespan::Diagnostic {
        severity,
        code: code.map(str::to_owned),
        message: diagnostic.message.clone(),
        labels,
        notes: far.into_iter().chain(diagnostic.notes.iter().cloned()).collect(),
    };
    let start = out.len();
    let config = Config::default();
    let emitted = if color {
        let styles = Styles::default();
        let mut writer = StylesWriter::new(termcolor::Ansi::new(&mut *out), &styles);
        term::emit_to_write_style(&mut writer, &config, &excerpts, &shown)
    } else {
        term::emit_to_io_write(&mut *out, &config, &excerpts, &shown)
    };
    // A place outside of its text cannot be shown; what is said still can.
    if emitted.is_err() {
        out.truncate(start);
        out.extend(format!("{}\n", diagnostic.message).bytes());
    }
    while out.ends_with(b"\n\n") {
        out.pop();
    }
}

/// The source texts, with windows on those lines that are too long to show.
struct Excerpts<'a> {
    sources: &'a SourceMap,
    windows: Vec<(SourceId, usize, Range<usize>)>,
}

impl Excerpts<'_> {
    /// The labels on the lines as shown, and notes for those that lie outside of what is shown.
    fn place_labels(&mut self, labels: &[Label]) -> (Vec<codespan::Label<SourceId>>, Vec<String>) {
        let mut placed = Vec::new();
        let mut far = Vec::new();
        for label in labels {
            match self.visible_range(label.span) {
                Some(range) => placed.push(codespan::Label {
                    style: match label.primary {
                        true => codespan::LabelStyle::Primary,
                        false => codespan::LabelStyle::Secondary,
                    },
                    file_id: label.span.source,
                    range,
                    message: label.message.clone(),
                }),
                None => far.push(format!("{}: {}", self.sources.place(label.span), label.message)),
            }
        }
        (placed, far)
    }

    /// The part of a span on its first line, if that is shown.
    fn visible_range(&mut self, span: Span) -> Option<Range<usize>> {
        let source = self.sources.get(span.source);
        let start = (span.start as usize).min(source.text.len());
        let line = source.line_index(start);
        self.open_window(span.source, line, start);
        let shown = self.shown_range(span.source, line);
        let text = shown.start..source.text[shown.clone()].trim_end_matches(['\n', '\r']).len() + shown.start;
        let start = start.clamp(text.start, text.end.max(text.start));
        let in_view = shown.contains(&(span.start as usize)) || start == span.start as usize;
        in_view.then(|| start..(span.end as usize).clamp(start, text.end.max(start)))
    }

    fn open_window(&mut self, id: SourceId, line: usize, at: usize) {
        let source = self.sources.get(id);
        let whole = source.line_range(line);
        if whole.len() > MAX_LINE_BYTES && !self.windows.iter().any(|(i, l, _)| (*i, *l) == (id, line)) {
            let start = source.text.floor_char_boundary(at.saturating_sub(WINDOW_BYTES).max(whole.start));
            let end = source.text.ceil_char_boundary((at + WINDOW_BYTES).min(whole.end));
            self.windows.push((id, line, start..end));
        }
    }

    fn shown_range(&self, id: SourceId, line: usize) -> Range<usize> {
        match self.windows.iter().find(|(i, l, _)| (*i, *l) == (id, line)) {
            Some((_, _, window)) => window.clone(),
            None => self.sources.get(id).line_range(line),
        }
    }
}

impl<'a> Files<'a> for Excerpts<'a> {
    type FileId = SourceId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: SourceId) -> Result<&'a str, Error> {
        Ok(&self.sources.get(id).name)
    }

    fn source(&'a self, id: SourceId) -> Result<&'a str, Error> {
        Ok(&self.sources.get(id).text)
    }

    fn line_index(&'a self, id: SourceId, byte: usize) -> Result<usize, Error> {
        Ok(self.sources.get(id).line_index(byte))
    }

    fn line_range(&'a self, id: SourceId, line: usize) -> Result<Range<usize>, Error> {
        Ok(self.shown_range(id, line))
    }

    fn column_number(&'a self, id: SourceId, _line: usize, byte: usize) -> Result<usize, Error> {
        let place = Span::new(id, byte as u32, byte as u32);
        Ok(self.sources.line_column(place).column as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_in_part() {
        let mut sources = SourceMap::default();
        let text = "é(".repeat(1_000_000);
        let id = sources.add("long.stp", text);
        let diagnostic = Diagnostic::parse_error("nesting too deep")
            .at(Span::new(id, 1_500_002, 1_500_003), "here")
            .see(Span::new(id, 2, 3), "opened here");
        let shown = render(&sources, &[diagnostic], false);
        assert!(shown.len() < 2000, "{} bytes", shown.len());
        assert!(shown.contains("long.stp:1:1000002"), "{shown}");
        assert!(shown.contains("long.stp:1:2: opened here"), "{shown}");
    }

    #[test]
    fn every_place_can_be_shown() {
        let mut sources = SourceMap::default();
        let text = format!("a\r\n\n{}\né\t\0x\n", "y".repeat(1000));
        let id = sources.add("t.stp", &*text);
        for start in 0..=text.len() as u32 + 2 {
            for end in [start, start + 1, start + 700] {
                let diagnostic = Diagnostic::error("m").at(Span::new(id, start, end), "label");
                assert!(render(&sources, &[diagnostic], true).contains('m'));
            }
        }
    }
}
