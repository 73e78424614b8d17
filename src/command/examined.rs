//! What `check`, `metrics` and `status` share: the jobs asked for, how they stand, and files with errors.

use chrono::{DateTime, Utc};

use super::{job_id, stored};
use crate::engine::health;
use crate::error::Failure;
use crate::job::load::Secrets;
use crate::job::{Job, Problem, Severity};
use crate::output::check::Checked;
use crate::output::findings::Broken;
use crate::state::Store;
use crate::workspace::{FILE, NoJob, Remembered, Troubled, Workspace};

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
    let (jobs, troubled) = workspace.jobs_again(remembered);
    examined(workspace, &jobs, broken(workspace, &troubled), slot_now)
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
    let (jobs, troubled) = workspace.jobs_apart();
    (jobs, broken(workspace, &troubled))
}

fn named(workspace: &Workspace, names: &[String]) -> Result<(Vec<Job>, Vec<Broken>), Failure> {
    let mut jobs: Vec<Job> = Vec::with_capacity(names.len());
    let mut troubled: Vec<Troubled> = Vec::new();
    for name in names {
        let id = job_id(workspace, name)?;
        if jobs.iter().any(|job| job.id == id) || troubled.iter().any(|troubled| troubled.job == id.as_str()) {
            continue;
        }
        match workspace.load(&id, Secrets::Left) {
            Ok(loaded) => jobs.push(loaded.job),
            Err(NoJob::Unknown(near)) => return Err(stored::unknown(name, near)),
            Err(NoJob::Invalid(problems)) => troubled.push(Troubled { job: id.as_str().to_owned(), problems }),
        }
    }
    jobs.sort_by(|a, b| a.id.cmp(&b.id));
    troubled.sort_by(|a, b| a.job.cmp(&b.job));
    Ok((jobs, broken(workspace, &troubled)))
}

/// Returns an entry for each job whose file is not good, or file that is no job.
fn broken(workspace: &Workspace, troubled: &[Troubled]) -> Vec<Broken> {
    let of_one = |Troubled { job, problems }: &Troubled| {
        let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let first = errors.next()?;
        let is_setting = first.file == workspace.shown(&workspace.root.join(FILE));
        Some(Broken { job: job.clone(), errors: 1 + errors.count() as u64, place: place(workspace, first), is_setting })
    };
    troubled.iter().filter_map(of_one).collect()
}

fn place(workspace: &Workspace, problem: &Problem) -> String {
    let file = problem.file.strip_prefix(&workspace.root).unwrap_or(&problem.file).display();
    if problem.line == 0 { file.to_string() } else { format!("{file}:{}", problem.line) }
}
