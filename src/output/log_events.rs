//! What happens in a run, as log lines say it. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::log_line::Entry;
use crate::engine::{Notice, RunReport, SourceReport, StreamReport};
use crate::error::Failure;
use crate::exit_code;
use crate::job::Severity;
use crate::plan::{Level, WorkerError};
use crate::run::{Counts, RunStatus, SourceStatus};

type Fields = Vec<(&'static str, Value)>;

fn entry(level: Level, event: &'static str, fields: Fields) -> Entry {
    Entry { level, event, fields }
}

/// Returns what a notice is as a log line, where it is one.
pub fn of_notice(notice: &Notice<'_>, is_verbose: bool, is_dry_run: bool) -> Option<Entry> {
    Some(match notice {
        Notice::RunStarted { sources, .. } => entry(Level::Info, "run_started", vec![("sources", json!(sources.len()))]),
        Notice::Settled { run_id, finding } => {
            entry(Level::Warn, "dead_run_settled", vec![("dead_run", json!(run_id)), ("message", json!(finding))])
        }
        Notice::Waiting { held_by } => entry(Level::Info, "waiting_for_lease", vec![("held_by", json!(held_by))]),
        Notice::SourceStarted { source } => {
            entry(Level::Info, "source_started", vec![("source", json!(source.name)), ("attempt", json!(source.attempt))])
        }
        Notice::Progress { source, stream } if is_verbose => entry(Level::Info, "progress", progress(source, stream)),
        Notice::Progress { .. } => return None,
        Notice::Log { level: Level::Info, .. } if !is_verbose => return None,
        Notice::Log { level, source, stream, message } => {
            entry(*level, "log", vec![("source", json!(source)), ("stream", json!(stream)), ("message", json!(message))])
        }
        Notice::StreamEnded { source, stream } => stream_ended(source, stream, is_dry_run),
        Notice::SourceEnded { source } => source_finished(source),
        Notice::SourcePaused { source, error, delay, attempts_max } => {
            entry(Level::Warn, "retry", paused(source, error, *delay, *attempts_max))
        }
        Notice::Stopping { reason } => entry(Level::Warn, "stopping", vec![("message", json!(reason.message()))]),
    })
}

/// Returns the end of a run as a log line.
pub fn of_report(report: &RunReport) -> Entry {
    let counts = report.sources.iter().fold(Counts::default(), |mut sum, source| {
        sum += source.counts();
        sum
    });
    let ended = |wanted: SourceStatus| report.sources.iter().filter(|source| source.status == wanted).count();
    let mut fields = vec![
        ("status", json!(report.status.as_str())),
        ("exit_code", json!(report.exit_code)),
        ("trigger", json!(report.trigger.as_str())),
        ("slot", json!(report.slot)),
        ("sources", json!(report.sources.len())),
        ("refreshed", json!(ended(SourceStatus::Success))),
        ("rows", json!(counts.processed())),
        ("rejected", json!(counts.rejected)),
        ("retries", json!(report.retry_count())),
        ("ms", milliseconds(report.duration_seconds)),
    ];
    fields.extend(report.error.as_ref().into_iter().flat_map(|error| [("code", json!(error.code)), ("error", json!(error.message))]));
    fields.extend(report.job_status.map(|(_, after)| ("job_status", json!(after.as_str()))));
    let level = match report.status {
        RunStatus::Success => Level::Info,
        RunStatus::Cancelled => Level::Warn,
        _ => Level::Error,
    };
    entry(level, "run_finished", fields)
}

/// Returns why a run did not begin, or a command was not done, as a log line.
pub fn of_failure(event: &'static str, failure: &Failure) -> Entry {
    let first = failure.problems.iter().find(|problem| problem.severity == Severity::Error).or(failure.problems.first());
    let place = first.map(|problem| format!("{}:{}:{}", problem.file.display(), problem.line, problem.column));
    let (message, hint) = first.map_or((&failure.message, &failure.hint), |problem| (&problem.message, &problem.hint));
    let fields = vec![
        ("code", json!(failure.code)),
        ("exit_code", json!(failure.exit_code)),
        ("place", json!(place.or_else(|| failure.location.clone()))),
        ("error", json!(message)),
        ("hint", json!(hint)),
    ];
    entry(if failure.exit_code == exit_code::DONE { Level::Info } else { Level::Error }, event, fields)
}

fn milliseconds(seconds: f64) -> Value {
    json!((seconds * 1000.0).round() as u64)
}

fn progress(source: &SourceReport, stream: &StreamReport) -> Fields {
    vec![
        ("source", json!(source.name)),
        ("stream", json!(stream.name)),
        ("phase", json!(stream.phase.map(|phase| phase.as_str()))),
        ("rows", json!(stream.rows)),
        ("bytes", json!(stream.bytes.0)),
        ("bytes_total", json!(stream.bytes.1)),
    ]
}

fn paused(source: &SourceReport, error: &WorkerError, delay: Duration, attempts_max: u32) -> Fields {
    vec![
        ("source", json!(source.name)),
        ("attempt", json!(source.attempt)),
        ("attempts_max", json!(attempts_max)),
        ("delay_ms", json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))),
        ("code", json!(error.code)),
        ("error", json!(error.message)),
    ]
}

fn stream_ended(source: &SourceReport, stream: &StreamReport, is_dry_run: bool) -> Entry {
    let mut fields = vec![("source", json!(source.name)), ("stream", json!(stream.name)), ("target", json!(stream.target))];
    let counts = stream.counts();
    if let Some(error) = &stream.error {
        fields.extend([("code", json!(error.code)), ("error", json!(error.message))]);
        return entry(Level::Error, "stream_failed", fields);
    }
    fields.push(("rows", json!(counts.processed())));
    fields.push(("added", json!(counts.added)));
    fields.push(("updated", json!(counts.updated)));
    fields.push(("deleted", json!(counts.deleted)));
    fields.push(("rejected", json!(counts.rejected)));
    let event = if is_dry_run { "stream_checked" } else { "stream_published" };
    entry(if counts.rejected > 0 { Level::Warn } else { Level::Info }, event, fields)
}

fn source_finished(source: &SourceReport) -> Entry {
    let mut fields = vec![
        ("source", json!(source.name)),
        ("status", json!(source.status.as_str())),
        ("attempt", json!(source.attempt)),
        ("rows", json!(source.counts().processed())),
        ("ms", milliseconds(source.duration_seconds)),
        ("peak_memory_mb", json!(source.usage.peak_memory_mb.round() as u64)),
    ];
    fields.extend(source.error.as_ref().into_iter().flat_map(|error| [("code", json!(error.code)), ("error", json!(error.message))]));
    let level = match source.status {
        SourceStatus::Success => Level::Info,
        SourceStatus::Skipped => Level::Warn,
        _ => Level::Error,
    };
    entry(level, "source_finished", fields)
}
