//! Where rows come from. One file or folder a kind, one line in [`open`].
//!
//! A source reads; it never writes, never prints, never reads the clock or the environment, and knows nothing of destinations.

mod api;
mod columns;
#[cfg(test)]
mod conformance;
mod csv;
mod cursor_column;
mod mysql;
mod nulled;
mod odbc;
mod placeholders;
mod postgres;
mod sqlite;
mod threaded;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::batch::{ColumnType, RecordBatch, Schema};
use crate::connect::ConnectError;
use crate::plan::tables::{self, Listed, Unmatched};
use crate::plan::{Level, LoadOptions, SourceKind, SourcePlan};
use crate::run::{CursorValue, FileRecord};

/// A batch that a thread of the source's own reads waits once more than others do: such batches are so many times smaller.
const BATCH_SHARES: usize = 2;

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// A stable word for scripts, as in [`crate::plan::WorkerError::code`].
    pub code: &'static str,
    /// What was attempted, on what, what happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether trying again may help.
    pub is_transient: bool,
    /// How long to wait before trying again, where the other side said so.
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// Makes an error that trying again does not help.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, is_transient: false, retry_after: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl SourceError {
    /// Tells which value doesn't fit the type of its column.
    fn misfit(position: &str, column: &str, reason: &str) -> Self {
        let error = Self::new("invalid_data", format!("{position}, column {column}: {reason}"));
        error.hint(format!("declare {column}: text under columns.types, or set invalid_values: null or reject"))
    }

    /// Tells why a source's names and globs make no tables.
    fn unmatched(source: &str, unmatched: &Unmatched, place: &str) -> Self {
        let (code, message, hint) = unmatched.told(place);
        Self::new(code, format!("source {source}: {message}")).hint(hint)
    }
}

impl From<ConnectError> for SourceError {
    fn from(error: ConnectError) -> Self {
        let ConnectError { code, message, hint, is_transient, retry_after } = error;
        Self { code, message, hint, is_transient, retry_after }
    }
}

/// A stream that a source offers: one table, query or file set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name, once in its source: of several tables the one with its schema, as what was read of it holds for that table alone.
    pub name: String,
    /// What its target is called where the job doesn't say: behind `table_prefix`.
    pub base: String,
}

impl Stream {
    /// The only stream of a source, called as the source is.
    pub fn only(source: &str) -> Self {
        Self { name: source.to_owned(), base: source.to_owned() }
    }

    /// Returns those of the tables that a catalogue has, by the job's names and globs; `place` is where they are looked for.
    fn matching(source: &str, asked: &[String], listed: &[Listed], place: &str) -> Result<Vec<Self>, SourceError> {
        let found = tables::matching(asked, listed).map_err(|unmatched| SourceError::unmatched(source, &unmatched, place))?;
        Ok(found.into_iter().map(|table| Self { name: table.written(), base: table.name.clone() }).collect())
    }
}

/// What is asked of a reader.
#[derive(Debug)]
pub struct ReadRequest<'a> {
    /// The stream.
    pub stream: &'a Stream,
    /// Batch and sample sizes, bad rows, invalid values.
    pub options: &'a LoadOptions,
    /// The closed lower bound of the cursor column; `None` is none.
    pub lower_bound: Option<&'a CursorValue>,
    /// The open upper bound of the cursor column; `None` is none.
    pub upper_bound: Option<&'a CursorValue>,
    /// Whether rows beyond the bounds do harm, though a query with placeholders of its own may give some. Whoever reads leaves out what
    /// comes all the same: a source filters so that little comes.
    pub is_exact: bool,
    /// Whether rows without a value in the cursor column are in no case asked for: they are in no window.
    pub is_without_nulls: bool,
    /// What `:slot` and `:run_started` are in a query.
    pub moments: Moments,
    /// Files that the target already holds (incremental file sources); files among them with equal content are left out.
    pub known_files: &'a [FileRecord],
    /// Read only new and changed files.
    pub is_incremental: bool,
    /// The columns as published before, under the target's names: their types hold for columns in which no value is seen.
    pub expected: Option<&'a Schema>,
    /// How many rows are looked at in the end: a source that has to fetch everything before the first row need not go on behind them.
    pub rows_max: Option<u64>,
}

/// The instants of a run that a query may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// When the run was due; its start where no slot started it.
    pub slot: DateTime<Utc>,
    /// When it began.
    pub run_started: DateTime<Utc>,
}

impl<'a> ReadRequest<'a> {
    /// Asks for everything that a stream has.
    pub fn whole(stream: &'a Stream, options: &'a LoadOptions, moments: Moments) -> Self {
        Self {
            stream,
            options,
            lower_bound: None,
            upper_bound: None,
            is_exact: false,
            is_without_nulls: false,
            moments,
            known_files: &[],
            is_incremental: false,
            expected: None,
            rows_max: None,
        }
    }
}

/// Why a row without a value in a key column can't be loaded.
pub const KEYLESS: &str = "it has no value, and the column is part of primary_key";

/// A row that can't be loaded, with its place and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// File and row ("flights.csv, row 1204"), or page and record.
    pub position: String,
    /// The column at fault, where one is.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
    /// The row as it was read, fields joined as the source had them.
    pub raw: String,
}

/// What a reader yields.
#[derive(Debug)]
pub enum Read {
    /// Rows of the reader's schema.
    Batch(RecordBatch),
    /// A row that can't be loaded.
    Rejected(RejectedRow),
    /// A value didn't fit the inferred type: everything read so far must be dropped. The reader has a wider schema now and
    /// begins again with the first row.
    Restart {
        /// Why, for the log: which column, which row, from which type to which.
        reason: String,
    },
    /// The true end of the data, and only that. A cut or cancelled read is an error.
    End,
}

