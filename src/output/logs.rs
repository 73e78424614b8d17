//! Pages of the run log, as `logs` and `show` show them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::measure::{abbreviation, local, span, utc};
use super::table::{Align, Rows};
use crate::run::{RunStatus, SourceStatus};
use crate::state::{RunRecord, SlotTimes};
use crate::text::grouped;
use crate::zone::Zone;

/// So much of a run's id tells runs apart that didn't begin in the same millisecond (RFC 9562, version 7).
const ID_SHOWN: usize = 13;

/// What a run whose process is gone shows as its error until the next run of its job settles it.
pub const INTERRUPTED: &str = "interrupted: its process ended without closing the run; the next run of the job settles it";

/// A run with what is known of its process now.
#[derive(Debug, Clone, Copy)]
pub struct RunView<'a> {
    /// The run as the store holds it.
    pub run: &'a RunRecord,
    /// Whether it is open and its process is dead.
    pub is_dead: bool,
    /// The present instant: how long an open run takes so far.
    pub now: DateTime<Utc>,
}

impl RunView<'_> {
    /// Returns the status as scripts read it: one of the six words.
    pub fn status(&self) -> RunStatus {
        if self.is_dead { RunStatus::Failed } else { self.run.status }
    }

    /// Returns the status as people read it.
    pub fn word(&self) -> &'static str {
        let is_interrupted = self.is_dead || (self.run.is_interrupted && self.run.status == RunStatus::Failed);
        if is_interrupted { "interrupted" } else { self.run.status.as_str() }
    }

    /// Returns how long the run took, or takes so far.
    pub fn duration_seconds(&self) -> Option<f64> {
        match self.run.duration_seconds {
            None if !self.is_dead => Some((self.now - self.run.started_at).as_seconds_f64().max(0.0)),
            known => known,
        }
    }

    /// Returns why the run failed.
    pub fn error(&self) -> Option<&str> {
        if self.is_dead { Some(INTERRUPTED) } else { self.run.summary.error_message.as_deref() }
    }

    /// Returns the status of a source or stream as scripts read it: what a dead run left open is what its settling makes of it, as far
    /// as the log alone can tell.
    pub fn status_of(&self, status: SourceStatus) -> SourceStatus {
        match status {
            SourceStatus::Running if self.is_dead => SourceStatus::Failed,
            SourceStatus::Waiting if self.is_dead => SourceStatus::Skipped,
            known => known,
        }
    }

    /// Returns the status of a source or stream as people read it.
    pub fn word_of(&self, status: SourceStatus) -> &'static str {
        if self.is_dead && status == SourceStatus::Running { "interrupted" } else { self.status_of(status).as_str() }
    }

    fn sources(&self) -> String {
        let summary = &self.run.summary;
        let done = summary.sources_processed.len();
        let all = done + summary.sources_failed.len() + summary.sources_skipped.len();
        if all == 0 { "-".to_owned() } else { format!("{done}/{all}") }
    }
}

/// Returns the beginning of a run's id that tables show and that `--run` and `cancel` accept.
pub fn short_id(id: &str) -> &str {
    id.get(..ID_SHOWN).unwrap_or(id)
}

