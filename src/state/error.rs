//! What can go wrong with the store, each with its remedy.

use std::path::{Path, PathBuf};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use thiserror::Error;

/// Why the store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file or its folder can't be made or opened.
    #[error("state store {path}: {reason}", path = path.display())]
    Unreachable {
        /// The store's file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file or its folder can't be written.
    #[error("state store {path}: it is read-only here", path = path.display())]
    ReadOnly {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("state store {path}: the file is not a SQLite database", path = path.display())]
    NotAStore {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is broken.
    #[error("state store {path}: the file is damaged ({reason})", path = path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What SQLite found.
        reason: String,
    },
    /// A later version of etlsched has changed the tables.
    #[error("state store {path}: made by a newer etlsched (its migration {migration} is not known here)", path = path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// The first migration that isn't known.
        migration: String,
    },
    /// Another process held the store for longer than the busy timeout.
    #[error("state store {path}: another process has held it for {seconds} s", path = path.display())]
    Busy {
        /// The store's file.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The disk is full.
    #[error("state store {path}: the disk is full", path = path.display())]
    Full {
        /// The store's file.
        path: PathBuf,
    },
    /// Anything else that the database said.
    #[error("state store {path}: {reason}", path = path.display())]
    Query {
        /// The store's file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

impl StateError {
    /// Returns what to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some("check `state:` in etlsched.yaml, and that its folder exists and is yours".to_owned()),
            Self::ReadOnly { path } => {
                let folder = path.parent().unwrap_or(path).display();
                Some(format!(
                    "make {folder} and the store's files in it writable for this user, or name another place with `state:` in etlsched.yaml"
                ))
            }
            Self::NotAStore { .. } => Some("move the file away, or name another place with `state:` in etlsched.yaml".to_owned()),
            Self::Damaged { .. } => Some("restore it from a backup, or move it away: a new store begins with an empty log".to_owned()),
            Self::Newer { .. } => Some(format!("use a newer etlsched (this is {})", env!("CARGO_PKG_VERSION"))),
            Self::Busy { .. } => Some("look for a process that holds it, such as a backup or an open sqlite3 shell".to_owned()),
            Self::Full { .. } => Some("free some space".to_owned()),
            Self::Query { .. } => None,
        }
    }

    /// Sorts what diesel says: its messages are those of sqlite3_errmsg (<https://www.sqlite.org/rescode.html>).
    pub(super) fn of(error: DieselError, path: &Path) -> Self {
        let path = path.to_owned();
        let reason = match &error {
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => return Self::ReadOnly { path },
            DieselError::DatabaseError(_, information) => information.message().to_owned(),
            other => other.to_string(),
        };
        Self::of_message(reason, path)
    }

    pub(super) fn of_message(reason: String, path: PathBuf) -> Self {
        if reason.contains("readonly database") {
            Self::ReadOnly { path }
        } else if reason.contains("is not a database") {
            Self::NotAStore { path }
        } else if reason.contains("malformed") {
            Self::Damaged { path, reason }
        } else if reason.contains("is locked") {
            Self::Busy { path, seconds: super::connection::BUSY_TIMEOUT.as_secs() }
        } else if reason.contains("is full") {
            Self::Full { path }
        } else if reason.contains("unable to open") {
            Self::Unreachable { path, reason }
        } else {
            Self::Query { path, reason }
        }
    }
}
