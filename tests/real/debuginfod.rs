//! A debug file that only a debuginfod server has, elfutils' own, on the loopback interface: fetched once, then found in
//! the cache that all clients share.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ensure;
use crate::support::{RSTAP, scratch};

/// What this trial runs.
pub const PROGRAMS: &[&str] = &["debuginfod", "curl", "gcc", "objcopy"];

/// How long the server may take to find the file.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn fetched_once() -> Result<(), String> {
    let dir = scratch().join("debuginfod");
    let _ = fs::remove_dir_all(&dir);
    let (program, files) = build(&dir).map_err(|error| error.to_string())?;
    let cache = dir.join("cache");
    let server = Server::start(&files)?;
    server.wait_for(&build_id(&program)?)?;

    let (stdout, stderr) = list(&program, &server.url, &cache)?;
    ensure(
        stdout.contains("$first:int"),
        "the variables come from the server",
        &format!("{stdout}{stderr}"),
    )?;
    let url = server.url.clone();
    drop(server);
    let (stdout, stderr) = list(&program, &url, &cache)?;
    ensure(stdout.contains("$first:int"), "the file is in the cache", &format!("{stdout}{stderr}"))?;

    let (_, stderr) = list(&program, &url, &dir.join("other"))?;
    ensure(stderr.contains(&format!("{url} (cannot be reached")), "a server that is gone is named", &stderr)
}

/// A stripped program, and the directory with its debug file.
fn build(dir: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    let files = dir.join("files");
    fs::create_dir_all(&files)?;
    let (source, full, program) = (dir.join("a.c"), files.join("a"), dir.join("a"));
    fs::write(&source, "int f(int first) { return first; } int main(void) { return f(0); }")?;
    let done =
        |command: &mut Command| command.status().map(|status| assert!(status.success(), "{command:?}"));
    done(Command::new("gcc").args(["-g", "-Wl,--build-id", "-o"]).args([&full, &source]))?;
    done(Command::new("objcopy").arg("--strip-all").args([&full, &program]))?;
    Ok((program, files))
}

fn build_id(program: &Path) -> Result<String, String> {
    let bytes = fs::read(program).map_err(|error| error.to_string())?;
    let module = rstap_debuginfo::Module::parse(&bytes).map_err(|error| error.to_string())?;
    let id = module.build_id().ok_or("gcc makes build-ids")?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `-L` of a function, as text on both outputs.
fn list(program: &Path, servers: &str, cache: &Path) -> Result<(String, String), String> {
    let point = format!("process(\"{}\").statement(\"f@a.c:1\")", program.display());
    let mut rstap = Command::new(RSTAP);
    rstap.args(["-L", &point]).env("DEBUGINFOD_URLS", servers).env("DEBUGINFOD_CACHE_PATH", cache);
    let output = rstap.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), text(&output.stderr)))
}

struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(files: &Path) -> Result<Server, String> {
        // The server takes no port 0; this one was free a moment ago.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let mut command = Command::new("debuginfod");
        command
            .args(["-d", ":memory:", "-p", &port.to_string(), "-F"])
            .arg(files)
            .env_remove("DEBUGINFOD_URLS");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.map_err(|error| error.to_string())?;
        Ok(Server { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Waits until the server has found the file.
    fn wait_for(&self, build_id: &str) -> Result<(), String> {
        let url = format!("{}/buildid/{build_id}/debuginfo", self.url);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let curl = Command::new("curl").args(["-sf", "-o", "/dev/null", &url]).status();
            if curl.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the server does not find the file".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
