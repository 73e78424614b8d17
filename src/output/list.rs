//! The jobs of a workspace, as `list` shows them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::measure::{abbreviation, local, utc};
use super::table::{Align, Rows};
use crate::text::percent_shown;
use crate::zone::Zone;

/// A job as `list` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobLine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The word of `schedule_type`.
    pub schedule_type: &'static str,
    /// Its schedule in words.
    pub schedule: String,
    /// The zone of its schedule.
    pub timezone: String,
    /// active, inactive, error or paused.
    pub status: &'static str,
    /// The run begun last: when, and how it ended.
    pub last_run: Option<(DateTime<Utc>, &'static str)>,
    /// The first slot that it will start.
    pub next_run: Option<DateTime<Utc>>,
    /// Of a hundred runs, how many succeeded.
    pub success_rate: Option<f64>,
    /// Runs in a row that count towards `failure_threshold`.
    pub consecutive_failures: u64,
    /// How many sources it has.
    pub sources_count: usize,
}

/// Returns the jobs as a table, times in the user's zone.
pub fn table(jobs: &[JobLine], zone: Zone) -> Rows {
    let times = jobs.iter().filter_map(|job| job.last_run.map(|(at, _)| at));
    let last_run = format!("Last run ({})", abbreviation(times, zone));
    let next_run = format!("Next run ({})", abbreviation(jobs.iter().filter_map(|job| job.next_run), zone));
    let mut rows = Rows::new([
        ("Job", Align::Left),
        ("Name", Align::Left),
        ("Schedule", Align::Left),
        ("Zone", Align::Left),
        ("Status", Align::Left),
        (last_run.as_str(), Align::Left),
        ("Result", Align::Left),
        (next_run.as_str(), Align::Left),
        ("Good", Align::Right),
        ("Sources", Align::Right),
    ])
    .giving_way(&["Zone", "Sources", "Good", "Name", "Schedule"], "Job");
    for job in jobs {
        let (at, result) = match job.last_run {
            Some((at, result)) => (local(at, zone), result),
            None => ("-".to_owned(), "-"),
        };
        rows.push(vec![
            job.id.clone(),
            job.name.clone(),
            job.schedule.clone(),
            job.timezone.clone(),
            job.status.to_owned(),
            at,
            result.to_owned(),
            job.next_run.map_or_else(|| "-".to_owned(), |at| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()),
            job.success_rate.map_or_else(|| "-".to_owned(), percent_shown),
            job.sources_count.to_string(),
        ]);
    }
    rows
}

/// Returns the jobs as rows for scripts.
pub fn csv(jobs: &[JobLine]) -> Rows {
    let names = ["id", "name", "schedule_display", "timezone", "is_active", "status", "last_run", "next_run", "success_rate"];
    let mut rows = Rows::new(names.into_iter().chain(["data_sources_count"]).map(|name| (name, Align::Left)));
    for job in jobs {
        rows.push(vec![
            job.id.clone(),
            job.name.clone(),
            job.schedule.clone(),
            job.timezone.clone(),
            is_active(job.status).to_string(),
            job.status.to_owned(),
            job.last_run.map(|(at, _)| utc(at)).unwrap_or_default(),
            job.next_run.map(utc).unwrap_or_default(),
            job.success_rate.map(|rate| rate.to_string()).unwrap_or_default(),
            job.sources_count.to_string(),
        ]);
    }
    rows
}

/// Returns the jobs in the JSON shape of the system replaced; `next_run` is null where nothing will be started, `success_rate` is 0
/// where nothing has ended yet, and `is_active` says that nobody switched the job off.
pub fn json(jobs: &[JobLine]) -> Value {
    let objects: Vec<Value> = jobs.iter().map(object).collect();
    json!({"success": true, "jobs": objects, "total_count": jobs.len()})
}

fn object(job: &JobLine) -> Value {
    json!({
        "id": job.id,
        "name": job.name,
        "description": job.description,
        "schedule_type": job.schedule_type,
        "schedule_display": job.schedule,
        "timezone": job.timezone,
        "is_active": is_active(job.status),
        "status": job.status,
        "last_run": job.last_run.map(|(at, _)| utc(at)),
        "last_run_status": job.last_run.map(|(_, word)| word),
        "next_run": job.next_run.map(utc),
        "consecutive_failures": job.consecutive_failures,
        "success_rate": job.success_rate.unwrap_or(0.0),
        "data_sources_count": job.sources_count,
    })
}

/// Whether a job is switched on: one that is paused or in error is.
pub fn is_active(status: &str) -> bool {
    status != "inactive"
}
