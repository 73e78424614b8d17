//! What the commands that start workers share: this program as the worker, and a job by its name. No command itself.

use crate::error::Failure;
use crate::job::Job;
use crate::process::Program;
use crate::workspace::Workspace;

/// Returns this very program as the worker's: `etlsched load`.
pub(super) fn program() -> Result<Program, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(format!("the path of this program is not known: {error}")))?;
    Ok(Program { program, arguments: vec!["load".into()], variables_removed: Vec::new() })
}

/// Returns a job by its name as typed, ready for workers, with the workspace that hides the job's secrets too.
pub(super) fn job(workspace: &Workspace, name: &str) -> Result<(Workspace, Job), Failure> {
    let id = super::job_id(workspace, name)?;
    let job = workspace.job(&id).map_err(|reason| super::no_job(&id, reason))?;
    let mut workspace = workspace.clone();
    workspace.masker = workspace.masker_for(&job);
    Ok((workspace, job))
}
