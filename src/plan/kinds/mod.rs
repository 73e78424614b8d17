//! The kinds of sources and destinations as everybody but their drivers knows them: names, keys, how a plan is made of what files say,
//! what `show` prints. Opens nothing.
//!
//! A kind is described by one file here and one line in [`SOURCES`] or [`DESTINATIONS`]. Validation, JSON Schemas, `show`, `source list`
//! and the test that demands a section in README.md, an example and a conformance run all walk these lists.

mod api;
mod csv;
mod docs;
mod key;
pub mod mysql;
mod odbc;
mod oracle;
pub mod postgresql;
mod sqlite;
mod sqlserver;
mod url;

use std::path::{Path, PathBuf};

pub use csv::without_login;
pub use key::{Default, Key, Kind, Level, Part, Status, key};

use super::load::{DestinationKind, SourceKind};
use super::odbc::Engine;
use super::tables::Pattern;
use crate::secret::{Masker, Secret};

/// The kinds of sources.
pub static SOURCES: &[&SourceType] =
    &[&api::SOURCE, &csv::SOURCE, &mysql::SOURCE, &odbc::SOURCE, &oracle::SOURCE, &postgresql::SOURCE, &sqlite::SOURCE, &sqlserver::SOURCE];

/// The kinds of destinations.
pub static DESTINATIONS: &[&DestinationType] = &[&sqlite::DESTINATION, &postgresql::DESTINATION, &mysql::DESTINATION];

/// A kind of sources.
#[derive(Debug)]
pub struct SourceType {
    /// Its name: `type` of its connections, and what listings show.
    pub name: &'static str,
    /// Its name in README.md.
    pub title: &'static str,
    /// What its sources are, in a word of several: files, tables.
    pub nouns: &'static str,
    /// Whether a source needs a connection of this type.
    pub needs_connection: bool,
    /// Keys of which a source has exactly one.
    pub places: &'static [&'static str],
    /// The keys of a source that not every kind has, the places among them.
    pub keys: &'static [Key],
    /// The keys of its connections, beside `type`.
    pub connection_keys: &'static [Key],
    /// An example: the connection that it needs, where it needs one, and the source, as YAML.
    pub example: Example,
    /// Whether tables stand in schemas: a source is called by its table alone.
    pub has_schemas: bool,
    /// Whether it reads files: bad rows are rejected, types are inferred.
    pub is_files: bool,
    /// The keys of `etl_config` that only some kinds have, and this one has. One with `sample_rows` infers types and rejects bad rows.
    pub config_keys: &'static [&'static str],
    /// Makes the plan of a source whose keys are this kind's.
    pub plan: fn(&dyn Given) -> Result<SourceKind, Wrong>,
}

/// A kind of destinations.
#[derive(Debug)]
pub struct DestinationType {
    /// Its name: `type` of its connections.
    pub name: &'static str,
    /// Its name in README.md.
    pub title: &'static str,
    /// Whether tables stand in schemas.
    pub has_schemas: bool,
    /// The keys of its connections, beside `type`.
    pub connection_keys: &'static [Key],
    /// An example of its connection, as YAML.
    pub example: &'static str,
    /// What readers of its tables are promised, in words.
    pub promise: &'static str,
    /// Makes the plan of a destination.
    pub plan: fn(&dyn Given) -> Result<DestinationKind, Wrong>,
}

/// How a source is written.
#[derive(Debug)]
pub struct Example {
    /// An entry of `connections` in etlsched.yaml.
    pub connection: Option<&'static str>,
    /// An item of a job's `data_sources`.
    pub source: &'static str,
}

