//! What a worker says while it works: one JSON line an event.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::Schema;
use crate::run::{Counts, CursorValue, RejectReason};

/// One line on a worker's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The streams of the source with their target tables: said once, before the first of them begins.
    Streams {
        /// Stream and target, in the order in which they are loaded.
        streams: Vec<(String, String)>,
    },
    /// A stream enters a phase.
    Phase {
        /// The stream.
        stream: String,
        /// What is being done now.
        phase: Phase,
    },
    /// How far a stream is; at most a few times a second.
    Progress {
        /// The stream.
        stream: String,
        /// Rows staged so far.
        rows: u64,
        /// Bytes taken from the source so far (compressed size for compressed files).
        bytes: u64,
        /// Bytes in all, where the source knows.
        bytes_total: Option<u64>,
    },
    /// A line for the execution log.
    Log {
        /// How grave it is.
        level: Level,
        /// The stream, where it concerns one.
        stream: Option<String>,
        /// The text, without secrets.
        message: String,
    },
    /// The staged rows passed every check; the worker waits for an [`Answer`](super::Answer).
    Ready {
        /// The stream.
        stream: String,
    },
    /// A stream is published, or rightly left as it was.
    Published(StreamResult),
    /// A stream could not be published; the target is as it was. The worker goes on with the next stream.
    StreamFailed {
        /// The stream.
        stream: String,
        /// Why.
        error: WorkerError,
        /// Rows rejected, when that is why.
        rejected: u64,
    },
    /// The answer to an order other than a load.
    Answered {
        /// Its JSON: the order's own shape (documented where the order is served).
        value: serde_json::Value,
    },
    /// The last line of a worker that came to its end; `error` when the source as a whole failed.
    Finished {
        /// Why the source failed before any stream began.
        error: Option<WorkerError>,
    },
}

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Opening the source, inferring types.
    Opening,
    /// Rows go into the staging table.
    Loading,
    /// `expect` and the engine's own checks.
    Checking,
    /// Waiting for the answer, then making the rows visible.
    Publishing,
}

impl Phase {
    /// Returns the word that progress and `status` show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Loading => "loading",
            Self::Checking => "checking",
            Self::Publishing => "publishing",
        }
    }
}

/// How grave a line of the execution log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A step.
    Info,
    /// It went on differently.
    Warn,
    /// Someone must act.
    Error,
}

/// One change that `schema_change: evolve` made to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum SchemaChange {
    /// A new column.
    Added {
        /// Its name.
        column: String,
        /// Its type.
        to: crate::batch::ColumnType,
    },
    /// A column with a wider type.
    Widened {
        /// Its name.
        column: String,
        /// The type before.
        from: crate::batch::ColumnType,
        /// The type now.
        to: crate::batch::ColumnType,
    },
    /// A column in which no value was seen before, neither by an earlier load nor in the table: its type is known only now.
    Settled {
        /// Its name.
        column: String,
        /// The type before: text, for want of values.
        from: crate::batch::ColumnType,
        /// The type now.
        to: crate::batch::ColumnType,
    },
    /// A column that the source no longer has; it stays, NULL in new rows.
    Gone {
        /// Its name.
        column: String,
    },
}

/// What a published stream amounts to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamResult {
    /// The stream.
    pub stream: String,
    /// Its target table.
    pub target: String,
    /// `full` or `incremental`, as it was really done.
    pub mode: super::Mode,
    /// Rows by what became of them.
    pub counts: Counts,
    /// Why rows were rejected, the first reasons that came.
    #[serde(default)]
    pub reject_reasons: Vec<RejectReason>,
    /// Rows in the target after the publish.
    pub rows_in_target: u64,
    /// Bytes taken from the source.
    pub bytes_read: u64,
    /// The cursor that was published, for incremental loads.
    pub cursor: Option<CursorValue>,
    /// Whether it stayed where it was, though there are greater values, because transactions were open that may commit earlier ones.
    #[serde(default)]
    pub is_cursor_held: bool,
    /// The version of the target's `_etlsched_loads` row.
    pub version: i64,
    /// Columns and types as loaded.
    pub schema: Schema,
    /// What the load changed in an existing table.
    pub schema_changes: Vec<SchemaChange>,
    /// With `--dry-run`: the statements that would run.
    pub statements: Vec<String>,
}

/// Why a worker could not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerError {
    /// A stable word for scripts: `not_found`, `invalid_data`, `check_failed`, `fence_lost`, `cancelled`, `internal`, ...
    pub code: String,
    /// What was attempted, on what, what happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether trying again may help, as [`verdict`](super::verdict) has it.
    pub is_transient: bool,
    /// How long the other side asks to be left alone (`Retry-After`); the next attempt begins no earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl WorkerError {
    /// Makes an error whose code alone says whether trying again may help.
    pub fn new(code: &str, message: impl Into<String>, hint: Option<&str>) -> Self {
        let is_transient = super::verdict::verdict(code) == Some(super::verdict::Verdict::Transient);
        Self { code: code.to_owned(), message: message.into(), hint: hint.map(str::to_owned), is_transient, retry_after: None }
    }
}
