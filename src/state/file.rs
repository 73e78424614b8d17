//! A store in a file: made with its mode, opened with its pragmas.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::error::StateError;
use super::location::Place;
#[cfg(unix)]
use crate::process::private;

/// How long a process waits for another one's transaction. Ours take milliseconds; a backup may hold the file for seconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

/// Whether there is a file.
///
/// # Errors
/// It can't be told, or a folder is there.
pub(super) fn exists(path: &Path) -> Result<bool, StateError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(unreachable(path, "it is a folder")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreachable(path, &error.to_string())),
    }
}

/// Opens a file that is there.
///
/// # Errors
/// It is no store, damaged, or held by others for too long.
pub(super) fn open(path: &Path) -> Result<SqliteConnection, StateError> {
    let url = path.to_str().ok_or_else(|| unreachable(path, "its path is not UTF-8"))?;
    let place = Place::File(path.to_owned());
    let mut connection = SqliteConnection::establish(url).map_err(|error| StateError::of_message(error.to_string(), place.clone()))?;
    let pragmas = format!(
        "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
        BUSY_TIMEOUT.as_millis()
    );
    connection.batch_execute(&pragmas).map_err(|error| StateError::of(error, &place))?;
    // While two processes make the store at once, SQLite answers "locked" to the change of mode without waiting.
    let began = Instant::now();
    loop {
        match use_write_ahead_log(&mut connection).map_err(|error| StateError::of(error, &place)) {
            Err(error @ StateError::Busy { .. }) if began.elapsed() > BUSY_TIMEOUT => return Err(error),
            Err(StateError::Busy { .. }) => std::thread::sleep(Duration::from_millis(5)),
            result => return result.map(|()| connection),
        }
    }
}

/// Opens a file that nobody works on, to read one thing and leave no trace; `None` where somebody does.
pub(super) fn peek(path: &Path) -> Option<SqliteConnection> {
    let log = PathBuf::from(format!("{}-wal", path.to_str()?));
    // Without a log the file holds everything, and nobody writes while it is read; with one somebody works on it right now.
    if !path.is_file() || log.exists() {
        return None;
    }
    SqliteConnection::establish(&format!("file:{}?immutable=1", uri_path(path)?)).ok()
}

/// Sets how long another process's transaction is waited for from now on.
pub(super) fn set_patience(connection: &mut SqliteConnection, patience: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", patience.min(BUSY_TIMEOUT).as_millis()))
}

fn use_write_ahead_log(connection: &mut SqliteConnection) -> QueryResult<()> {
    let mut ask = |sql: &str| diesel::sql_query(sql.to_owned()).get_result::<JournalMode>(connection);
    match ask("PRAGMA journal_mode")?.journal_mode.as_str() {
        "wal" => Ok(()),
        _ => ask("PRAGMA journal_mode = WAL").map(|_| ()),
    }
}

/// Returns a path as a URI spells it (<https://www.sqlite.org/uri.html>, section 3.1).
fn uri_path(path: &Path) -> Option<String> {
    let text = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Some(if cfg!(windows) { format!("/{}", text.replace('\\', "/")) } else { text })
}

fn unreachable(path: &Path, reason: &str) -> StateError {
    StateError::Unreachable { place: Place::File(path.to_owned()), reason: reason.to_owned() }
}

/// Makes the file of a store where there is none: 0600, its `.etlsched` folder 0700; 0660 and 2770 where a group shares it.
///
/// # Errors
/// The folder is missing or read-only, or can't be shared.
pub(super) fn make(path: &Path, group: Option<&str>) -> Result<(), StateError> {
    if path.is_dir() {
        return Err(unreachable(path, "it is a folder"));
    }
    if path.exists() {
        return group.map_or(Ok(()), |group| share(path, group));
    }
    match make_folder(path).and_then(|()| modes::make_file(path)) {
        Ok(()) => group.map_or(Ok(()), |group| share(path, group)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            Err(StateError::ReadOnly { place: Place::File(path.to_owned()) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unreachable(path, "its folder doesn't exist")),
        Err(error) => Err(unreachable(path, &error.to_string())),
    }
}

/// Gives the store, and the workspace's own folder around it, to a group where it isn't so yet.
#[cfg(unix)]
fn share(path: &Path, group: &str) -> Result<(), StateError> {
    use std::os::unix::fs::MetadataExt;
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == ".etlsched"));
    for (path, mode) in folder.into_iter().map(|folder| (folder, 0o2770)).chain([(path, 0o660)]) {
        // Whoever opens it afterwards can't, and needn't, change it.
        let is_shared = fs::metadata(path).is_ok_and(|metadata| metadata.mode() & mode == mode);
        if !is_shared {
            private::share(path, group, mode).map_err(|error| StateError::NotShared {
                place: Place::File(path.to_owned()),
                group: group.to_owned(),
                mode,
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}

/// Groups are the system's own affair there: a folder's access list says who shares it.
#[cfg(not(unix))]
fn share(_: &Path, _: &str) -> Result<(), StateError> {
    Ok(())
}

/// Makes the private folder of a workspace; any other folder is the user's to make.
fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.file_name().is_some_and(|name| name == ".etlsched") && !folder.exists() => {
            match modes::make_folder(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result,
            }
        }
        _ => Ok(()),
    }
}

/// Modes that hold whatever the umask is; SQLite gives `-wal` and `-shm` the mode of the store's file.
#[cfg(unix)]
mod modes {
    use std::fs::{DirBuilder, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    pub(super) fn make_file(path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    }
}

/// New files take the folder's access list, which under a user's profile is that user's alone.
#[cfg(not(unix))]
mod modes {
    use std::fs::OpenOptions;
    use std::io;
    use std::path::Path;

    pub(super) fn make_file(path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }
}
