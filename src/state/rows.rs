//! Rows of the run log as diesel reads and writes them, and the way to and from [`super::records`].

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::records::{EventRecord, RecordTotals, RecordedError, RunRecord, RunSummary, SourceRecord, StreamRecord};
use super::schema::{run_events, run_sources, run_streams, runs};
use crate::plan::Level;
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
pub(super) struct RunRow {
    id: String,
    job: String,
    status: String,
    triggered_by: String,
    slot: Option<String>,
    started_at: NaiveDateTime,
    completed_at: Option<NaiveDateTime>,
    execution_time_seconds: Option<f64>,
    exit_code: Option<i64>,
    data_sources_processed: String,
    data_sources_failed: String,
    data_sources_skipped: String,
    total_records_processed: i64,
    total_records_added: i64,
    total_records_updated: i64,
    total_records_deleted: i64,
    total_records_rejected: i64,
    bytes_read: i64,
    retry_count: i64,
    peak_memory_usage_mb: Option<f64>,
    cpu_time_seconds: Option<f64>,
    error_message: Option<String>,
    error_details: Option<String>,
    is_interrupted: bool,
    host: String,
    pid: i64,
    process_start: String,
    username: String,
    version: String,
}

impl From<RunRow> for RunRecord {
    fn from(row: RunRow) -> Self {
        let summary = RunSummary {
            sources_processed: names(&row.data_sources_processed),
            sources_failed: names(&row.data_sources_failed),
            sources_skipped: names(&row.data_sources_skipped),
            totals: RecordTotals {
                processed: row.total_records_processed.unsigned_abs(),
                added: row.total_records_added.unsigned_abs(),
                updated: row.total_records_updated.unsigned_abs(),
                deleted: row.total_records_deleted.unsigned_abs(),
                rejected: row.total_records_rejected.unsigned_abs(),
            },
            bytes_read: row.bytes_read.unsigned_abs(),
            retry_count: u32::try_from(row.retry_count).unwrap_or(u32::MAX),
            peak_memory_mb: row.peak_memory_usage_mb,
            cpu_seconds: row.cpu_time_seconds,
            error_message: row.error_message,
            error_details: row.error_details,
        };
        Self {
            id: row.id,
            job: row.job,
            status: RunStatus::parse(&row.status).expect("held by a CHECK of the table"),
            trigger: Trigger::parse(&row.triggered_by).expect("held by a CHECK of the table"),
            slot: row.slot,
            started_at: row.started_at.and_utc(),
            completed_at: row.completed_at.map(|at| at.and_utc()),
            duration_seconds: row.execution_time_seconds,
            exit_code: row.exit_code.and_then(|code| u8::try_from(code).ok()),
            summary,
            is_interrupted: row.is_interrupted,
            host: row.host,
            pid: u32::try_from(row.pid).unwrap_or(0),
            process_start: row.process_start,
            user: row.username,
            version: row.version,
        }
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = runs, treat_none_as_null = true)]
pub(super) struct SummaryChanges {
    data_sources_processed: String,
    data_sources_failed: String,
    data_sources_skipped: String,
    total_records_processed: i64,
    total_records_added: i64,
    total_records_updated: i64,
    total_records_deleted: i64,
    total_records_rejected: i64,
    bytes_read: i64,
    retry_count: i64,
    peak_memory_usage_mb: Option<f64>,
    cpu_time_seconds: Option<f64>,
    error_message: Option<String>,
    error_details: Option<String>,
}