/// Returns runs as a table, all times in the user's zone; the job's column is left out where all runs are of one job. A slot of which it
/// isn't known any more when it was due is shown by its key.
pub fn table(views: &[RunView<'_>], is_one_job: bool, slots: &SlotTimes, zone: Zone) -> Rows {
    let started = format!("Started ({})", abbreviation(views.iter().map(|view| view.run.started_at), zone));
    let job = (!is_one_job).then_some(("Job", Align::Left));
    // Jobs without slots have no use for the column.
    let has_slots = views.iter().any(|view| view.run.slot.is_some());
    let due = |run: &RunRecord| slots.get(&(run.job.clone(), run.slot.clone()?)).copied();
    let times: Vec<DateTime<Utc>> = views.iter().filter_map(|view| due(view.run)).collect();
    let slot_head = if times.is_empty() { "Slot".to_owned() } else { format!("Slot ({})", abbreviation(times.iter().copied(), zone)) };
    let slot = has_slots.then_some((slot_head.as_str(), Align::Left));
    let mut rows = Rows::new(
        [("Run", Align::Left)]
            .into_iter()
            .chain(job)
            .chain([
                ("Status", Align::Left),
                (started.as_str(), Align::Left),
                ("Took", Align::Right),
                ("Rows", Align::Right),
                ("Sources", Align::Right),
                ("Trigger", Align::Left),
            ])
            .chain(slot),
    )
    .giving_way(&[slot_head.as_str(), "Trigger", "Sources"], "Job");
    for view in views {
        let mut cells = vec![short_id(&view.run.id).to_owned()];
        cells.extend((!is_one_job).then(|| view.run.job.clone()));
        cells.extend([
            view.word().to_owned(),
            local(view.run.started_at, zone),
            view.duration_seconds().map_or_else(|| "-".to_owned(), span),
            grouped(view.run.summary.totals.processed),
            view.sources(),
            view.run.trigger.as_str().to_owned(),
        ]);
        let minute = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
        let slot = || due(view.run).map(minute).or_else(|| view.run.slot.clone()).unwrap_or_else(|| "-".to_owned());
        cells.extend(has_slots.then(slot));
        rows.push(cells);
    }
    rows
}

/// Returns runs as rows for scripts.
pub fn csv(views: &[RunView<'_>]) -> Rows {
    let names =
        ["id", "job", "status", "started_at", "completed_at", "execution_time_seconds", "total_records_processed", "total_records_added"];
    let more = ["total_records_updated", "total_records_deleted", "total_records_rejected", "data_sources_processed"];
    let rest = ["data_sources_failed", "data_sources_skipped", "triggered_by", "exit_code", "is_interrupted", "error_message", "slot"];
    let mut rows = Rows::new(names.into_iter().chain(more).chain(rest).map(|name| (name, Align::Left)));
    for view in views {
        let run = view.run;
        let totals = run.summary.totals;
        rows.push(vec![
            run.id.clone(),
            run.job.clone(),
            view.status().as_str().to_owned(),
            utc(run.started_at),
            run.completed_at.map(utc).unwrap_or_default(),
            run.duration_seconds.map(|seconds| format!("{seconds:.3}")).unwrap_or_default(),
            totals.processed.to_string(),
            totals.added.to_string(),
            totals.updated.to_string(),
            totals.deleted.to_string(),
            totals.rejected.to_string(),
            run.summary.sources_processed.join(" "),
            run.summary.sources_failed.join(" "),
            run.summary.sources_skipped.join(" "),
            run.trigger.as_str().to_owned(),
            run.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            (view.is_dead || run.is_interrupted).to_string(),
            view.error().unwrap_or_default().to_owned(),
            run.slot.clone().unwrap_or_default(),
        ]);
    }
    rows
}

/// Returns a page of runs in the JSON shape of the system replaced.
pub fn json(views: &[RunView<'_>], page: u64, page_size: u64, total: u64) -> Value {
    let pages = total.div_ceil(page_size);
    let logs: Vec<Value> = views.iter().map(object).collect();
    json!({
        "success": true,
        "logs": logs,
        "pagination": {
            "current_page": page,
            "page_size": page_size,
            "total_pages": pages,
            "total_logs": total,
            "has_next": page < pages,
            "has_previous": page > 1,
        },
    })
}

/// Returns how long a run took as the system replaced wrote it: `5m 0s`; `N/A` while it goes on.
fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "N/A".to_owned() };
    let whole = seconds as u64;
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h {minutes}m {seconds}s"),
    }
}

/// Returns a run as an object.
pub fn object(view: &RunView<'_>) -> Value {
    let run = view.run;
    let summary = &run.summary;
    json!({
        "id": run.id,
        "job": run.job,
        "status": view.status(),
        "started_at": utc(run.started_at),
        "completed_at": run.completed_at.map(utc),
        "duration": duration(run.duration_seconds),
        "execution_time_seconds": run.duration_seconds,
        "total_records_processed": summary.totals.processed,
        "total_records_added": summary.totals.added,
        "total_records_updated": summary.totals.updated,
        "total_records_deleted": summary.totals.deleted,
        "total_records_rejected": summary.totals.rejected,
        "data_sources_processed": summary.sources_processed,
        "data_sources_failed": summary.sources_failed,
        "data_sources_skipped": summary.sources_skipped,
        "triggered_by": run.trigger,
        "exit_code": run.exit_code,
        "error_message": view.error(),
        "is_interrupted": view.is_dead || run.is_interrupted,
        "retry_count": summary.retry_count,
        "bytes_read": summary.bytes_read,
        "peak_memory_usage_mb": summary.peak_memory_mb,
        "cpu_time_seconds": summary.cpu_seconds,
        "slot": run.slot,
        "host": run.host,
        "pid": run.pid,
        "user": run.user,
        "version": run.version,
    })
}
