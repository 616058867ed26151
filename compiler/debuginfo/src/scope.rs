//! Variables and parameters visible at a pc (DWARF 5, 4.1), and those outside functions.

mod brief;

use foldhash::{HashSet, HashSetExt};

use crate::DwarfError;
use crate::dwarf::{DebugData, Die, DieRef, Entries, MAX_CHAIN, Walk};
use crate::functions::Functions;
use crate::lines::path_matches;
use crate::pattern::Glob;
use crate::types::TypeId;
use brief::Brief;

/// A variable or parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable<'d> {
    /// Its name.
    pub name: &'d str,
    /// Its type.
    pub ty: TypeId,
    /// What it is.
    pub kind: VariableKind,
    /// Line of its declaration, 0 if unknown.
    pub decl_line: u32,
    /// Nesting of blocks round it: 0 for parameters and variables of the function's outermost block.
    pub depth: u32,
    /// Compiler-made (`this`).
    pub artificial: bool,
    /// Visible outside its unit.
    pub external: bool,
    /// Its entry (of the concrete instance where there is one).
    pub die: DieRef,
    /// The function whose frame base its location refers to.
    pub(crate) frame: Option<DieRef>,
    pub(crate) storage: Storage,
}

/// What a variable's location says at every pc of its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// The same distance from the frame base.
    Frame,
    /// It is computed from such a place.
    ThroughFrame,
    /// Anything else.
    Other,
}

impl Variable<'_> {
    /// Whether its place is in the function's frame wherever it is asked for: also where the prologue has not stored it
    /// there yet.
    pub fn is_in_frame(&self) -> bool {
        self.storage != Storage::Other
    }
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableKind {
    /// A formal parameter.
    Parameter,
    /// A variable of a function, automatic or static.
    Local,
    /// A variable outside functions.
    Global,
}

/// Variables visible at `pc` in the function or inlined instance `id`: innermost block first, within a block in the
/// order of declaration.
pub(crate) fn variables_at<'d>(
    functions: &Functions<'_, 'd>,
    id: DieRef,
    pc: u64,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let frame = frame_of(functions, &functions.data.die(id)?);
    variables_in(functions.data, id, frame, pc)
}

/// The same of an instance whose frame is known.
pub(crate) fn variables_in<'d>(
    data: &DebugData<'d>,
    id: DieRef,
    frame: Option<DieRef>,
    pc: u64,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let mut blocks: Vec<Vec<Variable<'d>>> = vec![Vec::new()];
    let mut concrete = HashSet::new();
    let broken = |error| data.broken(id.unit, error);
    let mut entries = Entries::from(data, id)?;
    let Some(top) = entries.next().map_err(broken)? else { return Ok(Vec::new()) };
    let function = Brief::next(data, id.unit, &mut entries, &top)?;
    // Entries deeper than this are passed over. Only one block at each depth contains the pc.
    let mut deepest = isize::MAX;
    while let Some(head) = entries.next().map_err(broken)?.filter(|head| head.depth > 0) {
        if head.depth > deepest {
            entries.pass_over(&head).map_err(broken)?;
            continue;
        }
        deepest = head.depth;
        match head.tag {
            gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {
                let entry = Brief::next(data, id.unit, &mut entries, &head)?;
                concrete.extend(entry.abstract_origin());
                let block = usize::try_from(head.depth - 1).unwrap_or(0);
                while blocks.len() <= block {
                    blocks.push(Vec::new());
                }
                let depth = u32::try_from(block).unwrap_or(u32::MAX);
                blocks[block].extend(variable(data, entry, depth, frame, false)?);
            }
            gimli::DW_TAG_lexical_block => {
                if Brief::next(data, id.unit, &mut entries, &head)?.contains(pc) {
                    deepest = isize::MAX;
                }
            }
            _ => entries.pass_over(&head).map_err(broken)?,
        }
    }
    let left_out = left_out(data, &function, &concrete, frame)?;
    blocks[0].extend(left_out);
    blocks.reverse();
    Ok(blocks.into_iter().flatten().collect())
}

/// As a list shows them: those of inner blocks first, in a block as the debug information has them. Of variables of one
/// name the innermost counts.
pub(crate) fn in_order_of_lists(mut variables: Vec<Variable<'_>>) -> Vec<Variable<'_>> {
    let mut seen = HashSet::new();
    variables.retain(|variable| seen.insert(variable.name));
    variables.sort_by_key(|variable| u32::MAX - variable.depth);
    variables
}

/// The instance `id` and those inlined in it whose code is at `pc`, innermost first.
pub(crate) fn instances_at(data: &DebugData<'_>, id: DieRef, pc: u64) -> Result<Vec<DieRef>, DwarfError> {
    let mut found = vec![id];
    let mut walk = Walk::below(&data.die(id)?)?;
    while let Some(die) = walk.next_entry()? {
        let here = contains(&die, pc);
        match die.tag() {
            gimli::DW_TAG_lexical_block if here => {}
            gimli::DW_TAG_inlined_subroutine if here => found.insert(0, die.id),
            _ => walk.skip_children(),
        }
    }
    Ok(found)
}

/// A block without addresses (all of it optimised away) contains nothing.
fn contains(block: &Die<'_, '_>, pc: u64) -> bool {
    block.ranges().iter().any(|&(start, end)| (start..end).contains(&pc))
}

/// Parameters and variables of the source that the concrete instance does not mention: they are nowhere.
fn left_out<'d>(
    data: &DebugData<'d>,
    function: &Brief<'_, 'd>,
    concrete: &HashSet<DieRef>,
    frame: Option<DieRef>,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let Some(origin) = function.abstract_origin() else { return Ok(Vec::new()) };
    let broken = |error| data.broken(origin.unit, error);
    let mut entries = Entries::from(data, origin)?;
    let mut left_out = Vec::new();
    let mut is_first = true;
    while let Some(head) = entries.next().map_err(broken)?.filter(|head| head.depth > 0 || is_first) {
        is_first = false;
        let id = DieRef { unit: origin.unit, offset: head.offset };
        let is_variable = matches!(head.tag, gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable);
        if is_variable && head.depth == 1 && !concrete.contains(&id) {
            let entry = Brief::next(data, origin.unit, &mut entries, &head)?;
            left_out.extend(variable(data, entry, 0, frame, false)?);
        } else {
            entries.pass_over(&head).map_err(broken)?;
        }
    }
    Ok(left_out)
}

