//! How runs ended: a table for people, one JSON object or CSV for scripts, and a block on stderr for what failed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::table::{Align, Rows, terminal_width};
use super::wrap::fitted;
use super::{Format, errors};
use crate::engine::{RunReport, SourceReport, StreamReport};
use crate::error::Failure;
use crate::plan::{Mode, WorkerError};
use crate::run::{Counts, RunStatus, SourceStatus};
use crate::state::JobStatus;
use crate::text::{count, grouped, printable, printable_lines};

/// How one of the jobs of a command ended: its run, or why there was none.
#[derive(Debug)]
pub struct JobResult {
    /// The job.
    pub job: String,
    /// Its run.
    pub run: Result<RunReport, Failure>,
}

impl JobResult {
    /// Returns its exit code.
    pub fn exit_code(&self) -> u8 {
        match &self.run {
            Ok(report) => report.exit_code,
            Err(failure) => failure.exit_code,
        }
    }
}

/// What people are shown of the statements of a dry run; scripts get them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statements {
    /// Each of them.
    Shown,
    /// How many there are.
    Counted,
    /// Nothing.
    Omitted,
}

/// Prints how runs ended; what failed has been told by [`tell_failures`].
pub fn print(results: &[JobResult], format: Format, statements: Statements) {
    match format {
        Format::Json => super::json::print(&object(results)),
        Format::Csv => super::print(&csv(results)),
        Format::Table => {
            for report in results.iter().filter_map(|result| result.run.as_ref().ok()) {
                super::print(&text(report, statements));
            }
        }
    }
}

/// Tells people on stderr what failed in a run, and what to do.
pub fn tell_failures(result: &JobResult) {
    match &result.run {
        Ok(report) if report.exit_code == 0 => {}
        Ok(report) => super::note_fitted(&failures(report)),
        Err(failure) => errors::print(failure, Format::Table),
    }
}

/// Returns the table of a run with a line that sums it up.
fn text(report: &RunReport, statements: Statements) -> String {
    text_within(report, statements, terminal_width())
}

fn text_within(report: &RunReport, statements: Statements, width: Option<u16>) -> String {
    format!("{}{}", table(report).text_within(width), below(report, statements, width))
}

/// The place of the column of deleted rows.
const DELETED: usize = 7;

fn table(report: &RunReport) -> Rows {
    let mut rows = Rows::new([
        ("Source", Align::Left),
        ("Target", Align::Left),
        ("Status", Align::Left),
        ("Rows", Align::Right),
        ("Added", Align::Right),
        ("Updated", Align::Right),
        ("Unchanged", Align::Right),
        ("Deleted", Align::Right),
        ("Rejected", Align::Right),
        ("Seconds", Align::Right),
        ("Rows/s", Align::Right),
        ("Memory", Align::Right),
    ])
    .giving_way(&["Memory", "Rows/s", "Unchanged", "Target", "Seconds"], "Source");
    for source in &report.sources {
        let memory = if source.usage.peak_memory_mb > 0.0 { format!("{:.0} MB", source.usage.peak_memory_mb) } else { "-".to_owned() };
        if source.streams.is_empty() {
            rows.push(table_row(&source.name, "-", source.status, Counts::default(), source.duration_seconds, None, memory));
            continue;
        }
        for (index, stream) in source.streams.iter().enumerate() {
            let name = if stream.name == source.name { source.name.clone() } else { format!("{}: {}", source.name, stream.name) };
            let seconds = stream.duration_seconds().unwrap_or(0.0);
            // Memory is the worker's, which loads all streams of its source.
            let memory = if index == 0 { memory.clone() } else { String::new() };
            // What failed before its table was begun is no table that was left out.
            let has_failed_before = stream.status == SourceStatus::Skipped && source.streams.len() == 1;
            let status = if has_failed_before { source.status } else { stream.status };
            let mut cells = table_row(&name, &stream.target, status, stream.counts(), seconds, stream.rows_per_second(), memory);
            // A table that was made anew has added and deleted all its rows, though none of them may differ.
            let is_full = stream.result.as_ref().is_some_and(|result| result.mode == Mode::Full);
            if is_full && stream.counts().deleted > 0 {
                cells[DELETED].insert_str(0, "all ");
            }
            rows.push(cells);
        }
    }
    rows
}