/// Reads one stream from its first row to its last.
pub trait Reader: Send {
    /// Returns the columns of the batches, after `select`, `rename` and `hash`.
    fn schema(&self) -> &Schema;

    /// Returns the next rows, a rejected row, a restart, or the end.
    ///
    /// # Errors
    /// Anything that keeps the rest of the data from being read.
    fn read(&mut self) -> Result<Read, SourceError>;

    /// Returns bytes taken so far and in all, where the source knows.
    fn bytes(&self) -> (u64, Option<u64>);

    /// Returns the files that were read, once [`Read::End`] was seen; empty for sources that are not files.
    fn files(&self) -> Vec<FileRecord>;

    /// Whether an unchanged set of known files leaves nothing to read.
    fn is_nothing_new(&self) -> bool {
        false
    }

    /// Returns the files among those read whose content differs from what the target holds under the same path.
    fn changed_files(&self) -> Vec<String> {
        Vec::new()
    }

    /// Takes the lines that the reader has for the execution log (what was sniffed, which files were left out).
    fn take_log(&mut self) -> Vec<(Level, String)>;
}

/// Who waits for a source that fetches everything before its first row: hears how far it is, and may have it stop.
#[derive(Clone)]
pub struct Attendant {
    stop: Arc<AtomicBool>,
    tell: Arc<dyn Fn(u64, u64) + Send + Sync>,
}

impl Attendant {
    /// Begins to wait: `tell` hears of the rows and bytes that came as often as it may be, and a raised flag ends the fetching.
    pub fn new(stop: Arc<AtomicBool>, tell: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self { stop, tell: Arc::new(tell) }
    }

    /// Hears nothing, and has nothing stop.
    pub fn nobody() -> Self {
        Self::new(Arc::default(), |_, _| {})
    }

    /// Whether the source shall stop.
    fn is_gone(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Attendant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Attendant(is_gone: {})", self.is_gone())
    }
}

/// A source that can be read.
pub trait Source: Send {
    /// Takes who waits from now on, where the source can keep people waiting before the first row.
    fn attend(&mut self, _attendant: Attendant) {}

    /// Reaches the source without reading rows; returns a line for people ("3 files, 5.1 MB").
    ///
    /// # Errors
    /// Whatever keeps it from being reached.
    fn test(&mut self) -> Result<String, SourceError>;

    /// Returns the streams.
    ///
    /// # Errors
    /// As for [`Source::test`].
    fn discover(&mut self) -> Result<Vec<Stream>, SourceError>;

    /// Returns the key columns of a stream from the catalogue; empty where there are none.
    ///
    /// # Errors
    /// As for [`Source::test`].
    fn primary_key(&mut self, _stream: &Stream) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    /// Opens a stream for reading, in one snapshot where the engine has it.
    ///
    /// # Errors
    /// As for [`Source::test`], and data that can't be understood at all.
    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError>;

    /// Returns the value that late commits can't undercut, asked *before* [`Source::open`]; `None` where the engine does not tell.
    ///
    /// # Errors
    /// As for [`Source::test`].
    fn safe_cursor(&mut self, _stream: &Stream, _column: &str) -> Result<Option<CursorValue>, SourceError> {
        Ok(None)
    }

    /// Whether a commit may come after a read with an earlier value than those that were read: a lookback has to cover it where
    /// [`Source::safe_cursor`] doesn't tell.
    fn has_late_commits(&self) -> bool {
        true
    }

    /// Returns the type of the cursor column as it will be read, so that the ends of a window can be written in it; `None` where it can't
    /// be known without reading.
    ///
    /// # Errors
    /// As for [`Source::test`]; no such column, or one that can't be a cursor.
    fn cursor_type(&mut self, _stream: &Stream, _column: &str) -> Result<Option<ColumnType>, SourceError> {
        Ok(None)
    }

    /// Whether the source is a set of files, for which the cursor filters no rows.
    fn is_files(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for dyn Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Source")
    }
}

impl std::fmt::Debug for dyn Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Reader")
    }
}

/// Refuses a source that has none or several of table, tables and custom_sql.
fn demand_one_place(source: &str, are_given: [bool; 3]) -> Result<(), SourceError> {
    if are_given.into_iter().filter(|is_given| *is_given).count() == 1 {
        return Ok(());
    }
    Err(SourceError::new("invalid", format!("source {source}: exactly one of table, tables and custom_sql is needed")))
}

/// Opens a source of any kind.
///
/// # Errors
/// Whatever its kind refuses before reading: a malformed path, a bad URL.
pub fn open(plan: &SourcePlan) -> Result<Box<dyn Source>, SourceError> {
    match &plan.kind {
        SourceKind::Api(api) => Ok(Box::new(api::ApiSource::new(plan, api))),
        SourceKind::Csv(csv) => Ok(Box::new(csv::CsvSource::new(plan, csv)?)),
        SourceKind::Mysql(mysql) => Ok(Box::new(mysql::MysqlSource::new(plan, mysql)?)),
        SourceKind::Odbc(odbc) => Ok(Box::new(odbc::OdbcSource::new(plan, odbc)?)),
        SourceKind::Postgresql(postgres) => Ok(Box::new(postgres::PostgresSource::new(plan, postgres)?)),
        SourceKind::Sqlite(sqlite) => Ok(Box::new(sqlite::SqliteSource::new(plan, sqlite)?)),
    }
}
