//! The begin of a run by hand: may the job run, repair of dead runs, lease and run row.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::clock;
use crate::exit_code;
use crate::job::{Job, OnOverlap};
use crate::process::{self, Stop, StopSignal};
use crate::run::{RunStatus, Trigger};
use crate::state::{Begun as Begin, JobRecord, JobStatus, NewJob, NewRun, Published, RunFilter, RunRecord, StateError, Store};
use crate::workspace::Workspace;

use super::journal::moment;
use super::observer::{Notice, Observer};
use super::refusal::{self, Refusal};
use super::rejected::Kept;
use super::repair;
use super::run::{RunOptions, Setting, timeout_of};

/// How often a run that waits for the lease looks whether it is free.
pub(super) const LEASE_POLL: Duration = Duration::from_millis(500);

/// How many earlier runs may have left something behind that is looked for.
const MENDED_RUNS_MAX: u64 = 20;

/// A run that has begun: it holds the lease and is in the log.
pub(super) struct Begun {
    pub(super) run_id: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) trigger: Trigger,
    /// The key of the slot that it claimed.
    pub(super) slot: Option<String>,
    /// When that is due.
    pub(super) slot_at: Option<DateTime<Utc>>,
    /// What interrupted runs of the slot published; `None` where there were none.
    pub(super) published: Option<Published>,
    /// Runs that may have left something in the destination.
    pub(super) dead: Vec<String>,
}

/// Returns the job as the store registers it.
pub(super) fn new_job(job: &Job, user: &str) -> NewJob {
    NewJob {
        id: job.id.to_string(),
        file: job.file.display().to_string(),
        fingerprint: job.fingerprint.clone(),
        schedule_fingerprint: job.schedule_fingerprint.clone(),
        owner: user.to_owned(),
        host: process::host_name(),
    }
}

/// Whether the job may run now: its owner, its file, its status.
fn admit(store: &mut Store, workspace: &Workspace, job: &Job, options: &RunOptions) -> Result<JobRecord, Refusal> {
    let user = process::user_name();
    let registered = store.register_job(&new_job(job, &user), clock::now())?;
    refusal::check_permitted(workspace, &registered, &user)?;
    if options.is_forced {
        return Ok(registered);
    }
    if !job.is_active {
        return Err(Refusal::InactiveFile { job: job.id.to_string(), file: job.file.clone(), line: job.is_active_line });
    }
    match registered.status_at(options.clock.now()) {
        // A run by hand is how a job in error is put right.
        JobStatus::Active | JobStatus::Error => Ok(registered),
        status @ (JobStatus::Inactive | JobStatus::Paused) => {
            Err(Refusal::NotActive { job: job.id.to_string(), status, until: registered.paused_until })
        }
    }
}

/// Returns the last runs that were not good, where the very last was not: what any of them left in the destination is dropped.
pub(super) fn earlier_failures(store: &mut Store, job: &Job, known: &JobRecord) -> Result<Vec<String>, StateError> {
    if known.last_run.as_ref().is_none_or(|last| last.status == RunStatus::Success) {
        return Ok(Vec::new());
    }
    let filter = RunFilter { job: Some(job.id.to_string()), ..RunFilter::default() };
    let page = store.runs(&filter, 1, MENDED_RUNS_MAX)?;
    let is_bad = |run: &RunRecord| !run.status.is_open() && (run.status != RunStatus::Success || run.is_interrupted);
    Ok(page.runs.into_iter().filter(is_bad).map(|run| run.id).collect())
}

/// Settles dead runs, takes the lease and writes the run row; waits where the job says so.
///
/// # Errors
/// Why the run doesn't begin.
pub(super) fn begin(
    store: &mut Store,
    setting: &Setting<'_>,
    workspace_id: &str,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<Begun, Refusal> {
    let Setting { workspace, job, options, began, .. } = setting;
    let known = admit(store, workspace, job, options)?;
    let mut dead = earlier_failures(store, job, &known)?;
    let mut is_waiting = false;
    loop {
        dead.extend(close_dead_runs(store, setting, workspace_id, observer)?);
        let now = moment();
        let run = new_run(setting, new_run_id(now.at));
        let lease = match store.begin_run(&run, &now, &process::liveness)? {
            Begin::Started => {
                let NewRun { run_id, trigger, .. } = run;
                return Ok(Begun { run_id, started_at: now.at, trigger, slot: None, slot_at: None, published: None, dead });
            }
            Begin::Unrepaired => continue,
            Begin::Held(lease) => lease,
        };
        let limit = options.timeout.unwrap_or_else(|| timeout_of(job));
        if job.on_overlap == OnOverlap::Fail {
            let message = format!("{lease} holds the lease, and on_overlap is fail");
            store.write_refused_run(&run, exit_code::OVERLAP, &message, &now)?;
        }
        if job.on_overlap != OnOverlap::Wait || began.elapsed() > limit {
            return Err(Refusal::Held { job: job.id.to_string(), run_id: lease.run_id.clone(), held_by: lease.to_string() });
        }
        if !std::mem::replace(&mut is_waiting, true) {
            observer.notice(&Notice::Waiting { held_by: &lease.to_string() });
        }
        wait(setting, stop)?;
    }
}

/// Settles the dead runs of the job; returns them.
pub(super) fn close_dead_runs(
    store: &mut Store,
    setting: &Setting<'_>,
    workspace_id: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<String>, StateError> {
    let Setting { workspace, job, program, reasons, .. } = setting;
    let (private_folder, job_masker) = (workspace.private_folder(), workspace.masker_for(job));
    let kept = Kept { private_folder, masker: &workspace.masker, job_masker, reasons };
    let repaired = repair::close_dead_runs(store, job, workspace_id, program, Some(&kept))?;
    for run in &repaired {
        observer.notice(&Notice::Settled { run_id: &run.run_id, finding: &run.finding });
    }
    Ok(repaired.into_iter().map(|run| run.run_id).collect())
}

/// Waits a moment for the lease.
///
/// # Errors
/// The run is to stop.
pub(super) fn wait(setting: &Setting<'_>, stop: &Stop) -> Result<(), Refusal> {
    match setting.channel.1.recv_timeout(LEASE_POLL) {
        Ok(_) => Err(Refusal::Stopped(stop.requested().unwrap_or(StopSignal::Terminate))),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}

pub(super) fn new_run(setting: &Setting<'_>, run_id: String) -> NewRun {
    let process::Identity { pid, start } = process::own();
    NewRun {
        run_id,
        job: setting.job.id.to_string(),
        trigger: setting.options.trigger,
        slot: None,
        host: process::host_name(),
        pid,
        process_start: start,
        user: process::user_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: setting.specs.iter().map(|source| source.name.clone()).collect(),
    }
}

pub(super) fn new_run_id(now: DateTime<Utc>) -> String {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(ContextV7::new(), seconds, now.timestamp_subsec_nanos())).to_string()
}
