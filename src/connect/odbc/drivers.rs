//! Which ODBC drivers this machine has, which of them serves a connection, and how one is installed.

use std::path::{Path, PathBuf};

use super::handle::{self, OdbcError};
use crate::connect::ConnectError;
use crate::plan::odbc::{Engine, OdbcConnection};

/// Drivers that are told apart, because they want other words or have other limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Microsoft's drivers for SQL Server.
    Microsoft,
    FreeTds,
    Oracle,
    /// psqlODBC.
    PostgreSql,
    /// MariaDB's and MySQL's.
    MariaDb,
    Other,
}

impl Family {
    /// Returns the family of a driver by its name or its file.
    pub fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        let has = |part: &str| name.contains(part);
        if has("freetds") || has("tdsodbc") {
            Self::FreeTds
        } else if has("msodbcsql") || (has("sql server") && !has("mysql")) {
            Self::Microsoft
        } else if has("oracle") || has("sqora") {
            Self::Oracle
        } else if has("psqlodbc") || has("postgres") {
            Self::PostgreSql
        } else if has("maodbc") || has("mariadb") || has("myodbc") || has("mysql") {
            Self::MariaDb
        } else {
            Self::Other
        }
    }

    /// Returns the keyword of [`Family::settings`] by which the driver hands text over as UTF-8, where that keeps text better than UTF-16 does.
    pub(super) fn utf8_keyword(self) -> Option<&'static str> {
        match self {
            Self::FreeTds => Some("ClientCharset"),
            // Of UTF-16 it can't hand over a part ("Ansi to Unicode conversion error").
            Self::MariaDb => Some("CHARSET"),
            Self::Microsoft | Self::Oracle | Self::PostgreSql | Self::Other => None,
        }
    }

    /// Returns the keywords without which the driver bends text or keeps whole results in memory.
    pub(super) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // FreeTDS User Guide, "ODBC Connection Attributes": without a charset it takes ISO 8859-1.
            Self::FreeTds => &[("TDS_Version", "7.4"), ("ClientCharset", "UTF-8")],
            // psqlODBC, "Configuration Options": without a cursor the whole result is kept in memory; booleans would be text; a numeric
            // without digits would be said to have 28, and line ends may be changed.
            Self::PostgreSql => {
                &[("UseDeclareFetch", "1"), ("Fetch", "10000"), ("BoolsAsChar", "0"), ("NumericAs", "12"), ("LFConversion", "0")]
            }
            // Connector/ODBC, "Connection parameters": FORWARD_CURSOR (bit 21) and NO_CACHE (bit 20) keep the result at the server.
            Self::MariaDb => &[("OPTION", "3145728"), ("CHARSET", "utf8mb4")],
            Self::Microsoft | Self::Oracle | Self::Other => &[],
        }
    }
}

/// Returns the families that serve an engine, best first, and how one is installed.
fn serving(engine: Engine) -> (&'static [Family], &'static str) {
    match engine {
        Engine::SqlServer => (&[Family::Microsoft, Family::FreeTds], SQLSERVER_HINT),
        Engine::Oracle => (&[Family::Oracle], ORACLE_HINT),
        Engine::Other => (&[], OTHER_HINT),
    }
}

const SQLSERVER_HINT: &str = "install FreeTDS (apt-get install tdsodbc; dnf install freetds) or Microsoft's driver (package msodbcsql18 of \
     packages.microsoft.com), or set driver";
const ORACLE_HINT: &str = "install Oracle's Instant Client with its ODBC package (oracle.com, or dnf install oracle-instantclient-odbc) and run \
     its odbc_update_ini.sh, or set driver: the path of libsqora.so";
const OTHER_HINT: &str = "install the database's ODBC driver (apt-cache search odbc; for example odbc-postgresql, odbc-mariadb, \
     libsqliteodbc, tdsodbc) so that odbcinst.ini lists it, or set driver: the path of its file";

/// The driver of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Driver {
    /// What stands for DRIVER in the connection string; `None` where a data source or a whole string says it.
    pub word: Option<String>,
    pub family: Family,
}

/// Returns the drivers that are installed, by their names.
///
/// # Errors
/// The driver manager doesn't start.
pub fn installed() -> Result<Vec<String>, OdbcError> {
    handle::driver_names()
}

/// Finds the driver of a connection.
///
/// # Errors
/// There is none, with the list of those that there are and how to install one.
pub(super) fn choose(plan: &OdbcConnection) -> Result<Driver, ConnectError> {
    if let Some(whole) = &plan.connection_string {
        let driver = keyword(whole.expose(), "driver").unwrap_or_default();
        return Ok(Driver { word: None, family: Family::of(&driver) });
    }
    if plan.dsn.is_some() {
        return Ok(Driver { word: None, family: Family::Other });
    }
    let installed = installed().map_err(|error| missing(plan, &format!("{error:?}"), &[]))?;
    let (families, _) = serving(plan.engine);
    let name = match &plan.driver {
        Some(path) if is_path(path) => {
            return match Path::new(path).is_file() {
                true => Ok(Driver { word: Some(path.clone()), family: Family::of(path) }),
                false => Err(missing(plan, &format!("there is no file {path}"), &installed)),
            };
        }
        Some(name) => installed.iter().find(|known| known.eq_ignore_ascii_case(name)).cloned(),
        None => families.iter().find_map(|family| {
            // Of several versions the newest: their names end with it.
            installed.iter().filter(|name| Family::of(name) == *family).max().cloned()
        }),
    };
    let Some(name) = name else {
        let what = match &plan.driver {
            Some(name) => format!("no ODBC driver is called {name}"),
            None => format!("no ODBC driver for {} is installed", plan.engine.title()),
        };
        return Err(missing(plan, &what, &installed));
    };
    let family = Family::of(&name);
    Ok(Driver { word: Some(located(&name).unwrap_or(name)), family })
}

