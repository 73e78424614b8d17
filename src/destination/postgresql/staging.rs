//! A load under way: its staging table, which one transaction makes and fills, and what becomes of it.

use std::io::Write as _;

use super::bookkeeping::{self, Fence};
use super::evolve;
use super::filling::Filling;
use super::likeness::{Keys, Likeness};
use super::session::{Outcome, Session, failed, refusal};
use super::table::{Durability, LiveTable, create_sql, of_types};
use super::types::{NAME_BYTES_MAX, length, listed, quoted};
use super::{checks, copying, invalid, mend, publish};
use crate::batch::{RecordBatch, Schema};
use crate::destination::evolution::{self, Layout, OldRows};
use crate::destination::failure::fence_lost;
use crate::destination::{Committed, DestinationError, Disposition, InvalidValue, Load, LoadRecord, LoadRequest, PublishRequest, Written};
use crate::destination::{ownership, staging_names};
use crate::plan::{Expect, OnInvalidValue, Owner, Publish, RunRef, SchemaChange};

/// A load into a PostgreSQL table.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    pub(super) session: &'a mut Session,
    pub(super) request: LoadRequest,
    pub(super) fence: Fence,
    pub(super) previous: Option<LoadRecord>,
    pub(super) live: Option<LiveTable>,
    pub(super) layout: Layout,
    pub(super) shape: Shape,
    /// The staging table's name.
    pub(super) table: String,
    pub(super) rows: u64,
    /// From the first rows on until the staging table is committed.
    filling: Option<Filling>,
    restarts: u32,
    /// Published: the staging table is no more.
    is_over: bool,
}

/// What a staging table is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// It becomes the target by a rename.
    pub is_swap: bool,
    /// What it gets of the table whose place it takes.
    pub likeness: Option<Likeness>,
    /// The column that numbers the rows, where rows with equal keys are folded: no column of the load has its name.
    pub number: Option<String>,
}

impl Shape {
    /// Returns what completes the staging table of a swap when it has its rows, folded; `name` is SQL.
    pub(super) fn complete_sql(&self, name: &str) -> Vec<String> {
        if !self.is_swap {
            return Vec::new();
        }
        let number = self.number.iter().map(|number| format!("ALTER TABLE {name} DROP COLUMN {}", quoted(number)));
        number.chain(self.likeness.iter().flat_map(|likeness| likeness.complete.iter().cloned())).collect()
    }

    /// Decides it for the staging table of that name. Inside a transaction.
    pub(super) fn of(
        session: &mut Session,
        request: &LoadRequest,
        layout: &Layout,
        live: Option<&LiveTable>,
        table: &str,
    ) -> Outcome<Self> {
        let is_wanted = matches!(request.disposition, Disposition::Full { publish: Publish::Swap, .. });
        let number = Self::number(request, layout);
        let likeness = match live {
            Some(live) if is_wanted && layout.batch.columns.iter().all(|column| live.takes(column)) => {
                Likeness::read(session, live, table, &layout.filled(), Keys::of(&request.disposition))?
            }
            _ => None,
        };
        let is_swap = is_wanted && (live.is_none() || likeness.is_some());
        Ok(Self { is_swap, likeness, number })
    }

    /// Returns the name of the column that numbers the rows, where they are folded.
    pub(super) fn number(request: &LoadRequest, layout: &Layout) -> Option<String> {
        let is_taken = |name: &str| layout.columns.iter().chain(&layout.batch.columns).any(|column| column.name == name);
        request.disposition.fold().map(|_| staging_names::numbering(is_taken))
    }
}

impl<'a> Staging<'a> {
    /// Raises the fence, committed at once.
    pub(super) fn begin(session: &'a mut Session, request: &LoadRequest) -> Outcome<Self> {
        refuse_name(&request.target)?;
        let live = LiveTable::read(session, &request.target)?;
        let previous = admit(session, &request.target, &request.owner, live.as_ref())?;
        let layout = layout_of(session, request, &request.schema, live.as_ref())?;
        let (fence, table, restarts, shape) = session.in_transaction(|session| {
            bookkeeping::make_tables(session)?;
            let fence = bookkeeping::begin(session, &request.target, &request.owner, &request.run)?;
            mend::drop_older_staging(session, &request.target)?;
            let mut number = 0;
            let mut table = name(&request.target, &request.run, number);
            while LiveTable::read(session, &table)?.is_some() {
                number += 1;
                table = name(&request.target, &request.run, number);
            }
            let shape = Shape::of(session, request, &layout, live.as_ref(), &table)?;
            Ok((fence, table, number, shape))
        })?;
        let request = request.clone();
        Ok(Self { session, request, fence, previous, live, layout, shape, table, rows: 0, filling: None, restarts, is_over: false })
    }

    /// Returns what takes the rows; the first call makes the staging table.
    fn filling(&mut self) -> Outcome<&Filling> {
        if self.filling.is_none() {
            let table = self.session.table(&self.table);
            let create = make_sql(&table, &self.shape, &self.layout);
            let copy = copy_sql(&table, &self.layout.batch, self.shape.number.as_deref(), Rows::of(&self.shape));
            let what = format!("staging rows for {}", self.request.target);
            self.filling = Some(Filling::begin(self.session, create, copy, &what)?);
        }
        Ok(self.filling.as_ref().expect("it was just made"))
    }