/// Returns what stands below the table: the sum, where rejected rows are, what a dry run would do.
fn below(report: &RunReport, statements: Statements, width: Option<u16>) -> String {
    let mut text = format!("\n\n{}", fitted(&summed_up(report), 2, width));
    for (index, source) in report.sources.iter().enumerate() {
        let rejected = source.counts().rejected;
        if let Some(path) = report.rejects_of(index) {
            let path = path.display().to_string();
            let kept = format!("{}: {} rejected, kept in {}", printable(&source.name), count(rejected, "row"), printable(&path));
            let _ = write!(text, "\n{}", fitted(&kept, 2, width));
        }
        if statements == Statements::Shown {
            for statement in statements_of(source) {
                let _ = write!(text, "\n{};", printable_lines(statement));
            }
        }
    }
    let not_shown = report.sources.iter().flat_map(statements_of).count() as u64;
    if statements == Statements::Counted && not_shown > 0 {
        let line = format!("{} would be run at the destination: -v shows them", count(not_shown, "statement"));
        let _ = write!(text, "\n{}", fitted(&line, 2, width));
    }
    text
}

fn statements_of(source: &SourceReport) -> impl Iterator<Item = &String> {
    source.streams.iter().filter_map(|stream| stream.result.as_ref()).flat_map(|result| &result.statements)
}

fn table_row(
    name: &str,
    target: &str,
    status: SourceStatus,
    counts: Counts,
    seconds: f64,
    speed: Option<f64>,
    memory: String,
) -> Vec<String> {
    let number = |number: u64| if status == SourceStatus::Success || number > 0 { grouped(number) } else { "-".to_owned() };
    let Counts { added, updated, unchanged, rejected, deleted, folded: _, skipped: _ } = counts;
    vec![
        name.to_owned(),
        target.to_owned(),
        status.as_str().to_owned(),
        number(counts.processed()),
        number(added),
        number(updated),
        number(unchanged),
        number(deleted),
        number(rejected),
        format!("{seconds:.2}"),
        speed.map_or_else(|| "-".to_owned(), |speed| grouped(speed.round() as u64)),
        memory,
    ]
}

fn summed_up(report: &RunReport) -> String {
    let counts = total(report);
    let what = if report.is_dry_run { "dry run, nothing was written: " } else { "" };
    let refreshed = report.sources.iter().filter(|source| source.status == SourceStatus::Success).count();
    let sources = match report.status {
        RunStatus::Success => String::new(),
        _ => format!(", {refreshed} of {} refreshed{}", count(report.sources.len() as u64, "source"), tables(report)),
    };
    let rows = count(counts.processed(), "row");
    let mut text = format!("{}: {what}{}{sources}, {rows} in {:.2} s", report.job, report.status, report.duration_seconds);
    if let Some(run_id) = &report.run_id {
        let _ = write!(text, ", run {run_id}");
    }
    if let Some((before, after)) = report.job_status {
        match (before, after) {
            (_, JobStatus::Error) => text.push_str("; the job is in error now: its schedule no longer starts it"),
            (JobStatus::Error, JobStatus::Active) => text.push_str("; the job is no longer in error: its schedule starts it again"),
            _ => {
                let _ = write!(text, "; the job was {} and is {}", before.as_str(), after.as_str());
            }
        }
    }
    text
}

/// Says how many tables were, where a source that failed has several: those that were published stay.
fn tables(report: &RunReport) -> String {
    let has_several = |source: &&SourceReport| source.status != SourceStatus::Success && source.streams.len() > 1;
    if !report.sources.iter().any(|source| has_several(&source)) {
        return String::new();
    }
    let streams = || report.sources.iter().flat_map(|source| &source.streams);
    let refreshed = streams().filter(|stream| stream.status == SourceStatus::Success).count();
    format!(" ({refreshed} of {})", count(streams().count() as u64, "table"))
}

