//! A load under way: its staging table, filled in chunks, and what becomes of it.

use rusqlite::Connection;

use super::bind::Insert;
use super::bookkeeping::{self, Fence};
use super::copying::Copying;
use super::evolve;
use super::failure::{Outcome, failed, refusal};
use super::table::{LiveTable, create_sql};
use super::types::{listed, quoted};
use super::{Sqlite, checks, invalid, is_swap, lock, mend, publish};
use crate::batch::{RecordBatch, Schema};
use crate::destination::evolution::{self, Layout, OldRows};
use crate::destination::failure::fence_lost;
use crate::destination::{Committed, DestinationError, Load, LoadRecord, LoadRequest, PublishRequest, Written};
use crate::destination::{ownership, staging_names};
use crate::plan::{Expect, Owner, RunRef, SchemaChange};

/// Rows and bytes of a chunk: the lock is held for well under a second, and a chunk's log is copied while it is small.
const CHUNK_ROWS_MAX: u64 = 100_000;
const CHUNK_BYTES_MAX: usize = 24 * 1024 * 1024;

/// From this size on the log is begun anew between two chunks, which needs a moment without writers: else loads side by side
/// could keep it growing to the size of the data.
const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Below it the log is left to the publish, which copies it anyway.
const LOG_BYTES_MIN: usize = 4 * 1024 * 1024;

/// A load into a SQLite file.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    pub(super) destination: &'a Sqlite,
    pub(super) request: LoadRequest,
    pub(super) fence: Fence,
    pub(super) previous: Option<LoadRecord>,
    pub(super) live: Option<LiveTable>,
    pub(super) layout: Layout,
    /// The staging table's name.
    pub(super) table: String,
    pub(super) rows: u64,
    restarts: u32,
    insert: Option<Insert>,
    chunk_rows: u64,
    chunk_bytes: usize,
    /// Bytes that were written since the log was begun anew, at least.
    log_bytes: usize,
    copying: Copying,
    /// Published: the staging table is no more.
    is_over: bool,
}

impl<'a> Staging<'a> {
    /// Raises the fence and makes the staging table, committed at once.
    pub(super) fn begin(destination: &'a Sqlite, request: &LoadRequest) -> Outcome<Self> {
        refuse_name(&request.target)?;
        let connection = &destination.connection;
        let live = LiveTable::read(connection, &request.target)?;
        let previous = admit(connection, &request.target, &request.owner, live.as_ref())?;
        let layout = layout_of(connection, request, &request.schema, live.as_ref())?;
        destination.sync_chunks()?;
        let mut table = name(&request.target, &request.run, 0);
        let (fence, restarts) = lock::in_transaction(connection, || {
            bookkeeping::make_tables(connection)?;
            let fence = bookkeeping::begin(connection, &request.target, &request.owner, &request.run)?;
            let mut number = 0;
            while LiveTable::read(connection, &table)?.is_some() {
                number += 1;
                table = name(&request.target, &request.run, number);
            }
            mend::drop_older_staging(connection, &request.target)?;
            make(connection, &table, request, live.as_ref(), &layout)?;
            Ok((fence, number))
        })?;
        let request = request.clone();
        let (rows, insert, chunk_rows, chunk_bytes, log_bytes, is_over) = (0, None, 0, 0, 0, false);
        Ok(Self {
            destination,
            request,
            fence,
            previous,
            live,
            layout,
            table,
            rows,
            restarts,
            insert,
            chunk_rows,
            chunk_bytes,
            log_bytes,
            copying: Copying::default(),
            is_over,
        })
    }

    fn connection(&self) -> &'a Connection {
        &self.destination.connection
    }

    fn stage(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        let connection = self.connection();
        if connection.is_autocommit() {
            lock::begin(connection)?;
        }
        if self.insert.is_none() {
            let names: Vec<&str> = self.layout.batch.columns.iter().map(|column| column.name.as_str()).collect();
            let count = names.len();
            let sql = format!("INSERT INTO {} ({})", quoted(&self.table), listed("", names));
            let insert = Insert::prepare(connection, &sql, count);
            self.insert = Some(insert.map_err(failed(format_args!("staging rows for {}", self.request.target)))?);
        }
        let insert = self.insert.as_mut().expect("prepared above");
        let invalid = invalid::find(batch);
        let rows = insert
            .write(batch, &invalid, self.request.invalid_values)
            .map_err(failed(format_args!("staging rows for {}", self.request.target)))?;
        self.rows += rows;
        self.chunk_rows += rows;
        self.chunk_bytes += batch.get_array_memory_size();
        if self.chunk_rows >= CHUNK_ROWS_MAX || self.chunk_bytes >= CHUNK_BYTES_MAX {
            self.end_chunk()?;
        }
        Ok(Written { rows, invalid })
    }

    fn end_chunk(&mut self) -> Outcome<()> {
        self.log_bytes += std::mem::take(&mut self.chunk_bytes);
        self.chunk_rows = 0;
        let connection = self.connection();
        if connection.is_autocommit() {
            return Ok(());
        }
        lock::commit(connection)?;
        if self.destination.is_wal && self.log_bytes > LOG_BYTES_MAX {
            self.copying.end();
            // While someone reads the log can't be begun anew: what can be copied is, and the next chunk tries again.
            self.log_bytes = if self.destination.checkpoint("RESTART") { 0 } else { LOG_BYTES_MAX };
        } else if self.destination.is_wal && self.log_bytes > LOG_BYTES_MIN {
            self.copying.begin(&self.destination.path);
        }
        Ok(())
    }

    /// Tells why a step failed: a run that began after this one has dropped the staging table, which SQLite only finds missing.
    fn explained(&self, error: DestinationError) -> DestinationError {
        let is_held = bookkeeping::is_held(self.connection(), &self.request.target, &self.fence);
        if is_held.is_ok_and(|is_held| !is_held) { fence_lost(&self.request.target) } else { error }
    }

    fn drop_table(&mut self) -> Outcome<()> {
        self.insert = None;
        let connection = self.connection();
        lock::roll_back(connection);
        lock::in_transaction(connection, || drop_table(connection, &self.table))
    }
}

