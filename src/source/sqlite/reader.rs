//! Reads the rows of a query into batches, on a thread of its own: SQLite's rows can't outlive their statement.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, Row, Statement};

use crate::batch::{BatchBuilder, Column, ColumnBuilder, ColumnType, Misfit, Schema, parse};
use crate::plan::{ColumnRules, Level, LoadOptions, OnInvalidValue, SqliteSourcePlan};
use crate::run::{CursorValue, FileRecord};
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::cursor_column::{self, CursorColumn};
use crate::source::nulled::Nulled;
use crate::source::threaded::silent;
use crate::source::{Read, ReadRequest, Reader, RejectedRow, SourceError};
use crate::text;

use super::query::{self, Bounds, Query};
use super::values::Stored;
use super::{connect, sql_error};

/// What the thread hands over.
type Item = Result<(Read, Option<Schema>), SourceError>;

/// Takes what the reading thread hands over.
pub(super) struct SqliteReader {
    schema: Schema,
    items: Option<Receiver<Item>>,
    interrupt: InterruptHandle,
    bytes: u64,
    is_done: bool,
    nulled: Nulled,
    log: Vec<(Level, String)>,
}

impl std::fmt::Debug for SqliteReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SqliteReader({:?})", self.schema)
    }
}

/// All that the thread needs.
struct Work {
    plan: SqliteSourcePlan,
    label: String,
    query: Query,
    bounds: Option<Bounds>,
    columns: Vec<OutputColumn>,
    /// For each loaded column, its place in the query.
    places: Vec<usize>,
    cursor_place: Option<usize>,
    stored: Vec<Stored>,
    hasher: Option<Hasher>,
    invalid_values: OnInvalidValue,
    nulled: Nulled,
    batch_rows_max: usize,
}

impl SqliteReader {
    /// Begins the read transaction, finds columns and types, and starts to read.
    pub fn open(
        source: &str,
        plan: &SqliteSourcePlan,
        rules: &ColumnRules,
        hash_key: Option<&Secret>,
        request: &ReadRequest<'_>,
    ) -> Result<Self, SourceError> {
        let connection = connect(&plan.path)?;
        let fail = |error: &rusqlite::Error| sql_error("read", &plan.path, error);
        connection.execute_batch("BEGIN").map_err(|error| fail(&error))?;
        // The first read takes the snapshot.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(|error| fail(&error))?;
        let base = query::base(plan);
        let (names, mut stored) = describe(&connection, plan, &base)?;
        let columns = layout(source, &names, rules, hash_key)?;
        let bounds = bounds(source, &names, rules, request)?;
        let query = query::bounded(&connection, base, bounds.as_ref(), request.moments)
            .map_err(|message| SourceError::new("invalid_sql", format!("source {source}: {message}")))?;
        let place = |name: &String| names.iter().position(|other| other == name);
        let places = columns.iter().filter_map(|column| place(&column.source)).collect();
        let cursor_place = bounds.as_ref().and_then(|bounds| place(&bounds.column));
        let options: &LoadOptions = request.options;
        observe(&connection, &query, options.sample_rows as u64, &mut stored).map_err(|error| fail(&error))?;
        let label = plan.table.clone().unwrap_or_else(|| source.to_owned());
        let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
        let nulled = Nulled::default();
        let work = Work {
            plan: plan.clone(),
            label,
            query,
            bounds,
            columns,
            places,
            cursor_place,
            stored,
            hasher,
            invalid_values: options.invalid_values,
            nulled: nulled.clone(),
            batch_rows_max: options.batch_size,
        };
        let schema = work.schema();
        let interrupt = connection.get_interrupt_handle();
        let (sender, items) = sync_channel(1);
        std::thread::Builder::new()
            .name("sqlite source".to_owned())
            .spawn(move || work.run(&connection, &sender))
            .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        Ok(Self { schema, items: Some(items), interrupt, bytes: 0, is_done: false, nulled, log: Vec::new() })
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        self.items = None;
        self.interrupt.interrupt();
    }
}

impl Reader for SqliteReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        let Some(items) = self.items.as_ref().filter(|_| !self.is_done) else { return Ok(Read::End) };
        let (read, schema) = items.recv().map_err(|_| silent())??;
        if let Some(schema) = schema {
            self.schema = schema;
            self.bytes = 0;
        }
        match &read {
            Read::Batch(batch) => self.bytes += batch.get_array_memory_size() as u64,
            Read::End => {
                self.is_done = true;
                self.log.extend(self.nulled.line());
            }
            _ => {}
        }
        Ok(read)
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (self.bytes, None)
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

/// How one pass over the rows ended.
enum Pass {
    Done,
    /// Nobody listens any more.
    Unheard,
    /// A value didn't fit the type of its column.
    Misfit(String),
}

impl Work {
    fn schema(&self) -> Schema {
        let column = |(column, place): (&OutputColumn, &usize)| {
            let column_type =
                if column.is_hashed { ColumnType::Text } else { column.declared.unwrap_or_else(|| self.stored[*place].column_type()) };
            Column::new(&column.name, column_type)
        };
        Schema::new(self.columns.iter().zip(&self.places).map(column).collect())
    }