impl SummaryChanges {
    pub(super) fn of(summary: &RunSummary) -> Self {
        let RecordTotals { processed, added, updated, deleted, rejected } = summary.totals;
        Self {
            data_sources_processed: list(&summary.sources_processed),
            data_sources_failed: list(&summary.sources_failed),
            data_sources_skipped: list(&summary.sources_skipped),
            total_records_processed: number(processed),
            total_records_added: number(added),
            total_records_updated: number(updated),
            total_records_deleted: number(deleted),
            total_records_rejected: number(rejected),
            bytes_read: number(summary.bytes_read),
            retry_count: i64::from(summary.retry_count),
            peak_memory_usage_mb: summary.peak_memory_mb,
            cpu_time_seconds: summary.cpu_seconds,
            error_message: summary.error_message.clone(),
            error_details: summary.error_details.clone(),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = run_sources)]
pub(super) struct SourceRow {
    source: String,
    #[diesel(embed)]
    changes: SourceChanges,
}

#[derive(Queryable, Selectable, AsChangeset)]
#[diesel(table_name = run_sources, treat_none_as_null = true)]
pub(super) struct SourceChanges {
    status: String,
    attempt: i64,
    records_added: i64,
    records_updated: i64,
    records_unchanged: i64,
    records_folded: i64,
    records_skipped: i64,
    records_rejected: i64,
    records_deleted: i64,
    bytes_read: i64,
    duration_seconds: Option<f64>,
    cpu_time_seconds: Option<f64>,
    peak_memory_usage_mb: Option<f64>,
    rejects_path: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    error_hint: Option<String>,
}

impl SourceChanges {
    pub(super) fn of(record: &SourceRecord) -> Self {
        let SourceRecord { source: _, status, attempt, counts, bytes_read, duration_seconds, cpu_seconds, peak_memory_mb, .. } = record;
        let (error_code, error_message, error_hint) = error_columns(record.error.as_ref());
        Self {
            status: status.as_str().to_owned(),
            attempt: i64::from(*attempt),
            records_added: number(counts.added),
            records_updated: number(counts.updated),
            records_unchanged: number(counts.unchanged),
            records_folded: number(counts.folded),
            records_skipped: number(counts.skipped),
            records_rejected: number(counts.rejected),
            records_deleted: number(counts.deleted),
            bytes_read: number(*bytes_read),
            duration_seconds: *duration_seconds,
            cpu_time_seconds: *cpu_seconds,
            peak_memory_usage_mb: *peak_memory_mb,
            rejects_path: record.rejects_path.clone(),
            error_code,
            error_message,
            error_hint,
        }
    }
}

impl From<SourceRow> for SourceRecord {
    fn from(SourceRow { source, changes: row }: SourceRow) -> Self {
        Self {
            source,
            status: SourceStatus::parse(&row.status).expect("held by a CHECK of the table"),
            attempt: u32::try_from(row.attempt).unwrap_or(0),
            counts: Counts {
                added: row.records_added.unsigned_abs(),
                updated: row.records_updated.unsigned_abs(),
                unchanged: row.records_unchanged.unsigned_abs(),
                folded: row.records_folded.unsigned_abs(),
                skipped: row.records_skipped.unsigned_abs(),
                rejected: row.records_rejected.unsigned_abs(),
                deleted: row.records_deleted.unsigned_abs(),
            },
            bytes_read: row.bytes_read.unsigned_abs(),
            duration_seconds: row.duration_seconds,
            cpu_seconds: row.cpu_time_seconds,
            peak_memory_mb: row.peak_memory_usage_mb,
            rejects_path: row.rejects_path,
            error: error_of(row.error_code, row.error_message, row.error_hint),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = run_streams)]
pub(super) struct StreamRow {
    source: String,
    stream: String,
    target: String,
    #[diesel(embed)]
    changes: StreamChanges,
}

#[derive(Queryable, Selectable, AsChangeset)]
#[diesel(table_name = run_streams, treat_none_as_null = true)]
pub(super) struct StreamChanges {
    status: String,
    attempt: i64,
    mode: Option<String>,
    records_added: i64,
    records_updated: i64,
    records_unchanged: i64,
    records_folded: i64,
    records_skipped: i64,
    records_rejected: i64,
    records_deleted: i64,
    rows_in_target: Option<i64>,
    bytes_read: i64,
    duration_seconds: Option<f64>,
    load_version: Option<i64>,
    cursor_text: Option<String>,
    schema_changes: String,
    error_code: Option<String>,
    error_message: Option<String>,
    error_hint: Option<String>,
}

impl StreamChanges {
    pub(super) fn of(record: &StreamRecord) -> Self {
        let (error_code, error_message, error_hint) = error_columns(record.error.as_ref());
        let counts = &record.counts;
        Self {
            status: record.status.as_str().to_owned(),
            attempt: i64::from(record.attempt),
            mode: record.mode.clone(),
            records_added: number(counts.added),
            records_updated: number(counts.updated),
            records_unchanged: number(counts.unchanged),
            records_folded: number(counts.folded),
            records_skipped: number(counts.skipped),
            records_rejected: number(counts.rejected),
            records_deleted: number(counts.deleted),
            rows_in_target: record.rows_in_target.map(number),
            bytes_read: number(record.bytes_read),
            duration_seconds: record.duration_seconds,
            load_version: record.load_version,
            cursor_text: record.cursor.clone(),
            schema_changes: record.schema_changes.clone(),
            error_code,
            error_message,
            error_hint,
        }
    }
}

impl From<StreamRow> for StreamRecord {
    fn from(StreamRow { source, stream, target, changes: row }: StreamRow) -> Self {
        Self {
            source,
            stream,
            target,
            status: SourceStatus::parse(&row.status).expect("held by a CHECK of the table"),
            attempt: u32::try_from(row.attempt).unwrap_or(0),
            mode: row.mode,
            counts: Counts {
                added: row.records_added.unsigned_abs(),
                updated: row.records_updated.unsigned_abs(),
                unchanged: row.records_unchanged.unsigned_abs(),
                folded: row.records_folded.unsigned_abs(),
                skipped: row.records_skipped.unsigned_abs(),
                rejected: row.records_rejected.unsigned_abs(),
                deleted: row.records_deleted.unsigned_abs(),
            },
            rows_in_target: row.rows_in_target.map(i64::unsigned_abs),
            bytes_read: row.bytes_read.unsigned_abs(),
            duration_seconds: row.duration_seconds,
            load_version: row.load_version,
            cursor: row.cursor_text,
            schema_changes: row.schema_changes,
            error: error_of(row.error_code, row.error_message, row.error_hint),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = run_events)]
pub(super) struct EventRow {
    at: NaiveDateTime,
    level: String,
    source: Option<String>,
    stream: Option<String>,
    message: String,
}

impl From<EventRow> for EventRecord {
    fn from(EventRow { at, level, source, stream, message }: EventRow) -> Self {
        let level = match level.as_str() {
            "error" => Level::Error,
            "warn" => Level::Warn,
            _ => Level::Info,
        };
        Self { at: at.and_utc(), level, source, stream, message }
    }
}

/// Returns the word of a level as the store holds it.
pub(super) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

type ErrorColumns = (Option<String>, Option<String>, Option<String>);

fn error_columns(error: Option<&RecordedError>) -> ErrorColumns {
    match error {
        Some(RecordedError { code, message, hint }) => (Some(code.clone()), Some(message.clone()), hint.clone()),
        None => (None, None, None),
    }
}

fn error_of(code: Option<String>, message: Option<String>, hint: Option<String>) -> Option<RecordedError> {
    code.zip(message).map(|(code, message)| RecordedError { code, message, hint })
}

/// Returns names as a JSON list.
pub(super) fn list(names: &[String]) -> String {
    serde_json::to_string(names).expect("strings are JSON")
}

/// Reads names back.
pub(super) fn names(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_default()
}

/// Returns a count as the stores hold it; none of ours comes near 2^63.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
