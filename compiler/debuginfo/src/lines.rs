//! Source lines and their addresses (DWARF 5, 6.2).

use std::sync::Arc;

use gimli::LineProgramHeader;
use rstap_abi::address::LinkAddr;

use crate::DwarfError;
use crate::dwarf::{DebugData, DieRef, Dwarf, Slice, Unit, Value};
use crate::functions::{Function, Functions, Nested};
use crate::pattern::{Glob, Lines};

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file, as DWARF composes it: compilation directory, directory, name.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, 0 if unknown.
    pub column: u32,
}

/// A statement of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement<'d> {
    /// Its first instruction.
    pub address: LinkAddr,
    /// The file, as DWARF composes it.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// Name of the function or inlined function it is in, as `ppfunc()` shows it.
    pub function: std::borrow::Cow<'d, str>,
    /// That function or inlined instance, to ask [`crate::Module::scope`] with.
    pub die: DieRef,
}

/// Statements found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statements<'d> {
    /// By rising address within a function; each line once for each function or inlined instance.
    pub found: Vec<Statement<'d>>,
    /// Lines that were asked for one by one and have no statement: the file, the line, and the nearest lines
    /// that have one in the functions that were searched.
    pub missing: Vec<MissingLine>,
}

/// A line without statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingLine {
    /// The file.
    pub file: Arc<str>,
    /// The line asked for.
    pub line: u32,
    /// The nearest line before it with a statement.
    pub before: Option<u32>,
    /// The nearest line after it with a statement.
    pub after: Option<u32>,
}

/// Source files of a unit, by DWARF's index.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<Option<Arc<str>>>);

/// A row of the line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub address: u64,
    pub file: u32,
    pub line: u32,
    pub column: u32,
    pub is_stmt: bool,
    pub prologue_end: bool,
    pub end_sequence: bool,
}

/// The line table of a unit, by rising address.
#[derive(Debug, Default)]
pub(crate) struct UnitLines(Vec<Row>);

impl UnitLines {
    /// The line table of a unit, read anew and kept by nobody else.
    pub fn read(data: &DebugData<'_>, unit: u32) -> UnitLines {
        read_lines(data, unit).unwrap_or_default()
    }

    /// Rows at addresses from `start` up to, not including, `end`.
    pub fn between(&self, start: u64, end: u64) -> &[Row] {
        let from = self.0.partition_point(|row| row.address < start);
        let to = self.0.partition_point(|row| row.address < end).max(from);
        &self.0[from..to]
    }

    /// The row that `address` belongs to.
    fn row_of(&self, address: u64) -> Option<&Row> {
        let index = self.0.partition_point(|row| row.address <= address).checked_sub(1)?;
        Some(&self.0[index]).filter(|row| !row.end_sequence)
    }
}

/// Rows of a unit at addresses from `start` up to, not including, `end`.
pub(crate) fn rows_in<'m>(data: &'m DebugData<'_>, unit: u32, start: u64, end: u64) -> &'m [Row] {
    unit_lines(data, unit).map(|lines| lines.between(start, end)).unwrap_or_default()
}

/// The source line of an address in a unit.
pub(crate) fn line_in_unit(data: &DebugData<'_>, unit: u32, address: LinkAddr) -> Option<Line> {
    let row = unit_lines(data, unit)?.row_of(address.0)?;
    let file = file_name(data, unit, row.file.into())?;
    Some(Line { file, line: row.line, column: row.column })
}

/// The composed name of a file of a unit.
pub(crate) fn file_name(data: &DebugData<'_>, unit: u32, index: u64) -> Option<Arc<str>> {
    files(data, unit)?.0.get(usize::try_from(index).ok()?)?.clone()
}

/// Which files of a unit the glob matches.
pub(crate) fn matching_files(data: &DebugData<'_>, unit: u32, glob: &Glob) -> Vec<bool> {
    let Some(files) = files(data, unit) else { return Vec::new() };
    files.0.iter().map(|file| file.as_ref().is_some_and(|file| path_matches(glob, file))).collect()
}

/// Whether the glob matches the trailing components of a path, as many as it has itself.
pub(crate) fn path_matches(glob: &Glob, path: &str) -> bool {
    if glob.as_str().starts_with('/') {
        return glob.matches(path);
    }
    let components = glob.as_str().matches('/').count() + 1;
    let tail = match path.rmatch_indices('/').nth(components - 1) {
        Some((at, _)) => &path[at + 1..],
        None => path,
    };
    glob.matches(tail)
}

fn files<'m>(data: &'m DebugData<'_>, unit: u32) -> Option<&'m Files> {
    let slot = data.slot(unit).ok()?;
    Some(slot.files.get_or_init(|| read_files(data, unit).unwrap_or_default()))
}

