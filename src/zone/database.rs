//! Which time zone database is in use: the system's compiled files where they are newer than chrono-tz's tables, else these.
//!
//! Rules change several times a year, and a program carries those that it was built with: a system that is kept up to date knows better.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::Zone;
use super::rules::SystemRules;

/// Where systems keep their compiled files; `TZDIR` names another folder (tzset(3)).
const USUAL_FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/var/db/timezone/zoneinfo"];

/// A compiled file is some 3 KiB at most; what is far beyond is no such file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A time zone database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// As IANA names it: `2026f`.
    pub version: String,
    /// The system's folder; `None` for chrono-tz's tables.
    pub folder: Option<PathBuf>,
}

impl Database {
    /// Returns chrono-tz's.
    pub fn bundled() -> Self {
        Self { version: chrono_tz::IANA_TZDB_VERSION.to_owned(), folder: None }
    }

    /// Returns the one that zones are read with: `folder`'s where its version is known and newer than chrono-tz's.
    fn chosen(folder: Option<&Path>) -> Self {
        let folders = folder.into_iter().chain(USUAL_FOLDERS.iter().map(Path::new).filter(|_| folder.is_none()));
        let bundled = Self::bundled();
        folders
            .filter_map(|folder| Some(Self { version: version_of(folder)?, folder: Some(folder.to_owned()) }))
            .find(|database| is_newer(&database.version, &bundled.version))
            .unwrap_or(bundled)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) => write!(formatter, "tzdata {} of {}", self.version, folder.display()),
            None => write!(formatter, "tzdata {}, bundled", self.version),
        }
    }
}

static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
static IN_USE: OnceLock<Database> = OnceLock::new();
static ZONES: Mutex<Option<HashMap<String, &'static SystemRules>>> = Mutex::new(None);

/// Names the folder with the system's compiled files (`TZDIR`); `None` for the usual ones. Counts once, before the first zone is read:
/// a program that never calls it has chrono-tz's rules.
pub fn use_folder(folder: Option<PathBuf>) {
    FOLDER.set(folder).ok();
}

/// Returns the database that zones are read with.
pub fn in_use() -> &'static Database {
    IN_USE.get_or_init(|| match FOLDER.get() {
        Some(folder) => Database::chosen(folder.as_deref()),
        None => Database::bundled(),
    })
}

/// Returns the version of the system's own database, newer than chrono-tz's or not; `None` where it has none, or none with a version.
pub fn system_version() -> Option<String> {
    let folder = FOLDER.get().and_then(Clone::clone);
    let usual = USUAL_FOLDERS.iter().map(PathBuf::from).filter(|_| folder.is_none());
    folder.iter().cloned().chain(usual).find_map(|folder| version_of(&folder))
}

/// Returns what zones are read with, in words: the database in use, and those of them that its folder lacks or can't give.
pub fn describe(zones: impl IntoIterator<Item = Zone>) -> String {
    let mut lacking: Vec<&str> = lacking(zones);
    let mut text = in_use().to_string();
    if lacking.len() > 5 {
        lacking.truncate(5);
        lacking.push("others");
    }
    if !lacking.is_empty() {
        text.push_str(&format!("; {} for {}", Database::bundled(), lacking.join(", ")));
    }
    text
}

/// Returns the names of zones that have chrono-tz's rules although a folder is in use, each once, in the alphabet's order.
pub fn lacking(zones: impl IntoIterator<Item = Zone>) -> Vec<&'static str> {
    let is_lacking = |zone: &Zone| in_use().folder.is_some() && zone.is_bundled() && *zone != Zone::UTC;
    let mut names: Vec<&str> = zones.into_iter().filter(is_lacking).map(Zone::name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the rules of a zone of the system's folder where that is in use and holds it.
pub(super) fn system_rules(name: &str, is_spelled_right: bool) -> Option<&'static SystemRules> {
    let folder = in_use().folder.as_deref()?;
    // A poisoned lock holds a map that is whole: entries are put in one at a time.
    let mut zones = ZONES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let zones = zones.get_or_insert_default();
    if let Some(rules) = zones.get(name) {
        return Some(rules);
    }
    if !is_name(name) || !(is_spelled_right || is_listed(folder, name)) {
        return None;
    }
    let rules: &'static SystemRules = Box::leak(Box::new(SystemRules::read(name, &bytes_of(&folder.join(name))?)?));
    zones.insert(name.to_owned(), rules);
    Some(rules)
}

