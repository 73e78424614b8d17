//! `etlsched validate`.

use std::collections::HashMap;

use clap::Args;
use serde_json::json;

use super::source::{self, Answer};
use super::{Context, hooks};
use crate::error::Failure;
use crate::exit_code;
use crate::job::positions::{Origin, Value};
use crate::job::{Job, Loaded, Matter, Problem, Secrets, Severity};
use crate::output::{self, Format, errors};
use crate::private;
use crate::secret::Secret;
use crate::text::{count, shortened};
use crate::workspace::{NoJob, Workspace};

/// Check job files and print every problem
///
/// Exit 4 if there is any error; warnings alone are no error. With --online, exit 1 if no more is wrong than that a source can't be
/// reached, 77 if no more than that connections are for others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched validate\n  etlsched validate daily_sales --online")]
pub struct Validate {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Also demand every variable, reach every source, and refuse webhooks to which nothing is ever sent
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
        if jobs.is_empty() {
            problems.extend(workspace.misplaced());
        }
        problems.extend(shared_targets(&workspace, &loaded));
        for job in &loaded {
            problems.extend(job.job.warnings.iter().cloned());
            problems.extend(absent_folder(&workspace, job));
            if online {
                problems.extend(refused_hooks(&workspace, job));
                problems.extend(job.missing_variables.iter().cloned());
            } else {
                problems.extend(job.job.missing_variables.iter().map(|problem| unset_here(problem, "run will refuse")));
                problems.extend(job.untold_variables.iter().map(|problem| unset_here(problem, "runs go on, and nobody is told this way")));
            }
        }
        let problems = sorted(problems);
        let mut reached = Vec::new();
        for job in loaded.iter().filter(|job| online && job.missing_variables.is_empty()) {
            let id = job.job.id.as_str();
            // One that can't be asked, as its connection is another user's, keeps no other from being asked.
            reached.push(Reached { job: &job.job, answers: source::reach(&workspace, id) });
        }
        let is_reached = reached.iter().all(Reached::is_good);
        let is_for_others =
            |reached: &&Reached<'_>| reached.answers.as_ref().is_err_and(|failure| failure.exit_code == exit_code::NOT_PERMITTED);
        let is_another_fault = reached.iter().any(|reached| !reached.is_good() && !is_for_others(&reached));
        print(&workspace, checked, &loaded, &problems, &reached, context);
        let has_errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        Ok(match (has_errors, is_reached) {
            (true, _) => exit_code::INVALID,
            (false, true) => exit_code::DONE,
            (false, false) if is_another_fault => exit_code::FAILED,
            (false, false) => exit_code::NOT_PERMITTED,
        })
    }
}

/// Returns what is said of a variable where it need not have a value: job files are checked on hosts that never run them.
fn unset_here(problem: &Problem, what_comes: &str) -> Problem {
    Problem { severity: Severity::Warning, message: format!("{} here: {what_comes}", problem.message), ..problem.clone() }
}

/// Returns a warning where the folder of the file that a job's tables go into isn't there: its connection's path may be mistyped.
fn absent_folder(workspace: &Workspace, loaded: &Loaded) -> Option<Problem> {
    let destination = &loaded.job.destination;
    let file = destination.kind.file()?;
    private::absent_folder(file)?;
    let settings = workspace.settings();
    let path = settings.tree.get("connections")?.get(&destination.name)?.get("path")?;
    let shown = workspace.masker_for(&loaded.job).mask(&file.display().to_string());
    let message = format!("destination {}: the folder of {shown} is not there here: run will refuse", destination.name);
    Some(settings.text.problem(Severity::Warning, path.place, message, Some("make the folder, or correct the path".to_owned())))
}

/// Returns a warning for each table that a job shares with one before it, as far as the files name tables: it belongs to one job.
fn shared_targets(workspace: &Workspace, loaded: &[Loaded]) -> Vec<Problem> {
    let mut owners: HashMap<(&str, String), &str> = HashMap::new();
    let mut problems = Vec::new();
    for Loaded { job, tree, .. } in loaded {
        let sources = match tree.get("data_sources").map(|node| &node.value) {
            Some(Value::List(sources)) => sources.as_slice(),
            _ => &[],
        };
        for source in sources {
            let Some(target) = source.entry("target") else { continue };
            let Some(name) = target.node.as_scalar().map(|scalar| scalar.text.as_str()) else { continue };
            let owner = *owners.entry((&job.destination.name, name.to_lowercase())).or_insert(job.id.as_str());
            if owner == job.id.as_str() {
                continue;
            }
            let place = if target.place.origin == Origin::Job { target.place } else { source.place };
            let table = shortened(name, 60);
            let message =
                format!("the table {table} is loaded by job {owner} too, and belongs to whichever loads it first: the other is refused");
            let hint = Some("give one of them another target, or a table_prefix".to_owned());
            let (file, line_text, matter) = (workspace.shown(&job.file), String::new(), Matter::Definition);
            let (severity, line, column) = (Severity::Warning, place.line, place.column);
            problems.push(Problem { file, line, column, line_text, severity, matter, message, hint });
        }
    }
    problems
}