fn total(report: &RunReport) -> Counts {
    report.sources.iter().fold(Counts::default(), |mut sum, source| {
        sum += source.counts();
        sum
    })
}

/// Returns what failed in a run: where, why, what to do, and how to see more.
pub fn failures(report: &RunReport) -> String {
    let mut text = String::new();
    if let Some(error) = &report.error {
        block(&mut text, &format!("job {}", report.job), error);
    }
    for source in &report.sources {
        for (place, error) in errors_of(source) {
            if report.error.as_ref().is_none_or(|told| told.message != error.message) {
                block(&mut text, &format!("job {}, {place}", report.job), error);
            }
        }
    }
    let refreshed: Vec<&str> = named(report, |status| status == SourceStatus::Success);
    let skipped: Vec<&str> = named(report, |status| status == SourceStatus::Skipped);
    if !refreshed.is_empty() {
        let _ = writeln!(text, "refreshed all the same: {}", printable(&refreshed.join(", ")));
    }
    if !skipped.is_empty() {
        let _ = writeln!(text, "not attempted: {}", printable(&skipped.join(", ")));
    }
    if let Some(run_id) = &report.run_id {
        let _ = writeln!(text, "log: etlsched logs --run {run_id}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn named(report: &RunReport, wanted: impl Fn(SourceStatus) -> bool) -> Vec<&str> {
    report.sources.iter().filter(|source| wanted(source.status)).map(|source| source.name.as_str()).collect()
}

fn block(text: &mut String, place: &str, error: &WorkerError) {
    let _ = writeln!(text, "error: {}: {}", printable(place), printable_lines(&error.message));
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "hint: {}", printable_lines(hint));
    }
}

/// Returns the errors of a source with their places; of equal ones of a source and its stream, one.
pub(super) fn errors_of(source: &SourceReport) -> Vec<(String, &WorkerError)> {
    let mut found: Vec<(String, &WorkerError)> = Vec::new();
    for stream in &source.streams {
        if let Some(error) = &stream.error {
            let place = if stream.name == source.name { String::new() } else { format!(", stream {}", stream.name) };
            found.push((format!("source {}{place}", source.name), error));
        }
    }
    if let Some(error) = &source.error
        && found.iter().all(|(_, told)| told.message != error.message)
    {
        found.insert(0, (format!("source {}", source.name), error));
    }
    found
}

/// Returns the JSON object of a command's runs.
pub fn object(results: &[JobResult]) -> Value {
    let runs: Vec<Value> = results.iter().map(job_object).collect();
    json!({"success": results.iter().all(|result| result.exit_code() == 0), "runs": runs})
}

fn job_object(result: &JobResult) -> Value {
    let report = match &result.run {
        Ok(report) => report,
        Err(failure) => {
            let error = errors::object(failure)["error"].take();
            return json!({"id": null, "job": result.job, "status": null, "exit_code": failure.exit_code, "sources": [], "error": error});
        }
    };
    let counts = total(report);
    let sources: Vec<Value> = (0..report.sources.len()).map(|index| source_object(report, index)).collect();
    json!({
        "id": report.run_id,
        "job": report.job,
        "status": report.status.as_str(),
        "exit_code": report.exit_code,
        "is_dry_run": report.is_dry_run,
        "triggered_by": report.trigger.as_str(),
        "slot": report.slot,
        "started_at": instant(report.started_at),
        "completed_at": instant(report.completed_at),
        "duration_seconds": seconds(report.duration_seconds),
        "records_processed": counts.processed(),
        "records_added": counts.added,
        "records_updated": counts.updated,
        "records_deleted": counts.deleted,
        "records_rejected": counts.rejected,
        "retry_count": report.retry_count(),
        "sources": sources,
        "error": report.error.as_ref().map(error_object),
    })
}

