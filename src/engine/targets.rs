//! What a destination says of a job's targets: how far each stream is loaded. Asked of a worker; shown to people.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::job::Job;
use crate::plan::{MendAction, WorkerError};
use crate::process::Program;
use crate::run::CursorValue;

use super::plan::{inspect_order, mend_order};
use super::workers;

/// How far a stream of a job is loaded, by the destination's own bookkeeping.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TargetRecord {
    /// The source.
    pub source: String,
    /// Its stream.
    pub stream: String,
    /// The table.
    pub target: String,
    /// How far the source has been read; `None` where the loads are full.
    pub cursor: Option<CursorValue>,
    /// Grows by one with each publish; 0 before the first.
    pub version: i64,
    /// Rows of the last publish.
    pub rows: u64,
    /// When it was published.
    pub committed_at: Option<DateTime<Utc>>,
}

/// The answer to an `inspect` order.
#[derive(Debug, Deserialize)]
struct Inspection {
    records: Vec<TargetRecord>,
}

/// Asks a job's destination how far each stream is loaded, by source, stream and target; nothing where it doesn't exist yet.
///
/// # Errors
/// What the worker says, or that it said nothing within `timeout`.
pub fn target_records(program: &Program, job: &Job, workspace_id: &str, timeout: Duration) -> Result<Vec<TargetRecord>, WorkerError> {
    let program = Program { variables_removed: job.variables.clone(), ..program.clone() };
    let answer = workers::ask(&program, &inspect_order(job, workspace_id, Vec::new()), timeout)?;
    let inspection: Inspection = serde_json::from_value(answer).map_err(|error| workers::garbled(&format!("no inspection: {error}")))?;
    let mut records = inspection.records;
    records.sort_by(|left, right| (&left.source, &left.stream, &left.target).cmp(&(&right.source, &right.stream, &right.target)));
    Ok(records)
}

/// The answer to a `mend` order.
#[derive(Debug, Deserialize)]
struct Mended {
    changed: Vec<String>,
}

/// Resets or takes over targets of a job, or none of them; returns those that changed. The caller sees to it that no run of the job
/// goes on; a load that does all the same can't publish any more.
///
/// # Errors
/// What the worker says, or that it said nothing within `timeout`.
pub fn mend_targets(
    program: &Program,
    job: &Job,
    workspace_id: &str,
    action: MendAction,
    timeout: Duration,
) -> Result<Vec<String>, WorkerError> {
    let program = Program { variables_removed: job.variables.clone(), ..program.clone() };
    let answer = workers::ask(&program, &mend_order(job, workspace_id, action), timeout)?;
    let mended: Mended = serde_json::from_value(answer).map_err(|error| workers::garbled(&format!("no word on what changed: {error}")))?;
    Ok(mended.changed)
}