impl Load for Staging<'_> {
    fn schema(&self) -> &Schema {
        &self.layout.batch
    }

    fn schema_changes(&self) -> &[SchemaChange] {
        &self.layout.changes
    }

    fn write(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        let written = self.stage(batch);
        if written.is_err() {
            self.insert = None;
            lock::roll_back(self.connection());
        }
        written.map_err(|error| self.explained(error))
    }

    fn pause(&mut self) -> Outcome<()> {
        self.end_chunk()
    }

    fn restart(&mut self, schema: &Schema) -> Outcome<()> {
        self.drop_table()?;
        let connection = self.connection();
        self.restarts += 1;
        self.table = name(&self.request.target, &self.request.run, self.restarts);
        self.live = LiveTable::read(connection, &self.request.target)?;
        self.layout = layout_of(connection, &self.request, schema, self.live.as_ref())?;
        self.request.schema = schema.clone();
        (self.rows, self.chunk_rows, self.chunk_bytes) = (0, 0, 0);
        lock::in_transaction(connection, || make(connection, &self.table, &self.request, self.live.as_ref(), &self.layout))
    }

    fn finish(&mut self, rows: u64) -> Outcome<()> {
        self.end_chunk()?;
        self.copying.end();
        self.insert = None;
        let staged = checks::staged_rows(self.connection(), &self.table, &self.layout).map_err(|error| self.explained(error))?;
        if staged == rows && self.rows == rows {
            return Ok(());
        }
        let message = format!("table {}: {rows} rows were sent and {staged} are staged", self.request.target);
        Err(refusal("rows_lost", message, "run the job again; if it stays so, the file or its disk is damaged"))
    }

    fn check(&mut self, expect: &Expect) -> Outcome<Vec<String>> {
        checks::run(self, expect).map_err(|error| self.explained(error))
    }

    fn publish(mut self: Box<Self>, request: &PublishRequest) -> Outcome<Committed> {
        self.end_chunk()?;
        self.copying.end();
        self.insert = None;
        let committed = publish::publish(&mut self, request).map_err(|error| self.explained(error))?;
        self.is_over = true;
        Ok(committed)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        self.copying.end();
        // Without a publish nothing may remain; what can't be dropped now goes with the next mend.
        if !self.is_over && self.drop_table().is_ok() && self.destination.is_wal {
            self.destination.checkpoint("TRUNCATE");
        }
    }
}

/// Refuses names that are SQLite's or ours.
pub(super) fn refuse_name(target: &str) -> Outcome<()> {
    let lower = target.to_ascii_lowercase();
    if target.is_empty() || target.contains('\0') || lower.starts_with("sqlite_") || lower.starts_with("_etlsched_") {
        let message = format!("{target:?} can't be the name of a target table");
        return Err(refusal("bad_target", message, "names that begin with sqlite_ or _etlsched_ are taken; set `target`"));
    }
    Ok(())
}

/// Returns the target's bookkeeping row, where this owner may load it.
///
/// # Errors
/// As for [`ownership::admit`].
pub(super) fn admit(mut connection: &Connection, target: &str, owner: &Owner, live: Option<&LiveTable>) -> Outcome<Option<LoadRecord>> {
    ownership::admit(&mut connection, target, owner, live.map(|live| live.name.as_str()))
}

/// Returns the name of a staging table.
pub(super) fn name(target: &str, run: &RunRef, restarts: u32) -> String {
    staging_names::name(&target.to_ascii_lowercase(), run, restarts)
}

/// Decides what becomes of the target's columns.
pub(super) fn layout_of(connection: &Connection, request: &LoadRequest, schema: &Schema, live: Option<&LiveTable>) -> Outcome<Layout> {
    let record = bookkeeping::record(connection, &request.target)?;
    let published = record.as_ref().map(|record| &record.schema);
    let old_rows = OldRows::of(&request.disposition);
    evolution::layout(request, live.map(|table| evolve::there(table, connection, old_rows)), published, schema)
}

/// Drops a table of ours where it is there. Inside a transaction.
pub(super) fn drop_table(connection: &Connection, table: &str) -> Outcome<()> {
    connection
        .execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(table)))
        .map_err(failed(format_args!("dropping staging table {table}")))
}

fn make(connection: &Connection, table: &str, request: &LoadRequest, live: Option<&LiveTable>, layout: &Layout) -> Outcome<()> {
    let columns = if is_swap(&request.disposition, live) { &layout.columns } else { &layout.batch.columns };
    connection.execute_batch(&create_sql(table, columns)).map_err(failed(format_args!("making staging table {table}")))
}
