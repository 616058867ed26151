//! Runs the layers of pass 1 over one text.

use crate::ast::File;
use crate::check;
use crate::config::ParseConfig;
use crate::diagnostic::Diagnostic;
use crate::filter::Filter;
use crate::preprocess::Preprocessor;
use crate::report::Report;
use crate::source::{SourceId, SourceMap, Span};

/// The parser LALRPOP makes of `grammar/systemtap.lalrpop`.
mod grammar {
    #![allow(clippy::all, clippy::pedantic, missing_docs, unused, reason = "generated")]
    lalrpop_util::lalrpop_mod!(systemtap);
    pub use systemtap::FileParser;
}

/// What pass 1 makes of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The tree; with errors, what could be read of it.
    pub file: File,
    /// Errors and warnings. With an error among them the next pass must not start.
    pub diagnostics: Vec<Diagnostic>,
    /// For each script argument whether `$N` or `@N` stands in the text, also in a part not taken.
    pub used_args: Vec<bool>,
    /// How often the layers went round their loops. It grows as the text does, however the text is made.
    pub steps: u64,
}

/// Parses one text of `sources`.
pub fn parse(sources: &SourceMap, source: SourceId, config: &ParseConfig) -> Parsed {
    let report = Report::new(sources, !config.library && !config.guru);
    let length = sources.get(source).text.len() as u32;
    let tokens = Preprocessor::new(sources, source, config, &report);
    let tokens = Filter::new(tokens, Span::new(source, length, length), &report);
    let items = match grammar::FileParser::new().parse(&report, tokens) {
        Ok(items) => items,
        Err(error) => {
            crate::wording::report_syntax_error(&report, error);
            Vec::new()
        }
    };
    let file = File { source, items };
    if !report.has_errors() {
        check::check(&file, &report);
        if file.items.is_empty() && !config.library {
            let name = &sources.get(source).name;
            report.add(Diagnostic::parse_error(format!("input file '{name}' is empty")));
        }
    }
    let used_args = report.used_args.borrow().clone();
    let steps = report.steps();
    Parsed { file, diagnostics: report.into_diagnostics(), used_args, steps }
}