fn source_object(report: &RunReport, index: usize) -> Value {
    let source = &report.sources[index];
    let counts = source.counts();
    json!({
        "name": source.name,
        "status": source.status.as_str(),
        "attempt": source.attempt,
        "streams": source.streams.iter().map(stream_object).collect::<Vec<_>>(),
        "records_processed": counts.processed(),
        "records_added": counts.added,
        "records_updated": counts.updated,
        "records_unchanged": counts.unchanged,
        "records_folded": counts.folded,
        "records_skipped": counts.skipped,
        "records_deleted": counts.deleted,
        "records_rejected": counts.rejected,
        "rejects_path": report.rejects_of(index),
        "duration_seconds": seconds(source.duration_seconds),
        "cpu_time_seconds": seconds(source.usage.cpu_seconds),
        "peak_memory_usage_mb": (source.usage.peak_memory_mb * 10.0).round() / 10.0,
        "error": source.error.as_ref().map(error_object),
    })
}

fn stream_object(stream: &StreamReport) -> Value {
    let counts = stream.counts();
    let result = stream.result.as_ref();
    json!({
        "name": stream.name,
        "target": stream.target,
        "status": stream.status.as_str(),
        "mode": result.map(|result| result.mode.as_str()),
        "records_processed": counts.processed(),
        "records_added": counts.added,
        "records_updated": counts.updated,
        "records_unchanged": counts.unchanged,
        "records_folded": counts.folded,
        "records_skipped": counts.skipped,
        "records_deleted": counts.deleted,
        "records_rejected": counts.rejected,
        "rows_in_target": result.map(|result| result.rows_in_target),
        "bytes_read": stream.bytes.0,
        "duration_seconds": stream.duration_seconds().map(seconds),
        "rows_per_second": stream.rows_per_second().map(f64::round),
        "cursor": result.and_then(|result| result.cursor.as_ref()),
        "schema_changes": result.map(|result| &result.schema_changes),
        "statements": result.map(|result| &result.statements).filter(|statements| !statements.is_empty()),
        "error": stream.error.as_ref().map(error_object),
    })
}

fn error_object(error: &WorkerError) -> Value {
    json!({"code": error.code, "message": error.message, "hint": error.hint, "is_transient": error.is_transient})
}

fn instant(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn seconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn csv(results: &[JobResult]) -> String {
    let names = [
        "job",
        "run",
        "source",
        "stream",
        "target",
        "status",
        "records_processed",
        "records_added",
        "records_updated",
        "records_unchanged",
        "records_folded",
        "records_skipped",
        "records_deleted",
        "records_rejected",
        "duration_seconds",
        "error",
    ];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    for result in results {
        match &result.run {
            Ok(report) => report.sources.iter().for_each(|source| csv_rows(&mut rows, report, source)),
            Err(failure) => {
                let mut row = vec![String::new(); names.len()];
                row[0].clone_from(&result.job);
                row[names.len() - 1].clone_from(&failure.message);
                rows.push(row);
            }
        }
    }
    rows.csv()
}

fn csv_rows(rows: &mut Rows, report: &RunReport, source: &SourceReport) {
    let mut push = |stream: &str, target: &str, status: SourceStatus, counts: Counts, seconds: f64, error: Option<&WorkerError>| {
        let Counts { added, updated, unchanged, folded, skipped, rejected, deleted } = counts;
        let numbers = [counts.processed(), added, updated, unchanged, folded, skipped, deleted, rejected];
        let run = report.run_id.clone().unwrap_or_default();
        let mut row = vec![report.job.clone(), run, source.name.clone(), stream.to_owned(), target.to_owned(), status.as_str().to_owned()];
        row.extend(numbers.map(|number| number.to_string()));
        row.extend([format!("{seconds:.3}"), error.map(|error| error.message.clone()).unwrap_or_default()]);
        rows.push(row);
    };
    if source.streams.is_empty() {
        push("", "", source.status, Counts::default(), source.duration_seconds, source.error.as_ref());
    }
    for stream in &source.streams {
        let seconds = stream.duration_seconds().unwrap_or(0.0);
        push(&stream.name, &stream.target, stream.status, stream.counts(), seconds, stream.error.as_ref());
    }
}

#[cfg(test)]
#[path = "run_result_tests.rs"]
mod tests;
