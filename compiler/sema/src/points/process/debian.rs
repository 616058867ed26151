//! Which Debian package has the debug information of a file. A guess that only serves messages.

use std::path::Path;

use crate::files::Files;

const DATABASE: &str = "/var/lib/dpkg/info";

/// The package that installed a file.
pub fn package_of<'d>(files: &(dyn Files<'d> + 'd), path: &Path) -> Option<String> {
    let path = path.to_str()?;
    // Files that a merged /usr shows at /usr/bin may be listed as /bin.
    let merged = path.strip_prefix("/usr").unwrap_or(path);
    let database = Path::new(DATABASE);
    for name in files.list(database).ok()? {
        let Some(package) = name.strip_suffix(".list") else { continue };
        let Ok(list) = files.read(&database.join(&name)) else { continue };
        if has_line(list, path.as_bytes()) || has_line(list, merged.as_bytes()) {
            return Some(package.split(':').next().unwrap_or(package).to_owned());
        }
    }
    None
}

fn has_line(text: &[u8], line: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|other| other == line)
}

/// The package with the debug information of another one.
pub fn debug_package(package: &str) -> String {
    match package {
        "libc6" | "libc-bin" => "libc6-dbg".to_owned(),
        _ if package.starts_with("libpython3") || package.starts_with("python3") => "python3-dbg".to_owned(),
        _ => format!("{package}-dbgsym"),
    }
}
