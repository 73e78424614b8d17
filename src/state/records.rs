//! What the run log holds: runs, their sources and streams, the lines of the execution log.

use chrono::{DateTime, Utc};

use crate::plan::{Level, WorkerError};
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// UUID v7.
    pub id: String,
    /// Its job.
    pub job: String,
    /// As written; a run whose process died stays open until the next run of its job repairs it.
    pub status: RunStatus,
    /// What started it.
    pub trigger: Trigger,
    /// The slot's key, where a slot started it.
    pub slot: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// What its process ended with.
    pub exit_code: Option<u8>,
    /// Sources, totals and error, as known so far.
    pub summary: RunSummary,
    /// Whether its process ended without closing it.
    pub is_interrupted: bool,
    /// Where it ran.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When that process began, in the system's words.
    pub process_start: String,
    /// The user who started it.
    pub user: String,
    /// The version of etlsched.
    pub version: String,
}

/// What a run amounts to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunSummary {
    /// Sources that were refreshed.
    pub sources_processed: Vec<String>,
    /// Sources that were tried and not refreshed.
    pub sources_failed: Vec<String>,
    /// Sources that were not tried.
    pub sources_skipped: Vec<String>,
    /// Rows of all sources.
    pub totals: RecordTotals,
    /// Bytes taken from the sources.
    pub bytes_read: u64,
    /// Attempts after the first, of all sources.
    pub retry_count: u32,
    /// The most memory that all its processes held at once, in MiB.
    pub peak_memory_mb: Option<f64>,
    /// Processor time of all its processes.
    pub cpu_seconds: Option<f64>,
    /// Why it failed, in a line.
    pub error_message: Option<String>,
    /// Every error in full.
    pub error_details: Option<String>,
}

/// The sums that a run keeps of its sources' [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordTotals {
    /// Rows taken from the sources.
    pub processed: u64,
    /// New in the targets.
    pub added: u64,
    /// Changed in the targets.
    pub updated: u64,
    /// Replaced or removed in the targets.
    pub deleted: u64,
    /// Kept aside.
    pub rejected: u64,
}

impl From<Counts> for RecordTotals {
    fn from(counts: Counts) -> Self {
        Self {
            processed: counts.processed(),
            added: counts.added,
            updated: counts.updated,
            deleted: counts.deleted,
            rejected: counts.rejected,
        }
    }
}

/// Why a source or stream was not refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedError {
    /// A stable word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<WorkerError> for RecordedError {
    fn from(error: WorkerError) -> Self {
        let WorkerError { code, message, hint, is_transient: _, retry_after: _ } = error;
        Self { code, message, hint }
    }
}

/// A source of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRecord {
    /// Its name.
    pub source: String,
    /// How it stands.
    pub status: SourceStatus,
    /// The attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Rows by what became of them.
    pub counts: Counts,
    /// Bytes taken from it.
    pub bytes_read: u64,
    /// From its first attempt's begin to its end.
    pub duration_seconds: Option<f64>,
    /// Processor time of its workers.
    pub cpu_seconds: Option<f64>,
    /// The most memory that its worker held, in MiB.
    pub peak_memory_mb: Option<f64>,
    /// The file of its rejected rows, where there are any.
    pub rejects_path: Option<String>,
    /// Why it was not refreshed.
    pub error: Option<RecordedError>,
}

impl SourceRecord {
    /// Makes the record of a source that hasn't begun.
    pub fn waiting(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            status: SourceStatus::Waiting,
            attempt: 0,
            counts: Counts::default(),
            bytes_read: 0,
            duration_seconds: None,
            cpu_seconds: None,
            peak_memory_mb: None,
            rejects_path: None,
            error: None,
        }
    }
}

/// A stream of a source of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    /// Its source.
    pub source: String,
    /// Its name.
    pub stream: String,
    /// Its target table.
    pub target: String,
    /// How it stands.
    pub status: SourceStatus,
    /// The attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// `full` or `incremental`, as it was really done.
    pub mode: Option<String>,
    /// Rows by what became of them.
    pub counts: Counts,
    /// Rows in the target after the publish.
    pub rows_in_target: Option<u64>,
    /// Bytes taken from the source.
    pub bytes_read: u64,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// The version of the target's `_etlsched_loads` row.
    pub load_version: Option<i64>,
    /// The cursor that was published.
    pub cursor: Option<String>,
    /// What changed in the target's columns: a JSON list.
    pub schema_changes: String,
    /// Why it was not published.
    pub error: Option<RecordedError>,
}

impl StreamRecord {
    /// Makes the record of a stream that hasn't begun.
    pub fn waiting(source: impl Into<String>, stream: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            stream: stream.into(),
            target: target.into(),
            status: SourceStatus::Waiting,
            attempt: 0,
            mode: None,
            counts: Counts::default(),
            rows_in_target: None,
            bytes_read: 0,
            duration_seconds: None,
            load_version: None,
            cursor: None,
            schema_changes: "[]".to_owned(),
            error: None,
        }
    }
}

/// A line of the execution log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// How grave.
    pub level: Level,
    /// The source, where it concerns one.
    pub source: Option<String>,
    /// The stream, where it concerns one.
    pub stream: Option<String>,
    /// The text, without secrets.
    pub message: String,
}

/// A run in full.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetail {
    /// The run.
    pub run: RunRecord,
    /// Its sources, in the job's order.
    pub sources: Vec<SourceRecord>,
    /// Their streams, in the order in which they were loaded.
    pub streams: Vec<StreamRecord>,
    /// Its execution log.
    pub events: Vec<EventRecord>,
}
