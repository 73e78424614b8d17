//! Which ODBC drivers this machine has, which of them serves a connection, and how one is installed.

use std::path::Path;

use super::call::OdbcError;
use super::handle;
pub use super::handle::Driver;
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
pub(super) struct Chosen {
    /// What stands for DRIVER in the connection string; `None` where a data source or a whole string says it.
    pub word: Option<String>,
    pub family: Family,
}

/// Returns the drivers that are installed, by their names.
///
/// # Errors
/// The driver manager doesn't start.
pub fn installed() -> Result<Vec<Driver>, OdbcError> {
    handle::known_drivers()
}

/// Finds the driver of a connection.
///
/// # Errors
/// There is none, with the list of those that there are and how to install one.
pub(super) fn choose(plan: &OdbcConnection) -> Result<Chosen, ConnectError> {
    if let Some(whole) = &plan.connection_string {
        let driver = keyword(whole.expose(), "driver").unwrap_or_default();
        return Ok(Chosen { word: None, family: Family::of(&driver) });
    }
    if plan.dsn.is_some() {
        return Ok(Chosen { word: None, family: Family::Other });
    }
    let installed = installed().map_err(|error| missing(plan, &format!("{error:?}"), &[]))?;
    let (families, _) = serving(plan.engine);
    let found = match &plan.driver {
        Some(path) if is_path(path) => {
            return match Path::new(path).is_file() {
                true => Ok(Chosen { word: Some(path.clone()), family: Family::of(path) }),
                false => Err(missing(plan, &format!("there is no file {path}"), &installed)),
            };
        }
        Some(name) => installed.iter().find(|known| known.name.eq_ignore_ascii_case(name)),
        None => families.iter().find_map(|family| {
            installed.iter().filter(|known| Family::of(&known.name) == *family).max_by_key(|known| (version(&known.name), &known.name))
        }),
    };
    let Some(found) = found else {
        let what = match &plan.driver {
            Some(name) => format!("no ODBC driver is called {name}"),
            None => format!("no ODBC driver for {} is installed", plan.engine.title()),
        };
        return Err(missing(plan, &what, &installed));
    };
    let own = Family::of(&found.name);
    let family = if own == Family::Other { Family::of(found.file.as_deref().unwrap_or_default()) } else { own };
    Ok(Chosen { word: Some(located(found).unwrap_or_else(|| found.name.clone())), family })
}

/// Returns the driver that serves a connection, as `odbcinst.ini` or its path names it; `None` where a data source or a whole connection string
/// says it. Connects to nothing.
///
/// # Errors
/// There is none, with the list of those that there are and how to install one.
pub fn of_connection(plan: &OdbcConnection) -> Result<Option<String>, ConnectError> {
    choose(plan).map(|chosen| chosen.word)
}

/// Makes the error for a driver that isn't there.
pub(super) fn missing(plan: &OdbcConnection, what: &str, installed: &[Driver]) -> ConnectError {
    let (_, hint) = serving(plan.engine);
    let names: Vec<&str> = installed.iter().map(|driver| driver.name.as_str()).collect();
    let list = if names.is_empty() { "odbcinst.ini lists no driver".to_owned() } else { format!("there are {}", names.join(", ")) };
    let message = format!("connect to {}: {what}; {list}", plan.place());
    ConnectError {
        code: "no_driver",
        message: crate::text::printable(&message).into_owned(),
        hint: Some(hint.to_owned()),
        is_transient: false,
        retry_after: None,
    }
}

/// Returns the number in a driver's name, `ODBC Driver 18 for SQL Server`; 0 of the old `SQL Server` of every Windows.
fn version(name: &str) -> u32 {
    name.split(' ').find_map(|word| word.parse().ok()).unwrap_or(0)
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
fn located(driver: &Driver) -> Option<String> {
    let file = driver.file.as_deref().filter(|file| cfg!(target_os = "linux") && !file.is_empty() && !is_path(file))?;
    let triplet = format!("/usr/lib/{}-linux-gnu/odbc", std::env::consts::ARCH);
    let folders = [triplet.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join(file)).find(|path| path.is_file())?;
    Some(found.to_str()?.to_owned())
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
    fn the_newest_version_is_that_of_the_greatest_number() {
        let names = ["ODBC Driver 9 for SQL Server", "SQL Server", "ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server"];
        assert_eq!(names.into_iter().max_by_key(|name| (version(name), *name)), Some("ODBC Driver 18 for SQL Server"));
    }

    #[test]
    fn a_keyword_of_a_connection_string_is_found_behind_braced_ones() {
        let string = "PWD={a;driver=x}};};Driver={My Driver};server=db";
        assert_eq!(keyword(string, "DRIVER").as_deref(), Some("My Driver"));
        assert_eq!(keyword(string, "PWD").as_deref(), Some("a;driver=x};"));
        assert_eq!(keyword(string, "server").as_deref(), Some("db"));
        assert_eq!(keyword(string, "database"), None);
    }
}
