//! Where a state store is, and how messages name it: never with a login.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::connect::postgres;
use crate::plan::postgresql::PostgresConnection;

/// Where the state store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// A file of this host.
    Sqlite(
        /// Absolute.
        PathBuf,
    ),
    /// A server that any number of hosts share.
    Postgresql(Box<PostgresConnection>),
}

impl StateLocation {
    /// Returns the file, where the store is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgresql(_) => None,
        }
    }

    /// Returns how messages name it.
    pub fn place(&self) -> Place {
        match self {
            Self::Sqlite(path) => Place::File(path.clone()),
            Self::Postgresql(plan) => Place::Server(format!("postgresql://{}", postgres::place(plan))),
        }
    }
}

/// A store as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A server and its database.
    Server(String),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Server(place) => formatter.write_str(place),
        }
    }
}
