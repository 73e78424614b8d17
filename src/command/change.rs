//! What `enable`, `disable`, `pause` and `resume` have in common: every job is checked before any is changed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Context, stored};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::job::Job;
use crate::output::measure::{abbreviation, local, utc};
use crate::output::table::{Align, Rows};
use crate::output::{self, Format};
use crate::state::{Actor, JobRecord, JobStatus, NewStatus, Store};
use crate::workspace::Workspace;
use crate::zone::Zone;

/// A change of status that a command makes.
#[derive(Debug)]
pub struct Change {
    /// What becomes of the jobs.
    pub status: NewStatus,
    /// In which of these the jobs must be.
    pub from: &'static [JobStatus],
    /// Whether `is_active: false` in the file forbids it.
    pub is_file_asked: bool,
    /// What was done, in a word.
    pub done: &'static str,
    /// What to do when a job is in another status.
    pub hint: &'static str,
}

/// Changes the status of jobs, all or none, and prints a line each; returns the exit code.
///
/// # Errors
/// A job is unknown, its file has problems, this user may not change it, or it is in no status for this change.
pub fn run(context: &Context, names: &[String], change: &Change) -> Result<u8, Failure> {
    let workspace = context.workspace()?;
    let now = context.slot_clock().now();
    let by = stored::actor();
    let mut jobs: Vec<Job> = Vec::with_capacity(names.len());
    for name in names {
        let job = stored::job(&workspace, name).map_err(|failure| without_file(&workspace, name, failure))?;
        if !jobs.iter().any(|known| known.id == job.id) {
            jobs.push(job);
        }
    }
    let mut store = stored::open(&workspace)?;
    for job in &jobs {
        check(&workspace, &mut store, job, change, &by, now)?;
    }
    let new_jobs: Vec<_> = jobs.iter().map(|job| stored::new_job(job, &by)).collect();
    let before = store.set_status(&new_jobs, change.status, &by, now, clock::now())?;
    print(context, workspace.timezone, &before, change, now);
    Ok(exit_code::DONE)
}

/// Says of a job that is stored, but whose file is gone, what can be done.
fn without_file(workspace: &Workspace, name: &str, failure: Failure) -> Failure {
    let Some(id) = super::job_id(workspace, name).ok().filter(|_| failure.code == "unknown_job") else { return failure };
    let store = stored::open_existing(workspace).ok().flatten();
    match store.and_then(|mut store| store.job(id.as_str()).ok().flatten()) {
        Some(_) => Failure::new(failure.exit_code, failure.code, format!("job {id} has no file any more"))
            .hint(format!("to clear what is stored of it: etlsched delete {id}")),
        None => failure,
    }
}

fn check(workspace: &Workspace, store: &mut Store, job: &Job, change: &Change, by: &Actor, now: DateTime<Utc>) -> Result<(), Failure> {
    let record = store.job(job.id.as_str())?;
    if let Some(record) = &record {
        stored::check_permitted(workspace, record, by)?;
    }
    if change.is_file_asked && !job.is_active {
        let place = workspace.shown(&job.file).display().to_string();
        let place = job.is_active_line.map_or_else(|| place.clone(), |line| format!("{place}:{line}"));
        let message = format!("job {}: its file says is_active: false, which wins", job.id);
        let failure = Failure::new(exit_code::NOT_ACTIVE, "not_active", message).hint("set is_active: true there");
        return Err(Failure { location: Some(place), ..failure });
    }
    let status = record.as_ref().map_or(JobStatus::Active, |record| record.status_at(now));
    if change.from.contains(&status) {
        return Ok(());
    }
    let message = format!("job {}: it is {}, so it can't be {}", job.id, in_words(status), change.done);
    Err(Failure::new(exit_code::NOT_ACTIVE, "not_active", message).hint(format!("{} {}", change.hint, job.id)))
}

fn in_words(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Error => "in error",
        other => other.as_str(),
    }
}

fn print(context: &Context, zone: Zone, before: &[JobRecord], change: &Change, now: DateTime<Utc>) {
    let (status, until) = match change.status {
        NewStatus::Active => (JobStatus::Active, None),
        NewStatus::Inactive => (JobStatus::Inactive, None),
        NewStatus::Paused(until) => (JobStatus::Paused, until),
    };
    match context.output {
        Format::Json => {
            let object = |job: &JobRecord| json!({"id": job.id, "status": status.as_str(), "was": job.status_at(now).as_str(), "paused_until": until.map(utc)});
            let jobs: Vec<Value> = before.iter().map(object).collect();
            output::json::print(&json!({"success": true, "jobs": jobs}));
        }
        Format::Csv => {
            let mut rows = Rows::new(["id", "status", "was", "paused_until"].map(|name| (name, Align::Left)));
            for job in before {
                let cells = [job.id.as_str(), status.as_str(), job.status_at(now).as_str(), &until.map(utc).unwrap_or_default()];
                rows.push(cells.map(str::to_owned).to_vec());
            }
            output::print(&rows.csv());
        }
        Format::Table if context.quiet => {}
        Format::Table => {
            let ending = until.map(|until| format!(" until {} {}", local(until, zone), abbreviation([until], zone))).unwrap_or_default();
            for job in before {
                let was_so = job.status_at(now) == status && job.paused_until.filter(|_| status == JobStatus::Paused) == until;
                let line = if was_so {
                    format!("{}: was {} already", job.id, status.as_str())
                } else {
                    format!("{}: {}{ending}", job.id, change.done)
                };
                output::print(&line);
            }
        }
    }
}
