//! Opening and making the file itself.

use rusqlite::{Connection, OpenFlags};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use super::failure::{Outcome, failed};
use super::lock::{PATIENCE, patiently};
use crate::destination::{Access, DestinationError};
use crate::private;

/// Pages of a file that we make. 8 KiB holds twice the rows of the default page: fewer pages to split, log and copy.
const PAGE_BYTES: u32 = 8192;

/// Memory for pages, for reading and for chunks (`PRAGMA cache_size`, negative: KiB).
const CACHE_KIB: i64 = -8192;

/// Opens the file; `None` where it is absent and only reading was asked for.
pub(super) fn open(name: &str, path: &Path, access: Access) -> Outcome<Option<Connection>> {
    let what = || format!("destination {name}: opening {}", path.display());
    if access == Access::Write {
        if private::absent_folder(path).is_some() {
            return Err(no_folder(name, what()));
        }
        make(path).map_err(|error| unmakeable(what(), &error))?;
    } else if !path.try_exists().map_err(|error| unmakeable(what(), &error))? {
        return Ok(None);
    }
    // Reading, too, opens for writing where that is permitted: only so does SQLite take its -wal and -shm files away again.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed(what()))?;
    let set = || -> rusqlite::Result<()> {
        connection.busy_timeout(PATIENCE)?;
        if access == Access::Write && is_empty(path) {
            connection.pragma_update(None, "page_size", PAGE_BYTES)?;
            patiently(&connection, "PRAGMA journal_mode = WAL")?;
        }
        // The swap drops and renames tables that views, triggers and foreign keys name: they must neither follow nor cascade.
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "legacy_alter_table", true)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "query_only", access == Access::Read)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    };
    set().map_err(failed(what()))?;
    Ok(Some(connection))
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}

/// Makes the file where it is absent, and its folder where that is ours.
fn make(path: &Path) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Err(ErrorKind::InvalidInput.into()) };
    private::make_folder(folder)?;
    match private::open(OpenOptions::new().write(true).create_new(true), path) {
        Ok(file) => {
            file.sync_all()?;
            // The new name itself must be on the disk before a publish into the file is said to be.
            #[cfg(unix)]
            fs::File::open(folder)?.sync_all()?;
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder that was mistyped must not become one. It is not named: a path that is a secret is only known, and hidden, whole.
fn no_folder(name: &str, what: String) -> DestinationError {
    let hint = Some(format!("make the folder, or correct the path of connection {name}"));
    DestinationError { code: "cannot_open", message: format!("{what}: its folder is not there"), hint, is_transient: false }
}

fn unmakeable(what: String, error: &std::io::Error) -> DestinationError {
    let code = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "not_permitted",
        ErrorKind::StorageFull => "disk_full",
        _ => "cannot_open",
    };
    let hint = "look at the folder's existence, permissions and disk".to_owned();
    DestinationError { code, message: format!("{what}: {error}"), hint: Some(hint), is_transient: false }
}
