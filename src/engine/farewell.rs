//! What a job that is about to be deleted would leave behind: no later run of it would put that in order.

use std::time::Duration;

use crate::job::Job;
use crate::process::{self, Program};
use crate::state::{StateError, Store};

use super::journal::moment;
use super::{begin, repair};

/// How long the destination is waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Closes runs of a job whose process died and drops what they, and others that failed, left in the destination; returns the names of
/// what was dropped, or why that could not be done. A run that goes on is left alone.
///
/// # Errors
/// The store can't be read or written.
pub fn clear_up(store: &mut Store, job: &Job, program: &Program) -> Result<Result<Vec<String>, String>, StateError> {
    let id = job.id.as_str();
    if store.living_lease(id, &moment(), &process::liveness)?.is_some() {
        return Ok(Ok(Vec::new()));
    }
    let Some(known) = store.job(id)? else { return Ok(Ok(Vec::new())) };
    let program = Program { variables_removed: job.variables.clone(), ..program.clone() };
    let workspace_id = store.workspace_id()?;
    let repaired = repair::close_dead_runs(store, job, &workspace_id, &program, None)?;
    let mut dead: Vec<String> = repaired.into_iter().map(|run| run.run_id).collect();
    dead.extend(begin::earlier_failures(store, job, &known)?);
    if dead.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    Ok(repair::mend(job, &workspace_id, &program, dead, TIMEOUT).map_err(|error| error.message))
}
