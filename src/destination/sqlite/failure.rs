//! What SQLite says, as errors that name the file, the cause and the way out.

use rusqlite::{Error, ErrorCode};

use crate::destination::DestinationError;
pub(super) use crate::destination::failure::{Outcome, refusal};

/// Turns SQLite's error into ours; `what` is what was attempted, on what.
pub(super) fn failed(what: impl std::fmt::Display) -> impl FnOnce(Error) -> DestinationError {
    move |error| {
        let (code, hint, is_transient) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ("busy", "another program holds a lock on the file", true),
            Some(ErrorCode::DiskFull) => ("disk_full", "make room on the file's disk; the tables are as they were", false),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                ("not_permitted", "let this user write the file and its folder", false)
            }
            Some(ErrorCode::CannotOpen) => ("cannot_open", "look at the folder's existence and permissions", false),
            Some(ErrorCode::NotADatabase) => ("not_a_database", "the file is no SQLite database; name another path", false),
            Some(ErrorCode::DatabaseCorrupt) => ("corrupt", "check the file with `sqlite3 FILE 'PRAGMA integrity_check'`", false),
            Some(ErrorCode::SystemIoFailure) => ("io", "look at the disk and the system's log; the tables are as they were", false),
            Some(ErrorCode::ConstraintViolation) => ("constraint", "the table has a rule of its own that the rows break", false),
            Some(ErrorCode::OutOfMemory) => ("out_of_memory", "raise memory_limit_mb or lower batch_size", false),
            _ => ("destination", "", false),
        };
        DestinationError { code, message: format!("{what}: {error}"), hint: (!hint.is_empty()).then(|| hint.to_owned()), is_transient }
    }
}
