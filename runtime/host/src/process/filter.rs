//! Whether a probe is for a process: `ProcessFilter` against what runs.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use rstap_program::{ModuleId, ProcessFilter, Program};

use super::{FileId, Status};

/// The files with probes, by identity.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    ids: Vec<FileId>,
    by_id: HashMap<FileId, Vec<ModuleId>>,
}

/// A file with probes is not there (any more).
#[derive(Debug, thiserror::Error)]
#[error("cannot find {path}, which has probes: {error}")]
pub struct MissingModule {
    /// Its path.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: io::Error,
}

impl Modules {
    /// Looks up the files of a program.
    pub fn of(program: &Program) -> Result<Modules, MissingModule> {
        let mut modules = Modules::default();
        for (index, module) in program.modules.iter().enumerate() {
            let id = FileId::of_path(&module.path)
                .map_err(|error| MissingModule { path: module.path.clone(), error })?;
            modules.ids.push(id);
            modules.by_id.entry(id).or_default().push(ModuleId(index as u32));
        }
        Ok(modules)
    }

    /// The identity of a file with probes.
    pub fn id(&self, module: ModuleId) -> Option<FileId> {
        self.ids.get(module.0 as usize).copied()
    }

    /// The files with this identity.
    pub fn with_id(&self, id: FileId) -> &[ModuleId] {
        self.by_id.get(&id).map_or(&[], Vec::as_slice)
    }
}

/// What filters ask about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its pid.
    pub pid: i32,
    /// The file it runs.
    pub executable: Option<FileId>,
    /// Its real user id.
    pub uid: u32,
    /// Whether it is the -c or -x target or descends from it.
    pub in_target: bool,
}

impl Subject {
    /// A process as it is now; `None` if it is gone.
    pub fn read(pid: i32, in_target: bool) -> Option<Subject> {
        let status = Status::read(pid)?;
        Some(Subject { pid, executable: FileId::of_executable(pid).ok(), uid: status.user[0], in_target })
    }

    /// Whether a probe with this filter is for it.
    pub fn is_taken_by(&self, filter: &ProcessFilter, modules: &Modules) -> bool {
        let executable = filter
            .executable
            .is_none_or(|module| modules.id(module).is_some_and(|id| Some(id) == self.executable));
        executable
            && filter.pid.is_none_or(|pid| pid as i32 == self.pid)
            && filter.uid.is_none_or(|uid| uid == self.uid)
            && (!filter.target_only || self.in_target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold() {
        let program = Program {
            modules: ["/proc/self/exe", "/proc/self/status"]
                .map(|path| rstap_program::Module { path: path.into(), build_id: vec![] })
                .to_vec(),
            ..Program::default()
        };
        let modules = Modules::of(&program).expect("both exist");
        let pid = std::process::id();
        let own = Subject::read(pid as i32, false).expect("exists");
        let takes = |filter: &ProcessFilter| own.is_taken_by(filter, &modules);
        let any = ProcessFilter::default();
        assert!(takes(&any));
        assert!(takes(&ProcessFilter { executable: Some(ModuleId(0)), pid: Some(pid), ..any.clone() }));
        assert!(!takes(&ProcessFilter { executable: Some(ModuleId(1)), ..any.clone() }));
        assert!(!takes(&ProcessFilter { pid: Some(pid + 1), ..any.clone() }));
        assert!(!takes(&ProcessFilter { uid: Some(own.uid + 1), ..any.clone() }));
        assert!(!takes(&ProcessFilter { target_only: true, ..any }));
    }

    #[test]
    fn a_missing_file_is_named() {
        let program = Program {
            modules: vec![rstap_program::Module { path: "/no/such".into(), build_id: vec![] }],
            ..Program::default()
        };
        let error = Modules::of(&program).expect_err("it is missing").to_string();
        assert!(error.contains("/no/such"), "{error}");
    }
}
