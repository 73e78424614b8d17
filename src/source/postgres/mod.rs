//! A table, view or query of a PostgreSQL database, copied in binary out of one read-only, repeatable-read transaction.

#[cfg(test)]
#[cfg(unix)]
pub(super) mod conformance;
mod decode;
mod late;
mod query;
mod reader;
mod types;

use crate::batch::ColumnType;
use crate::connect::postgres::{Session, local_settings};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level, SourcePlan};
use crate::run::CursorValue;
use crate::secret::Secret;
use crate::text;

use super::{ReadRequest, Reader, Source, SourceError, Stream};

/// Every statement that reads, the catalogue's too, sees one snapshot and can't write. Sources are told apart from what writes, see [`late`].
const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL application_name = 'etlsched source'";

/// A PostgreSQL source.
#[derive(Debug)]
pub(super) struct PostgresSource {
    name: String,
    plan: PostgresSourcePlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
    /// What the next reader has for the log.
    notes: Vec<(Level, String)>,
}

impl PostgresSource {
    /// Checks what can be checked without reading.
    pub fn new(plan: &SourcePlan, postgres: &PostgresSourcePlan) -> Result<Self, SourceError> {
        if postgres.table.is_some() == postgres.custom_sql.is_some() {
            return Err(SourceError::new("invalid", format!("source {}: exactly one of table and custom_sql is needed", plan.name)));
        }
        let (rules, hash_key) = (plan.columns.clone(), plan.hash_key.clone());
        Ok(Self { name: plan.name.clone(), plan: postgres.clone(), rules, hash_key, notes: Vec::new() })
    }

    fn connect(&self) -> Result<Session, SourceError> {
        Ok(Session::open(&self.plan.connection)?)
    }

    /// Connects and begins the transaction. Its settings are its own: a pooler may have given the session's to somebody else.
    fn begin(&self) -> Result<Session, SourceError> {
        let mut session = self.connect()?;
        session.client.batch_execute(&format!("{BEGIN}; {}", local_settings())).map_err(|error| session.failure("read", &error))?;
        Ok(session)
    }
}

/// Ends a transaction: a pooler throws away the server connection of one that is left open.
fn end(session: &mut Session) -> Result<(), SourceError> {
    session.client.batch_execute("COMMIT").map_err(|error| session.failure("read", &error).into())
}

impl Source for PostgresSource {
    fn test(&mut self) -> Result<String, SourceError> {
        let mut session = self.begin()?;
        let described = query::describe(&mut session, &self.name, &self.plan)?;
        let version = session.client.query_typed("SHOW server_version", &[]).map_err(|error| session.failure("read", &error))?;
        let version: String = version.first().map(|row| row.get(0)).unwrap_or_default();
        let columns = text::count(described.names.len() as u64, "column");
        end(&mut session)?;
        Ok(text::printable(&format!("PostgreSQL {version} at {}: {columns}", session.place)).into_owned())
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        Ok(vec![Stream { name: self.name.clone() }])
    }

    fn primary_key(&mut self, _stream: &Stream) -> Result<Vec<String>, SourceError> {
        let Some(table) = &self.plan.table else { return Ok(Vec::new()) };
        let mut session = self.begin()?;
        let key = query::primary_key(&mut session, &self.name, table)?;
        end(&mut session)?;
        let is_loaded =
            |name: &String| (self.rules.select.is_empty() || self.rules.select.contains(name)) && !self.rules.exclude.contains(name);
        if !key.iter().all(is_loaded) {
            return Ok(Vec::new());
        }
        let renamed = |name: String| self.rules.rename.iter().find(|(from, _)| *from == name).map_or(name.clone(), |(_, to)| to.clone());
        Ok(key.into_iter().map(renamed).collect())
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        let session = self.begin()?;
        let notes = std::mem::take(&mut self.notes);
        Ok(Box::new(reader::PostgresReader::open(session, &self.name, &self.plan, &self.rules, self.hash_key.as_ref(), request, notes)?))
    }

    fn safe_cursor(&mut self, _stream: &Stream, column: &str) -> Result<Option<CursorValue>, SourceError> {
        let mut session = self.connect()?;
        let late::Limit { value, note } = late::limit(&mut session, &self.name, &self.plan, &self.rules, column)?;
        self.notes.extend(note.map(|(level, note)| (level, note.to_owned())));
        Ok(value)
    }

    fn cursor_type(&mut self, _stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        let mut session = self.begin()?;
        let described = query::describe(&mut session, &self.name, &self.plan)?;
        end(&mut session)?;
        Ok(Some(query::cursor(&self.name, &described, &self.rules, column)?.column_type))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
