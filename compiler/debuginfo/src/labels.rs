//! Labels of functions (DWARF 5, 3.6).

use std::sync::Arc;

use rstap_abi::address::LinkAddr;

use crate::DwarfError;
use crate::dwarf::{DebugData, Die, DieRef, Walk};
use crate::lines;

/// A label of the source that has a place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label<'d> {
    /// Its name.
    pub name: &'d str,
    /// The first instruction behind it.
    pub address: LinkAddr,
    /// Source file, as DWARF composes it.
    pub decl_file: Option<Arc<str>>,
    /// Line of its declaration, 0 if unknown.
    pub decl_line: u32,
}

/// The labels of a function or inlined instance, not those of instances inlined in it, in the order of the source.
pub(crate) fn labels_of<'d>(data: &DebugData<'d>, id: DieRef) -> Result<Vec<Label<'d>>, DwarfError> {
    let mut labels = Vec::new();
    let mut walk = Walk::below(&data.die(id)?)?;
    while let Some(die) = walk.next_entry()? {
        match die.tag() {
            gimli::DW_TAG_lexical_block => {}
            gimli::DW_TAG_label => {
                let chain = die.chain()?;
                let name = chain.iter().find_map(|die| die.name());
                if let (Some(name), Some(address)) = (name, die.address(gimli::DW_AT_low_pc)) {
                    let line = chain.iter().find_map(|die| die.number(gimli::DW_AT_decl_line)).unwrap_or(0);
                    labels.push(Label {
                        name,
                        address: LinkAddr(address),
                        decl_file: chain.iter().find_map(|die| decl_file(data, die)),
                        decl_line: u32::try_from(line).unwrap_or(0),
                    });
                }
                walk.skip_children();
            }
            _ => walk.skip_children(),
        }
    }
    Ok(labels)
}

fn decl_file(data: &DebugData<'_>, die: &Die<'_, '_>) -> Option<Arc<str>> {
    let file = match die.attr(gimli::DW_AT_decl_file)? {
        gimli::AttributeValue::FileIndex(file) => file,
        value => value.udata_value()?,
    };
    lines::file_name(data, die.id.unit, file)
}