fn read_files(data: &DebugData<'_>, index: u32) -> Option<Files> {
    let (unit, dwarf) = (data.unit(index).ok()?, data.lines_of(data.slot(index).ok()?));
    let header = unit.line_program.as_ref()?.header();
    // Version 5 counts from 0, earlier ones from 1 (file 0 is the unit itself).
    let count = header.file_names().len() as u64 + u64::from(header.version() < 5);
    let names = (0..count).map(|index| match header.file(index) {
        Some(file) => compose(dwarf, unit, header, file),
        None => unit_name(unit),
    });
    Some(Files(names.collect()))
}

fn unit_name(unit: &Unit<'_>) -> Option<Arc<str>> {
    let name = std::str::from_utf8(unit.name?.slice()).ok()?;
    let directory = unit.comp_dir.and_then(|d| std::str::from_utf8(d.slice()).ok()).unwrap_or_default();
    Some(join(directory, name).into())
}

fn compose<'d>(
    dwarf: &Dwarf<'d>,
    unit: &Unit<'d>,
    header: &LineProgramHeader<Slice<'d>>,
    file: &gimli::FileEntry<Slice<'d>>,
) -> Option<Arc<str>> {
    let text = |value: Value<'d>| crate::dwarf::string_value(dwarf, unit, value);
    let name = text(file.path_name())?;
    // From version 5 on, directory 0 is the compilation directory itself.
    let directory = match (header.version(), file.directory_index()) {
        (5.., 0) => "",
        _ => file.directory(header).and_then(text).unwrap_or_default(),
    };
    let compiled_in = unit.comp_dir.and_then(|d| std::str::from_utf8(d.slice()).ok()).unwrap_or_default();
    Some(join(&join(compiled_in, directory), name).into())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() || name.starts_with('/') {
        name.into()
    } else if name.is_empty() {
        directory.into()
    } else {
        format!("{}/{name}", directory.trim_end_matches('/'))
    }
}

fn unit_lines<'m>(data: &'m DebugData<'_>, unit: u32) -> Option<&'m UnitLines> {
    let slot = data.slot(unit).ok()?;
    Some(slot.lines.get_or_init(|| read_lines(data, unit).unwrap_or_default()))
}

fn read_lines(data: &DebugData<'_>, index: u32) -> Option<UnitLines> {
    let mut rows = data.unit(index).ok()?.line_program.clone()?.rows();
    let mut found = Vec::new();
    // Rows before an error are good.
    while let Ok(Some((_, row))) = rows.next_row() {
        let column = match row.column() {
            gimli::ColumnType::LeftEdge => 0,
            gimli::ColumnType::Column(column) => u32::try_from(column.get()).unwrap_or(0),
        };
        found.push(Row {
            address: row.address(),
            file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
            line: row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0),
            column,
            is_stmt: row.is_stmt(),
            prologue_end: row.prologue_end(),
            end_sequence: row.end_sequence(),
        });
    }
    // A sequence may begin where another ends: the end comes first then.
    found.sort_by_key(|row| (row.address, !row.end_sequence));
    Some(UnitLines(found))
}

/// Statements of `functions` on the lines asked for, of files that match.
pub(crate) fn statements<'d>(
    view: &Functions<'_, 'd>,
    functions: &[Function<'d>],
    file: Option<&Glob>,
    lines: &Lines,
) -> Result<Statements<'d>, DwarfError> {
    let mut statements = Statements::default();
    let mut seen: Vec<Seen> = Vec::new();
    for function in functions {
        let instances = function.die.filter(|_| function.entry.is_some()).into_iter();
        for die in instances.chain(function.inlines.iter().map(|i| i.die)) {
            let place = Instance { data: view.data, nested: view.inlined_in(die), function, die, file };
            place.collect(lines, &mut statements.found, &mut seen)?;
        }
    }
    statements.missing = missing(functions, lines, &seen);
    Ok(statements)
}

/// A line that has a statement, whether or not it was asked for.
struct Seen {
    function_line: u32,
    line: u32,
}

struct Instance<'a, 'd> {
    data: &'a DebugData<'d>,
    /// Instances that are inlined in it, outer ones first.
    nested: Vec<Nested>,
    function: &'a Function<'d>,
    die: DieRef,
    file: Option<&'a Glob>,
}

