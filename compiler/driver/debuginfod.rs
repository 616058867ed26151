//! A client of debuginfod servers, which have debug files by build-id (debuginfod(8), debuginfod-find(1)). The cache and
//! the variables of the environment are those of elfutils' client, so that both find what either has fetched. The
//! transfer itself is curl(1)'s, which knows TLS, proxies and redirections.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rstap_debuginfo::sources::Unfetched;

/// How long it is believed that no server has a file, as elfutils' client does.
const MISS_LASTS: Duration = Duration::from_secs(600);
/// Give up when fewer than [`SLOW_BYTES`] arrive in this time (DEBUGINFOD_TIMEOUT).
const TIMEOUT: Duration = Duration::from_secs(90);
const SLOW_BYTES: u64 = 100 << 10;
/// Transfers that take longer than this are spoken of.
const QUIET_FOR: Duration = Duration::from_millis(1500);

/// Exit codes of curl(1).
const NOT_FOUND: i32 = 22;
const TOO_SLOW: i32 = 28;

/// A client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    servers: Vec<String>,
    cache: Option<PathBuf>,
    timeout: Option<Duration>,
    longest: Option<Duration>,
    max_bytes: Option<u64>,
    headers: Option<PathBuf>,
}

impl Client {
    /// As the environment says.
    pub fn from_environment() -> Client {
        Client::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Client {
        let number = |name| variable(name)?.trim().parse::<u64>().ok();
        let servers = variable("DEBUGINFOD_URLS").unwrap_or_default();
        Client {
            servers: servers.split_whitespace().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            cache: cache_directory(&variable),
            timeout: number("DEBUGINFOD_TIMEOUT").map(Duration::from_secs),
            longest: number("DEBUGINFOD_MAXTIME").filter(|&seconds| seconds > 0).map(Duration::from_secs),
            max_bytes: number("DEBUGINFOD_MAXSIZE").filter(|&bytes| bytes > 0),
            headers: variable("DEBUGINFOD_HEADERS_FILE").map(PathBuf::from),
        }
    }

    /// Where fetched files are, whether or not there is such a directory.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The debug file for a build-id: from the cache, else from the first server that has it.
    pub fn find(&self, build_id: &str) -> Option<Result<PathBuf, Unfetched>> {
        let cached = self.cache.as_ref()?.join(build_id).join("debuginfo");
        match known(&cached) {
            Known::Here => return Some(Ok(cached)),
            Known::Nowhere if !self.servers.is_empty() => {
                let problem = "no server had it some minutes ago".to_owned();
                return Some(Err(Unfetched { asked: self.servers.join(", "), problem }));
            }
            _ if self.servers.is_empty() => return None,
            Known::Nowhere | Known::Unknown => {}
        }
        Some(self.ask_servers(build_id, &cached))
    }

    fn ask_servers(&self, build_id: &str, cached: &Path) -> Result<PathBuf, Unfetched> {
        let mut failure = None;
        for server in &self.servers {
            match self.ask(server, build_id, cached) {
                Ok(()) => return Ok(cached.to_owned()),
                Err(Failure::Absent) => {}
                Err(Failure::Other(problem)) => {
                    failure.get_or_insert(Unfetched { asked: server.clone(), problem });
                }
            }
        }
        Err(failure.unwrap_or_else(|| {
            // The mark of the other client: an empty file.
            let _ = File::create(cached);
            Unfetched { asked: self.servers.join(", "), problem: "no server has it".to_owned() }
        }))
    }

    /// Fetches the file next to its place in the cache, and puts it there when it is complete.
    fn ask(&self, server: &str, build_id: &str, cached: &Path) -> Result<(), Failure> {
        let url = format!("{server}/buildid/{build_id}/debuginfo");
        let part = cached.with_extension(format!("{}.part", std::process::id()));
        let cannot_keep = |error: io::Error| {
            Failure::Other(format!("cannot write to the cache, {}: {error}", part.display()))
        };
        if let Some(directory) = cached.parent() {
            fs::create_dir_all(directory).map_err(cannot_keep)?;
        }
        let result = self.transfer(&url, &part);
        if result.is_ok() {
            return fs::rename(&part, cached).map_err(cannot_keep);
        }
        let _ = fs::remove_file(&part);
        result
    }

    fn transfer(&self, url: &str, part: &Path) -> Result<(), Failure> {
        let mut command = Command::new("curl");
        let seconds = |time: Duration| time.as_secs().to_string();
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        command.args(["--silent", "--fail", "--location", "--proto", "=http,https,file", "--output"]);
        command.arg(part);
        if !timeout.is_zero() {
            let slow = SLOW_BYTES / timeout.as_secs().max(1);
            command.args(["--speed-time", &seconds(timeout), "--speed-limit", &slow.to_string()]);
            command.args(["--connect-timeout", &seconds(timeout)]);
        }
        if let Some(longest) = self.longest {
            command.args(["--max-time", &seconds(longest)]);
        }
        if let Some(bytes) = self.max_bytes {
            command.args(["--max-filesize", &bytes.to_string()]);
        }
        if let Some(headers) = &self.headers {
            command.arg("--header").arg(format!("@{}", headers.display()));
        }
        let child =
            command.args(["--", url]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = child.spawn().map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::NotFound => "the program curl, which fetches it, is not installed".to_owned(),
                _ => format!("cannot start curl: {error}"),
            };
            Failure::Other(problem)
        })?;
        let status = wait_and_tell(child, url, part).map_err(|error| Failure::Other(error.to_string()))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => Err(Failure::Absent),
            Some(TOO_SLOW) => {
                Err(Failure::Other(format!("took too long (DEBUGINFOD_TIMEOUT={})", timeout.as_secs())))
            }
            Some(code) => Err(Failure::Other(format!("cannot be reached (curl's exit status is {code})"))),
            None => Err(Failure::Other("the transfer was ended by a signal".to_owned())),
        }
    }
}

