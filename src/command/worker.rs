//! What the commands that start workers share: this program as the worker, and a job by its name. No command itself.

use std::time::Duration;

use crate::engine::{self, TargetRecord};
use crate::error::Failure;
use crate::job::{Job, JobId, Secrets, Severity};
use crate::output::errors;
use crate::process::{self, Program};
use crate::workspace::{NoJob, Workspace};

/// Returns this very program as the worker's: `etlsched load`.
pub(super) fn program() -> Result<Program, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(format!("the path of this program is not known: {error}")))?;
    Ok(Program { program, arguments: vec!["load".into()], variables_removed: Vec::new(), niceness: 0 })
}

/// How long a destination is asked how far it is loaded.
const TARGETS_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns how far the streams of a job are loaded, by its destination; why that isn't known where it can't tell in time.
pub(super) fn targets(workspace: &Workspace, id: &JobId, workspace_id: &str) -> Result<Vec<TargetRecord>, String> {
    check_connections(workspace, id).map_err(|failure| failure.message)?;
    let job = workspace.job(id).map_err(|reason| unresolved(&reason))?;
    if let Some(problem) = job.missing_variables.first() {
        return Err(errors::told(problem));
    }
    let program = program().map_err(|failure| failure.message)?;
    engine::target_records(&program, &job, workspace_id, TARGETS_TIMEOUT).map_err(|error| workspace.masker_for(&job).mask(&error.message))
}

/// Says why a job can't be made ready for workers: the first error of its file.
fn unresolved(reason: &NoJob) -> String {
    let problem = match reason {
        NoJob::Invalid(problems) => problems.iter().find(|problem| problem.severity == Severity::Error).or(problems.first()),
        NoJob::Unknown(_) => None,
    };
    problem.map_or_else(|| "its file is gone".to_owned(), errors::told)
}

/// Checks that this user may use the connections of a job. Before its secrets are fetched: that starts commands. What else is wrong with
/// the job is told by whoever loads it.
///
/// # Errors
/// The user may not: exit 77.
pub(super) fn check_connections(workspace: &Workspace, id: &JobId) -> Result<(), Failure> {
    match workspace.load(id, Secrets::Left) {
        Ok(loaded) => Ok(engine::check_connections(&loaded.job, &process::user_name())?),
        Err(_) => Ok(()),
    }
}

/// Returns a job by its name as typed, ready for workers, with the workspace that hides the job's secrets too.
///
/// # Errors
/// There is none (exit 2), its file has problems (exit 4), or this user may not use one of its connections (exit 77).
pub(super) fn job(workspace: &Workspace, name: &str) -> Result<(Workspace, Job), Failure> {
    let id = super::job_id(workspace, name)?;
    check_connections(workspace, &id)?;
    let job = workspace.job(&id).map_err(|reason| super::no_job(&id, reason))?;
    let mut workspace = workspace.clone();
    workspace.masker = workspace.masker_for(&job);
    Ok((workspace, job))
}
