//! One golden case: a folder with `script.stp`, `expected` and perhaps its own `target.c` or `target.cc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

/// A case as its files say.
pub struct Case {
    pub name: String,
    pub dir: PathBuf,
    pub script: String,
    pub directives: Directives,
    /// The program is the case's own `target.c`, built as `target`.
    pub has_own_target: bool,
}

/// The `//@ KEY: VALUE` lines in the comments at the top of a script.
#[derive(Debug, PartialEq)]
pub struct Directives {
    /// `args: OPTIONS [-- SCRIPT ARGUMENTS]`, split as a shell does; `{user}` is the user's name.
    pub options: Vec<String>,
    pub script_args: Vec<String>,
    /// `backends: NAME…`: the backends that must give the expected result; all when not said.
    pub backends: Option<Vec<String>>,
    /// `timeout: SECONDS`
    pub timeout: Duration,
    /// `needs: PROGRAM…`
    pub needs: Vec<String>,
    /// `stdin: TEXT`, a line for the target's standard input.
    pub stdin: Option<String>,
    /// `target: NAME`, a program of `tests/targets`.
    pub target: Option<String>,
    /// `attach: COMMAND`: started before rstap, which is given `-x PID`.
    pub attach: Option<Vec<String>>,
    /// `signal: NAME`: sent to rstap when it has written a line.
    pub signal: Option<Signal>,
}

impl Default for Directives {
    fn default() -> Directives {
        Directives {
            options: Vec::new(),
            script_args: Vec::new(),
            backends: None,
            timeout: Duration::from_secs(60),
            needs: Vec::new(),
            stdin: None,
            target: None,
            attach: None,
            signal: None,
        }
    }
}

impl Case {
    /// Reads the case in the folder `dir`.
    pub fn load(dir: &Path) -> Result<Case, String> {
        let path = dir.join("script.stp");
        let script = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let directives =
            Directives::parse(&script).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Case {
            name: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            dir: dir.to_owned(),
            script,
            directives,
            has_own_target: ["target.c", "target.cc", "target.f90", "target.go", "target.rs"]
                .iter()
                .any(|name| dir.join(name).exists()),
        })
    }

    /// The case with another script, which may have other directives.
    pub fn with_script(&self, script: &str) -> Result<Case, String> {
        Ok(Case {
            name: self.name.clone(),
            dir: self.dir.clone(),
            script: script.to_owned(),
            directives: Directives::parse(script)?,
            has_own_target: self.has_own_target,
        })
    }

    /// Whether a program is probed, so that the backend matters.
    pub fn has_target(&self) -> bool {
        self.has_own_target || self.directives.target.is_some() || self.directives.attach.is_some()
    }

    /// Whether the script has text besides the comments at its top; if not, rstap is run without it.
    pub fn has_script(&self) -> bool {
        self.script.lines().any(|line| !line.is_empty() && !line.starts_with("//"))
    }
}

/// Every case below `folder`, by name.
pub fn load_all(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let dir = entry.map_err(|error| error.to_string())?.path();
        if dir.is_dir() {
            cases.push(Case::load(&dir)?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Directives {
    fn parse(script: &str) -> Result<Directives, String> {
        let mut found = Directives::default();
        for line in script.lines().take_while(|line| line.starts_with("//")) {
            if let Some(directive) = line.strip_prefix("//@ ") {
                let (key, value) = directive.split_once(':').ok_or(format!("no colon in `{line}`"))?;
                found.set(key, value.trim())?;
            }
        }
        Ok(found)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
        match key {
            "args" => {
                let mut args = split_words(value)?.into_iter();
                self.options = args.by_ref().take_while(|arg| arg != "--").collect();
                self.script_args = args.collect();
            }
            "backends" => self.backends = Some(words()),
            "timeout" => {
                self.timeout =
                    Duration::from_secs(value.parse().map_err(|_| format!("bad timeout `{value}`"))?)
            }
            "needs" => self.needs = words(),
            "stdin" => self.stdin = Some(format!("{value}\n")),
            "target" => self.target = Some(value.to_owned()),
            "attach" => self.attach = Some(split_words(value)?),
            "signal" => {
                self.signal =
                    Some(format!("SIG{value}").parse().map_err(|_| format!("bad signal `{value}`"))?);
            }
            _ => return Err(format!("unknown directive `{key}`")),
        }
        Ok(())
    }
}

/// Splits as a shell does, with single and double quotes, without expansions.
fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in line.replace("{user}", &super::user_name()).chars() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(char),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(char),
        }
    }
    if quote.is_some() {
        return Err(format!("unclosed quote in `{line}`"));
    }
    words.extend(word);
    Ok(words)
}
