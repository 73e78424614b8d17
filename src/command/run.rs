//! `etlsched run`.

use std::time::Duration;

use clap::Args;

use super::gate::{self, Gate};
use super::post::{Post, Talk};
use super::{Context, stored, unusable, worker};
use crate::engine::{self, Encounter, Refusal, RunOptions, RunReport, TypedWindow};
use crate::error::Failure;
use crate::exit_code;
use crate::job::JobId;
use crate::output::failure_block::{self, Whereabouts};
use crate::output::log_file::LogFile;
use crate::output::log_line::LogFormat;
use crate::output::progress::{Manner, Progress};
use crate::output::run_result::{self, JobResult, Statements};
use crate::output::{self, Format, errors, masked};
use crate::plan::DryRun;
use crate::process::{self, Stop, watch_signals};
use crate::run::Trigger;
use crate::workspace::Workspace;

/// Run jobs now
///
/// Several jobs run one after another; a file with errors stops only its job. The exit code is the jobs' common one, else 3. With
/// --scheduled a job runs only where one of its slots is due and no run has claimed it: however often it is called, each slot is run once.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched run flights\n  etlsched run flights --scheduled\n  etlsched run flights --source weather --full-refresh\n  etlsched run flights --retry-failed\n  etlsched run flights --source orders --since 2026-10-01 --until 2026-11-01\n  etlsched run flights --dry-run --limit 1000"
)]
pub struct Run {
    /// The jobs, run one after another
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// What schedulers call: run the slot that is due, if no run has claimed it yet; else end in silence with exit code 0
    #[arg(long, conflicts_with_all = ["source", "full_refresh", "force", "dry_run"])]
    pub scheduled: bool,
    /// Run every job that is due, once
    #[arg(long, conflicts_with_all = ["jobs", "source", "full_refresh", "force", "dry_run"])]
    pub due: bool,
    /// Only this source (repeatable)
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only the sources that the job's last run did not refresh, and of them what it did not publish
    #[arg(long, conflicts_with_all = ["scheduled", "due", "source", "full_refresh", "since", "until", "dry_run"])]
    pub retry_failed: bool,
    /// Load everything anew, whatever the mode, and set the cursor
    #[arg(long)]
    pub full_refresh: bool,
    /// Load the rows whose timestamp_column is VALUE or later, whatever was loaded before
    ///
    /// An instant (2026-10-25T02:30:00+01:00), a date (2026-10-25) or a local time (2026-10-25T02:30) in the job's timezone, or a number
    /// where timestamp_column is one. A column without a zone takes dates and local times as they are. Without a key exactly the rows of
    /// the window are replaced, with one they are merged. The cursor only ever grows.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, conflicts_with_all = ["scheduled", "due", "full_refresh"])]
    pub since: Option<String>,
    /// Load the rows whose timestamp_column is before VALUE, written as for --since
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, conflicts_with_all = ["scheduled", "due", "full_refresh"])]
    pub until: Option<String>,
    /// Run although the job is inactive or paused
    #[arg(long)]
    pub force: bool,
    /// Tell nobody
    #[arg(long)]
    pub no_notify: bool,
    /// Read, type and check rows; write nothing anywhere; with -v show the statements that would be run
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: read at most N rows of each stream
    #[arg(long, value_name = "N", requires = "dry_run")]
    pub limit: Option<u64>,
    /// In place of the job's timeout_minutes: for tests, which can't wait for minutes
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub timeout_seconds: Option<u64>,
}

