//! `etlsched cancel`.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::{Context, logs, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::job::JobId;
use crate::output::logs::short_id;
use crate::output::table::{Align, Rows};
use crate::output::{self, Format};
use crate::process;
use crate::run::RunStatus;
use crate::state::{Found, RunRecord, Store};
use crate::workspace::Workspace;

/// How long the command waits for the run's end. A run looks for the flag every 2 s, and its workers have 8 s to roll back.
const WAIT: Duration = Duration::from_secs(15);

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Stop a run
///
/// The run's process, on this or another host, stops reading, rolls back and ends as cancelled. What it published stays.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched cancel sales\n  etlsched cancel 019ab3f2-1c2d")]
pub struct Cancel {
    /// A job, or a run's id or the beginning of it
    #[arg(value_name = "JOB|RUN")]
    pub job_or_run: String,
}

impl Cancel {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job_or_run } = self;
        let workspace = context.workspace()?;
        let mut store = match stored::open_existing(&workspace)? {
            Some(store) => store,
            None if stored::has_file(&workspace, &job_or_run) => return Err(nothing_runs(&job_or_run)),
            None => return Err(stored::unknown(&job_or_run, workspace.nearest(&job_or_run))),
        };
        let run = find(&workspace, &mut store, &job_or_run)?;
        let by = stored::actor();
        if let Some(record) = store.job(&run.job)? {
            stored::check_permitted(&workspace, &record, &by)?;
        }
        if is_dead(&mut store, &run)? {
            return Err(interrupted(&run));
        }
        if !store.request_cancel(&run.id, &by, stored::moment().at)? {
            return Err(nothing_runs(&run.job));
        }
        if context.output == Format::Table && !context.quiet {
            output::note(&format!("asked run {} of {} on {} to stop", short_id(&run.id), run.job, run.host));
        }
        let run = wait(&mut store, run)?;
        print(context, &run);
        Ok(exit_code::DONE)
    }
}

fn nothing_runs(job: &str) -> Failure {
    Failure::new(exit_code::FAILED, "not_running", format!("no run of {job} goes on")).hint("see what runs with: etlsched status")
}

fn interrupted(run: &RunRecord) -> Failure {
    let message = format!("run {} of {}: its process ended without closing it; there is nothing to stop", run.id, run.job);
    Failure::new(exit_code::FAILED, "not_running", message).hint("the next run of the job settles it")
}

fn is_dead(store: &mut Store, run: &RunRecord) -> Result<bool, Failure> {
    Ok(store.dead_run_ids(&stored::moment(), &process::liveness)?.contains(&run.id))
}

/// Returns the open run of a job, or the run with an id that begins so. A job's name wins.
fn find(workspace: &Workspace, store: &mut Store, job_or_run: &str) -> Result<RunRecord, Failure> {
    let is_job = store.job(job_or_run)?.is_some() || stored::has_file(workspace, job_or_run);
    if is_job {
        let open = store.open_runs()?.into_iter().find(|run| run.job == job_or_run);
        return open.ok_or_else(|| nothing_runs(job_or_run));
    }
    match store.run(job_or_run)? {
        Found::One(detail) if detail.run.status.is_open() => Ok(detail.run),
        Found::One(detail) => {
            let message = format!("run {} of {} has ended: {}", detail.run.id, detail.run.job, detail.run.status);
            Err(Failure::new(exit_code::FAILED, "not_running", message))
        }
        Found::Several(ids) => Err(logs::several(job_or_run, &ids)),
        Found::None if JobId::parse(job_or_run).is_ok() => Err(stored::unknown(job_or_run, workspace.nearest(job_or_run))),
        Found::None => Err(Failure::usage(format!("{job_or_run:?} is neither a job nor the beginning of a run's id"))),
    }
}

/// Waits for the run's end, or that its process is gone; returns the run as it is then.
fn wait(store: &mut Store, run: RunRecord) -> Result<RunRecord, Failure> {
    let began = Instant::now();
    loop {
        let Found::One(detail) = store.run(&run.id)? else { return Ok(run) };
        if !detail.run.status.is_open() || began.elapsed() > WAIT {
            return Ok(detail.run);
        }
        if is_dead(store, &run)? {
            return Err(interrupted(&run));
        }
        std::thread::sleep(INTERVAL);
    }
}

fn print(context: &Context, run: &RunRecord) {
    match context.output {
        Format::Json => {
            let run = json!({"id": run.id, "job": run.job, "status": run.status, "is_ended": !run.status.is_open()});
            output::json::print(&json!({"success": true, "run": run}));
        }
        Format::Csv => {
            let mut rows = Rows::new(["id", "job", "status"].map(|name| (name, Align::Left)));
            rows.push(vec![run.id.clone(), run.job.clone(), run.status.as_str().to_owned()]);
            output::print(&rows.csv());
        }
        Format::Table => output::print(&sentence(run)),
    }
}

fn sentence(run: &RunRecord) -> String {
    let what = format!("run {} of {}", short_id(&run.id), run.job);
    match run.status {
        RunStatus::Started | RunStatus::Running => format!("{what} has not ended yet; it stops as soon as it can"),
        RunStatus::Cancelled => format!("{what} is cancelled"),
        ended => format!("{what} had come to its end before it could stop: {ended}"),
    }
}
