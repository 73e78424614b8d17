//! Reads from a destination's answer whether a run has published, when its worker or its process can't say any more. Pure.

use serde::Deserialize;

use crate::batch::Schema;
use crate::plan::{Mode, StreamResult, WorkerError};
use crate::run::{Counts, CursorValue};

use super::stream_run::StreamReport;

/// The answer to an `inspect` order.
#[derive(Debug, Deserialize)]
struct Inspection {
    records: Vec<Record>,
}

/// What a destination says of one target: the part of its `_etlsched_loads` row that settles a run.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Record {
    pub(super) target: String,
    pub(super) source: String,
    pub(super) stream: String,
    pub(super) version: i64,
    pub(super) run_id: Option<String>,
    #[serde(default)]
    pub(super) slot: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) cursor: Option<CursorValue>,
    rows: u64,
    counts: Option<Counts>,
    rows_in_target: Option<u64>,
    #[serde(default)]
    pub(super) schema: Schema,
}

impl Record {
    /// Returns what became of the rows; a row of a version that didn't write it tells their number only.
    pub(super) fn counts(&self) -> Counts {
        self.counts.unwrap_or(Counts { added: self.rows, ..Counts::default() })
    }

    /// Returns the rows in the table after the publish, as exactly as the destination knows.
    pub(super) fn rows_in_target(&self) -> u64 {
        self.rows_in_target.unwrap_or(self.rows)
    }
}

/// Reads the records of an answer.
///
/// # Errors
/// Why it can't be known.
pub(super) fn records(answer: &Result<serde_json::Value, WorkerError>) -> Result<Vec<Record>, String> {
    match answer {
        Ok(value) => {
            serde_json::from_value::<Inspection>(value.clone()).map(|inspection| inspection.records).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.message.clone()),
    }
}

/// Returns the publish of a stream by a run, where the destination holds it.
///
/// # Errors
/// Why it can't be known.
pub(super) fn published(
    answer: &Result<serde_json::Value, WorkerError>,
    run_id: &str,
    source: &str,
    stream: &StreamReport,
) -> Result<Option<StreamResult>, String> {
    let found = records(answer)?.into_iter().find(|record| {
        record.run_id.as_deref() == Some(run_id)
            && record.target == stream.target
            && record.source == source
            && record.stream == stream.name
    });
    Ok(found.map(|record| StreamResult {
        counts: record.counts(),
        reject_reasons: Vec::new(),
        rows_in_target: record.rows_in_target(),
        stream: record.stream,
        target: record.target,
        mode: record.mode.unwrap_or_default(),
        bytes_read: stream.bytes.0,
        cursor: record.cursor,
        is_cursor_held: false,
        version: record.version,
        schema: record.schema,
        schema_changes: Vec::new(),
        statements: Vec::new(),
    }))
}
