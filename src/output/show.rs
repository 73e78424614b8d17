//! One job, as `show` shows it: what its file says, how it stands, how far it is loaded, its last runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::logs::{RunView, object, table};
use super::measure::{abbreviation, local, utc};
use super::table::{Align, Rows, terminal_width};
use super::wrap::{fitted, labelled};
use super::{list, next, targets};
use crate::engine::TargetRecord;
use crate::job::{DataSource, Job};
use crate::schedule::Slot;
use crate::secret::Masker;
use crate::state::{JobRecord, JobStatus, SlotTimes};
use crate::text::{count, percent_shown, printable, printable_lines};
use crate::zone::Zone;

/// What is shown of a job.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The job as its file says it.
    pub job: &'a Job,
    /// Its file, relative to where the user stands.
    pub file: PathBuf,
    /// The status that holds.
    pub status: JobStatus,
    /// The next slots that it will start.
    pub next: &'a [Slot],
    /// The job as the store knows it.
    pub record: Option<&'a JobRecord>,
    /// Its last runs, the newest first.
    pub runs: &'a [RunView<'a>],
    /// When their slots were due.
    pub slots: &'a SlotTimes,
    /// How far its streams are loaded, or why that isn't known.
    pub targets: &'a Result<Vec<TargetRecord>, String>,
    /// What readers of its tables are promised.
    pub guarantees: &'static str,
}

/// Returns the job as an object; `next_run` is null where nothing will be started.
pub fn json(shown: &Shown<'_>, masker: &Masker) -> Value {
    let Shown { job, file, status, next: slots, record, runs, slots: _, targets, guarantees } = shown;
    let next: Vec<Value> = slots.iter().map(|slot| next::slot_object(slot, job.timezone)).collect();
    let sources: Vec<Value> = job.sources.iter().map(|source| source_object(source, masker)).collect();
    let recent: Vec<Value> = runs.iter().map(object).collect();
    json!({"success": true, "job": {
        "id": job.id.as_str(),
        "name": job.name,
        "description": job.description,
        "tags": job.tags,
        "file": file,
        "owner": record.map(|record| &record.owner),
        "schedule_type": job.schedule.word(),
        "schedule_display": job.schedule.describe(),
        "timezone": job.timezone.name(),
        "is_active": list::is_active(status.as_str()),
        "status": status.as_str(),
        "status_changed_at": record.map(|record| utc(record.status_changed_at)),
        "paused_until": record.and_then(|record| record.paused_until).map(utc),
        "consecutive_failures": record.map_or(0, |record| record.consecutive_failures),
        "failure_threshold": job.failure_threshold,
        "max_retries": job.retry.max_retries,
        "retry_delay_seconds": job.retry.delay_seconds,
        "notify_on_success": job.notifications.on_success,
        "notify_on_failure": job.notifications.on_failure,
        "notification_emails": job.notifications.emails,
        "created_at": record.map(|record| utc(record.first_seen_at)),
        "last_run": record.and_then(|record| record.last_run.as_ref()).map(|run| utc(run.at)),
        "last_run_status": runs.first().map(|view| view.status()),
        "next_run": slots.first().map(|slot| utc(slot.at)),
        "next_slots": next,
        "success_rate": record.and_then(JobRecord::success_rate).unwrap_or(0.0),
        "statistics": statistics(*record),
        "destination": job.destination.name,
        "guarantees": guarantees,
        "timeout_minutes": job.limits.timeout_minutes,
        "data_sources_count": job.sources.len(),
        "data_sources": sources,
        "cursors": targets.as_ref().ok().map(|records| records.iter().map(targets::object).collect::<Vec<_>>()),
        "cursors_unknown": targets.as_ref().err(),
        "recent_runs": recent,
    }})
}

/// Runs that were cancelled, that go on or that were refused are neither good nor failed.
fn statistics(record: Option<&JobRecord>) -> Value {
    let (good, failed) = record.map_or((0, 0), |record| (record.success_count, record.failure_count));
    let rate = record.and_then(JobRecord::success_rate).unwrap_or(0.0);
    json!({"total_runs": good + failed, "successful_runs": good, "failed_runs": failed, "success_rate": rate})
}

fn source_object(source: &DataSource, masker: &Masker) -> Value {
    json!({
        "name": source.name,
        "source_type": source.kind.name(),
        "from": source.kind.place(Path::new(""), masker),
        "target": source.options.target,
        "mode": source.options.mode,
        "primary_key": source.options.primary_key,
        "timestamp_column": source.options.timestamp_column,
    })
}

