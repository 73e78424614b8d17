//! What the checks look at: the workspace and its jobs, read once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::command::{Context, job_id, no_job};
use crate::error::Failure;
use crate::job::{Loaded, Problem, Secrets, Severity};
use crate::output::doctor::Finding;
use crate::secret::Masker;
use crate::workspace::{NoJob, Workspace};

/// What every check may look at. Secrets are left where they are.
#[derive(Debug)]
pub struct Scene {
    /// The workspace, where there is a valid one.
    pub workspace: Option<Workspace>,
    /// Why there is none.
    pub no_workspace: Option<Failure>,
    /// The jobs asked for whose files are valid.
    pub jobs: Vec<Loaded>,
    /// How many job files were asked for.
    pub files: usize,
    /// What is wrong with job files, warnings too.
    pub problems: Vec<Problem>,
    /// Whether no server is to be reached.
    pub is_offline: bool,
    /// How long one connection may take to answer.
    pub timeout: Duration,
    /// The present instant.
    pub now: DateTime<Utc>,
    maskers: Vec<Masker>,
}

impl Scene {
    /// Reads the workspace and the jobs named, or all.
    ///
    /// # Errors
    /// A job named is unknown, or its name can't be one.
    pub fn find(context: &Context, names: &[String], is_offline: bool, timeout: Duration) -> Result<Self, Failure> {
        let (workspace, no_workspace) = match context.workspace() {
            Ok(workspace) => (Some(workspace), None),
            Err(failure) => (None, Some(failure)),
        };
        let now = crate::clock::now();
        let mut scene =
            Self { workspace, no_workspace, jobs: vec![], files: 0, problems: vec![], is_offline, timeout, now, maskers: vec![] };
        let Some(workspace) = &scene.workspace else { return Ok(scene) };
        (scene.jobs, scene.problems) = if names.is_empty() { workspace.load_all() } else { named(workspace, names)? };
        if names.is_empty() {
            scene.problems.extend(workspace.misplaced());
        }
        scene.files = if names.is_empty() { workspace.job_ids().0.len() } else { names.len() };
        scene.maskers = scene.jobs.iter().map(|loaded| workspace.masker_for(&loaded.job)).chain([workspace.masker.clone()]).collect();
        Ok(scene)
    }

    /// Returns the workspace, which checks that need one have.
    pub fn there(&self) -> &Workspace {
        self.workspace.as_ref().expect("checks that need a workspace are skipped without one")
    }

    /// Returns the warnings and errors of all files, those about who may read or write them apart.
    pub fn problems(&self, is_about_modes: bool) -> impl Iterator<Item = &Problem> {
        let own = self.workspace.iter().flat_map(|workspace| &workspace.warnings);
        let of_jobs = self.jobs.iter().flat_map(|loaded| &loaded.job.warnings).chain(&self.problems);
        own.chain(of_jobs).filter(move |problem| is_of_modes(problem) == is_about_modes)
    }

    /// Hides every secret that the jobs know.
    pub fn masked(&self, finding: Finding) -> Finding {
        let mask = |text: String| self.maskers.iter().fold(text, |text, masker| masker.mask(&text));
        Finding { subject: mask(finding.subject), found: mask(finding.found), remedy: finding.remedy.map(mask), ..finding }
    }
}

fn named(workspace: &Workspace, names: &[String]) -> Result<(Vec<Loaded>, Vec<Problem>), Failure> {
    let (mut jobs, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        let id = job_id(workspace, name)?;
        match workspace.load(&id, Secrets::Left) {
            Ok(loaded) => jobs.push(loaded),
            Err(NoJob::Invalid(more)) => problems.extend(more),
            Err(unknown) => return Err(no_job(&id, unknown)),
        }
    }
    Ok((jobs, problems))
}

/// Whether a problem is one of modes and owners: its remedy is to change them.
fn is_of_modes(problem: &Problem) -> bool {
    problem.hint.as_ref().is_some_and(|hint| hint.starts_with("chmod ") || hint.starts_with("chown "))
}

/// Returns a problem with its place, on one line.
pub fn told(problem: &Problem) -> String {
    let file = problem.file.display();
    match problem.line {
        0 => format!("{file}: {}", problem.message),
        line => format!("{file}:{line}: {}", problem.message),
    }
}

/// Whether a problem keeps a job from running.
pub fn is_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error
}
