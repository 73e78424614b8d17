//! What `check`, `metrics` and `status` share: the jobs asked for, how they stand, and files with errors.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::{job_id, stored};
use crate::engine::health;
use crate::error::Failure;
use crate::job::load::Secrets;
use crate::job::{Job, Problem, Severity};
use crate::output::check::Checked;
use crate::output::findings::Broken;
use crate::state::Store;
use crate::workspace::{NoJob, Remembered, Workspace};

/// Returns how jobs stand, of those named or of all, and the store where there is one.
///
/// # Errors
/// An unknown job is named (exit 2), or the store can't be read.
pub fn jobs(workspace: &Workspace, names: &[String], slot_now: DateTime<Utc>) -> Result<(Checked, Option<Store>), Failure> {
    let (jobs, broken) = if names.is_empty() { all(workspace) } else { named(workspace, names)? };
    examined(workspace, &jobs, broken, slot_now)
}

/// As [`jobs`], of all, for who looks again and again.
///
/// # Errors
/// The store can't be read.
pub fn all_again(workspace: &Workspace, remembered: &mut Remembered, slot_now: DateTime<Utc>) -> Result<(Checked, Option<Store>), Failure> {
    let (jobs, problems) = workspace.jobs_again(remembered);
    examined(workspace, &jobs, broken(workspace, &problems), slot_now)
}

fn examined(
    workspace: &Workspace,
    jobs: &[Job],
    broken: Vec<Broken>,
    slot_now: DateTime<Utc>,
) -> Result<(Checked, Option<Store>), Failure> {
    let mut store = stored::open_existing(workspace)?;
    let found = match &mut store {
        Some(store) => health::examine(store, jobs, slot_now)?,
        None => jobs.iter().map(|job| health::unseen(job, slot_now)).collect(),
    };
    Ok((Checked::new(found, broken, workspace.timezone), store))
}

fn all(workspace: &Workspace) -> (Vec<Job>, Vec<Broken>) {
    let (jobs, problems) = workspace.jobs();
    (jobs, broken(workspace, &problems))
}

fn named(workspace: &Workspace, names: &[String]) -> Result<(Vec<Job>, Vec<Broken>), Failure> {
    let mut jobs: Vec<Job> = Vec::with_capacity(names.len());
    let mut problems = Vec::new();
    for name in names {
        let id = job_id(workspace, name)?;
        if jobs.iter().any(|job| job.id == id) {
            continue;
        }
        match workspace.load(&id, Secrets::Left) {
            Ok(loaded) => jobs.push(loaded.job),
            Err(NoJob::Unknown(near)) => return Err(stored::unknown(name, near)),
            Err(NoJob::Invalid(more)) => problems.extend(more),
        }
    }
    jobs.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((jobs, broken(workspace, &problems)))
}

/// Returns an entry for each file with errors, by name.
fn broken(workspace: &Workspace, problems: &[Problem]) -> Vec<Broken> {
    let mut files: BTreeMap<&Path, Broken> = BTreeMap::new();
    for problem in problems.iter().filter(|problem| problem.severity == Severity::Error) {
        let entry = files.entry(&problem.file).or_insert_with(|| Broken {
            job: problem.file.file_stem().unwrap_or(problem.file.as_os_str()).to_string_lossy().into_owned(),
            errors: 0,
            place: place(workspace, problem),
        });
        entry.errors += 1;
    }
    files.into_values().collect()
}

fn place(workspace: &Workspace, problem: &Problem) -> String {
    let file = problem.file.strip_prefix(&workspace.root).unwrap_or(&problem.file).display();
    if problem.line == 0 { file.to_string() } else { format!("{file}:{}", problem.line) }
}
