//! Settles runs of a job whose process died: the destination says what they published, the log is closed, their staging is dropped.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::job::Job;
use crate::notify::message::log_time;
use crate::plan::{MendAction, WorkerError};
use crate::process::{self, Program};
use crate::run::{Counts, SourceStatus};
use crate::state::{DeadEnd, DeadRun, Published, RecordedError, SourceRecord, StateError, Store, StreamRecord};
use crate::zone::Zone;

use super::journal::moment;
use super::plan;
use super::rejected::Kept;
use super::settle::{self, Record};
use super::workers::ask;

/// How long a destination is asked.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// A dead run and what was found of it.
#[derive(Debug)]
pub(super) struct Repaired {
    pub(super) run_id: String,
    pub(super) finding: String,
}

/// Closes the dead runs of a job; returns what was found of each. Their staging is dropped later, by [`mend`] under the lease.
///
/// # Errors
/// The store can't be read or written.
pub(super) fn close_dead_runs(
    store: &mut Store,
    job: &Job,
    workspace_id: &str,
    program: &Program,
    kept: Option<&Kept<'_>>,
) -> Result<Vec<Repaired>, StateError> {
    let dead = store.dead_runs(job.id.as_str(), &moment(), &process::liveness)?;
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let answer = ask(program, &plan::inspect_order(job, workspace_id, Vec::new()), ASK_TIMEOUT);
    let records = settle::records(&answer);
    let mut repaired = Vec::new();
    for mut run in dead {
        let end = judge(&mut run, records.as_deref(), job.timezone);
        kept.iter().for_each(|kept| kept.recall(&mut run));
        let is_own = |name: &str| run.detail.sources.iter().any(|source| source.source == name);
        run.left_out = job.sources.iter().map(|source| source.name.clone()).filter(|name| !is_own(name)).collect();
        if store.close_dead_run(&run, &end, &moment(), &process::liveness)? {
            let finding = match end {
                DeadEnd::Success => "its process had ended, but all its sources were published".to_owned(),
                DeadEnd::Interrupted { message } => message,
            };
            repaired.push(Repaired { run_id: run.detail.run.id, finding });
        }
    }
    kept.iter().for_each(|kept| kept.forget());
    Ok(repaired)
}

/// Returns the streams (source and name) that interrupted runs of a slot have published: by their logs, and by the destination, which
/// knows of a publish that no log tells of.
///
/// # Errors
/// The destination can't tell.
pub(super) fn published_streams(
    job: &Job,
    workspace_id: &str,
    program: &Program,
    slot: Option<&str>,
    logged: Published,
) -> Result<Vec<(String, String)>, String> {
    let answer = ask(program, &plan::inspect_order(job, workspace_id, Vec::new()), ASK_TIMEOUT);
    let mut streams = logged.streams;
    for record in settle::records(&answer)? {
        if slot.is_some() && record.slot.as_deref() == slot {
            streams.push((record.source, record.stream));
        }
    }
    Ok(streams)
}

/// Fills in what the destination shows and says how the run is to be closed.
fn judge(dead: &mut DeadRun, records: Result<&[Record], &String>, zone: Zone) -> DeadEnd {
    let message = interrupted(dead.last_seen_at, zone);
    let run = &mut dead.detail;
    let found = records.unwrap_or_default();
    for stream in run.streams.iter_mut().filter(|stream| is_open(stream.status)) {
        let record = found.iter().find(|record| {
            record.run_id.as_deref() == Some(run.run.id.as_str()) && record.target == stream.target && record.stream == stream.stream
        });
        match record {
            Some(record) => take_over(stream, record),
            None if stream.status == SourceStatus::Waiting && records.is_ok() => stream.status = SourceStatus::Skipped,
            None => {
                stream.status = SourceStatus::Failed;
                stream.error = Some(error_of(&message, records.err()));
            }
        }
    }
    for source in run.sources.iter_mut().filter(|source| is_open(source.status)) {
        close_source(source, &run.streams, &message);
    }
    let is_whole = !run.sources.is_empty() && run.sources.iter().all(|source| source.status == SourceStatus::Success);
    if is_whole { DeadEnd::Success } else { DeadEnd::Interrupted { message } }
}

