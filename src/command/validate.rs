//! `etlsched validate`.

use clap::Args;
use serde_json::json;

use super::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Loaded, Problem, Secrets, Severity};
use crate::output::{self, Format, errors};
use crate::text::count;
use crate::workspace::{NoJob, Workspace};

/// Check job files and print every problem
///
/// Exit 4 if there is any error; warnings alone are no error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched validate\n  etlsched validate daily_sales --online")]
pub struct Validate {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Also demand every variable
    #[arg(long)]
    pub online: bool,
}

impl Validate {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs, online } = self;
        let workspace = context.workspace()?;
        let checked = if jobs.is_empty() { workspace.job_ids().0.len() } else { jobs.len() };
        let (loaded, mut problems) = if jobs.is_empty() { workspace.load_all() } else { named(&workspace, &jobs)? };
        problems.extend(workspace.warnings.iter().cloned());
        for job in &loaded {
            problems.extend(job.job.warnings.iter().cloned());
            if online {
                problems.extend(job.missing_variables.iter().cloned());
            }
        }
        let problems = sorted(problems);
        print(checked, &loaded, &problems, context);
        let has_errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        Ok(if has_errors { exit_code::INVALID } else { exit_code::DONE })
    }
}

fn named(workspace: &Workspace, names: &[String]) -> Result<(Vec<Loaded>, Vec<Problem>), Failure> {
    let (mut loaded, mut problems) = (Vec::new(), Vec::new());
    let ids = names.iter().map(|name| super::job_id(workspace, name)).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    for id in ids {
        match workspace.load(&id, Secrets::Left) {
            Ok(job) => loaded.push(job),
            Err(NoJob::Invalid(more)) => problems.extend(more),
            Err(unknown) => return Err(super::no_job(&id, unknown)),
        }
    }
    Ok((loaded, problems))
}

/// Sorts by file and place; a problem of etlsched.yaml that several jobs meet is told once.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|left, right| {
        (&left.file, left.line, left.column, &left.message).cmp(&(&right.file, right.line, right.column, &right.message))
    });
    problems.dedup();
    problems
}

fn print(checked: usize, loaded: &[Loaded], problems: &[Problem], context: &Context) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if context.output == Format::Json {
        let shown: Vec<_> = problems.iter().map(errors::problem_object).collect();
        let valid: Vec<&str> = loaded.iter().map(|loaded| loaded.job.id.as_str()).collect();
        output::json::print(&json!({"success": errors == 0, "problems": shown, "jobs_checked": checked, "jobs_valid": valid}));
        return;
    }
    if !problems.is_empty() {
        output::note(&errors::problems(problems));
    }
    if errors == 0 && !context.quiet {
        let are = if loaded.len() == 1 { "is" } else { "are" };
        output::print(&format!("{} {are} valid", count(loaded.len() as u64, "job")));
    }
}
