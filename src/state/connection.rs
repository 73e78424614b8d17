//! Opens the store: the file with its mode, the pragmas, the migrations. The only file that knows which database it is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use uuid::Uuid;

use super::error::StateError;
use super::schema::workspace;

/// How long a process waits for another one's transaction. Ours take milliseconds; a backup may hold the file for seconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The state store of a workspace: jobs, runs, leases, the audit trail.
pub struct Store {
    pub(super) connection: SqliteConnection,
    path: PathBuf,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

impl Store {
    /// Opens the store, made when absent (0600, its `.etlsched` folder 0700), and brings its tables up to date.
    ///
    /// # Errors
    /// The folder is missing or read-only; the file is no store, damaged, or made by a newer etlsched.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        make_file(path)?;
        Self::open_file(path)
    }

    /// Opens the store if there is one: commands that only read never make it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StateError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(unreachable_file(path, "it is a folder")),
            Ok(_) => Self::open_file(path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::Unreachable { path: path.to_owned(), reason: error.to_string() }),
        }
    }

    fn open_file(path: &Path) -> Result<Self, StateError> {
        let url = path.to_str().ok_or_else(|| unreachable_file(path, "its path is not UTF-8"))?;
        let connection = SqliteConnection::establish(url).map_err(|error| StateError::of_message(error.to_string(), path.to_owned()))?;
        let mut store = Self { connection, path: path.to_owned() };
        store.prepare()?;
        store.migrate()?;
        Ok(store)
    }

    /// Returns the workspace's UUID and leaves no trace: no file beside the store, no migration. `None` where there is no store yet, or
    /// none that can be read.
    pub fn peek_workspace_id(path: &Path) -> Option<String> {
        let log = PathBuf::from(format!("{}-wal", path.to_str()?));
        // Without a log the file holds everything, and nobody writes while it is read; with one somebody works on it right now.
        if !path.is_file() || log.exists() {
            return Self::open_existing(path).ok().flatten()?.workspace_id().ok();
        }
        let mut connection = SqliteConnection::establish(&format!("file:{}?immutable=1", uri_path(path)?)).ok()?;
        workspace::table.select(workspace::id).first(&mut connection).ok()
    }

    /// Returns the UUID that was made with the store; targets remember by it which workspace owns them.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn workspace_id(&mut self) -> Result<String, StateError> {
        self.read(|connection| workspace::table.select(workspace::id).first(connection))
    }

    /// Sets how long another process's transaction is waited for from now on.
    ///
    /// # Errors
    /// The store is not usable at all.
    pub fn set_patience(&mut self, patience: Duration) -> Result<(), StateError> {
        let sql = format!("PRAGMA busy_timeout = {}", patience.min(BUSY_TIMEOUT).as_millis());
        self.connection.batch_execute(&sql).map_err(|error| StateError::of(error, &self.path))
    }

    /// Runs statements that belong together, so that no other process comes between them.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> Result<T, StateError> {
        self.connection.immediate_transaction(work).map_err(|error| StateError::of(error, &self.path))
    }

    /// Runs queries over one state of the store.
    pub(super) fn read<T>(&mut self, work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> Result<T, StateError> {
        self.connection.transaction(work).map_err(|error| StateError::of(error, &self.path))
    }

    fn prepare(&mut self) -> Result<(), StateError> {
        let pragmas = format!(
            "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
            BUSY_TIMEOUT.as_millis()
        );
        let result = self.connection.batch_execute(&pragmas);
        result.map_err(|error| StateError::of(error, &self.path))?;
        // While two processes make the store at once, SQLite answers "locked" to the change of mode without waiting.
        let began = Instant::now();
        loop {
            match self.use_write_ahead_log() {
                Err(error @ StateError::Busy { .. }) if began.elapsed() > BUSY_TIMEOUT => return Err(error),
                Err(StateError::Busy { .. }) => std::thread::sleep(Duration::from_millis(5)),
                result => return result,
            }
        }
    }

    fn use_write_ahead_log(&mut self) -> Result<(), StateError> {
        let ask = |connection: &mut SqliteConnection, sql: &str| diesel::sql_query(sql.to_owned()).get_result::<JournalMode>(connection);
        let result = ask(&mut self.connection, "PRAGMA journal_mode").and_then(|mode| match mode.journal_mode.as_str() {
            "wal" => Ok(()),
            _ => ask(&mut self.connection, "PRAGMA journal_mode = WAL").map(|_| ()),
        });
        result.map_err(|error| StateError::of(error, &self.path))
    }

    fn migrate(&mut self) -> Result<(), StateError> {
        let known = known_migrations();
        let applied = self.applied()?;
        self.refuse_newer(&known, &applied)?;
        if known.iter().all(|version| applied.contains(version)) {
            return Ok(());
        }
        let mut failure = None;
        let result = self.connection.immediate_transaction::<_, diesel::result::Error, _>(|connection| {
            if let Err(error) = connection.run_pending_migrations(MIGRATIONS) {
                failure = Some(error.to_string());
                return Err(diesel::result::Error::RollbackTransaction);
            }
            name_workspace(connection)
        });
        match (result, failure) {
            (Ok(()), _) => {
                let applied = self.applied()?;
                self.refuse_newer(&known, &applied)
            }
            (Err(_), Some(reason)) => Err(StateError::of_message(reason, self.path.clone())),
            (Err(error), None) => Err(StateError::of(error, &self.path)),
        }
    }

    /// Returns the versions of the migrations that the store has; none where it is new.
    fn applied(&mut self) -> Result<Vec<String>, StateError> {
        let rows =
            diesel::sql_query("SELECT version FROM __diesel_schema_migrations ORDER BY version").load::<Applied>(&mut self.connection);
        match rows {
            Ok(rows) => Ok(rows.into_iter().map(|row| row.version).collect()),
            Err(error) if error.to_string().contains("no such table") => Ok(Vec::new()),
            Err(error) => Err(StateError::of(error, &self.path)),
        }
    }

    fn refuse_newer(&self, known: &[String], applied: &[String]) -> Result<(), StateError> {
        match applied.iter().find(|version| !known.contains(version)) {
            Some(version) => Err(StateError::Newer { path: self.path.clone(), migration: version.clone() }),
            None => Ok(()),
        }
    }
}

