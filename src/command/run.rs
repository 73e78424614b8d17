//! `etlsched run`.

use std::time::Duration;

use clap::Args;

use super::{Context, worker};
use crate::engine::{self, RunOptions, RunReport};
use crate::error::Failure;
use crate::output::progress::{LogFormat, Progress};
use crate::output::run_result::{self, JobResult};
use crate::output::{self, Format, errors, masked};
use crate::plan::DryRun;
use crate::process::{Stop, watch_signals};
use crate::run::Trigger;
use crate::workspace::Workspace;

/// Run jobs now
///
/// Several jobs run one after another; a file with errors stops only its job. The exit code is the jobs' common one, else 3.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched run flights\n  etlsched run flights --source weather --full-refresh\n  etlsched run flights --dry-run --limit 1000"
)]
pub struct Run {
    /// The jobs, run one after another
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Only this source (repeatable)
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Load everything anew, whatever the mode, and set the cursor
    #[arg(long)]
    pub full_refresh: bool,
    /// Run although the job is inactive or paused
    #[arg(long)]
    pub force: bool,
    /// Tell nobody
    #[arg(long)]
    pub no_notify: bool,
    /// Read, type and check rows; write nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: read at most N rows of each stream
    #[arg(long, value_name = "N", requires = "dry_run")]
    pub limit: Option<u64>,
    /// Write log lines in this format, at a terminal too (default: bars at a terminal, text away from one)
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
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
        // Nobody is told by this version whether or not --no-notify is given.
        let Self { jobs, source, full_refresh, force, no_notify: _, dry_run, limit, log_format, timeout_seconds } = self;
        let workspace = context.workspace()?;
        if !workspace.warnings.is_empty() && !context.quiet {
            output::note(&errors::problems(&workspace.warnings));
        }
        let stop = Stop::new();
        watch_signals(&stop).map_err(|error| Failure::internal(format!("signals can't be heard: {error}")))?;
        let options = RunOptions {
            trigger: if std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false") {
                Trigger::Ci
            } else {
                Trigger::Manual
            },
            sources: source,
            is_full_refresh: full_refresh,
            is_forced: force,
            dry_run: dry_run.then_some(DryRun { limit }),
            timeout: timeout_seconds.map(Duration::from_secs),
            ..RunOptions::new(worker::program()?)
        };
        let mut results = Vec::new();
        for typed in &jobs {
            let name = &super::job_id(&workspace, typed).map_or_else(|_| typed.clone(), |id| id.as_str().to_owned());
            if stop.requested().is_some() {
                break;
            }
            let mut progress = Progress::new(name, context.quiet, context.verbose, log_format, dry_run);
            let run = run_one(&workspace, name, &options, &stop, &mut progress, context.quiet);
            results.push(JobResult { job: name.clone(), run });
            if context.output != Format::Json || jobs.len() > 1 {
                tell(&results[results.len() - 1]);
            }
        }
        finish(results, context.output)
    }
}

/// Prints the results; a single job that did not begin is the command's own failure.
fn finish(mut results: Vec<JobResult>, format: Format) -> Result<u8, Failure> {
    let codes: Vec<u8> = results.iter().map(JobResult::exit_code).collect();
    if results.len() == 1 && results[0].run.is_err() {
        let JobResult { run, .. } = results.remove(0);
        let Err(failure) = run else { return Err(Failure::internal("a result changed while it was read")) };
        if format == Format::Json {
            return Err(failure);
        }
        return Ok(failure.exit_code);
    }
    run_result::print(&results, format);
    Ok(engine::common_exit_code(&codes))
}

fn tell(result: &JobResult) {
    run_result::tell_failures(result);
}

fn run_one(
    workspace: &Workspace,
    name: &str,
    options: &RunOptions,
    stop: &Stop,
    progress: &mut Progress,
    is_quiet: bool,
) -> Result<RunReport, Failure> {
    let (workspace, job) = worker::job(workspace, name)?;
    progress.hide(workspace.masker.clone());
    if !job.warnings.is_empty() && !is_quiet {
        output::note(&errors::problems(&job.warnings));
    }
    let run = engine::run_job(&workspace, &job, options, stop, progress);
    progress.finish();
    match run {
        Ok(mut report) => {
            masked::report(&mut report, &workspace.masker);
            Ok(report)
        }
        Err(refusal) => Err(masked::failure(Failure::from(refusal), &workspace.masker)),
    }
}