    fn stage(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        let invalid = unfit(batch, self.live.as_ref(), &self.layout, invalid::find(batch));
        self.filling()?;
        let Self { filling, layout, request, shape, rows, .. } = self;
        let taker = filling.as_ref().expect("it was just made");
        let first = shape.number.as_ref().map(|_| *rows + 1);
        let sent = copying::encode(batch, &layout.batch, &invalid, request.invalid_values, first, |bytes| taker.send(bytes));
        let Ok(sent) = sent else {
            return Err(filling.take().expect("it is there").ended());
        };
        *rows += sent;
        Ok(Written { rows: sent, invalid })
    }

    /// Tells why a step failed: a run that began after this one has dropped the staging table, which the server only finds missing.
    fn explained(&mut self, error: DestinationError) -> DestinationError {
        let error = DestinationError { message: self.in_known_names(error.message), ..error };
        if self.session.is_lost() {
            return error;
        }
        let is_held = bookkeeping::is_held(self.session, &self.request.target, &self.fence);
        if is_held.is_ok_and(|is_held| !is_held) { fence_lost(&self.request.target) } else { error }
    }

    /// Puts the names that people know into a message of the server's about the staging table and its parts.
    fn in_known_names(&self, message: String) -> String {
        let mut names: Vec<&(String, String)> = self.shape.likeness.iter().flat_map(|likeness| &likeness.names).collect();
        // `_i12` before `_i1`, which it begins with.
        names.sort_by_key(|(own, _)| std::cmp::Reverse(own.len()));
        let message = names.into_iter().fold(message, |message, (own, name)| message.replace(own, name));
        message.replace(&self.table, &self.request.target)
    }
}

/// Adds the values of a batch that the target's own columns can't hold to those that PostgreSQL can't hold; by row.
pub(super) fn unfit(batch: &RecordBatch, live: Option<&LiveTable>, layout: &Layout, mut invalid: Vec<InvalidValue>) -> Vec<InvalidValue> {
    let Some(live) = live else { return invalid };
    let columns = layout.batch.columns.iter().enumerate();
    let limits = columns.filter_map(|(place, column)| Some((place, length(&live.column(&column.name)?.declared)?)));
    let known = invalid.len();
    for value in invalid::too_long(batch, limits) {
        if !invalid[..known].iter().any(|other| (other.row, other.column) == (value.row, value.column)) {
            invalid.push(value);
        }
    }
    invalid.sort_by_key(|value| (value.row, value.column));
    invalid
}

/// What of a batch is sent, and how.
pub(super) struct Sending<'a> {
    pub schema: &'a Schema,
    pub invalid: &'a [InvalidValue],
    pub policy: OnInvalidValue,
    /// The column that numbers the rows, and the first one's number.
    pub numbered: Option<(&'a str, u64)>,
}

/// Sends the rows of a batch into a table; returns how many the server took. Inside a transaction.
pub(super) fn copy(session: &mut Session, table: &str, batch: &RecordBatch, sending: &Sending<'_>, what: &str) -> Outcome<u64> {
    let sql = copy_sql(table, sending.schema, sending.numbered.map(|(name, _)| name), Rows::Plain);
    let mut writer = session.client.copy_in(&sql).map_err(failed(what))?;
    let first = sending.numbered.map(|(_, first)| first);
    let sent = writer
        .write_all(copying::HEADER)
        .and_then(|()| copying::encode(batch, sending.schema, sending.invalid, sending.policy, first, |bytes| writer.write_all(&bytes)));
    let sent = sent.and_then(|rows| writer.write_all(&copying::TRAILER).map(|()| rows));
    // Why the server took no more is told by the end of the COPY.
    let taken = writer.finish().map_err(failed(what))?;
    match sent {
        Ok(rows) if rows == taken => Ok(rows),
        Ok(rows) => Err(refusal("rows_lost", format!("{what}: {rows} rows were sent and {taken} taken"), "run the job again")),
        Err(error) => {
            Err(DestinationError { is_transient: true, ..refusal("disconnected", format!("{what}: {error}"), "run the job again") })
        }
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Plain,
    /// For a table that the same transaction has made.
    Frozen,
}

impl Rows {
    /// Rows that may be folded aren't frozen: one that goes after it came would be seen by whoever has an older snapshot.
    pub(super) fn of(shape: &Shape) -> Self {
        if shape.number.is_some() { Self::Plain } else { Self::Frozen }
    }
}

/// Returns the statement that takes the rows.
pub(super) fn copy_sql(table: &str, schema: &Schema, number: Option<&str>, rows: Rows) -> String {
    let names = schema.columns.iter().map(|column| column.name.as_str()).chain(number);
    let freeze = if rows == Rows::Frozen { ", FREEZE" } else { "" };
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary{freeze})", listed("", names))
}