/// Returns the sources as rows.
pub fn sources(shown: &Shown<'_>, masker: &Masker) -> Rows {
    let is_target_telling = shown.job.sources.iter().any(|source| source.options.target.as_ref() != Some(&source.name));
    let spare: &[&str] = if is_target_telling { &["Kind"] } else { &["Target", "Kind"] };
    let mut rows = Rows::new(["Source", "Kind", "Mode", "Target", "From"].map(|name| (name, Align::Left))).giving_way(spare, "From");
    for source in &shown.job.sources {
        let (kind, place) = (source.kind.name(), source.kind.place(Path::new(""), masker));
        let target = source.options.target.clone().unwrap_or_else(|| format!("{}*", source.options.table_prefix));
        rows.push(vec![source.name.clone(), kind.to_owned(), source.options.mode.as_str().to_owned(), target, place]);
    }
    rows
}

/// Returns the job as text for people.
pub fn text(shown: &Shown<'_>, masker: &Masker, zone: Zone) -> String {
    let width = terminal_width();
    let mut text = head(shown, zone, width);
    let _ = write!(text, "\n{}\n", sources(shown, masker).leaving_rest_to("-o json").text());
    match shown.targets {
        Ok(records) if records.is_empty() => {}
        Ok(records) => {
            let _ = write!(text, "\nLoaded\n{}\n", targets::table(records, zone).leaving_rest_to("-o json").text());
        }
        Err(why) => {
            let _ = writeln!(text, "\n{}", fitted(&format!("Loaded: unknown ({})", printable(why)), 2, width));
        }
    }
    if shown.runs.is_empty() {
        text.push_str("\nIt has not run yet.\n");
    } else {
        let _ = write!(text, "\nLast runs\n{}\n", table(shown.runs, true, shown.slots, zone).leaving_rest_to("-o json").text());
    }
    text
}

fn head(shown: &Shown<'_>, zone: Zone, width: Option<u16>) -> String {
    let Shown { job, file, status, next: slots, record, runs: _, slots: _, targets: _, guarantees } = shown;
    let mut lines = vec![("Job", job.id.as_str().to_owned()), ("Name", job.name.clone())];
    if !job.description.is_empty() {
        lines.push(("About", job.description.clone()));
    }
    if !job.tags.is_empty() {
        lines.push(("Tags", job.tags.join(", ")));
    }
    lines.push(("File", file.display().to_string()));
    lines.push(("Status", status_text(shown, *status, zone)));
    lines.push(("Schedule", format!("{} ({})", job.schedule.describe(), job.timezone)));
    if !slots.is_empty() {
        let line = |slot: &Slot| match next::note(slot, job.timezone) {
            Some(note) => format!("{}  ({note})", next::due(slot.at, job.timezone)),
            None => next::due(slot.at, job.timezone),
        };
        lines.push(("Next", slots.iter().map(line).collect::<Vec<_>>().join("\n")));
    }
    lines.push(("Into", job.destination.name.clone()));
    lines.push(("Readers", (*guarantees).to_owned()));
    if let Some(record) = record {
        lines.push(("Owner", record.owner.clone()));
        lines.extend(record.success_rate().map(|rate| {
            let failed = record.failure_count;
            ("Good runs", format!("{} ({} good, {failed} failed)", percent_shown(rate), record.success_count))
        }));
    }
    lines.push(("Limit", count(u64::from(job.limits.timeout_minutes), "minute")));
    lines.into_iter().map(|(label, value)| labelled(label, &printable_lines(value.trim_end()), 11, width)).collect()
}

fn status_text(shown: &Shown<'_>, status: JobStatus, zone: Zone) -> String {
    let time = |time| format!("{} {}", local(time, zone), abbreviation([time], zone));
    match (status, shown.record) {
        (JobStatus::Inactive, _) if !shown.job.is_active => {
            let line = shown.job.is_active_line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("inactive (is_active: false in {}{line})", printable(&shown.file.display().to_string()))
        }
        (JobStatus::Error, Some(record)) => {
            let failures = count(record.consecutive_failures, "run");
            format!("error since {} ({failures} in a row refreshed nothing)", time(record.status_changed_at))
        }
        (JobStatus::Paused, Some(record)) => match record.paused_until {
            Some(until) => format!("paused until {}", time(until)),
            None => "paused until it is resumed".to_owned(),
        },
        (status, _) => status.as_str().to_owned(),
    }
}
