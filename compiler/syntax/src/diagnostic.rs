//! What a pass says about a script: message, labelled places, what to do. Passes collect these; only the driver
//! renders them (with codespan-reporting).

use crate::source::Span;

pub use crate::render::render;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The run goes on.
    Warning,
    /// The next pass does not start.
    Error,
}

/// Which pass speaks; shown as the code of the message (`error[semantic]: …`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Pass 1.
    Parse,
    /// Pass 2.
    Semantic,
}

/// A place with a word on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is to be said there; may be empty.
    pub message: String,
    /// Whether this is the place the message is about (`^^^`), or a related one (`---`).
    pub primary: bool,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Who found it.
    pub pass: Pass,
    /// One sentence without final stop, in SystemTap's words where it has words for this.
    pub message: String,
    /// Places, the primary one first.
    pub labels: Vec<Label>,
    /// What to do, what was looked at, what is near.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// An error of pass 1.
    pub fn parse_error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, Pass::Parse, message)
    }

    /// A warning of pass 1.
    pub fn parse_warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, Pass::Parse, message)
    }

    /// An error of pass 2.
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, Pass::Semantic, message)
    }

    /// A warning of pass 2.
    pub fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, Pass::Semantic, message)
    }

    fn new(severity: Severity, pass: Pass, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity, pass, message: message.into(), labels: Vec::new(), notes: Vec::new() }
    }

    /// Adds the place the message is about.
    #[must_use]
    pub fn at(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: message.into(), primary: true });
        self
    }

    /// Adds a related place.
    #[must_use]
    pub fn see(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: message.into(), primary: false });
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Whether the next pass must not start.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
