//! A table, view or query of a SQLite file, read in one read transaction of a connection that can't write.
//!
//! SQLite's writers take turns and a read transaction sees every commit before it, so no commit can come later with an earlier value
//! than those that were read: the cursor needs no lookback.

#[cfg(test)]
pub(super) mod conformance;
mod query;
mod reader;
mod values;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::batch::ColumnType;
use crate::plan::tables;
use crate::plan::{ColumnRules, SourcePlan, SqliteSourcePlan};
use crate::secret::Secret;
use crate::text;

use super::{ReadRequest, Reader, Source, SourceError, Stream, demand_one_place};

/// How long a lock is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A SQLite source.
#[derive(Debug)]
pub(super) struct SqliteSource {
    name: String,
    plan: SqliteSourcePlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
}

impl SqliteSource {
    /// Checks what can be checked without reading.
    pub fn new(plan: &SourcePlan, sqlite: &SqliteSourcePlan) -> Result<Self, SourceError> {
        demand_one_place(&plan.name, [sqlite.table.is_some(), !sqlite.tables.is_empty(), sqlite.custom_sql.is_some()])?;
        Ok(Self { name: plan.name.clone(), plan: sqlite.clone(), rules: plan.columns.clone(), hash_key: plan.hash_key.clone() })
    }

    /// Refuses a table that isn't there with the one that was probably meant.
    fn demand(&self, name: &str, table: &str) -> Result<(), SourceError> {
        let connection = connect(&self.plan.path)?;
        let fail = |error: rusqlite::Error| sql_error("read", &self.plan.path, &error);
        if query::table_columns(&connection, table).map_err(fail)?.is_empty() {
            let unmatched = tables::no_table(table, &query::listed(&connection).map_err(fail)?);
            return Err(SourceError::unmatched(name, &unmatched, &self.plan.path.display().to_string()));
        }
        Ok(())
    }

    /// Returns what one stream reads, and what it is called in messages.
    fn of(&self, stream: &Stream) -> (String, SqliteSourcePlan) {
        if self.plan.tables.is_empty() {
            return (self.name.clone(), self.plan.clone());
        }
        let plan = SqliteSourcePlan { table: Some(stream.base.clone()), tables: Vec::new(), ..self.plan.clone() };
        (format!("{}, table {}", self.name, text::printable(&stream.name)), plan)
    }
}

impl Source for SqliteSource {
    fn test(&mut self) -> Result<String, SourceError> {
        let connection = connect(&self.plan.path)?;
        let count: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                [],
                |row| row.get(0),
            )
            .map_err(|error| sql_error("read", &self.plan.path, &error))?;
        Ok(format!("{}: {}", self.plan.path.display(), text::count(count.unsigned_abs(), "table")))
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() {
            return Ok(vec![Stream::only(&self.name)]);
        }
        let listed = query::listed(&connect(&self.plan.path)?).map_err(|error| sql_error("read", &self.plan.path, &error))?;
        Stream::matching(&self.name, &self.plan.tables, &listed, &self.plan.path.display().to_string())
    }

    fn primary_key(&mut self, stream: &Stream) -> Result<Vec<String>, SourceError> {
        let (_, plan) = self.of(stream);
        let Some(table) = &plan.table else { return Ok(Vec::new()) };
        let connection = connect(&self.plan.path)?;
        let key = query::table_columns(&connection, table).map_err(|error| sql_error("read", &self.plan.path, &error))?;
        let mut key: Vec<_> = key.into_iter().filter(|column| column.key_place > 0).collect();
        key.sort_by_key(|column| column.key_place);
        let renamed = |name: String| self.rules.rename.iter().find(|(from, _)| *from == name).map_or(name.clone(), |(_, to)| to.clone());
        Ok(key.into_iter().map(|column| renamed(column.name)).collect())
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        let (name, plan) = self.of(request.stream);
        if let Some(table) = &plan.table {
            self.demand(&name, table)?;
        }
        Ok(Box::new(reader::SqliteReader::open(&name, &plan, &self.rules, self.hash_key.as_ref(), request)?))
    }

    fn has_late_commits(&self) -> bool {
        false
    }

    fn cursor_type(&mut self, stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        let (name, plan) = self.of(stream);
        reader::cursor_type(&name, &plan, &self.rules, column).map(Some)
    }
}

/// Opens a file for reading alone.
fn connect(path: &Path) -> Result<Connection, SourceError> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            SourceError::new("not_found", format!("open {shown}: no such file")).hint("check the path of the connection")
        }
        _ => SourceError::new("permission_denied", format!("open {shown}: {error}")),
    })?;
    if !metadata.is_file() {
        return Err(SourceError::new("invalid_path", format!("{shown} is not a file")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        // The first thing that reads the file.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| sql_error("open", path, &error))
}

/// Makes an error of what SQLite reports.
fn sql_error(verb: &str, path: &Path, error: &rusqlite::Error) -> SourceError {
    let (code, hint, is_transient) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => ("invalid_data", Some("it is not a SQLite file, or it is encrypted"), false),
        Some(ErrorCode::DatabaseCorrupt) => ("invalid_data", Some("check it with: sqlite3 FILE 'PRAGMA integrity_check'"), false),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ("locked", Some("another program holds a lock on it"), true),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ("permission_denied", Some("a file in WAL mode also needs its -wal and -shm files"), false)
        }
        Some(ErrorCode::OperationInterrupted) => ("cancelled", None, false),
        Some(ErrorCode::SystemIoFailure) => ("io", None, true),
        _ => ("invalid_sql", None, false),
    };
    let error = error.to_string();
    SourceError {
        code,
        message: format!("{verb} {}: {}", path.display(), text::printable(&error)),
        hint: hint.map(str::to_owned),
        is_transient,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