/// Makes the error for a driver that isn't there.
pub(super) fn missing(plan: &OdbcConnection, what: &str, installed: &[String]) -> ConnectError {
    let (_, hint) = serving(plan.engine);
    let list = if installed.is_empty() { "odbcinst.ini lists no driver".to_owned() } else { format!("there are {}", installed.join(", ")) };
    let message = format!("connect to {}: {what}; {list}", plan.place());
    ConnectError {
        code: "no_driver",
        message: crate::text::printable(&message).into_owned(),
        hint: Some(hint.to_owned()),
        is_transient: false,
        retry_after: None,
    }
}

fn is_path(driver: &str) -> bool {
    driver.contains(['/', '\\'])
}

/// Returns the value of a keyword of a connection string.
pub(super) fn keyword(string: &str, wanted: &str) -> Option<String> {
    let mut rest = string;
    while let Some((keyword, after)) = rest.split_once('=') {
        let (value, next) = match after.trim_start().strip_prefix('{') {
            Some(braced) => braced_value(braced),
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        if keyword.trim().trim_start_matches(';').trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
    None
}

fn braced_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        if sign != '}' {
            value.push(sign);
        } else if signs.next_if(|(_, next)| *next == '}').is_some() {
            value.push('}');
        } else {
            let rest = &text[at + 1..];
            return (value, rest.split_once(';').map_or("", |(_, next)| next));
        }
    }
    (value, "")
}

/// Returns the file of a driver that `odbcinst.ini` names without its folder: Debian keeps drivers where the loader doesn't look.
#[cfg(target_os = "linux")]
fn located(name: &str) -> Option<String> {
    let ini = ini_files().iter().find_map(|path| std::fs::read_to_string(path).ok().and_then(|text| file_of(&text, name)))?;
    if is_path(&ini) {
        return None;
    }
    let found = folders().into_iter().map(|folder| folder.join(&ini)).find(|path| path.is_file())?;
    Some(found.to_str()?.to_owned())
}

#[cfg(not(target_os = "linux"))]
fn located(_name: &str) -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
fn ini_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Some(file) = std::env::var_os("ODBCINSTINI") {
        files.push(PathBuf::from(file));
    }
    if let Some(folder) = std::env::var_os("ODBCSYSINI") {
        files.push(Path::new(&folder).join("odbcinst.ini"));
    }
    files.push(PathBuf::from("/etc/odbcinst.ini"));
    files
}

/// Returns the folders in which distributions keep drivers.
#[cfg(target_os = "linux")]
pub fn folders() -> Vec<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    [
        format!("/usr/lib/{triplet}/odbc"),
        format!("/usr/lib/{triplet}"),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/usr/local/lib".to_owned(),
    ]
    .map(PathBuf::from)
    .into_iter()
    .filter(|folder| folder.is_dir())
    .collect()
}

/// Returns the file of a driver as an `odbcinst.ini` says it.
#[cfg(target_os = "linux")]
fn file_of(ini: &str, name: &str) -> Option<String> {
    let mut is_own = false;
    for line in ini.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_own = section.trim().eq_ignore_ascii_case(name);
        } else if let Some((key, value)) = line.split_once('=')
            && is_own
            && key.trim().eq_ignore_ascii_case("driver")
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_s_family_is_known_by_its_name_or_its_file() {
        let cases = [
            ("ODBC Driver 18 for SQL Server", Family::Microsoft),
            ("/opt/microsoft/msodbcsql18/lib64/libmsodbcsql-18.4.so.1.1", Family::Microsoft),
            ("FreeTDS", Family::FreeTds),
            ("/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so", Family::FreeTds),
            ("Oracle 21 ODBC driver", Family::Oracle),
            ("libsqora.so.21.1", Family::Oracle),
            ("PostgreSQL Unicode", Family::PostgreSql),
            ("psqlodbcw.so", Family::PostgreSql),
            ("MariaDB Unicode", Family::MariaDb),
            ("MySQL ODBC 9.0 Unicode Driver", Family::MariaDb),
            ("SQLite3", Family::Other),
        ];
        for (name, family) in cases {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }

    #[test]
    fn a_keyword_of_a_connection_string_is_found_behind_braced_ones() {
        let string = "PWD={a;driver=x}};};Driver={My Driver};server=db";
        assert_eq!(keyword(string, "DRIVER").as_deref(), Some("My Driver"));
        assert_eq!(keyword(string, "PWD").as_deref(), Some("a;driver=x};"));
        assert_eq!(keyword(string, "server").as_deref(), Some("db"));
        assert_eq!(keyword(string, "database"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_driver_s_file_stands_in_its_section() {
        let ini = "[A]\nDriver=a.so\n\n[FreeTDS]\nDescription=x\ndriver = libtdsodbc.so\n";
        assert_eq!(file_of(ini, "freetds").as_deref(), Some("libtdsodbc.so"));
        assert_eq!(file_of(ini, "B"), None);
    }
}