/// Returns a path as a URI spells it (<https://www.sqlite.org/uri.html>, section 3.1).
fn uri_path(path: &Path) -> Option<String> {
    let text = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Some(if cfg!(windows) { format!("/{}", text.replace('\\', "/")) } else { text })
}

fn known_migrations() -> Vec<String> {
    let migrations: Vec<Box<dyn Migration<Sqlite>>> = MIGRATIONS.migrations().expect("embedded when etlsched was built");
    migrations.iter().map(|migration| MigrationVersion::as_owned(&migration.name().version()).to_string()).collect()
}

/// Gives a new store its UUID. The time of a store's making is for people only, so the id's own clock serves.
fn name_workspace(connection: &mut SqliteConnection) -> QueryResult<()> {
    let is_named: i64 = workspace::table.count().get_result(connection)?;
    if is_named == 0 {
        let id = Uuid::now_v7();
        let made_at = id.get_timestamp().and_then(|stamp| {
            let (seconds, nanoseconds) = stamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
        });
        let made_at = naive(made_at.unwrap_or_default());
        let row = (workspace::id.eq(id.to_string()), workspace::created_at.eq(made_at));
        diesel::insert_into(workspace::table).values(row).execute(connection)?;
    }
    Ok(())
}

/// Returns the time as the stores hold it: UTC without a zone.
pub(super) fn naive(time: DateTime<Utc>) -> NaiveDateTime {
    time.naive_utc()
}

fn unreachable_file(path: &Path, reason: &str) -> StateError {
    StateError::Unreachable { path: path.to_owned(), reason: reason.to_owned() }
}

fn make_file(path: &Path) -> Result<(), StateError> {
    if path.is_dir() {
        return Err(unreachable_file(path, "it is a folder"));
    }
    if path.exists() {
        return Ok(());
    }
    let result = make_folder(path).and_then(|()| private::make_file(path));
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            Err(StateError::ReadOnly { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unreachable_file(path, "its folder doesn't exist")),
        Err(error) => Err(unreachable_file(path, &error.to_string())),
    }
}

/// Makes the private folder of a workspace; any other folder is the user's to make.
fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.file_name().is_some_and(|name| name == ".etlsched") && !folder.exists() => {
            match private::make_folder(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result,
            }
        }
        _ => Ok(()),
    }
}

/// Modes that hold whatever the umask is; SQLite gives `-wal` and `-shm` the mode of the store's file.
#[cfg(unix)]
mod private {
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
mod private {
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