fn close_source(source: &mut SourceRecord, streams: &[StreamRecord], message: &str) {
    let own: Vec<&StreamRecord> = streams.iter().filter(|stream| stream.source == source.source).collect();
    source.counts = own.iter().fold(Counts::default(), |mut sum, stream| {
        sum += stream.counts;
        sum
    });
    let is_published = !own.is_empty() && own.iter().all(|stream| stream.status == SourceStatus::Success);
    if is_published {
        source.status = SourceStatus::Success;
    } else if source.status == SourceStatus::Waiting {
        source.status = SourceStatus::Skipped;
    } else {
        source.status = SourceStatus::Failed;
        let error = own.iter().find_map(|stream| stream.error.clone());
        source.error = Some(error.unwrap_or_else(|| error_of(message, None)));
    }
}

fn take_over(stream: &mut StreamRecord, record: &Record) {
    stream.status = SourceStatus::Success;
    stream.mode = record.mode.map(|mode| mode.as_str().to_owned());
    stream.counts = record.counts();
    stream.rows_in_target = Some(record.rows_in_target());
    stream.load_version = Some(record.version);
    stream.cursor = record.cursor.as_ref().map(|cursor| cursor.text.clone());
}

fn is_open(status: SourceStatus) -> bool {
    matches!(status, SourceStatus::Waiting | SourceStatus::Running)
}

fn error_of(message: &str, unknown: Option<&String>) -> RecordedError {
    let message = match unknown {
        None => message.to_owned(),
        Some(why) => format!("{message}; the destination can't tell whether it published: {why}"),
    };
    RecordedError { code: "interrupted".to_owned(), message, hint: None }
}

/// Says it in the zone of the job, in which its people are told all other times.
fn interrupted(last_seen_at: DateTime<Utc>, zone: Zone) -> String {
    format!("interrupted: its process ended at or after {}", log_time(last_seen_at, zone))
}

/// Drops the staging of dead runs, under the lease of the run that begins; returns the names of what was dropped.
///
/// # Errors
/// What the worker says; the load itself will meet it again if it matters.
pub(super) fn mend(
    job: &Job,
    workspace_id: &str,
    program: &Program,
    dead_runs: Vec<String>,
    timeout: Duration,
) -> Result<Vec<String>, WorkerError> {
    let answer = ask(program, &plan::mend_order(job, workspace_id, MendAction::DropStaging { dead_runs }), timeout)?;
    let dropped = answer.get("dropped").and_then(|names| serde_json::from_value(names.clone()).ok());
    Ok(dropped.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_over(extra: &serde_json::Value) -> StreamRecord {
        let mut record = serde_json::json!({
            "target": "t", "source": "a", "stream": "a", "version": 4, "run_id": "r", "mode": "incremental", "cursor": null, "rows": 9
        });
        record.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = Ok(serde_json::json!({ "exists": true, "records": [record] }));
        let mut stream = StreamRecord::waiting("a", "a", "t");
        take_over(&mut stream, &settle::records(&answer).unwrap()[0]);
        stream
    }

    #[test]
    fn a_publish_that_nobody_reported_is_logged_with_its_exact_counts() {
        let counts = Counts { added: 2, updated: 3, unchanged: 4, folded: 5, skipped: 6, rejected: 7, deleted: 0 };
        let stream = taken_over(&serde_json::json!({ "counts": counts, "rows_in_target": 100 }));
        assert_eq!((stream.status, stream.counts, stream.rows_in_target), (SourceStatus::Success, counts, Some(100)));
    }

    #[test]
    fn a_row_without_counts_tells_the_number_of_rows() {
        for absent in [serde_json::json!({}), serde_json::json!({ "counts": null, "rows_in_target": null })] {
            let stream = taken_over(&absent);
            assert_eq!((stream.counts, stream.rows_in_target), (Counts { added: 9, ..Counts::default() }, Some(9)));
        }
    }
}