/// What the files say of a source or a connection, checked key by key.
pub trait Given {
    /// Returns a key's text.
    fn text(&self, map: Map, key: &str) -> Option<&str>;
    /// Returns a key's text as messages may show it: variables as written.
    fn shown(&self, map: Map, key: &str) -> &str;
    /// Returns the values of the variables in a key's text, which nothing may show.
    fn values(&self, map: Map, key: &str) -> Vec<Secret>;
    /// Whether a key has a value.
    fn has(&self, map: Map, key: &str) -> bool;
    /// Returns a key's secret; an empty one where this is no run and nothing is fetched.
    ///
    /// # Errors
    /// What kept it from being fetched.
    fn secret(&self, map: Map, key: &'static str) -> Result<Option<Secret>, Wrong>;
    /// Returns a key's boolean.
    fn boolean(&self, map: Map, key: &str) -> Option<bool>;
    /// Returns a key's whole number.
    fn int(&self, map: Map, key: &str) -> Option<i64>;
    /// Returns a key's list of texts.
    fn texts(&self, map: Map, key: &str) -> Option<Vec<String>>;
    /// Returns a key's value with all that is in it, variables replaced; `None` where it has none.
    fn tree(&self, map: Map, key: &str) -> Option<Tree>;
    /// As [`Given::secret`], for a secret in a key's map; the path leads from there.
    ///
    /// # Errors
    /// As for [`Given::secret`].
    fn secret_at(&self, map: Map, key: &'static str, path: &[&str]) -> Result<Option<Secret>, Wrong>;
    /// As [`Given::values`], for every text in a key's value.
    fn variables(&self, map: Map, key: &str) -> Vec<Secret>;
    /// Returns a key's texts by their names, in the order in which they stand.
    fn text_map(&self, map: Map, key: &str) -> Option<Vec<(String, String)>>;
    /// Returns a path of the workspace as an absolute one.
    fn file(&self, path: &str) -> PathBuf;
    /// As [`Given::file`], for a path that may be a pattern of files.
    fn files(&self, path: &str) -> String;
}

/// A value of a file, without its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Text
    Text(String),
    /// A number or a boolean, as written
    Plain(String),
    /// Nothing
    Null,
    /// A list
    List(Vec<Tree>),
    /// A map, in the file's order
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Returns a scalar's text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Returns a value of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// Returns it as JSON; a number that JSON doesn't write so is text.
    pub fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Text(text) => quoted(text),
            Self::Plain(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => text.clone(),
            Self::Plain(text) => quoted(text),
            Self::Null => "null".to_owned(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::json).collect::<Vec<_>>().join(",")),
            Self::Map(entries) => {
                let members: Vec<String> = entries.iter().map(|(key, value)| format!("{}:{}", quoted(key), value.json())).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// Which map a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// The source.
    Source,
    /// Its `etl_config`.
    Config,
    /// The connection that it names.
    Connection,
}

/// What keeps a plan from being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it: a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

impl SourceType {
    /// Whether a key may stand at a source of this kind.
    pub fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }
}

/// Returns the kind of sources of a name.
pub fn source(name: &str) -> Option<&'static SourceType> {
    SOURCES.iter().copied().find(|kind| kind.name == name)
}

/// Returns the kind of destinations of a name.
pub fn destination(name: &str) -> Option<&'static DestinationType> {
    DESTINATIONS.iter().copied().find(|kind| kind.name == name)
}

/// Returns the types of connections that there are, each once.
pub fn connection_types() -> Vec<&'static str> {
    let mut types: Vec<&'static str> = DESTINATIONS.iter().map(|kind| kind.name).collect();
    types.extend(SOURCES.iter().map(|kind| kind.name).filter(|name| destination(name).is_none()));
    types
}

/// Returns the keys that a connection of a type may have, beside `type`.
pub fn connection_keys(name: &str) -> Vec<&'static str> {
    let of_source = source(name).map(|kind| kind.connection_keys).unwrap_or_default();
    let of_destination = destination(name).map(|kind| kind.connection_keys).unwrap_or_default();
    let mut names: Vec<&'static str> = of_source.iter().map(|key| key.name).collect();
    names.extend(of_destination.iter().map(|key| key.name).filter(|name| of_source.iter().all(|key| key.name != *name)));
    names
}

impl SourceKind {
    /// Whether it reads files.
    pub fn is_files(&self) -> bool {
        source(self.name()).is_some_and(|kind| kind.is_files)
    }