/// Whether a text can be a zone's name: nothing that leaves the folder, none of its side branches (`posix/`, `right/`).
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with(['.', '-']) && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    name.len() <= 64 && name.split('/').all(is_part) && !name.starts_with("posix/") && !name.starts_with("right/") && name != "localtime"
}

/// Whether the folder lists every part of a name with these very letters: a file system may take `europe/paris` for `Europe/Paris`.
fn is_listed(folder: &Path, name: &str) -> bool {
    let mut folder = folder.to_owned();
    name.split('/').all(|part| {
        let is_there =
            std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() == part)));
        folder.push(part);
        is_there
    })
}

/// Opens a regular file: a pipe or a device would hold up whoever reads it.
fn open(path: &Path) -> Option<File> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()
}

fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    bytes.starts_with(b"TZif").then_some(bytes)
}

/// Reads the version of a folder: the first line of `tzdata.zi` (`# version 2026f`), or the file `+VERSION` (BSD, macOS).
fn version_of(folder: &Path) -> Option<String> {
    let head = |name: &str| {
        let mut bytes = Vec::new();
        open(&folder.join(name))?.take(64).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned())
    };
    let version = match head("tzdata.zi") {
        Some(line) => line.strip_prefix("# version ").unwrap_or_default().trim().to_owned(),
        None => head("+VERSION")?.trim().to_owned(),
    };
    is_version(&version).then_some(version)
}

/// Whether a text is a year and letters: `2026f`, `2026za`.
fn is_version(text: &str) -> bool {
    text.len() >= 5
        && text.len() <= 7
        && text.bytes().enumerate().all(|(at, byte)| if at < 4 { byte.is_ascii_digit() } else { byte.is_ascii_lowercase() })
}

/// Versions are in the alphabet's order (`2025z` < `2025za` < `2026a`).
fn is_newer(version: &str, other: &str) -> bool {
    version > other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_either_file_and_compared() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version_of(folder.path()), None);
        std::fs::write(folder.path().join("+VERSION"), "2024a\n").unwrap();
        assert_eq!(version_of(folder.path()), Some("2024a".to_owned()));
        assert_eq!(Database::chosen(Some(folder.path())), Database::bundled());
        std::fs::write(folder.path().join("tzdata.zi"), "# version 2099f\nR A\n").unwrap();
        assert_eq!(Database::chosen(Some(folder.path())), Database { version: "2099f".to_owned(), folder: Some(folder.path().to_owned()) });
        std::fs::write(folder.path().join("tzdata.zi"), "# version 99-unknown\n").unwrap();
        assert_eq!(Database::chosen(Some(folder.path())), Database::bundled());
        assert!(is_newer("2026a", "2025z") && is_newer("2025za", "2025z") && !is_newer("2025b", "2025b"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_folder_in_place_of_a_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("tzdata.zi");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(version_of(folder.path()), None);
        assert_eq!(bytes_of(&pipe), None);
        assert_eq!(bytes_of(folder.path()), None);
    }

    #[test]
    fn names_never_leave_the_folder() {
        for name in ["Europe/Paris", "Etc/GMT+5", "EST5EDT", "America/Port-au-Prince"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "Europe/../../x",
            "right/UTC",
            "posix/UTC",
            "a b",
            "Europe//Paris",
            ".hidden",
            "tzdata.zi",
            "localtime",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_version_says_where_it_comes_from() {
        assert_eq!(Database::bundled().to_string(), format!("tzdata {}, bundled", chrono_tz::IANA_TZDB_VERSION));
        let system = Database { version: "2026f".to_owned(), folder: Some(PathBuf::from("/usr/share/zoneinfo")) };
        assert_eq!(system.to_string(), "tzdata 2026f of /usr/share/zoneinfo");
    }
}
