//! Where rows go. One file or folder a kind, one line in [`open`].
//!
//! A destination writes what it is given; it knows nothing of sources, never prints, never reads the clock or the environment.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod conformance_faults;
mod evolution;
mod expectations;
mod failure;
mod keys;
mod mysql;
mod ownership;
mod postgresql;
mod record;
mod sqlite;
mod staging_names;
mod unholdable;
mod window;

use chrono::{DateTime, Utc};

use crate::batch::{RecordBatch, Schema};
use crate::plan::{
    DestinationKind, DestinationPlan, Expect, MendPlan, Mode, OnInvalidValue, Owner, Publish, RunRef, SchemaChange, SchemaPolicy,
};
use crate::run::{Counts, CursorValue, FileRecord};

pub use record::{LoadRecord, empty_load};

/// Why a destination could not do what it was told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DestinationError {
    /// A stable word for scripts, as in [`crate::plan::WorkerError::code`].
    pub code: &'static str,
    /// What was attempted, on what, what happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether trying again may help.
    pub is_transient: bool,
}

/// What a load is going to do; everything that must be known before the first row.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The run.
    pub run: RunRef,
    /// Who loads.
    pub owner: Owner,
    /// The table.
    pub target: String,
    /// The columns of the batches.
    pub schema: Schema,
    /// What becomes of the target.
    pub disposition: Disposition,
    /// May the table's columns change.
    pub schema_policy: SchemaPolicy,
    /// What becomes of values that the engine can't hold.
    pub invalid_values: OnInvalidValue,
}

/// A value that the engine can't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// The row's place in the batch.
    pub row: usize,
    /// The column's place in the batch.
    pub column: usize,
    /// Why it can't be held.
    pub reason: &'static str,
}

/// What became of the rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows that are staged now.
    pub rows: u64,
    /// Values that the engine can't hold, by row: their rows were left out, or with [`OnInvalidValue::Null`] staged with NULL there.
    pub invalid: Vec<InvalidValue>,
}

/// Which of several staged rows with one key stays: the one with the greatest value in `newest_by`, else the later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The key columns.
    pub key: Vec<String>,
    /// The cursor column.
    pub newest_by: Option<String>,
}

/// What the staged rows do to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// They take its place.
    Full {
        /// By a rename, or row by row.
        publish: Publish,
        /// Of rows with equal keys only one stays.
        fold: Option<Fold>,
    },
    /// They are merged by a key.
    Merge(Fold),
    /// The target's rows with `column >= from` (and `< until`) are deleted, the staged ones inserted.
    Window {
        /// The cursor column.
        column: String,
        /// The closed lower bound; `None` is everything.
        from: Option<CursorValue>,
        /// The open upper bound; `None` is none.
        until: Option<CursorValue>,
    },
    /// They are added.
    Append,
}

impl Disposition {
    /// Returns how rows with equal keys are folded, where they are.
    pub fn fold(&self) -> Option<&Fold> {
        match self {
            Self::Merge(fold) | Self::Full { fold: Some(fold), .. } => Some(fold),
            Self::Full { fold: None, .. } | Self::Window { .. } | Self::Append => None,
        }
    }
}

/// What a publish writes beside the rows, in the same transaction.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The cursor after this load; `None` leaves it as it is.
    pub cursor: Option<CursorValue>,
    /// The lower bound used.
    pub lower_bound: Option<CursorValue>,
    /// `full` or `incremental`, as it was really done.
    pub mode: Mode,
    /// The files that were read.
    pub files: Vec<FileRecord>,
    /// Whether `_etlsched_files` is rewritten (full) or added to.
    pub replace_files: bool,
    /// Now.
    pub now: DateTime<Utc>,
    /// A full load of no rows may replace rows.
    pub allow_empty: bool,
    /// Rows that the reader left out by a rule of the job.
    pub skipped: u64,
    /// Rows that could not be loaded.
    pub rejected: u64,
}

/// What a publish did.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Every row that was taken from the source, by what became of it.
    pub counts: Counts,
    /// Rows in the target now, as far as loads know: engines for which counting is dear add and take away.
    pub rows_in_target: u64,
    /// The version of the target's row.
    pub version: i64,
    /// What changed in the table's columns.
    pub schema_changes: Vec<SchemaChange>,
}

/// What mending did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mended {
    /// Staging tables that are no more.
    pub dropped: Vec<String>,
    /// Targets whose bookkeeping row changed, in their spelling there.
    pub changed: Vec<String>,
}

