//! Where separate debug files are, by `gdb`'s convention: by build-id, then by .gnu_debuglink. Names places, opens nothing.

use std::path::{Path, PathBuf};

use crate::{AltLink, Module};

/// Directories with separate debug files.
const DEBUG_ROOTS: &[&str] = &["/usr/lib/debug"];

/// Places of the separate debug file of the module at `path`, in the order to try them.
pub fn debug_file_candidates(path: &Path, module: &Module<'_>) -> Vec<PathBuf> {
    let mut candidates = by_build_id(module.build_id().unwrap_or_default());
    if let (Some(link), Some(directory)) = (module.debug_link(), path.parent()) {
        candidates.push(directory.join(link.name));
        candidates.push(directory.join(".debug").join(link.name));
        for root in DEBUG_ROOTS {
            let below_root = directory.strip_prefix("/").unwrap_or(directory);
            candidates.push(Path::new(root).join(below_root).join(link.name));
        }
    }
    // A debug link may name the stripped file itself.
    candidates.retain(|candidate| candidate != path);
    candidates
}

/// Places of the file that dwz moved common parts to. `holder` is the file that has the link, symbolic links
/// resolved: a relative path is relative to it.
pub fn alt_file_candidates(holder: &Path, link: &AltLink<'_>) -> Vec<PathBuf> {
    let mut candidates = vec![holder.parent().unwrap_or(Path::new("/")).join(link.path)];
    candidates.extend(by_build_id(link.build_id));
    candidates
}

fn by_build_id(id: &[u8]) -> Vec<PathBuf> {
    let Some((first, rest)) = id.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Vec::new();
    };
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    DEBUG_ROOTS
        .iter()
        .map(|root| PathBuf::from(format!("{root}/.build-id/{first:02x}/{rest}.debug")))
        .collect()
}
