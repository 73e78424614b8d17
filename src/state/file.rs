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
use crate::private;

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

/// Opens a file as it is: nothing is set in it. Where it may not be written, for reading.
///
/// # Errors
/// It can't be opened.
pub(super) fn open_as_it_is(path: &Path) -> Result<SqliteConnection, StateError> {
    let place = || Place::File(path.to_owned());
    let url = uri_path(path).ok_or_else(|| unreachable(path, "its path is not UTF-8"))?;
    let opened = |mode: &str| SqliteConnection::establish(&format!("file:{url}?mode={mode}"));
    let mut connection = opened("rw").or_else(|_| opened("ro")).map_err(|error| StateError::of_message(error.to_string(), place()))?;
    connection.batch_execute("PRAGMA trusted_schema = OFF").map_err(|error| StateError::of(error, &place()))?;
    Ok(connection)
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

/// Makes the file of a store where there is none, and the private folder of a workspace around it; any other folder is the user's to make.
/// SQLite gives `-wal` and `-shm` the mode of the store's file.
///
/// # Errors
/// The folder is missing or read-only.
pub(super) fn make(path: &Path) -> Result<(), StateError> {
    if exists(path)? {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == private::FOLDER));
    let made = folder.map_or(Ok(()), private::make_folder);
    match made.and_then(|()| private::open(fs::OpenOptions::new().write(true).create_new(true), path)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            let place = Place::File(path.to_owned());
            let is_folder_there = folder.is_none_or(Path::exists);
            Err(if is_folder_there { StateError::ReadOnly { place } } else { StateError::NotMade { place } })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unreachable(path, "its folder doesn't exist")),
        Err(error) => Err(unreachable(path, &error.to_string())),
    }
}