/// A load under way. Dropped without [`Load::publish`], nothing has happened to the target.
pub trait Load {
    /// Returns the columns that batches must have: those of the request, in its order, with the types of the target (as wide or wider).
    fn schema(&self) -> &Schema;

    /// Returns what this load changes in the target's columns.
    fn schema_changes(&self) -> &[SchemaChange];

    /// Returns what people should know of how this load goes, once each.
    fn take_notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Stages rows, whose columns are those of [`Load::schema`].
    ///
    /// # Errors
    /// Whatever keeps the rows from being staged: the load is dead then.
    fn write(&mut self, batch: &RecordBatch) -> Result<Written, DestinationError>;

    /// Lets other loads into the same place have their turn: called when no row waits to be written.
    ///
    /// # Errors
    /// As for [`Load::write`].
    fn pause(&mut self) -> Result<(), DestinationError>;

    /// Drops what was staged and begins again with other columns, in a fresh staging table.
    ///
    /// # Errors
    /// As for [`Load::write`].
    fn restart(&mut self, schema: &Schema) -> Result<(), DestinationError>;

    /// Ends staging and demands that the staging table holds exactly `rows` rows.
    ///
    /// # Errors
    /// `rows_lost` when it doesn't.
    fn finish(&mut self, rows: u64) -> Result<(), DestinationError>;

    /// Runs the checks of `expect` on the staged rows; returns what failed, in words; empty means all passed.
    ///
    /// # Errors
    /// A check that could not be run.
    fn check(&mut self, expect: &Expect) -> Result<Vec<String>, DestinationError>;

    /// Makes the staged rows visible: once, whole, with the bookkeeping, in one transaction.
    ///
    /// # Errors
    /// `fence_lost` when another run began after this one; whatever else keeps it from committing. The target is as it was.
    fn publish(self: Box<Self>, request: &PublishRequest) -> Result<Committed, DestinationError>;
}

/// A load that is only tried, for `--dry-run`: nothing that others see is written.
pub trait Rehearsal {
    /// As [`Load::schema`].
    fn schema(&self) -> &Schema;

    /// As [`Load::schema_changes`].
    fn schema_changes(&self) -> &[SchemaChange];

    /// Adds the values that the target's own columns can't hold to those that a destination of its kind can't hold; by row.
    fn unfit(&self, batch: &RecordBatch, invalid: Vec<InvalidValue>) -> Vec<InvalidValue> {
        let _ = batch;
        invalid
    }

    /// Takes rows; those with invalid values are dealt with as in a load.
    ///
    /// # Errors
    /// Whatever keeps the rows from being looked at.
    fn take(&mut self, batch: &RecordBatch, invalid: &[InvalidValue]) -> Result<(), DestinationError>;

    /// Forgets the rows and begins again with other columns.
    ///
    /// # Errors
    /// As for [`Load::restart`].
    fn restart(&mut self, schema: &Schema) -> Result<(), DestinationError>;

    /// Returns what would become of so many rows, and of those of the target.
    ///
    /// # Errors
    /// Whatever keeps the target from being read.
    fn counts(&mut self, rows: u64) -> Result<Counts, DestinationError>;
}

/// A destination that is open.
pub trait Destination: Send {
    /// Gives it who is told what it waits for, where that takes long.
    fn attend(&mut self, tell: Box<dyn Fn(String)>) {
        drop(tell);
    }

    /// Returns the bookkeeping row of a target.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn record(&mut self, target: &str) -> Result<Option<LoadRecord>, DestinationError>;

    /// Returns every bookkeeping row of a job.
    ///
    /// # Errors
    /// As for [`Destination::record`].
    fn records(&mut self, workspace_id: &str, job: &str) -> Result<Vec<LoadRecord>, DestinationError>;

    /// Returns the files that a target holds.
    ///
    /// # Errors
    /// As for [`Destination::record`].
    fn files(&mut self, target: &str) -> Result<Vec<FileRecord>, DestinationError>;

    /// Whether the target table exists.
    ///
    /// # Errors
    /// As for [`Destination::record`].
    fn has_table(&mut self, target: &str) -> Result<bool, DestinationError>;

    /// Returns how many rows the target table has; 0 where there is none.
    ///
    /// # Errors
    /// As for [`Destination::record`].
    fn rows(&mut self, target: &str) -> Result<u64, DestinationError>;