enum Failure {
    /// The server does not have the file.
    Absent,
    Other(String),
}

/// What the cache says.
enum Known {
    Here,
    Nowhere,
    Unknown,
}

fn known(cached: &Path) -> Known {
    let Ok(metadata) = fs::metadata(cached) else { return Known::Unknown };
    if metadata.len() > 0 {
        return Known::Here;
    }
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    if age.is_some_and(|age| age < MISS_LASTS) { Known::Nowhere } else { Known::Unknown }
}

/// $DEBUGINFOD_CACHE_PATH, the directory that old versions used if it is there, else one of the user's caches.
fn cache_directory(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = variable("DEBUGINFOD_CACHE_PATH") {
        return Some(path.into());
    }
    let home = variable("HOME").map(PathBuf::from);
    let old = home.as_ref().map(|home| home.join(".debuginfod_client_cache"));
    if old.as_ref().is_some_and(|old| old.is_dir()) {
        return old;
    }
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".cache")));
    caches.map(|caches| caches.join("debuginfod_client"))
}

/// Waits for a transfer, and says on standard error how far it is if it takes a while.
fn wait_and_tell(mut child: Child, url: &str, part: &Path) -> io::Result<std::process::ExitStatus> {
    let start = Instant::now();
    let mut told = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
        if start.elapsed() < QUIET_FOR {
            continue;
        }
        if !io::stderr().is_terminal() {
            if !told {
                eprintln!("fetching {url}");
            }
        } else {
            let bytes = fs::metadata(part).map_or(0, |metadata| metadata.len());
            eprint!("\rfetching {url}: {:.1} MB", bytes as f64 / 1e6);
            let _ = io::stderr().flush();
        }
        told = true;
    };
    if told && io::stderr().is_terminal() {
        eprintln!();
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(variables: &[(&str, &str)]) -> Client {
        let find =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Client::new(find)
    }

    #[test]
    fn the_environment_is_that_of_the_other_client() {
        let client = client(&[
            ("DEBUGINFOD_URLS", "https://a.example/ http://b.example:8002"),
            ("HOME", "/home/x"),
            ("DEBUGINFOD_TIMEOUT", "5"),
            ("DEBUGINFOD_MAXSIZE", "0"),
        ]);
        assert_eq!(client.servers, ["https://a.example", "http://b.example:8002"]);
        assert_eq!(client.cache, Some("/home/x/.cache/debuginfod_client".into()));
        assert_eq!((client.timeout, client.max_bytes), (Some(Duration::from_secs(5)), None));
    }

    #[test]
    fn the_cache_may_be_elsewhere() {
        let at = |variables: &[(&str, &str)]| client(variables).cache;
        assert_eq!(at(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/debuginfod_client".into()));
        assert_eq!(at(&[("DEBUGINFOD_CACHE_PATH", "/d"), ("HOME", "/h")]), Some("/d".into()));
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn without_servers_only_the_cache_is_looked_at() {
        let directory = std::env::temp_dir().join(format!("rstap-debuginfod-{}", std::process::id()));
        let cached = directory.join("ab12/debuginfo");
        fs::create_dir_all(cached.parent().unwrap()).unwrap();
        let client = client(&[("DEBUGINFOD_CACHE_PATH", directory.to_str().unwrap())]);
        assert_eq!(client.find("ab12"), None);
        fs::write(&cached, "ELF").unwrap();
        assert_eq!(client.find("ab12"), Some(Ok(cached)));
        fs::remove_dir_all(directory).unwrap();
    }
}
