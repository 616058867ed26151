//! Any text is parsed, or refused with diagnostics that can be shown; what was printed parses again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rstap_syntax::source::SourceMap;
use rstap_syntax::{ParseConfig, diagnostic, parse, print};

fuzz_target!(|text: &str| {
    let config = ParseConfig { args: vec!["42".into(), "two words".into()], ..ParseConfig::default() };
    let mut sources = SourceMap::default();
    let source = sources.add("fuzz.stp", text);
    let parsed = parse(&sources, source, &config);
    let _ = diagnostic::render(&sources, &parsed.diagnostics, false);
    if parsed.diagnostics.iter().any(|diagnostic| diagnostic.is_error()) {
        return;
    }

    let printed = print::file(&parsed.file);
    let again = sources.add("printed.stp", printed.clone());
    let parsed_again = parse(&sources, again, &ParseConfig { guru: true, ..config });
    let refused = parsed_again.diagnostics.iter().find(|diagnostic| diagnostic.is_error());
    assert!(refused.is_none(), "{printed}\n{refused:?}");
    assert_eq!(printed, print::file(&parsed_again.file));
});