impl Run {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let log = context.open_log()?;
        let lines = context.log_format.filter(|_| log.is_none());
        let is_silent = self.scheduled && lines.is_none() && context.verbose == 0 && !output::is_terminal();
        let voice = Voice { lines, is_silent, is_quiet: context.quiet || is_silent, log: log.as_ref() };
        self.run_all(context, &voice).or_else(|failure| {
            if !is_silent || context.output == Format::Json {
                return Err(failure);
            }
            context.log_failure(&failure);
            output::note(&failure_block::of_failure(&failure, None, None));
            Ok(failure.exit_code)
        })
    }

    fn run_all(self, context: &Context, voice: &Voice<'_>) -> Result<u8, Failure> {
        let Voice { lines, is_silent, is_quiet, log } = *voice;
        let Self {
            jobs,
            scheduled,
            due,
            source,
            retry_failed,
            full_refresh,
            since,
            until,
            force,
            no_notify,
            dry_run,
            limit,
            timeout_seconds,
        } = self;
        let is_told = !no_notify && !dry_run;
        let workspace = context.workspace().inspect_err(|failure| {
            if (scheduled || due) && is_told && failure.code == "invalid" {
                unusable::tell(context, &failure.problems);
            }
        })?;
        if jobs.is_empty() && !due {
            return Err(no_job_named(&workspace));
        }
        if !workspace.warnings.is_empty() && !is_quiet {
            errors::tell(&workspace.warnings);
        }
        if !dry_run {
            stored::settle_modes(&workspace)?;
        }
        let stop = Stop::new();
        watch_signals(&stop).map_err(|error| Failure::internal(format!("signals can't be heard: {error}")))?;
        let options = RunOptions {
            trigger: if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
                Trigger::Ci
            } else {
                Trigger::Manual
            },
            is_scheduled: scheduled || due,
            clock: context.slot_clock(),
            sources: source,
            is_retry_failed: retry_failed,
            is_full_refresh: full_refresh,
            window: (since.is_some() || until.is_some()).then_some(TypedWindow { since, until }),
            is_forced: force,
            dry_run: dry_run.then_some(DryRun { limit }),
            timeout: timeout_seconds.map(Duration::from_secs),
            is_told,
            ..RunOptions::new(worker::program()?)
        };
        let names = if due { workspace.job_ids().0.iter().map(|id| id.as_str().to_owned()).collect() } else { jobs };
        if due && names.is_empty() {
            gate::check_folder(&workspace, options.clock)?;
        }
        let mut gate = Gate::new(&workspace, options.clock, due, options.is_told);
        let mut results = Vec::new();
        let mut post = options.is_told.then(|| Post::new(&workspace));
        let manner = Manner { is_quiet, lines, is_verbose: context.verbose > 0, is_dry_run: dry_run, file: log };
        let host = process::host_name();
        let place = Whereabouts { root: &workspace.root, host: &host, zone: workspace.timezone, log_file: log.map(LogFile::path) };
        let mut left_out = Vec::new();
        for typed in &names {
            if stop.requested().is_some() {
                left_out.push(typed.as_str());
                continue;
            }
            let name = &super::job_id(&workspace, typed).map_or_else(|_| typed.clone(), |id| id.as_str().to_owned());
            let mut is_first = true;
            while stop.requested().is_none() {
                let run = match options.is_scheduled.then(|| gate.is_open(name, is_first)) {
                    Some(Ok(false)) => break,
                    // A run was done, and its result stands: what keeps a further slot from being started, the next start says.
                    Some(Err(_)) if !is_first => break,
                    Some(Err(failure)) => {
                        let failure = if failure.code == "unknown_job" && scheduled { gone(failure, name) } else { failure };
                        Progress::new(name, manner).refused(&failure);
                        Err(failure)
                    }
                    Some(Ok(true)) | None => {
                        let mut progress = Progress::new(name, manner);
                        run_one(&workspace, name, &options, &stop, &mut progress, is_quiet)
                    }
                };
                let Some(run) = run.transpose() else {
                    gate.look_after(name);
                    break;
                };
                let is_over = run.is_err() || !options.is_scheduled;
                results.push(JobResult { job: name.clone(), run });
                if context.output != Format::Json || names.len() > 1 {
                    tell(&results[results.len() - 1], is_silent.then_some(&place));
                }
                if let Some(post) = post.as_mut().filter(|_| has_store(&results[results.len() - 1])) {
                    post.send(&stop, talk(context, is_quiet, &results));
                }
                if is_over {
                    break;
                }
                is_first = false;
            }
        }
        if let Some(post) = post.as_mut().filter(|_| results.iter().any(has_store) && stop.requested().is_none()) {
            post.look_at_jobs(options.clock, &met(&results, options.is_scheduled), &stop, talk(context, is_quiet, &results));
        }
        post.iter_mut().for_each(Post::end);
        if results.is_empty() && options.is_scheduled {
            gate.send_waiting(post, &stop, talk(context, is_quiet, &results));
            if !scheduled && !is_quiet {
                output::note("no job is due");
            }
            if context.output == Format::Json {
                run_result::print(&results, Format::Json, Statements::Omitted);
            }
            return Ok(stop.requested().map_or(exit_code::DONE, |signal| signal.exit_code()));
        }
        let statements = match (is_quiet, context.verbose) {
            (true, _) => Statements::Omitted,
            (false, 0) => Statements::Counted,
            (false, 1..) => Statements::Shown,
        };
        let code = finish(results, context.output, is_silent, statements)?;
        match stop.requested().filter(|_| !left_out.is_empty()) {
            Some(signal) => {
                output::note(&format!("not run, since etlsched was stopped: {}", left_out.join(", ")));
                Ok(signal.exit_code())
            }
            None => Ok(code),
        }
    }
}

/// So many jobs are named where none was.
const NAMED_MAX: usize = 10;

/// Says which jobs there are.
fn no_job_named(workspace: &Workspace) -> Failure {
    let (ids, _) = workspace.job_ids();
    let mut names: Vec<&str> = ids.iter().take(NAMED_MAX).map(JobId::as_str).collect();
    let more = format!("{} more", ids.len().saturating_sub(NAMED_MAX));
    if ids.len() > NAMED_MAX {
        names.push(&more);
    }
    let hint = match names.as_slice() {
        [] => "there are none yet: etlsched create --help".to_owned(),
        [only] => format!("there is one: etlsched run {only}"),
        _ => format!("there are {}; what is due runs with: etlsched run --due", names.join(", ")),
    };
    Failure::usage("run: no job is named").hint(hint)
}

