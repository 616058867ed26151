//! Split DWARF: units whose entries are in a .dwo file, or with many others in a .dwp package, and of which the module
//! has a skeleton only (DWARF 5, 7.3.2 and 7.3.5; for version 4 the GNU extension "DebugFission").

use std::collections::HashMap;

use gimli::{DwarfPackage, UnitType};

use super::{Dwarf, Header, Slice, Unit, no_section, string_value};
use crate::elf::Elf;

/// A unit whose entries are in another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitUnit<'d> {
    /// What the file is called: absolute, or relative to the directory.
    pub name: &'d str,
    /// The compilation directory; empty if unknown.
    pub directory: &'d str,
    pub(crate) id: u64,
}

/// The contents of .dwo files and packages.
#[derive(Default)]
pub(crate) struct Split<'d> {
    /// Sections of one file, or of one unit in a package.
    pub files: Vec<Dwarf<'d>>,
    /// Index of the file, and the unit in it, by the id of its skeleton.
    units: HashMap<u64, (u32, Header<'d>)>,
    /// Type units with the index of their file, each type once.
    pub types: Vec<(u32, Header<'d>)>,
}

impl<'d> Split<'d> {
    /// Reads the headers of all units; what is broken is left out. `main` has the skeletons.
    pub fn read(files: &[Elf<'d>], package: Option<&Elf<'d>>, main: &Dwarf<'d>) -> Self {
        let mut split = Split::default();
        files.iter().for_each(|elf| split.add_file(elf, main));
        if let Some(elf) = package {
            split.add_package(elf, main);
        }
        let mut seen = std::collections::HashSet::new();
        split.types.retain(|(_, header)| signature(header).is_some_and(|signature| seen.insert(signature)));
        split
    }

    /// A unit of types is in a section of its own, which is called as that of the other units.
    fn add_file(&mut self, elf: &Elf<'d>, main: &Dwarf<'d>) {
        for id in [gimli::SectionId::DebugInfo, gimli::SectionId::DebugTypes] {
            for units in elf.sections_named(id.dwo_name().unwrap_or_default()) {
                let Ok(mut dwarf) = Dwarf::load(|other| match other {
                    _ if other == id => Ok(Slice::new(units, gimli::LittleEndian)),
                    gimli::SectionId::DebugInfo | gimli::SectionId::DebugTypes => Ok(no_section()),
                    _ => load_section(elf, other),
                });
                dwarf.make_dwo(main);
                self.add(dwarf);
            }
        }
    }

    fn add_package(&mut self, elf: &Elf<'d>, main: &Dwarf<'d>) {
        let section = |id| load_section(elf, id).or(Err(gimli::Error::MissingUnitDie));
        let Ok(package) = DwarfPackage::load(section, no_section()) else { return };
        for row in 1..=package.cu_index.unit_count() {
            self.files_extend(package.cu_sections(row, main));
        }
        for row in 1..=package.tu_index.unit_count() {
            self.files_extend(package.tu_sections(row, main));
        }
    }

    fn files_extend(&mut self, dwarf: gimli::Result<Dwarf<'d>>) {
        if let Ok(dwarf) = dwarf {
            self.add(dwarf);
        }
    }

    fn add(&mut self, dwarf: Dwarf<'d>) {
        let file = self.files.len() as u32;
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            match header.type_() {
                UnitType::SplitType { .. } => self.types.push((file, header)),
                _ => {
                    if let Some(id) = id_of(&dwarf, header) {
                        self.units.entry(id).or_insert((file, header));
                    }
                }
            }
        }
        let mut headers = dwarf.type_units();
        while let Ok(Some(header)) = headers.next() {
            self.types.push((file, header));
        }
        self.files.push(dwarf);
    }

    /// Whether the unit with this id is there.
    pub fn has(&self, id: u64) -> bool {
        self.units.contains_key(&id)
    }

    /// The unit that a skeleton stands for.
    pub fn unit_of(&self, main: &Dwarf<'d>, skeleton: Header<'d>) -> Option<(u32, Header<'d>)> {
        if self.units.is_empty() {
            return None;
        }
        self.units.get(&id_of_skeleton(main, skeleton)?).copied()
    }

    /// The unit read, with what its skeleton has for it: addresses, lines, and where it was compiled.
    pub fn parse(&self, file: u32, header: Header<'d>, skeleton: &Unit<'d>) -> gimli::Result<Unit<'d>> {
        let dwarf = self.files.get(file as usize).ok_or(gimli::Error::MissingUnitDie)?;
        let mut unit = dwarf.unit(header)?;
        unit.copy_relocated_attributes(skeleton);
        unit.line_program = skeleton.line_program.clone();
        unit.name = unit.name.or(skeleton.name);
        unit.comp_dir = unit.comp_dir.or(skeleton.comp_dir);
        Ok(unit)
    }
}

/// The skeletons of a file.
pub(crate) fn skeletons<'d>(main: &Dwarf<'d>) -> Vec<SplitUnit<'d>> {
    let mut found = Vec::new();
    let mut headers = main.units();
    while let Ok(Some(header)) = headers.next() {
        if !may_be_skeleton(main, &header) {
            continue;
        }
        let Ok(unit) = main.unit(header) else { continue };
        let (Some(id), Ok(Some(name))) = (unit.dwo_id, unit.dwo_name()) else { continue };
        let Some(name) = string_value(main, &unit, name) else { continue };
        let directory = unit.comp_dir.and_then(|text| std::str::from_utf8(text.slice()).ok());
        found.push(SplitUnit { name, directory: directory.unwrap_or_default(), id: id.0 });
    }
    found
}

fn id_of_skeleton<'d>(main: &Dwarf<'d>, header: Header<'d>) -> Option<u64> {
    if may_be_skeleton(main, &header) { id_of(main, header) } else { None }
}

/// Whether it is worth while to read the root: only version 4 has the mark there, and such units need addresses from
/// .debug_addr.
fn may_be_skeleton(main: &Dwarf<'_>, header: &Header<'_>) -> bool {
    use gimli::Section as _;
    match header.type_() {
        UnitType::Skeleton(_) => true,
        UnitType::Compilation => header.version() == 4 && !main.debug_addr.reader().is_empty(),
        _ => false,
    }
}

/// From the header, before version 5 from the root.
fn id_of<'d>(dwarf: &Dwarf<'d>, header: Header<'d>) -> Option<u64> {
    match header.type_() {
        UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id.0),
        _ => dwarf.unit(header).ok()?.dwo_id.map(|id| id.0),
    }
}

fn signature(header: &Header<'_>) -> Option<u64> {
    match header.type_() {
        UnitType::Type { type_signature, .. } | UnitType::SplitType { type_signature, .. } => {
            Some(type_signature.0)
        }
        _ => None,
    }
}

fn load_section<'d>(elf: &Elf<'d>, id: gimli::SectionId) -> Result<Slice<'d>, std::convert::Infallible> {
    let bytes = id.dwo_name().and_then(|name| elf.section(name));
    Ok(Slice::new(bytes.unwrap_or_default(), gimli::LittleEndian))
}