    /// Returns the name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Api(_) => api::SOURCE.name,
            Self::Csv(_) => csv::SOURCE.name,
            Self::Mysql(_) => mysql::SOURCE.name,
            Self::Odbc(plan) => match plan.connection.engine {
                Engine::SqlServer => sqlserver::SOURCE.name,
                Engine::Oracle => oracle::SOURCE.name,
                Engine::Other => odbc::SOURCE.name,
            },
            Self::Postgresql(_) => postgresql::SOURCE.name,
            Self::Sqlite(_) => sqlite::SOURCE.name,
        }
    }

    /// Whether it may have several streams, whose targets are called by the tables.
    pub fn has_several_streams(&self) -> bool {
        match self {
            Self::Api(_) | Self::Csv(_) => false,
            Self::Mysql(plan) => !plan.tables.is_empty(),
            Self::Odbc(plan) => !plan.tables.is_empty(),
            Self::Postgresql(plan) => !plan.tables.is_empty(),
            Self::Sqlite(plan) => !plan.tables.is_empty(),
        }
    }

    /// Asks for one reader where rows matter less than what they are made of.
    pub fn in_one_part(&mut self) {
        match self {
            Self::Api(_) | Self::Csv(_) | Self::Mysql(_) | Self::Odbc(_) | Self::Sqlite(_) => {}
            Self::Postgresql(plan) => plan.partitions = 1,
        }
    }

    /// Returns the server that is read from, as `host:port`, without secrets; `None` where it is a file, or behind a name of the driver's.
    pub fn server(&self, masker: &Masker) -> Option<String> {
        let server = match self {
            Self::Api(plan) => csv::authority(&plan.connection.base_url)?,
            Self::Csv(plan) => csv::authority(&plan.path)?,
            Self::Mysql(plan) => format!("{}:{}", plan.connection.host, plan.connection.port),
            Self::Odbc(plan) => match (&plan.connection.connection_string, &plan.connection.host, plan.connection.port) {
                (None, Some(host), Some(port)) => format!("{host}:{port}"),
                (None, Some(host), None) => host.clone(),
                _ => return None,
            },
            Self::Postgresql(plan) => format!("{}:{}", plan.connection.host, plan.connection.port),
            Self::Sqlite(_) => return None,
        };
        Some(masker.mask(&server))
    }

    /// Returns what is read, as people know it, without secrets: paths below `root` are shown from there.
    pub fn place(&self, root: &Path, masker: &Masker) -> String {
        match self {
            Self::Api(plan) => api::place(plan, masker),
            Self::Csv(plan) => csv::place(plan, root, masker),
            Self::Mysql(plan) => mysql::place(plan, masker),
            Self::Odbc(plan) => odbc::place(plan, masker),
            Self::Postgresql(plan) => postgresql::place(plan, masker),
            Self::Sqlite(plan) => sqlite::place(plan, root, masker),
        }
    }
}

impl DestinationKind {
    /// Returns the name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite::DESTINATION.name,
            Self::Postgresql(_) => postgresql::DESTINATION.name,
            Self::Mysql(_) => mysql::DESTINATION.name,
        }
    }

    /// Returns what readers of its tables are promised, in words.
    pub fn promise(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite::DESTINATION.promise,
            Self::Postgresql(_) => postgresql::DESTINATION.promise,
            Self::Mysql(_) => mysql::DESTINATION.promise,
        }
    }

    /// Returns the file that it writes, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(plan) => Some(&plan.path),
            Self::Postgresql(_) | Self::Mysql(_) => None,
        }
    }
}

/// Says what is wrong with a key, and what to do.
fn wrong(key: &'static str, message: String, hint: &'static str) -> Wrong {
    Wrong { key, message, hint: Some(hint) }
}

/// Refuses a condition beside a query.
fn refuse_where(given: &dyn Given) -> Result<(), Wrong> {
    if ["custom_sql", "where"].iter().all(|key| given.text(Map::Source, key).is_some()) {
        return Err(wrong("where", "where is what only tables have".to_owned(), "remove it"));
    }
    Ok(())
}

/// Returns the names and globs of a source of several tables; none where it says no `tables`.
///
/// # Errors
/// An empty list, one that is neither name nor glob.
fn tables(given: &dyn Given) -> Result<Vec<String>, Wrong> {
    let wrong = |message| Wrong { key: "tables", message, hint: None };
    let tables = given.texts(Map::Source, "tables").unwrap_or_default();
    if tables.is_empty() && given.has(Map::Source, "tables") {
        return Err(wrong("tables names no table".to_owned()));
    }
    tables.iter().try_for_each(|table| Pattern::parse(table).map(|_| ()).map_err(wrong))?;
    Ok(tables)
}

/// Returns what a source reads, as people know it.
fn what(table: Option<&str>, tables: &[String]) -> String {
    match (table, tables) {
        (Some(table), _) => table.to_owned(),
        (None, []) => "a query".to_owned(),
        (None, tables) => tables.join(", "),
    }
}

/// Returns a path from `root`, or as it is where it doesn't lie below.
fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