impl<'d> Instance<'_, 'd> {
    fn collect(
        &self,
        lines: &Lines,
        found: &mut Vec<Statement<'d>>,
        seen: &mut Vec<Seen>,
    ) -> Result<(), DwarfError> {
        let files = match self.file {
            Some(glob) => matching_files(self.data, self.die.unit, glob),
            None => Vec::new(),
        };
        let own_file = |row: &&Row| match (self.file, &self.function.decl_file) {
            (Some(_), _) => files.get(row.file as usize).copied().unwrap_or(false),
            (None, own) => file_name(self.data, self.die.unit, row.file.into()) == *own,
        };
        let mut ranges = self.data.die(self.die)?.ranges();
        ranges.sort_unstable();
        let rows = ranges.iter().flat_map(|&(start, end)| rows_in(self.data, self.die.unit, start, end));
        let (entry, mut before) = self.rows_before().unwrap_or((0, 0));
        let rows = rows.filter(|row| {
            let is_before = row.address == entry && before > 0;
            before -= u64::from(is_before);
            !is_before
        });
        let rows = rows.filter(|row| !row.end_sequence && row.line != 0 && own_file(row));
        // The first instruction of a statement may have been moved out of an inlined instance; what is left of the
        // statement in it counts then.
        let inlined = self.function.die != Some(self.die);
        let (mut statements, rest): (Vec<&Row>, Vec<&Row>) = rows.partition(|row| row.is_stmt);
        if inlined {
            statements.extend(rest);
            // The declaration's row is no statement of an instance, unless the whole function is on that line.
            let declared = self.function.decl_line;
            if *lines == Lines::All && statements.iter().any(|row| row.line > declared) {
                statements.retain(|row| row.line != declared);
            }
        }
        let mut done = Vec::new();
        let first = found.len();
        for row in statements {
            seen.push(Seen { function_line: self.function.decl_line, line: row.line });
            // A line of a function that is inlined here several times has a statement in each place.
            let within = self.nested.iter().rposition(|nested| nested.has_row(row.address, row.line));
            if !self.wanted(lines, row.line, within.is_some()) || done.contains(&(row.line, within)) {
                continue;
            }
            done.push((row.line, within));
            let Some(file) = file_name(self.data, self.die.unit, row.file.into()) else { continue };
            found.push(Statement {
                address: LinkAddr(row.address),
                file,
                line: row.line,
                function: self.function.name.clone(),
                die: self.die,
            });
        }
        found[first..].sort_by_key(|statement| statement.address);
        Ok(())
    }

    fn wanted(&self, lines: &Lines, line: u32, in_nested: bool) -> bool {
        match lines {
            Lines::None => line == self.function.decl_line,
            Lines::Absolute(ranges) => ranges.iter().any(|&(low, high)| (low..=high).contains(&line)),
            Lines::Relative(distance) => Some(line) == self.function.decl_line.checked_add(*distance),
            Lines::All => !in_nested && line >= self.function.decl_line,
        }
    }

    /// Rows at the instance's first address that belong to what comes before it: gcc counts them.
    fn rows_before(&self) -> Option<(u64, u64)> {
        let inline = self.function.inlines.iter().find(|inline| inline.die == self.die)?;
        let count = self.data.die(self.die).ok()?.number(gimli::DW_AT_GNU_entry_view)?;
        Some((inline.entry.0, count))
    }
}

/// Lines asked for by number that no function has.
fn missing(functions: &[Function<'_>], lines: &Lines, seen: &[Seen]) -> Vec<MissingLine> {
    let Some(first) = functions.first() else { return Vec::new() };
    let wanted: Vec<u32> = match lines {
        Lines::Absolute(ranges) => ranges.iter().filter(|(low, high)| low == high).map(|r| r.0).collect(),
        Lines::Relative(distance) => {
            let line = |f: &Function<'_>| f.decl_line.checked_add(*distance);
            let none_has = seen.iter().all(|s| s.function_line.checked_add(*distance) != Some(s.line));
            line(first).filter(|_| none_has).into_iter().collect()
        }
        Lines::None | Lines::All => Vec::new(),
    };
    let absent = wanted.into_iter().filter(|&line| seen.iter().all(|s| s.line != line));
    let describe = |line| MissingLine {
        file: first.decl_file.clone().unwrap_or_else(|| "".into()),
        line,
        before: seen.iter().map(|s| s.line).filter(|&l| l < line).max(),
        after: seen.iter().map(|s| s.line).filter(|&l| l > line).min(),
    };
    absent.map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_match_by_trailing_components() {
        for (glob, path, expected) in [
            ("basic.c", "/src/basic.c", true),
            ("basic.c", "basic.c", true),
            ("asic.c", "/src/basic.c", false),
            ("src/basic.c", "/a/src/basic.c", true),
            ("src/*.c", "/a/src/basic.c", true),
            ("*.c", "/a/src/basic.c", true),
            ("/a/src/basic.c", "/a/src/basic.c", true),
            ("/src/basic.c", "/a/src/basic.c", false),
            ("b/src/basic.c", "src/basic.c", false),
        ] {
            assert_eq!(path_matches(&Glob::new(glob), path), expected, "{glob} against {path}");
        }
    }

    #[test]
    fn names_are_composed_of_directories() {
        assert_eq!(join("/d", "x.c"), "/d/x.c");
        assert_eq!(join("/d/", "x.c"), "/d/x.c");
        assert_eq!(join("/d", "/e/x.c"), "/e/x.c");
        assert_eq!(join("", "x.c"), "x.c");
    }
}
