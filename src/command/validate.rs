//! `etlsched validate`.

use clap::Args;
use serde_json::json;

use super::Context;
use super::source::{self, Answer};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Loaded, Problem, Secrets, Severity};
use crate::output::{self, Format, errors};
use crate::text::count;
use crate::workspace::{NoJob, Workspace};

/// Check job files and print every problem
///
/// Exit 4 if there is any error; warnings alone are no error. With --online, exit 1 if no more is wrong than that a source can't be
/// reached.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched validate\n  etlsched validate daily_sales --online")]
pub struct Validate {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Also demand every variable and reach every source
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
        let mut reached = Vec::new();
        for job in loaded.iter().filter(|job| online && job.missing_variables.is_empty()) {
            let id = job.job.id.as_str();
            reached.push((id, source::reach(&workspace, id)?));
        }
        let is_reached = reached.iter().flat_map(|(_, answers)| answers).all(|answer| answer.value.is_ok());
        print(checked, &loaded, &problems, &reached, context);
        let has_errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        Ok(match (has_errors, is_reached) {
            (true, _) => exit_code::INVALID,
            (false, false) => exit_code::FAILED,
            (false, true) => exit_code::DONE,
        })
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

fn print(checked: usize, loaded: &[Loaded], problems: &[Problem], reached: &[(&str, Vec<Answer>)], context: &Context) {
    let is_reached = reached.iter().flat_map(|(_, answers)| answers).all(|answer| answer.value.is_ok());
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if context.output == Format::Json {
        let shown: Vec<_> = problems.iter().map(errors::problem_object).collect();
        let valid: Vec<&str> = loaded.iter().map(|loaded| loaded.job.id.as_str()).collect();
        let is_good = errors == 0 && is_reached;
        let mut object = json!({"success": is_good, "problems": shown, "jobs_checked": checked, "jobs_valid": valid});
        if !reached.is_empty() {
            object["sources"] =
                reached.iter().flat_map(|(job, answers)| answers.iter().map(|answer| reached_object(job, answer))).collect();
        }
        output::json::print(&object);
        return;
    }
    if !problems.is_empty() {
        output::note(&errors::problems(problems));
    }
    for (job, answers) in reached {
        source::tell_errors(job, answers);
    }
    if errors == 0 && !context.quiet {
        let are = if loaded.len() == 1 { "is" } else { "are" };
        let mut text = format!("{} {are} valid", count(loaded.len() as u64, "job"));
        if !reached.is_empty() {
            let all = reached.iter().flat_map(|(_, answers)| answers);
            let (good, bad): (Vec<&Answer>, Vec<&Answer>) = all.partition(|answer| answer.value.is_ok());
            text.push_str(&format!(", {} reached", count(good.len() as u64, "source")));
            if !bad.is_empty() {
                text.push_str(&format!(", {} not", bad.len()));
            }
        }
        output::print(&text);
    }
}

fn reached_object(job: &str, answer: &Answer) -> serde_json::Value {
    let mut object = source::answer_object(answer);
    object["job"] = job.into();
    object
}
