//! Variables and parameters visible at a pc (DWARF 5, 4.1), and those outside functions.

use std::collections::HashSet;

use crate::DwarfError;
use crate::dwarf::{DebugData, Die, DieRef, Walk};
use crate::functions::Functions;
use crate::lines::path_matches;
use crate::pattern::Glob;
use crate::types::TypeId;

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
    let function = functions.data.die(id)?;
    let frame = frame_of(functions, &function);
    variables_in(&function, frame, pc)
}

/// The same of an instance whose frame is known.
pub(crate) fn variables_in<'d>(
    function: &Die<'_, 'd>,
    frame: Option<DieRef>,
    pc: u64,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let mut blocks: Vec<Vec<Variable<'d>>> = vec![Vec::new()];
    let mut concrete = HashSet::new();
    let mut walk = Walk::below(function)?;
    // Depth of the block that is being read; only one block at each depth contains the pc.
    while let Some(die) = walk.next_entry()? {
        let depth = usize::try_from(walk.depth()).unwrap_or(0);
        match die.tag() {
            gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable => {
                concrete.extend(die.reference(gimli::DW_AT_abstract_origin));
                while blocks.len() < depth {
                    blocks.push(Vec::new());
                }
                let block = u32::try_from(depth - 1).unwrap_or(u32::MAX);
                blocks[depth - 1].extend(variable(&die, block, frame, false)?);
                walk.skip_children();
            }
            gimli::DW_TAG_lexical_block if contains(&die, pc) => {}
            _ => walk.skip_children(),
        }
    }
    let left_out = left_out(function, &concrete, frame)?;
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
    function: &Die<'_, 'd>,
    concrete: &HashSet<DieRef>,
    frame: Option<DieRef>,
) -> Result<Vec<Variable<'d>>, DwarfError> {
    let Some(origin) = function.reference(gimli::DW_AT_abstract_origin) else { return Ok(Vec::new()) };
    let mut left_out = Vec::new();
    for die in function.data.die(origin)?.children()? {
        let is_variable = matches!(die.tag(), gimli::DW_TAG_formal_parameter | gimli::DW_TAG_variable);
        if is_variable && !concrete.contains(&die.id) {
            left_out.extend(variable(&die, 0, frame, false)?);
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

/// The variable of an entry; `None` for one without name.
fn variable<'d>(
    die: &Die<'_, 'd>,
    depth: u32,
    frame: Option<DieRef>,
    global: bool,
) -> Result<Option<Variable<'d>>, DwarfError> {
    let chain = die.chain()?;
    let Some(name) = chain.iter().find_map(|d| d.name()) else { return Ok(None) };
    let ty = chain.iter().find_map(|d| d.reference(gimli::DW_AT_type)).map_or(TypeId::Void, TypeId::Die);
    let kind = match die.tag() {
        gimli::DW_TAG_formal_parameter => VariableKind::Parameter,
        _ if global => VariableKind::Global,
        _ => VariableKind::Local,
    };
    let line = chain.iter().find_map(|d| d.number(gimli::DW_AT_decl_line)).unwrap_or(0);
    Ok(Some(Variable {
        name,
        ty,
        kind,
        decl_line: u32::try_from(line).unwrap_or(0),
        depth,
        artificial: chain.iter().any(|d| d.flag(gimli::DW_AT_artificial)),
        external: chain.iter().any(|d| d.flag(gimli::DW_AT_external)),
        die: die.id,
        frame,
    }))
}

/// Variables of a unit that are outside functions. A declaration is left out when its definition is there.
pub(crate) fn globals_of_unit<'d>(data: &DebugData<'d>, unit: u32) -> Result<Vec<Variable<'d>>, DwarfError> {
    let mut found = Vec::new();
    let mut defined = HashSet::new();
    for_each_outside_functions(data, unit, |die| {
        if die.tag() == gimli::DW_TAG_variable {
            defined.extend(die.reference(gimli::DW_AT_specification));
            found.extend(variable(die, 0, None, true)?);
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
        found.extend(variable(&die, 0, None, true)?.map(|v| (!located, !v.external, v)));
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
