//! What the commands share that read or change the store: opening it, the present moment, jobs by name, who may change them.

use chrono::{DateTime, TimeDelta, Utc};

use super::job_id;
use crate::clock;
use crate::engine;
use crate::error::Failure;
use crate::exit_code;
use crate::job::load::{Loaded, Secrets};
use crate::job::{Job, JobId};
use crate::private::{self, NotShared};
use crate::process;
use crate::schedule::Slot;
use crate::secret::Masker;
use crate::state::{Actor, JobRecord, JobStatus, Moment, NewJob, Store};
use crate::workspace::{NoJob, Workspace};

/// Opens the store, made when absent.
///
/// # Errors
/// It can't be opened.
pub fn open(workspace: &Workspace) -> Result<Store, Failure> {
    settle_modes(workspace)?;
    Ok(Store::open_kept(&workspace.state, &workspace.private_folder())?)
}

/// Opens the store if there is one.
///
/// # Errors
/// It can't be opened.
pub fn open_existing(workspace: &Workspace) -> Result<Option<Store>, Failure> {
    Ok(Store::open_existing(&workspace.state)?)
}

/// Gives `.etlsched`, and a store that lies elsewhere, the rights that etlsched.yaml says: the owner's alone, or the group's too.
///
/// # Errors
/// This user can't share them with the group.
pub fn settle_modes(workspace: &Workspace) -> Result<(), Failure> {
    let folder = workspace.private_folder();
    let Some(group) = &workspace.state_group else {
        return private::keep(&folder)
            .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("keeping {} private: {error}", folder.display())));
    };
    private::share(&folder, group).map_err(not_shared)?;
    match workspace.state.file().filter(|file| !file.starts_with(&folder)) {
        Some(file) => private::share_file(file, group).map_err(not_shared),
        None => Ok(()),
    }
}

fn not_shared(error: NotShared) -> Failure {
    let hint = match &error {
        NotShared::NoGroup(group) => format!("make it (groupadd {group}), or name another as state_group in etlsched.yaml"),
        NotShared::NotOurs(place, group) => format!("as its owner or root: chgrp {group} {place} && chmod g+rwxs {place}"),
        NotShared::Failed(_, group, _) => format!("only members share files with a group: usermod -aG {group} {}", process::user_name()),
        NotShared::NoGroups => "remove state_group from etlsched.yaml".to_owned(),
    };
    let code = if matches!(error, NotShared::Failed(..) | NotShared::NotOurs(..)) { exit_code::NOT_PERMITTED } else { exit_code::INVALID };
    Failure::new(code, "state_group", error.to_string()).hint(hint)
}

/// Reads both clocks.
pub fn moment() -> Moment {
    Moment { at: clock::now(), boot: clock::boot_time() }
}

/// Returns who runs this command.
pub fn actor() -> Actor {
    Actor { user: process::user_name(), host: process::host_name() }
}

/// Returns the job of a name that was typed, its secrets left where they are.
///
/// # Errors
/// There is no such job (exit 2), or its file has problems (exit 4).
pub fn job(workspace: &Workspace, name: &str) -> Result<Job, Failure> {
    Ok(loaded(workspace, name)?.job)
}

/// As [`job`], with the tree that the job was made of.
///
/// # Errors
/// As for [`job`].
pub fn loaded(workspace: &Workspace, name: &str) -> Result<Loaded, Failure> {
    let id = job_id(workspace, name)?;
    workspace.load(&id, Secrets::Left).map_err(|error| match error {
        NoJob::Unknown(near) => unknown(name, near),
        NoJob::Invalid(problems) => Failure::invalid(problems),
    })
}

/// Returns what hides the secrets of a job by its name: those of the workspace where its file is gone.
pub fn masker_of(workspace: &Workspace, job: &str) -> Masker {
    JobId::parse(job).map_or_else(|_| workspace.masker.clone(), |id| workspace.masker_of(&id))
}

/// Whether a job has a file, good or not.
pub fn has_file(workspace: &Workspace, name: &str) -> bool {
    JobId::parse(name).is_ok_and(|id| workspace.job_file(&id).exists())
}

/// Returns the failure for a job that isn't there, with the nearest name.
pub fn unknown(name: &str, near: Option<String>) -> Failure {
    let failure = Failure::new(exit_code::USAGE, "unknown_job", format!("unknown job {name}"));
    match near {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("list the jobs with: etlsched list"),
    }
}

/// Returns a job as the store registers it.
pub fn new_job(job: &Job, by: &Actor) -> NewJob {
    NewJob {
        id: job.id.as_str().to_owned(),
        file: job.file.display().to_string(),
        fingerprint: job.fingerprint.clone(),
        schedule_fingerprint: job.schedule_fingerprint.clone(),
        owner: by.user.clone(),
        host: by.host.clone(),
    }
}

/// Returns the status that holds: the file's `is_active: false` wins, else the store's; a job that never ran is active.
pub fn status(job: &Job, record: Option<&JobRecord>, now: DateTime<Utc>) -> JobStatus {
    match record {
        _ if !job.is_active => JobStatus::Inactive,
        Some(record) => record.status_at(now),
        None => JobStatus::Active,
    }
}

/// Returns the next slots of a job that it will start: none while it isn't active, those after a pause that has an end.
pub fn next_slots(job: &Job, status: JobStatus, record: Option<&JobRecord>, now: DateTime<Utc>, count: usize) -> Vec<Slot> {
    let after = match (status, record.and_then(|record| record.paused_until)) {
        (JobStatus::Active, _) => now,
        // A slot at the very end of the pause is started.
        (JobStatus::Paused, Some(until)) => until - TimeDelta::seconds(1),
        _ => return Vec::new(),
    };
    job.schedule.next(job.timezone, after, count)
}

/// Checks that this user may change a job.
///
/// # Errors
/// The user may not: exit 77.
pub fn check_permitted(workspace: &Workspace, record: &JobRecord, by: &Actor) -> Result<(), Failure> {
    Ok(engine::check_permitted(workspace, record, &by.user)?)
}

/// Refuses where a run of a job goes on: what it publishes would be of before the change.
///
/// # Errors
/// One does: exit 5.
pub fn refuse_while_it_runs(store: &mut Store, job: &str) -> Result<(), Failure> {
    let Some(lease) = store.living_lease(job, &moment(), &process::liveness)? else { return Ok(()) };
    let message = format!("job {job}: run {} goes on (process {} on {})", lease.run_id, lease.pid, lease.host);
    Err(Failure::new(exit_code::OVERLAP, "overlap", message).hint(format!("wait for it, or stop it with etlsched cancel {job}")))
}

/// Checks that this user may let a scheduler start a job: it is the user's or nobody's yet, and its connections are for the user too.
///
/// # Errors
/// The user may not: exit 77.
pub fn check_startable(workspace: &Workspace, job: &Job, record: Option<&JobRecord>, by: &Actor) -> Result<(), Failure> {
    if let Some(record) = record {
        check_permitted(workspace, record, by)?;
    }
    Ok(engine::check_connections(job, &by.user)?)
}

/// Checks that a job is known: it has a file, good or not, or was ever registered; what is on record outlives its file.
///
/// # Errors
/// Nobody knows it: exit 2.
pub fn check_known(workspace: &Workspace, store: Option<&mut Store>, job: &str) -> Result<(), Failure> {
    let is_registered = match store {
        Some(store) => store.job(job)?.is_some(),
        None => false,
    };
    if is_registered || has_file(workspace, job) { Ok(()) } else { Err(unknown(job, workspace.nearest(job))) }
}