    /// Refuses a table that this owner may not load: another's, or one with rows that no load brought and nobody took over.
    ///
    /// # Errors
    /// `owner_clash` or `foreign_table`, each with the way out; as for [`Destination::record`].
    fn admit(&mut self, target: &str, owner: &Owner) -> Result<(), DestinationError>;

    /// Begins a load: raises the fence of the target's row, committed at once, and makes a fresh staging table.
    ///
    /// # Errors
    /// As for [`Destination::admit`]; a schema change that the policy refuses; whatever keeps it from being written.
    fn begin(&mut self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, DestinationError>;

    /// Returns the statements that a load would run, for `--dry-run`. Writes nothing, makes no file.
    ///
    /// # Errors
    /// As for [`Destination::begin`].
    fn statements(&mut self, request: &LoadRequest) -> Result<Vec<String>, DestinationError>;

    /// Puts the bookkeeping in order: drops staging of dead runs, forgets cursors, gives tables to another owner. All of it, or nothing.
    ///
    /// # Errors
    /// As for [`Destination::record`].
    fn mend(&mut self, plan: &MendPlan) -> Result<Mended, DestinationError>;
}

/// How a destination is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For loads; a file is made when absent.
    Write,
    /// For inspection and dry runs: nothing is made, nothing changes; `Ok(None)` from [`open`] where there is nothing yet.
    Read,
}

/// Opens a destination of any kind; `Ok(None)` only for [`Access::Read`] of one that doesn't exist yet.
///
/// # Errors
/// Whatever keeps it from being opened.
pub fn open(plan: &DestinationPlan, access: Access) -> Result<Option<Box<dyn Destination>>, DestinationError> {
    match &plan.kind {
        DestinationKind::Sqlite(sqlite) => Ok(sqlite::Sqlite::open(&plan.name, &sqlite.path, access)?.map(|open| Box::new(open) as _)),
        DestinationKind::Postgresql(connection) => {
            let open = postgresql::Postgres::open(&plan.name, connection, plan.schema.as_deref(), access)?;
            Ok(Some(Box::new(open)))
        }
        DestinationKind::Mysql(mysql) => Ok(Some(Box::new(mysql::Mysql::open(&plan.name, mysql, plan.schema.as_deref(), access)?))),
    }
}

/// Returns the statements of a load into a destination that doesn't exist yet, for `--dry-run`. Makes no file.
///
/// # Errors
/// As for [`Destination::begin`].
pub fn statements_for_new(plan: &DestinationPlan, request: &LoadRequest) -> Result<Vec<String>, DestinationError> {
    match &plan.kind {
        DestinationKind::Sqlite(_) => sqlite::statements_for_new(request),
        // A database that can be opened is there.
        DestinationKind::Postgresql(_) | DestinationKind::Mysql(_) => match open(plan, Access::Read)? {
            Some(mut destination) => destination.statements(request),
            None => Ok(Vec::new()),
        },
    }
}

/// Begins a load without effect, also into a destination that doesn't exist yet. Makes no file that stays.
///
/// # Errors
/// As for [`Destination::begin`].
pub fn rehearse(plan: &DestinationPlan, request: &LoadRequest) -> Result<Box<dyn Rehearsal>, DestinationError> {
    match &plan.kind {
        DestinationKind::Sqlite(sqlite) => sqlite::rehearse(&plan.name, &sqlite.path, request),
        DestinationKind::Postgresql(connection) => postgresql::rehearse(&plan.name, connection, plan.schema.as_deref(), request),
        DestinationKind::Mysql(mysql) => mysql::rehearse(&plan.name, mysql, plan.schema.as_deref(), request),
    }
}

/// Returns the values of a batch that a destination can't hold, by row, without opening it.
pub fn invalid_values(kind: &DestinationKind, batch: &RecordBatch) -> Vec<InvalidValue> {
    match kind {
        DestinationKind::Sqlite(_) => sqlite::invalid_values(batch),
        DestinationKind::Postgresql(_) => postgresql::invalid_values(batch),
        DestinationKind::Mysql(_) => mysql::invalid_values(batch),
    }
}

impl std::fmt::Debug for dyn Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Destination")
    }
}

impl std::fmt::Debug for dyn Rehearsal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Rehearsal")
    }
}

impl std::fmt::Debug for dyn Load + '_ {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Load")
    }
}