    fn run(mut self, connection: &Connection, sender: &SyncSender<Item>) {
        let last = match self.passes(connection, sender) {
            Ok(true) => Ok((Read::End, None)),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        // Where nobody listens any more, nobody needs to know.
        let _ = sender.send(last);
    }

    fn passes(&mut self, connection: &Connection, sender: &SyncSender<Item>) -> Result<bool, SourceError> {
        for _ in 0..2 {
            match self.pass(connection, sender)? {
                Pass::Done => return Ok(true),
                Pass::Unheard => return Ok(false),
                Pass::Misfit(reason) => {
                    self.nulled.forget();
                    let path = self.plan.path.clone();
                    observe(connection, &self.query, u64::MAX, &mut self.stored).map_err(|error| sql_error("read", &path, &error))?;
                    if sender.send(Ok((Read::Restart { reason }, Some(self.schema())))).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
        Err(SourceError::new("internal", format!("{}: a value doesn't fit though every row was looked at", self.label)))
    }

    fn pass(&self, connection: &Connection, sender: &SyncSender<Item>) -> Result<Pass, SourceError> {
        let fail = |error: rusqlite::Error| sql_error("read", &self.plan.path, &error);
        let mut statement = connection.prepare(&self.query.sql).map_err(fail)?;
        bind(&mut statement, &self.query).map_err(fail)?;
        let mut rows = statement.raw_query();
        let mut batch = BatchBuilder::new(&self.schema(), self.batch_rows_max);
        let mut number = 0;
        while let Some(row) = rows.next().map_err(fail)? {
            if !self.is_within(row)? {
                continue;
            }
            number += 1;
            let read = match self.take_row(row, number, &mut batch)? {
                Taken::Loaded if batch.is_full() => batch.finish().map(Read::Batch),
                Taken::Loaded => None,
                Taken::Rejected(row) => Some(Read::Rejected(row)),
                Taken::Misfit(reason) => return Ok(Pass::Misfit(reason)),
            };
            if read.is_some_and(|read| sender.send(Ok((read, None))).is_err()) {
                return Ok(Pass::Unheard);
            }
        }
        let is_heard = batch.finish().is_none_or(|batch| sender.send(Ok((Read::Batch(batch), None))).is_ok());
        Ok(if is_heard { Pass::Done } else { Pass::Unheard })
    }

    /// Whether a row's cursor lies within bounds of time, compared as a moment. What is no moment is left to its type.
    fn is_within(&self, row: &Row<'_>) -> Result<bool, SourceError> {
        let (Some(bounds), Some(place)) = (&self.bounds, self.cursor_place) else { return Ok(true) };
        let value = row.get_ref(place).map_err(|error| sql_error("read", &self.plan.path, &error))?;
        let ValueRef::Text(text) = value else { return Ok(true) };
        let key = |text: &[u8]| parse::timestamp_or_date(text).map(|moment| (moment.seconds, moment.nanos));
        let Some(moment) = key(text) else { return Ok(true) };
        let bound = |bound: &Option<CursorValue>| {
            bound.as_ref().filter(|bound| query::is_temporal(bound.column_type)).and_then(|bound| key(bound.text.as_bytes()))
        };
        Ok(bound(&bounds.lower).is_none_or(|lower| moment >= lower) && bound(&bounds.upper).is_none_or(|upper| moment < upper))
    }

    fn take_row(&self, row: &Row<'_>, number: u64, batch: &mut BatchBuilder) -> Result<Taken, SourceError> {
        let mut bytes = 0;
        for (index, column) in self.columns.iter().enumerate() {
            let value = row.get_ref(self.places[index]).map_err(|error| sql_error("read", &self.plan.path, &error))?;
            let builder = &mut batch.columns[index];
            let hasher = self.hasher.as_ref().filter(|_| column.is_hashed);
            if let Ok(length) = append(builder, value, hasher) {
                bytes += length;
                continue;
            }
            let shown = if column.is_hashed { "a hashed value".to_owned() } else { shown(value) };
            let column_type = builder.column_type();
            let position = format!("{}, row {number}", self.label);
            let reason = format!("{shown} does not fit {column_type}");
            let mut wider = self.stored[self.places[index]];
            wider.observe(value);
            if column.declared.is_none() && !column.is_hashed && wider.column_type() != column_type {
                return Ok(Taken::Misfit(format!("{position}, column {}: {shown} is not a {column_type}", column.source)));
            }
            match self.invalid_values {
                OnInvalidValue::Null => {
                    bytes += builder.append_null();
                    self.nulled.count();
                }
                OnInvalidValue::Reject => {
                    batch.undo_row();
                    return Ok(Taken::Rejected(RejectedRow { position, column: Some(column.source.clone()), reason, raw: raw(row) }));
                }
                OnInvalidValue::Fail => {
                    return Err(SourceError::new("invalid_data", format!("{position}, column {}: {reason}", column.source)));
                }
            }
        }
        batch.end_row(bytes);
        Ok(Taken::Loaded)
    }
}

/// What became of a row.
enum Taken {
    Loaded,
    Rejected(RejectedRow),
    Misfit(String),
}

/// Appends a value as SQLite stores it.
fn append(builder: &mut ColumnBuilder, value: ValueRef<'_>, hasher: Option<&Hasher>) -> Result<usize, Misfit> {
    if let Some(hasher) = hasher {
        return match value {
            ValueRef::Null => Ok(builder.append_null()),
            ValueRef::Integer(number) => builder.append_text(hasher.hash(number.to_string().as_bytes()).as_bytes()),
            ValueRef::Real(number) => builder.append_text(hasher.hash(format!("{number:?}").as_bytes()).as_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => builder.append_text(hasher.hash(bytes).as_bytes()),
        };
    }
    match value {
        ValueRef::Null => Ok(builder.append_null()),
        ValueRef::Integer(number) => builder.append_i64(number),
        ValueRef::Real(number) => builder.append_f64(number),
        ValueRef::Text(bytes) if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() => Err(Misfit),
        ValueRef::Text(bytes) => builder.append_text(bytes),
        ValueRef::Blob(bytes) => builder.append_bytes(bytes),
    }
}

/// Returns names and stored types of the query's columns, as far as the catalogue tells.
fn describe(connection: &Connection, plan: &SqliteSourcePlan, base: &str) -> Result<(Vec<String>, Vec<Stored>), SourceError> {
    let fail = |error: rusqlite::Error| sql_error("read", &plan.path, &error);
    let statement = connection.prepare(base).map_err(fail)?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(SourceError::new("invalid_sql", format!("{}: custom_sql is not a query", plan.path.display())));
    }
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
        let error = SourceError::new("invalid_sql", format!("{}: two columns of the query are named {twice}", plan.path.display()));
        return Err(error.hint("name them apart with AS"));
    }
    let catalogue = match &plan.table {
        Some(table) => query::table_columns(connection, table).map_err(fail)?,
        None => Vec::new(),
    };
    let declared = |name: &String| catalogue.iter().find(|column| column.name == *name).map_or("", |column| column.declared.as_str());
    let stored = names.iter().map(|name| Stored::declared(declared(name))).collect();
    Ok((names, stored))
}

/// Takes the cursor column and its bounds from what is asked.
fn bounds(source: &str, names: &[String], rules: &ColumnRules, request: &ReadRequest<'_>) -> Result<Option<Bounds>, SourceError> {
    let Some(given) = &request.options.timestamp_column else { return Ok(None) };
    let CursorColumn { name, declared, .. } = cursor_column::find(source, names, rules, given)?;
    let ReadRequest { lower_bound, upper_bound, is_exact, is_without_nulls, .. } = *request;
    Ok(Some(Bounds {
        column: name.to_owned(),
        is_plain_number: declared.is_none(),
        lower: lower_bound.cloned(),
        upper: upper_bound.cloned(),
        is_exact,
        is_without_nulls,
    }))
}

/// Returns the type of the cursor column as it is read: the declared one, else what the catalogue and the first rows say.
///
/// # Errors
/// No such file, table or column.
pub(super) fn cursor_type(source: &str, plan: &SqliteSourcePlan, rules: &ColumnRules, given: &str) -> Result<ColumnType, SourceError> {
    let connection = connect(&plan.path)?;
    let base = query::base(plan);
    let (names, mut stored) = describe(&connection, plan, &base)?;
    let CursorColumn { place, declared, .. } = cursor_column::find(source, &names, rules, given)?;
    if let Some(declared) = declared {
        return Ok(declared);
    }
    let query = query::unbounded(&connection, base).map_err(|error| sql_error("read", &plan.path, &error))?;
    observe(&connection, &query, TYPE_ROWS_MAX, &mut stored).map_err(|error| sql_error("read", &plan.path, &error))?;
    Ok(stored[place].column_type())
}

/// How many rows tell a cursor column's type.
const TYPE_ROWS_MAX: u64 = 1000;

/// Takes the values of up to so many rows into what is known of each column.
fn observe(connection: &Connection, query: &Query, rows_max: u64, stored: &mut [Stored]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&query.sql)?;
    bind(&mut statement, query)?;
    let mut rows = statement.raw_query();
    let mut count = 0;
    while count < rows_max.max(1) {
        let Some(row) = rows.next()? else { break };
        for (index, stored) in stored.iter_mut().enumerate() {
            stored.observe(row.get_ref(index)?);
        }
        count += 1;
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, query: &Query) -> rusqlite::Result<()> {
    for (name, value) in &query.values {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// Returns a value for a message.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(bytes) => {
            let value = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
            format!("\"{}\"", text::printable(&text::shortened(&value, 60)))
        }
        ValueRef::Blob(bytes) => format!("a blob of {}", text::count(bytes.len() as u64, "byte")),
    }
}

/// Returns a row's values for the reject file.
fn raw(row: &Row<'_>) -> String {
    let count = row.as_ref().column_count();
    (0..count).map(|index| row.get_ref(index).map_or_else(|_| String::new(), shown)).collect::<Vec<_>>().join(",")
}