/// Returns a problem for each webhook and health check of a job that no message ever reaches.
fn refused_hooks(workspace: &Workspace, loaded: &Loaded) -> Vec<Problem> {
    // URLs are secrets that a job fetches.
    let Ok(fetched) = workspace.load(&loaded.job.id, Secrets::Fetched) else { return Vec::new() };
    let notifications = &fetched.job.notifications;
    let of_key = |key: &'static str, url: &Secret| {
        let message = format!("{key}: {}, to which nothing is sent", hooks::refusal(url)?);
        let place = loaded.tree.get(key).map(|node| node.place).filter(|place| place.origin == Origin::Job);
        let place = place.map_or((0, 0), |place| (place.line, place.column));
        let (file, line_text, matter) = (workspace.shown(&loaded.job.file), String::new(), Matter::Definition);
        let hint = Some("name another address".to_owned());
        Some(Problem { file, line: place.0, column: place.1, line_text, severity: Severity::Error, matter, message, hint })
    };
    let webhooks = notifications.webhooks.iter().filter_map(|url| of_key("webhooks", url));
    webhooks.chain(notifications.healthcheck_url.iter().filter_map(|url| of_key("healthcheck_url", url))).collect()
}

/// What became of reaching the sources of a job.
struct Reached<'a> {
    job: &'a Job,
    /// Or why none was asked.
    answers: Result<Vec<Answer>, Failure>,
}

impl Reached<'_> {
    fn is_good(&self) -> bool {
        self.counts().1 == 0
    }

    /// Returns how many sources were reached, and how many not.
    fn counts(&self) -> (usize, usize) {
        let Ok(answers) = &self.answers else { return (0, self.job.sources.len()) };
        let good = answers.iter().filter(|answer| answer.value.is_ok()).count();
        (good, answers.len() - good)
    }

    fn tell_errors(&self) {
        match &self.answers {
            Ok(answers) => source::tell_errors(self.job.id.as_str(), answers),
            Err(failure) => errors::print(failure, Format::Table),
        }
    }

    fn objects(&self, workspace: &Workspace) -> Vec<serde_json::Value> {
        let job = self.job.id.as_str();
        match &self.answers {
            Ok(answers) => answers.iter().map(|answer| reached_object(job, answer)).collect(),
            Err(failure) => {
                let error = json!({"code": failure.code, "message": failure.message, "hint": failure.hint});
                let masker = workspace.masker_for(self.job);
                let object = |name: &str| json!({"name": masker.mask(name), "success": false, "error": error, "job": job});
                self.job.sources.iter().map(|source| object(&source.name)).collect()
            }
        }
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

fn print(workspace: &Workspace, checked: usize, loaded: &[Loaded], problems: &[Problem], reached: &[Reached<'_>], context: &Context) {
    let is_reached = reached.iter().all(Reached::is_good);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if context.output == Format::Json {
        let shown: Vec<_> = problems.iter().map(errors::problem_object).collect();
        let valid: Vec<&str> = loaded.iter().map(|loaded| loaded.job.id.as_str()).collect();
        let is_good = errors == 0 && is_reached;
        let mut object = json!({"success": is_good, "problems": shown, "jobs_checked": checked, "jobs_valid": valid});
        if !reached.is_empty() {
            object["sources"] = reached.iter().flat_map(|reached| reached.objects(workspace)).collect();
        }
        output::json::print(&object);
        return;
    }
    if !problems.is_empty() {
        errors::tell(problems);
    }
    reached.iter().for_each(Reached::tell_errors);
    if errors == 0 && !context.quiet {
        let are = if loaded.len() == 1 { "is" } else { "are" };
        let mut text = format!("{} {are} valid", count(loaded.len() as u64, "job"));
        if !reached.is_empty() {
            let counts = reached.iter().map(Reached::counts);
            let (good, bad) = counts.fold((0, 0), |sum, (good, bad)| (sum.0 + good, sum.1 + bad));
            text.push_str(&format!(", {} reached", count(good as u64, "source")));
            if bad > 0 {
                text.push_str(&format!(", {bad} not"));
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
