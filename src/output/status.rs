//! What runs now, what is in error, what is paused, as `status` shows it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::logs::short_id;
use super::measure::{abbreviation, bytes, local, span, utc};
use super::table::{Align, Rows};
use crate::state::{JobRecord, RunRecord};
use crate::text::{count, grouped, printable};
use crate::zone::Zone;

/// A run that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningRun {
    /// The run.
    pub run: RunRecord,
    /// What its process wrote last about its sources: a JSON object.
    pub progress: Value,
    /// Who asked it to stop.
    pub cancel_requested_by: Option<String>,
}

/// What `status` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// What runs.
    pub running: Vec<RunningRun>,
    /// Runs whose process is gone and that no later run of the job has settled.
    pub interrupted: Vec<RunRecord>,
    /// Jobs in error.
    pub in_error: Vec<JobRecord>,
    /// Jobs that are paused now.
    pub paused: Vec<JobRecord>,
    /// The present instant.
    pub now: DateTime<Utc>,
}

/// Returns the overview as an object.
pub fn json(overview: &Overview) -> Value {
    let Overview { running, interrupted, in_error, paused, now } = overview;
    let running: Vec<Value> = running.iter().map(|run| running_object(run, *now)).collect();
    let interrupted: Vec<Value> =
        interrupted.iter().map(|run| json!({"id": run.id, "job": run.job, "started_at": utc(run.started_at)})).collect();
    let in_error: Vec<Value> = in_error.iter().map(error_object).collect();
    let paused: Vec<Value> = paused.iter().map(|job| json!({"id": job.id, "paused_until": job.paused_until.map(utc)})).collect();
    json!({"success": true, "running": running, "interrupted": interrupted, "error": in_error, "paused": paused})
}

fn running_object(running: &RunningRun, now: DateTime<Utc>) -> Value {
    let run = &running.run;
    json!({
        "id": run.id,
        "job": run.job,
        "status": run.status,
        "started_at": utc(run.started_at),
        "elapsed_seconds": elapsed(run, now),
        "triggered_by": run.trigger,
        "slot": run.slot,
        "host": run.host,
        "pid": run.pid,
        "user": run.user,
        "cancel_requested_by": running.cancel_requested_by,
        "progress": running.progress,
    })
}

fn error_object(job: &JobRecord) -> Value {
    json!({
        "id": job.id,
        "since": utc(job.status_changed_at),
        "consecutive_failures": job.consecutive_failures,
        "last_run_id": job.last_run.as_ref().map(|run| &run.id),
    })
}

/// Returns what runs, as rows: one a source at work.
pub fn running_rows(running: &[RunningRun], now: DateTime<Utc>) -> Rows {
    let mut rows = Rows::new([
        ("Job", Align::Left),
        ("Run", Align::Left),
        ("Running", Align::Right),
        ("Source", Align::Left),
        ("Phase", Align::Left),
        ("Rows", Align::Right),
        ("Rows/s", Align::Right),
        ("Read", Align::Right),
        ("Sources", Align::Right),
    ])
    .giving_way(&["Sources", "Run", "Read"], "Source");
    for run in running {
        let head = [run.run.job.clone(), short_id(&run.run.id).to_owned(), span(elapsed(&run.run, now))];
        let done = match (run.progress["sources_done"].as_u64(), run.progress["sources_total"].as_u64()) {
            (Some(done), Some(total)) => format!("{done}/{total}"),
            _ => "-".to_owned(),
        };
        let none = Vec::new();
        let sources = run.progress["sources"].as_array().unwrap_or(&none);
        for source in sources {
            rows.push(head.iter().cloned().chain(source_cells(source)).chain([done.clone()]).collect());
        }
        if sources.is_empty() {
            let dashes = std::iter::repeat_n("-".to_owned(), 5);
            rows.push(head.into_iter().chain(dashes).chain([done]).collect());
        }
    }
    rows
}

fn source_cells(source: &Value) -> [String; 5] {
    let number = |key: &str| source[key].as_f64().filter(|value| *value >= 0.0);
    let name = source["source"].as_str().unwrap_or("-");
    let stream = source["stream"].as_str().filter(|stream| *stream != name).map(|stream| format!("/{stream}")).unwrap_or_default();
    let attempt = source["attempt"].as_u64().filter(|attempt| *attempt > 1).map(|attempt| format!(" (try {attempt})")).unwrap_or_default();
    let read = match (source["bytes"].as_u64(), source["bytes_total"].as_u64()) {
        (Some(read), Some(total)) if total > 0 => format!("{:.0} %", (read as f64 * 100.0 / total as f64).min(100.0)),
        (Some(read), _) => bytes(read),
        (None, _) => "-".to_owned(),
    };
    let count = |key: &str| number(key).map_or_else(|| "-".to_owned(), |value| grouped(value as u64));
    [format!("{name}{stream}{attempt}"), source["phase"].as_str().unwrap_or("-").to_owned(), count("rows"), count("rows_per_second"), read]
}

fn elapsed(run: &RunRecord, now: DateTime<Utc>) -> f64 {
    (now - run.started_at).as_seconds_f64().max(0.0)
}

/// Returns the overview as text for people.
pub fn text(overview: &Overview, zone: Zone) -> String {
    let Overview { running, interrupted, in_error, paused, now } = overview;
    let mut text = if running.is_empty() { "Nothing runs.\n".to_owned() } else { format!("{}\n", running_rows(running, *now).text()) };
    for RunningRun { run, .. } in running {
        if let Some(slot) = &run.slot {
            let _ = writeln!(text, "{}: {} of slot {slot}", run.job, run.trigger.as_str());
        }
    }
    for run in running {
        if let Some(by) = &run.cancel_requested_by {
            let _ = writeln!(text, "{}: {} asked it to stop", run.run.job, printable(by));
        }
    }
    let shown = |time: DateTime<Utc>| format!("{} {}", local(time, zone), abbreviation([time], zone));
    if !interrupted.is_empty() {
        let _ = writeln!(text, "\nInterrupted (the next run of the job settles it)");
        for run in interrupted {
            let _ = writeln!(text, "  {}: run {} of {}", run.job, short_id(&run.id), shown(run.started_at));
        }
    }
    if !in_error.is_empty() {
        let _ = writeln!(text, "\nIn error (see: etlsched logs JOB; then: etlsched enable JOB)");
        for job in in_error {
            let failures = count(job.consecutive_failures, "run");
            let since = shown(job.status_changed_at);
            let _ = writeln!(text, "  {}: since {since}, {failures} in a row refreshed nothing", job.id);
        }
    }
    if !paused.is_empty() {
        let _ = writeln!(text, "\nPaused");
        for job in paused {
            let until = job.paused_until.map_or_else(|| "until it is resumed".to_owned(), |until| format!("until {}", shown(until)));
            let _ = writeln!(text, "  {}: {until}", job.id);
        }
    }
    text
}