/// The subprogram whose frame an instance uses: itself, or the one it is inlined in.
fn frame_of(functions: &Functions<'_, '_>, instance: &Die<'_, '_>) -> Option<DieRef> {
    if instance.tag() != gimli::DW_TAG_inlined_subroutine {
        return Some(instance.id);
    }
    let unit = functions.of_unit(instance.id.unit)?;
    let owner = unit.inlined_at(instance.id.offset)?.owner;
    let offset = unit.subprograms.get(owner as usize)?.offset;
    Some(DieRef { unit: instance.id.unit, offset })
}

/// The variable of an entry, with what it takes from others; `None` for one without name.
fn variable<'d>(
    data: &DebugData<'d>,
    entry: Brief<'_, 'd>,
    depth: u32,
    frame: Option<DieRef>,
    global: bool,
) -> Result<Option<Variable<'d>>, DwarfError> {
    let kind = match entry.tag {
        gimli::DW_TAG_formal_parameter => VariableKind::Parameter,
        _ if global => VariableKind::Global,
        _ => VariableKind::Local,
    };
    let die = entry.id;
    let (mut name, mut ty, mut decl_line) = (None, None, 0);
    let (mut artificial, mut external, mut storage) = (false, false, None);
    let mut link = entry;
    for _ in 0..MAX_CHAIN {
        name = name.or_else(|| link.name());
        ty = ty.or_else(|| link.ty());
        decl_line = if decl_line == 0 { link.decl_line } else { decl_line };
        artificial |= link.artificial;
        external |= link.external;
        storage = storage.or(link.location.map(|_| link.storage()));
        let Some(next) = link.origin() else {
            let ty = ty.map_or(TypeId::Void, TypeId::Die);
            let decl_line = u32::try_from(decl_line).unwrap_or(0);
            let storage = storage.unwrap_or(Storage::Other);
            return Ok(name.map(|name| Variable {
                name,
                ty,
                kind,
                decl_line,
                depth,
                artificial,
                external,
                die,
                frame,
                storage,
            }));
        };
        link = Brief::at(data, next)?;
    }
    Err(DwarfError::Circular { unit: data.slot(die.unit).map_or(0, |slot| slot.section_offset()) })
}

/// Variables of a unit that are outside functions. A declaration is left out when its definition is there.
pub(crate) fn globals_of_unit<'d>(data: &DebugData<'d>, unit: u32) -> Result<Vec<Variable<'d>>, DwarfError> {
    let mut found = Vec::new();
    let mut defined = HashSet::new();
    for_each_outside_functions(data, unit, |die| {
        if die.tag() == gimli::DW_TAG_variable {
            defined.extend(die.reference(gimli::DW_AT_specification));
            found.extend(variable(data, Brief::at(data, die.id)?, 0, None, true)?);
        }
        Ok(())
    })?;
    found.retain(|v| !defined.contains(&v.die));
    Ok(found)
}

/// Variables outside functions with this name, from units whose file matches: external ones first, and those that
/// are only declared last.
pub(crate) fn globals_named<'d>(
    data: &DebugData<'d>,
    name: &str,
    file: Option<&str>,
    index: &crate::types::NameIndex<'d>,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let glob = file.map(Glob::new);
    let mut found = Vec::new();
    for &id in index.variables(name) {
        let die = data.die(id)?;
        if let Some(glob) = &glob
            && !unit_file_matches(data, id.unit, glob)
        {
            continue;
        }
        let located =
            die.attr(gimli::DW_AT_location).is_some() || die.attr(gimli::DW_AT_const_value).is_some();
        let variable = variable(data, Brief::at(data, id)?, 0, None, true)?;
        found.extend(variable.map(|v| (!located, !v.external, v)));
    }
    found.sort_by_key(|(unlocated, internal, _)| (*unlocated, *internal));
    Ok(found.into_iter().map(|f| f.2).collect())
}

fn unit_file_matches(data: &DebugData<'_>, unit: u32, glob: &Glob) -> bool {
    data.root(unit).is_ok_and(|root| root.name().is_some_and(|name| path_matches(glob, name)))
}

/// Calls `see` for the entries of a unit that are outside functions, also in namespaces and classes.
pub(crate) fn for_each_outside_functions<'m, 'd>(
    data: &'m DebugData<'d>,
    unit: u32,
    mut see: impl FnMut(&Die<'m, 'd>) -> Result<(), DwarfError>,
) -> Result<(), DwarfError> {
    let mut walk = Walk::below(&data.root(unit)?)?;
    while let Some(die) = walk.next_entry()? {
        let scope = matches!(
            die.tag(),
            gimli::DW_TAG_namespace
                | gimli::DW_TAG_module
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
        );
        if !scope {
            walk.skip_children();
        }
        see(&die)?;
    }
    Ok(())
}
