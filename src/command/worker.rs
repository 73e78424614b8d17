//! What the commands that start workers share: this program as the worker, and a job by its name. No command itself.

use super::Context;
use crate::error::Failure;
use crate::job::{Job, JobId, Problem};
use crate::process::Program;
use crate::workspace::Workspace;

/// Returns this very program as the worker's: `etlsched load`.
pub(super) fn program() -> Result<Program, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(format!("the path of this program is not known: {error}")))?;
    Ok(Program { program, arguments: vec!["load".into()], variables_removed: Vec::new() })
}

/// Returns the workspace.
pub(super) fn workspace(_context: &Context) -> Result<Workspace, Failure> {
    Err(Failure::internal("workspaces are not in this version"))
}

/// Returns a job by its name as typed, with the warnings about its file.
pub(super) fn job(_workspace: &Workspace, name: &str) -> Result<(Job, Vec<Problem>), Failure> {
    let id = JobId::parse(name).map_err(|rule| Failure::usage(rule).hint("etlsched list shows the jobs"))?;
    Err(Failure::internal(format!("job {id}: jobs are not in this version")))
}

/// Returns every job of the workspace; one with errors fails them all, because a list that leaves it out would be wrong.
pub(super) fn jobs(_workspace: &Workspace) -> Result<Vec<Job>, Failure> {
    Err(Failure::internal("jobs are not in this version"))
}
