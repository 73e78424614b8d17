//! `etlsched plan`.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::list::note_broken;
use super::{Context, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::job::Job;
use crate::output::plan::{self as view, Change, Plan as Shown, PlannedJob};
use crate::output::{self, Format};
use crate::run::RunStatus;
use crate::schedule::Schedule;
use crate::schedule::forecast::{self, Expected};
use crate::state::{JobRecord, JobStatus, RunFilter, Store};
use crate::workspace::Workspace;

/// How many of the last good runs of a job tell how long the next one takes.
const RUNS_LOOKED_AT: u64 = 20;
/// What is reckoned with where no run has succeeded yet.
const UNKNOWN_DURATION: TimeDelta = TimeDelta::minutes(1);

/// Foretell the load, name the jobs that will run at once, and propose a stagger
///
/// Every active job's slots count, each with the median time of its last 20 good runs. The stagger changes `minute` values only; nothing is
/// written.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched plan\n  etlsched plan --hours 168 --output json")]
pub struct Plan {
    /// How many hours to look ahead, at most 744
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=744))]
    pub hours: u16,
}

impl Plan {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let workspace = context.workspace()?;
        let (jobs, problems) = workspace.jobs();
        let from = context.slot_clock().now();
        let until = from + TimeDelta::hours(self.hours.into());
        let mut store = stored::open_existing(&workspace)?;
        let records = store.as_mut().map(Store::jobs).transpose()?.unwrap_or_default();
        let jobs = active(&jobs, &records, from);
        let shown = plan(&workspace, &jobs, store.as_mut(), from, until)?;
        match context.output {
            Format::Json => output::json::print(&view::json(&shown)),
            Format::Csv => output::print(&view::csv(&shown).csv()),
            Format::Table if jobs.is_empty() => output::note("no active job has a schedule"),
            Format::Table => output::print(&view::text(&shown, workspace.timezone)),
        }
        note_broken(&problems);
        Ok(exit_code::DONE)
    }
}

fn active<'a>(jobs: &'a [Job], records: &[JobRecord], now: DateTime<Utc>) -> Vec<&'a Job> {
    let records: BTreeMap<&str, &JobRecord> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    let is_active = |job: &&Job| stored::status(job, records.get(job.id.as_str()).copied(), now) == JobStatus::Active;
    jobs.iter().filter(is_active).filter(|job| job.schedule != Schedule::Manual).collect()
}

fn plan(
    workspace: &Workspace,
    jobs: &[&Job],
    mut store: Option<&mut Store>,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Shown, Failure> {
    let (mut planned, mut expected) = (Vec::new(), Vec::new());
    for job in jobs {
        let known = store.as_mut().map(|store| durations(store, job.id.as_str())).transpose()?.unwrap_or_default();
        let duration = median(&known).unwrap_or(UNKNOWN_DURATION);
        planned.push(PlannedJob { id: job.id.as_str().to_owned(), runs: known.len() as u64, duration });
        expected.push(Expected { job: job.id.as_str().to_owned(), schedule: job.schedule.clone(), zone: job.timezone, duration });
    }
    let moves = forecast::stagger(&expected, from, until);
    let shared_after = forecast::forecast(&forecast::with_moves(&expected, &moves), from, until).shared;
    let change = |change: &forecast::Move| {
        let job = jobs[change.index];
        Change {
            job: job.id.as_str().to_owned(),
            file: workspace.shown(&job.file).display().to_string(),
            line: job.minute_line,
            from: change.from,
            to: change.to,
        }
    };
    let stagger = moves.iter().map(change).collect();
    Ok(Shown { from, until, jobs: planned, forecast: forecast::forecast(&expected, from, until), stagger, shared_after })
}

fn durations(store: &mut Store, job: &str) -> Result<Vec<f64>, Failure> {
    let filter = RunFilter { job: Some(job.to_owned()), status: Some(RunStatus::Success), ..RunFilter::default() };
    let runs = store.runs(&filter, 1, RUNS_LOOKED_AT)?.runs;
    // A run of some sources says nothing of how long the job takes.
    Ok(runs.iter().filter(|run| run.summary.sources_skipped.is_empty()).filter_map(|run| run.duration_seconds).collect())
}

fn median(seconds: &[f64]) -> Option<TimeDelta> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2)?;
    TimeDelta::try_milliseconds((middle * 1000.0).round() as i64)
}
