//! Finds the program that `process("PATH")` names: in `$PATH` when there is no slash in it, by wildcards, through
//! symbolic links. If the -x process is in a container, a name means files there first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rstap_debuginfo::Glob;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::Span;

use crate::files::Files;
use crate::modules::OpenError;
use rstap_syntax::near;

/// Files that `text` names, sorted, symbolic links resolved. More than one only if it has wildcards.
pub fn find<'d>(
    files: &(dyn Files<'d> + 'd),
    text: &str,
    span: Span,
) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    if !Glob::new(text).is_exact() && files.canonicalize(Path::new(text)).is_err() {
        return find_pattern(files, text, span);
    }
    if text.contains('/') {
        if let Some(path) = files.in_container(Path::new(text)) {
            return Ok(vec![path]);
        }
        return match files.canonicalize(Path::new(text)) {
            Ok(path) => Ok(vec![path]),
            Err(error) => Err(not_there(files, text, &error, span)),
        };
    }
    let directories = files.search_path();
    if let Some(path) = directories.iter().find_map(|directory| files.in_container(&directory.join(text))) {
        return Ok(vec![path]);
    }
    let is_file = |path: &PathBuf| files.read(path).is_ok_and(|bytes| !bytes.is_empty());
    let found = directories.iter().map(|directory| directory.join(text)).find(is_file);
    match found.and_then(|path| files.canonicalize(&path).ok()) {
        Some(path) => Ok(vec![path]),
        None => Err(not_in_search_path(files, text, &directories, span)),
    }
}

fn find_pattern<'d>(
    files: &(dyn Files<'d> + 'd),
    text: &str,
    span: Span,
) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let sorted = |mut paths: Vec<PathBuf>| {
        paths.sort();
        paths.dedup();
        paths
    };
    let list = |directory: &Path| files.list_in_container(directory);
    let inside = candidates(files, &list, text);
    let mut paths = sorted(inside.iter().filter_map(|path| files.in_container(path)).collect());
    if paths.is_empty() {
        let outside = candidates(files, &|directory| files.list(directory).unwrap_or_default(), text);
        paths = sorted(outside.iter().filter_map(|path| files.canonicalize(path).ok()).collect());
    }
    if paths.is_empty() {
        let message = format!("no match (no file is named like '{text}')");
        return Err(Box::new(Diagnostic::error(message).at(span, "")));
    }
    Ok(paths)
}

/// The names in a directory.
type List<'a> = dyn Fn(&Path) -> Vec<String> + 'a;

/// Paths that match a pattern, in `$PATH` if there is no slash in it.
fn candidates<'d>(files: &(dyn Files<'d> + 'd), list: &List<'_>, pattern: &str) -> Vec<PathBuf> {
    if pattern.contains('/') {
        return expand_in(list, pattern);
    }
    files.search_path().iter().flat_map(|directory| matching_names(list, directory, pattern)).collect()
}

/// Paths that match a pattern with slashes; `*` does not match a slash.
pub fn expand<'d>(files: &(dyn Files<'d> + 'd), pattern: &str) -> Vec<PathBuf> {
    expand_in(&|directory| files.list(directory).unwrap_or_default(), pattern)
}

fn expand_in(list: &List<'_>, pattern: &str) -> Vec<PathBuf> {
    let absolute = pattern.starts_with('/');
    let mut paths = vec![PathBuf::from(if absolute { "/" } else { "." })];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        if Glob::new(component).is_exact() {
            paths.iter_mut().for_each(|path| path.push(component));
        } else {
            paths = paths.iter().flat_map(|path| matching_names(list, path, component)).collect();
        }
    }
    paths
}

fn matching_names(list: &List<'_>, directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let glob = Glob::new(pattern);
    let mut names = list(directory);
    names.retain(|name| glob.matches(name) && (!name.starts_with('.') || pattern.starts_with('.')));
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

fn not_there<'d>(
    files: &(dyn Files<'d> + 'd),
    text: &str,
    error: &std::io::Error,
    span: Span,
) -> Box<Diagnostic> {
    let path = Path::new(text);
    let mut diagnostic = Diagnostic::error(match error.kind() {
        ErrorKind::NotFound => format!("no match (there is no file '{text}')"),
        _ => format!("no match (cannot find '{text}': {error})"),
    })
    .at(span, "");
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match files.list(directory) {
        Ok(names) => {
            if let Some(similar) = near::best(name, names.iter().map(String::as_str)) {
                diagnostic =
                    diagnostic.note(format!("did you mean '{}'?", directory.join(similar).display()));
            }
        }
        Err(_) => diagnostic = diagnostic.note(format!("there is no directory '{}'", directory.display())),
    }
    Box::new(diagnostic)
}

fn not_in_search_path<'d>(
    files: &(dyn Files<'d> + 'd),
    text: &str,
    directories: &[PathBuf],
    span: Span,
) -> Box<Diagnostic> {
    let looked: Vec<String> = directories.iter().map(|directory| directory.display().to_string()).collect();
    let message = format!("no match (there is no program '{text}' in $PATH)");
    let mut diagnostic =
        Diagnostic::error(message).at(span, "").note(format!("looked in {}", looked.join(", ")));
    if files.canonicalize(Path::new(text)).is_ok() {
        diagnostic = diagnostic.note(format!("there is one in this directory: write process(\"./{text}\")"));
    } else {
        let names: Vec<String> =
            directories.iter().flat_map(|directory| files.list(directory).unwrap_or_default()).collect();
        let similar = near::nearest(text, names.iter().map(String::as_str));
        if !similar.is_empty() {
            diagnostic = diagnostic.note(format!("similar programs: {}", similar.join(", ")));
        }
    }
    Box::new(diagnostic)
}

/// What to say of a file that can not be probed.
pub fn cannot_open(error: &OpenError, span: Span) -> Box<Diagnostic> {
    let diagnostic = match error {
        OpenError::Unreadable(path, error) => {
            let diagnostic =
                Diagnostic::error(format!("no match (cannot read '{}': {error})", path.display()))
                    .at(span, "");
            match error.kind() {
                ErrorKind::PermissionDenied => diagnostic.note(
                    "rstap has to read the program's file to find functions in it; ask for read permission, or run \
                     rstap as a user who has it",
                ),
                _ => diagnostic,
            }
        }
        OpenError::Script(path, interpreter) => Diagnostic::error(format!(
            "no match ('{}' is a script, not a program; it is run by {interpreter})",
            path.display()
        ))
        .at(span, "")
        .note(format!("probe its interpreter: process(\"{interpreter}\")")),
        OpenError::Elf(path, error) => {
            Diagnostic::error(format!("no match ('{}': {error})", path.display())).at(span, "")
        }
    };
    Box::new(diagnostic)
}