impl Load for Staging<'_> {
    fn schema(&self) -> &Schema {
        &self.layout.batch
    }

    fn schema_changes(&self) -> &[SchemaChange] {
        &self.layout.changes
    }

    fn write(&mut self, batch: &RecordBatch) -> Outcome<Written> {
        self.stage(batch).map_err(|error| self.explained(error))
    }

    fn pause(&mut self) -> Outcome<()> {
        // Nobody else needs what the transaction holds: a table that no one sees.
        Ok(())
    }

    fn restart(&mut self, schema: &Schema) -> Outcome<()> {
        if let Some(filling) = self.filling.take() {
            filling.abandon();
        }
        self.restarts += 1;
        self.table = name(&self.request.target, &self.request.run, self.restarts);
        self.live = LiveTable::read(self.session, &self.request.target)?;
        self.layout = layout_of(self.session, &self.request, schema, self.live.as_ref())?;
        self.request.schema = schema.clone();
        self.rows = 0;
        let Self { session, request, table, live, layout, .. } = self;
        self.shape = session.in_transaction(|session| Shape::of(session, request, layout, live.as_ref(), table))?;
        Ok(())
    }

    fn finish(&mut self, rows: u64) -> Outcome<()> {
        self.filling()?;
        let staged = self.filling.take().expect("it was just made").finish().map_err(|error| self.explained(error))?;
        if staged == rows && self.rows == rows {
            return Ok(());
        }
        let message = format!("table {}: {rows} rows were sent and {staged} are staged", self.request.target);
        Err(refusal("rows_lost", message, "run the job again"))
    }

    fn check(&mut self, expect: &Expect) -> Outcome<Vec<String>> {
        checks::run(self, expect).map_err(|error| self.explained(error))
    }

    fn publish(mut self: Box<Self>, request: &PublishRequest) -> Outcome<Committed> {
        let committed = publish::publish(&mut self, request).map_err(|error| self.explained(error))?;
        self.is_over = true;
        Ok(committed)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if let Some(filling) = self.filling.take() {
            filling.abandon();
        }
        // Without a publish nothing may remain; what can't be dropped now goes with the next mend.
        if !self.is_over && !self.session.is_lost() {
            let table = self.table.clone();
            if self.session.begin().is_ok() {
                let dropped = drop_table(self.session, &table).is_ok() && self.session.commit().is_ok();
                if !dropped {
                    self.session.roll_back();
                }
            }
        }
    }
}

/// Refuses names that are ours or that PostgreSQL would cut.
pub(super) fn refuse_name(target: &str) -> Outcome<()> {
    if target.len() > NAME_BYTES_MAX {
        let message = format!("{target:?} has {} bytes, and PostgreSQL cuts names after {NAME_BYTES_MAX}", target.len());
        return Err(refusal("bad_target", message, "set `target` to a shorter name"));
    }
    if target.is_empty() || target.contains('\0') || target.to_ascii_lowercase().starts_with("_etlsched_") {
        let message = format!("{target:?} can't be the name of a target table");
        return Err(refusal("bad_target", message, "names that begin with _etlsched_ are taken; set `target`"));
    }
    Ok(())
}

/// Returns the target's bookkeeping row, where this owner may load it.
///
/// # Errors
/// As for [`ownership::admit`].
pub(super) fn admit(session: &mut Session, target: &str, owner: &Owner, live: Option<&LiveTable>) -> Outcome<Option<LoadRecord>> {
    ownership::admit(session, target, owner, live.map(|live| live.name.as_str()))
}

/// Returns the name of a staging table.
pub(super) fn name(target: &str, run: &RunRef, restarts: u32) -> String {
    staging_names::name(&target.to_lowercase(), run, restarts)
}

/// Decides what becomes of the target's columns.
pub(super) fn layout_of(session: &mut Session, request: &LoadRequest, schema: &Schema, live: Option<&LiveTable>) -> Outcome<Layout> {
    let record = bookkeeping::record(session, &request.target)?;
    let published = record.as_ref().map(|record| &record.schema);
    let old_rows = OldRows::of(&request.disposition);
    evolution::layout(request, live.map(|table| evolve::there(table, session, old_rows)), published, schema)
}

/// Drops a table of ours where it is there. Inside a transaction.
pub(super) fn drop_table(session: &mut Session, table: &str) -> Outcome<()> {
    let sql = format!("DROP TABLE IF EXISTS {}", session.table(table));
    session.run(&sql).map(|_| ()).map_err(failed(format_args!("dropping staging table {table}")))
}

/// Returns the statements that make the staging table; `name` is SQL.
pub(super) fn make_sql(name: &str, shape: &Shape, layout: &Layout) -> Vec<String> {
    let number = shape.number.as_deref().map(|number| (number, "bigint".to_owned()));
    match &shape.likeness {
        Some(likeness) => {
            let number = number.map(|(number, declared)| format!("ALTER TABLE {name} ADD COLUMN {} {declared}", quoted(number)));
            likeness.make.iter().cloned().chain(evolve::alter_sql(name, layout)).chain(number).collect()
        }
        None if shape.is_swap => vec![create_sql(name, Durability::Logged, of_types(&layout.columns).chain(number))],
        None => vec![create_sql(name, Durability::Unlogged, of_types(&layout.batch.columns).chain(number))],
    }
}
