//! What can go wrong with the store, each with its remedy.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use thiserror::Error;

use super::location::Place;
use super::postgresql::POOLED;
use crate::connect::ConnectError;
use crate::process;

/// Why the store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file or its folder can't be made or opened.
    #[error("state store {place}: {reason}")]
    Unreachable {
        /// The store.
        place: Place,
        /// What the system said.
        reason: String,
    },
    /// The file, its folder or the server can't be written.
    #[error("state store {place}: it is read-only here")]
    ReadOnly {
        /// The store.
        place: Place,
    },
    /// There is no file yet, nor the private folder around it, and this user can't make them.
    #[error("state store {place}: it is not there yet, and this user can't make its folder")]
    NotMade {
        /// The store.
        place: Place,
    },
    /// The file is something else.
    #[error("state store {place}: the file is not a SQLite database")]
    NotAStore {
        /// The store.
        place: Place,
    },
    /// The file is broken.
    #[error("state store {place}: the file is damaged ({reason})")]
    Damaged {
        /// The store.
        place: Place,
        /// What SQLite found.
        reason: String,
    },
    /// A later version of etlsched has changed the tables.
    #[error("state store {place}: made by a newer etlsched (its migration {migration} is not known here)")]
    Newer {
        /// The store.
        place: Place,
        /// The first migration that isn't known.
        migration: String,
    },
    /// Another process held the store for longer than the busy timeout.
    #[error("state store {place}: {holder} has held it for {seconds} s")]
    Busy {
        /// The store.
        place: Place,
        /// Which process that is, as far as the system tells.
        holder: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The disk is full.
    #[error("state store {place}: the disk is full")]
    Full {
        /// The store.
        place: Place,
    },
    /// Anything else that the database said.
    #[error("state store {place}: {reason}")]
    Query {
        /// The store.
        place: Place,
        /// What it said.
        reason: String,
    },
    /// The server can't be reached, or doesn't let us in.
    #[error("state store {place}: {error}")]
    Server {
        /// The store.
        place: Place,
        /// What happened.
        error: ConnectError,
    },
    /// A run goes on in a store that is to be copied.
    #[error("state store {place}: run {run_id} of {job} goes on")]
    InUse {
        /// The store.
        place: Place,
        /// The job.
        job: String,
        /// Its run.
        run_id: String,
    },
    /// A store that is to be filled has rows.
    #[error("state store {place}: it is not empty (its table {table} has rows)")]
    NotEmpty {
        /// The store.
        place: Place,
        /// The table.
        table: String,
    },
    /// A pooler gives the connection's transactions to any session of its own.
    #[error("state store {place}: a connection pooler in front of it parts sessions by transactions (PgBouncer: pool_mode = transaction)")]
    Pooled {
        /// The store.
        place: Place,
    },
}

