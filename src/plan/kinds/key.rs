//! What a key of a file is: its name, what values it takes, what holds without it. The tables of keys are made of these.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The keys of one kind of map.
#[derive(Debug)]
pub struct Level {
    /// What the map is called in messages: `a job`, `etl_config`.
    pub name: &'static str,
    parts: &'static [Part],
    /// Asked for every map of every job.
    table: OnceLock<Table>,
}

/// The keys of a level, looked up.
#[derive(Debug)]
struct Table {
    keys: Vec<&'static Key>,
    /// Where in `keys` each stands.
    places: HashMap<&'static str, usize>,
}

/// Some keys of a level.
#[derive(Debug)]
pub enum Part {
    /// Those that stand here.
    Keys(&'static [Key]),
    /// Those of the kinds of sources.
    OfSources,
    /// Those of the connections of all kinds.
    OfConnections,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// The key as written.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether this version acts on it.
    pub status: Status,
    /// What holds without it.
    pub default: Default,
    /// What it means, one sentence without a period.
    pub doc: &'static str,
}

/// Whether this version acts on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Works,
    /// Accepted and checked; used with schedules, without which it means nothing.
    Schedule,
    /// An error: "not in this version".
    NotYet,
}

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text, not empty
    Text,
    /// Text, may be empty
    Prose,
    /// true or false
    Bool,
    /// A whole number in a range
    Int(i64, i64),
    /// A number in a range
    Number(f64, f64),
    /// One of some words
    Word(&'static [&'static str]),
    /// A list of some words
    Words(&'static [&'static str]),
    /// A list of texts; one text stands for a list of one
    Texts,
    /// A list of scalars, as text
    Scalars,
    /// One character
    Character,
    /// Texts by names
    TextMap,
    /// Plain values, or lists of them, by names
    Params,
    /// Column types by column
    TypeMap,
    /// Text, `{file: PATH}` or `{command: [..]}`
    Secret,
    /// A time zone
    Zone,
    /// Days of the week
    Weekdays,
    /// Days of the month
    MonthDays,
    /// `HH:MM`
    Clock,
    /// A cron line of five fields
    Cron,
    /// Mail addresses
    Emails,
    /// A mail address, with a name or without
    Mailbox,
    /// http(s) URLs, as secret as passwords are
    Urls,
    /// A map of a level
    Map(&'static Level),
    /// A list of maps of a level
    List(&'static Level),
    /// Maps of a level by names
    MapOf(&'static Level),
    /// The type of a connection
    ConnectionType,
    /// Anything: what will be checked when it works
    Any,
}

impl Level {
    /// Makes a level of keys, in the order in which they are shown.
    pub const fn new(name: &'static str, parts: &'static [Part]) -> Self {
        Self { name, parts, table: OnceLock::new() }
    }

    /// Returns the keys; one that several kinds have is there once.
    pub fn keys(&self) -> &[&'static Key] {
        &self.table().keys
    }

    /// Returns where among [`Level::keys`] a key stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.table().places.get(name).copied()
    }

    /// Returns a key by its name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.place(name).map(|place| self.keys()[place])
    }

    /// Returns what a key is in each of the kinds that have it.
    pub fn variants(&self, name: &str) -> Vec<&'static Key> {
        self.parts.iter().flat_map(Part::groups).flatten().filter(|key| key.name == name).collect()
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            let (mut keys, mut places) = (Vec::new(), HashMap::new());
            for key in self.parts.iter().flat_map(Part::groups).flatten() {
                places.entry(key.name).or_insert_with(|| {
                    keys.push(key);
                    keys.len() - 1
                });
            }
            Table { keys, places }
        })
    }
}

impl Part {
    fn groups(&self) -> Vec<&'static [Key]> {
        match self {
            Self::Keys(keys) => vec![keys],
            Self::OfSources => super::SOURCES.iter().map(|kind| kind.keys).collect(),
            Self::OfConnections => {
                let sources = super::SOURCES.iter().map(|kind| kind.connection_keys);
                sources.chain(super::DESTINATIONS.iter().map(|kind| kind.connection_keys)).collect()
            }
        }
    }
}

/// Makes a key.
pub const fn key(name: &'static str, kind: Kind, status: Status, default: Default, doc: &'static str) -> Key {
    Key { name, kind, status, default, doc }
}

/// A default as the tables of keys have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// None: the key may be left out.
    None,
    /// A whole number
    Int(i64),
    /// true or false
    Bool(bool),
    /// One text
    Text(&'static str),
    /// Several texts
    Texts(&'static [&'static str]),
    /// Depends on other settings; in words
    Depends(&'static str),
}
