//! A table, view or query of a PostgreSQL database, copied in binary out of one read-only, repeatable-read transaction.

#[cfg(test)]
#[cfg(unix)]
pub(super) mod conformance;
mod decode;
mod late;
mod parts;
mod pass;
mod query;
mod reader;
mod types;

use crate::batch::ColumnType;
use crate::connect::postgres::{AS_THEY_ARE, ReadingSession as Session, local_settings};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level, SourcePlan};
use crate::run::CursorValue;
use crate::secret::Secret;
use crate::source::columns::loaded_key;
use crate::text;

use super::{ReadRequest, Reader, Source, SourceError, Stream, demand_one_place};

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
        demand_one_place(&plan.name, [postgres.table.is_some(), !postgres.tables.is_empty(), postgres.custom_sql.is_some()])?;
        let (rules, hash_key) = (plan.columns.clone(), plan.hash_key.clone());
        Ok(Self { name: plan.name.clone(), plan: postgres.clone(), rules, hash_key, notes: Vec::new() })
    }

    /// Returns what one stream reads, and what it is called in messages.
    fn of(&self, stream: &Stream) -> (String, PostgresSourcePlan) {
        if self.plan.tables.is_empty() {
            return (self.name.clone(), self.plan.clone());
        }
        let plan = PostgresSourcePlan { table: Some(stream.name.clone()), tables: Vec::new(), ..self.plan.clone() };
        (format!("{}, table {}", self.name, text::printable(&stream.name)), plan)
    }

    /// Returns the streams of the tables that the catalogue has.
    fn streams(&self, session: &mut Session) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() {
            return Ok(vec![Stream::only(&self.name)]);
        }
        let listed = query::listed(session, &self.name)?;
        Stream::matching(&self.name, &self.plan.tables, &listed, &session.place)
    }

    fn connect(&self) -> Result<Session, SourceError> {
        Ok(Session::open(&self.plan.connection)?)
    }

    /// Connects and begins the transaction. Its settings are its own: a pooler may have given the session's to somebody else.
    fn begin(&self) -> Result<Session, SourceError> {
        let mut session = self.connect()?;
        session
            .client
            .batch_execute(&format!("{BEGIN}; {}; {AS_THEY_ARE}", local_settings()))
            .map_err(|error| session.failure("read", &error))?;
        query::forget(&mut session, &self.name)?;
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
        let streams = self.streams(&mut session)?;
        let mut columns = 0;
        for stream in &streams {
            let (name, plan) = self.of(stream);
            let described = query::describe(&mut session, &name, &plan)?;
            columns += described.names.len() as u64;
            if let Some(table) = described.table.filter(|_| plan.partitions > 1) {
                parts::of_table(&mut session, &name, &table, plan.partitions as usize)?;
            }
        }
        query::forget(&mut session, &self.name)?;
        let version = session.client.query_typed("SHOW server_version", &[]).map_err(|error| session.failure("read", &error))?;
        let version: String = version.first().map(|row| row.get(0)).unwrap_or_default();
        let tables = if self.plan.tables.is_empty() { String::new() } else { text::count(streams.len() as u64, "table") + ", " };
        let columns = text::count(columns, "column");
        end(&mut session)?;
        Ok(text::printable(&format!("PostgreSQL {version} at {}: {tables}{columns}", session.place)).into_owned())
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        if self.plan.tables.is_empty() { Ok(vec![Stream::only(&self.name)]) } else { self.streams(&mut self.begin()?) }
    }

    fn primary_key(&mut self, stream: &Stream) -> Result<Vec<String>, SourceError> {
        let (name, plan) = self.of(stream);
        let Some(table) = &plan.table else { return Ok(Vec::new()) };
        let mut session = self.begin()?;
        let key = query::primary_key(&mut session, &name, table)?;
        end(&mut session)?;
        Ok(loaded_key(&self.rules, &key))
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        let session = self.begin()?;
        let notes = std::mem::take(&mut self.notes);
        let (name, plan) = self.of(request.stream);
        Ok(Box::new(reader::PostgresReader::open(session, &name, &plan, &self.rules, self.hash_key.as_ref(), request, notes)?))
    }

    fn safe_cursor(&mut self, stream: &Stream, column: &str) -> Result<Option<CursorValue>, SourceError> {
        let (name, plan) = self.of(stream);
        let mut session = self.connect()?;
        let late::Limit { value, note } = late::limit(&mut session, &name, &plan, &self.rules, column)?;
        // Of the stream before, where that was not opened, nothing is told here.
        self.notes = note.map(|(level, note)| (level, note.to_owned())).into_iter().collect();
        Ok(value)
    }

    fn cursor_type(&mut self, stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        let (name, plan) = self.of(stream);
        let mut session = self.begin()?;
        let described = query::describe(&mut session, &name, &plan)?;
        query::forget(&mut session, &name)?;
        end(&mut session)?;
        Ok(Some(query::cursor(&name, &described, &self.rules, column)?.column_type))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