impl StateError {
    /// Returns what to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let elsewhere = "name another place with `state:` in etlsched.yaml";
        Some(match self {
            Self::Unreachable { place: Place::File(path), reason } if reason.contains("ermission denied") => {
                let folder = path.parent().unwrap_or(path).display();
                format!("run as the owner of {folder}, or share it with a group: state_group in etlsched.yaml")
            }
            Self::Unreachable { .. } => "check `state:` in etlsched.yaml, and that its folder exists and is yours".to_owned(),
            Self::ReadOnly { place: Place::File(path) } => {
                let folder = path.parent().unwrap_or(path).display();
                format!("run as the owner of {folder}, share it with a group (state_group in etlsched.yaml), or {elsewhere}")
            }
            Self::NotMade { place: Place::File(path) } => {
                let root = path.ancestors().nth(2).unwrap_or(path).display();
                format!("run as the owner of {root} first, who may share it with a group: state_group in etlsched.yaml; or {elsewhere}")
            }
            Self::NotMade { place: Place::Server(_) } => return None,
            Self::ReadOnly { place: Place::Server(_) } => "let `state:` in etlsched.yaml name the server that takes writes".to_owned(),
            Self::NotAStore { .. } => format!("move the file away, or {elsewhere}"),
            Self::Damaged { .. } => "restore it from a backup, or move it away: a new store begins with an empty log".to_owned(),
            Self::Newer { .. } => format!("use a newer etlsched (this is {})", env!("CARGO_PKG_VERSION")),
            Self::Busy { .. } => "look for a process that holds it, such as a backup or an open shell".to_owned(),
            Self::Full { .. } => "free some space".to_owned(),
            Self::Pooled { .. } => "let `state:` in etlsched.yaml name the server itself, or a pool with pool_mode = session".to_owned(),
            Self::InUse { job, .. } => format!("wait for it, or stop it with etlsched cancel {job}"),
            Self::NotEmpty { .. } => {
                "a store is copied whole or not at all: name an empty database with `state:` in etlsched.yaml".to_owned()
            }
            Self::Server { error, .. } => return error.hint.clone(),
            Self::Query { place: Place::Server(_), .. } => {
                "give the role a database or a schema of its own, first in its search_path, with CREATE".to_owned()
            }
            Self::Query { .. } => return None,
        })
    }

    /// Sorts what diesel says: the messages of a file are those of sqlite3_errmsg (<https://www.sqlite.org/rescode.html>), the details of a
    /// server's error its code (PostgreSQL 15, appendix A).
    pub(super) fn of(error: DieselError, place: &Place) -> Self {
        let place = place.clone();
        // What the rollback says adds nothing.
        let error = match error {
            DieselError::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
            error => error,
        };
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self::ReadOnly { place },
            DieselError::DatabaseError(_, said) if matches!(place, Place::Server(_)) => match said.details() {
                Some(POOLED) => Self::Pooled { place },
                Some("53100") => Self::Full { place },
                Some("42501") => {
                    let hint = "grant the role every right on the store's tables, and CREATE on their schema".to_owned();
                    let message = said.message().to_owned();
                    Self::Server {
                        place,
                        error: ConnectError {
                            code: "permission_denied",
                            message,
                            hint: Some(hint),
                            is_transient: false,
                            retry_after: None,
                        },
                    }
                }
                _ => {
                    let (message, hint) = (said.message().to_owned(), said.hint().map(str::to_owned));
                    Self::Server { place, error: ConnectError { code: "database", message, hint, is_transient: false, retry_after: None } }
                }
            },
            DieselError::DatabaseError(_, said) => Self::of_message(said.message().to_owned(), place),
            other => Self::of_message(other.to_string(), place),
        }
    }

    pub(super) fn of_message(reason: String, place: Place) -> Self {
        if matches!(place, Place::Server(_)) {
            return Self::Query { place, reason };
        }
        if reason.contains("readonly database") || (reason.contains("unable to open") && is_folder_read_only(&place)) {
            Self::ReadOnly { place }
        } else if reason.contains("is not a database") {
            Self::NotAStore { place }
        } else if reason.contains("malformed") {
            Self::Damaged { place, reason }
        } else if reason.contains("is locked") {
            let holder = match &place {
                Place::File(path) => process::database_writer(path),
                Place::Server(_) => None,
            };
            let holder = holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
            Self::Busy { place, holder, seconds: super::file::BUSY_TIMEOUT.as_secs() }
        } else if reason.contains("is full") || (reason.contains("disk I/O error") && is_disk_full(&place)) {
            Self::Full { place }
        } else if reason.contains("unable to open") {
            Self::Unreachable { place, reason }
        } else {
            Self::Query { place, reason }
        }
    }
}

/// The classes of a server's codes that speak of what was to be written, and not of how the server is: cardinality, data, constraints,
/// rights and names, views, features, raised by a trigger, limits such as the length of a row in an index (PostgreSQL 15, appendix A).
const REFUSALS: [&str; 8] = ["21", "22", "23", "42", "44", "0A", "P0", "54"];

/// What SQLite says of a file, its disk, or other processes; anything else is of what was to be written.
const FILE_TROUBLES: [&str; 10] = [
    "is locked",
    "readonly database",
    "is not a database",
    "malformed",
    "is full",
    "disk I/O error",
    "unable to open",
    "out of memory",
    "interrupted",
    "locking protocol",
];

/// Whether a store refused a statement for what it was to write: the same is refused again, and another one may go well.
pub(super) fn is_refusal(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction | DatabaseErrorKind::ClosedConnection, _) => false,
        DieselError::DatabaseError(_, said) => match said.details() {
            Some(code) => REFUSALS.iter().any(|class| code.starts_with(class)),
            None => !FILE_TROUBLES.iter().any(|words| said.message().contains(words)),
        },
        DieselError::SerializationError(_) | DieselError::DeserializationError(_) | DieselError::QueryBuilderError(_) => true,
        _ => false,
    }
}

/// Whether there is next to no room where a file lies: SQLite says no more than "disk I/O error" where its shared memory can't grow.
fn is_disk_full(place: &Place) -> bool {
    #[cfg(unix)]
    if let Place::File(path) = place {
        let room = rustix::fs::statvfs(path).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        return room.is_ok_and(|bytes| bytes < DISK_ROOM_MIN);
    }
    #[cfg(not(unix))]
    let _ = place;
    false
}

/// Whether a file is there and its folder takes no others: SQLite then can't make its log beside it, and says only that it can't open.
fn is_folder_read_only(place: &Place) -> bool {
    #[cfg(unix)]
    if let Place::File(path) = place {
        let folder = path.parent().unwrap_or(path);
        return path.exists() && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err();
    }
    #[cfg(not(unix))]
    let _ = place;
    false
}

/// What SQLite's log and its shared memory begin with, in bytes: 32 KiB and a page.
#[cfg(unix)]
const DISK_ROOM_MIN: u64 = 64 * 1024;