/// Says what a scheduler's entry without a file is about too: nobody may have typed the name.
fn gone(failure: Failure, name: &str) -> Failure {
    let near = failure.hint.as_ref().map_or_else(String::new, |near| format!("{near} "));
    failure.hint(format!(
        "{near}If its file is gone and its entry still starts it: bring the file back, or take the rest away with `etlsched delete {name}` and \
         `etlsched schedule sync`"
    ))
}

/// Whether a run found a store that can be used: without one there is nothing to send, and that was told.
fn has_store(result: &JobResult) -> bool {
    !matches!(&result.run, Err(failure) if failure.code == "state")
}

/// Returns what the command came upon, for whoever is told of it. What a person typed is nobody's news: they see what it says.
fn met(results: &[JobResult], is_scheduled: bool) -> Encounter {
    let mut met = Encounter::default();
    for JobResult { job, run } in results {
        match run {
            Ok(_) => {
                met.ran.insert(job.clone());
            }
            Err(failure) if failure.code == "invalid" && is_scheduled => met.broken.push((job.clone(), failure.problems.clone())),
            Err(failure) if failure.code == "invalid" => {
                met.tried.insert(job.clone());
            }
            Err(failure) if failure.code == "unknown_job" && is_scheduled => met.gone.push(job.clone()),
            Err(_) => {}
        }
    }
    met
}

/// How much is said of letters: without a terminal and where nothing failed nobody looks.
fn talk(context: &Context, is_quiet: bool, results: &[JobResult]) -> Talk {
    let has_failed = results.iter().any(|result| result.exit_code() != exit_code::DONE);
    match (is_quiet, context.verbose) {
        (true, _) if context.quiet || !has_failed => Talk::Silent,
        (true, _) => Talk::Mail,
        (false, 1..) => Talk::Verbose,
        _ => Talk::Plain,
    }
}

/// Prints the results; a single job that did not begin is the command's own failure. What nobody looks at is told only where it failed.
fn finish(mut results: Vec<JobResult>, format: Format, is_silent: bool, statements: Statements) -> Result<u8, Failure> {
    let codes: Vec<u8> = results.iter().map(JobResult::exit_code).collect();
    if results.len() == 1 && results[0].run.is_err() {
        let JobResult { run, .. } = results.remove(0);
        let Err(failure) = run else { return Err(Failure::internal("a result changed while it was read")) };
        if format == Format::Json {
            return Err(failure);
        }
        return Ok(failure.exit_code);
    }
    if !(is_silent && format == Format::Table) {
        run_result::print(&results, format, statements);
    }
    Ok(engine::common_exit_code(&codes))
}

/// Tells people what failed: a scheduler's mail is one block that stands for itself.
fn tell(result: &JobResult, mail: Option<&Whereabouts<'_>>) {
    match (mail, &result.run) {
        (None, _) => run_result::tell_failures(result),
        (Some(place), Ok(report)) if report.exit_code != exit_code::DONE => output::note(&failure_block::of_run(report, place)),
        (Some(_), Ok(_)) => {}
        (Some(place), Err(failure)) => output::note(&failure_block::of_failure(failure, Some(&result.job), Some(place))),
    }
}

/// How a command that runs jobs speaks.
#[derive(Debug, Clone, Copy)]
struct Voice<'a> {
    /// Lines that were asked for on standard error.
    lines: Option<LogFormat>,
    /// A scheduler called: nothing but what failed.
    is_silent: bool,
    is_quiet: bool,
    log: Option<&'a LogFile>,
}

/// Runs a job; `None` where the gate finds at last that nothing is due.
fn run_one(
    workspace: &Workspace,
    name: &str,
    options: &RunOptions,
    stop: &Stop,
    progress: &mut Progress<'_>,
    is_quiet: bool,
) -> Result<Option<RunReport>, Failure> {
    let (workspace, job) = worker::job(workspace, name).inspect_err(|failure| progress.refused(failure))?;
    progress.hide(workspace.masker.clone());
    if !job.warnings.is_empty() && !is_quiet {
        errors::tell(&job.warnings);
    }
    let run = engine::run_job(&workspace, &job, options, stop, progress);
    progress.finish();
    match run {
        Ok(mut report) => {
            masked::report(&mut report, &workspace.masker);
            progress.ended(&report);
            Ok(Some(report))
        }
        Err(Refusal::NotDue) => Ok(None),
        Err(refusal @ Refusal::NothingFailed { .. }) => {
            if !is_quiet {
                output::note(&refusal.to_string());
            }
            Ok(None)
        }
        Err(refusal) => {
            let failure = masked::failure(Failure::from(refusal), &workspace.masker);
            progress.refused(&failure);
            Err(failure)
        }
    }
}
