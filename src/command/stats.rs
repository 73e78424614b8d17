//! `etlsched stats`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use clap::Args;
use serde_json::json;

use super::{Context, stored, when};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::measure::utc;
use crate::output::spark::Blocks;
use crate::output::stats::{self as view, Period};
use crate::output::stats_data::{self as data, JobStats};
use crate::output::{self, Format, masked};
use crate::secret::Masker;
use crate::state::{StatsFilter, Store};
use crate::workspace::Workspace;
use crate::zone::Zone;

/// The span that is summed up where nobody says another.
const DAYS: i64 = 30;

/// Sum up runs: rates, durations, rows, memory, trend
///
/// All jobs, those that need attention first; or one job with its sources and errors. Rates count runs that succeeded, failed, ran out of
/// time or were interrupted; cancelled ones are counted apart. Durations are those of successes. The trend compares with the span of equal
/// length before.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched stats --since 7d\n  etlsched stats sales --output json")]
pub struct Stats {
    /// Only this job, with its sources
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// Only runs started since then (RFC 3339, a date, or a span such as 2h or 7d; default: 30d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

impl Stats {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, since } = self;
        let workspace = context.workspace()?;
        let until = clock::now();
        let since = match since {
            Some(since) => when::past(&since, "--since", workspace.timezone, until)?,
            None => until - TimeDelta::days(DAYS),
        };
        if since >= until {
            return Err(Failure::usage("--since: this time is to come").hint("name a time that is over, or a span such as 2h or 7d"));
        }
        let period = Period { since, until };
        let mut store = stored::open_existing(&workspace)?;
        if let Some(job) = &job {
            stored::check_known(&workspace, store.as_mut(), job)?;
        }
        let jobs = match &mut store {
            Some(store) => jobs(&workspace, store, job.as_deref(), period)?,
            None => Vec::new(),
        };
        match job {
            Some(job) => {
                let masker = stored::masker_of(&workspace, &job);
                let mut jobs = jobs;
                let stats = jobs.pop().unwrap_or_else(|| JobStats { id: job, ..JobStats::default() });
                print_one(context, &stats, store.as_mut(), period, workspace.timezone, &masker)?;
            }
            None => match context.output {
                Format::Json => {
                    let jobs: Vec<_> = jobs.iter().map(data::object).collect();
                    output::json::print(&json!({"success": true, "since": utc(since), "until": utc(until), "jobs": jobs}));
                }
                Format::Csv => output::print(&data::csv(&jobs).csv()),
                Format::Table if jobs.is_empty() => output::note("no runs"),
                Format::Table => {
                    output::print(&view::table(&jobs, Blocks::of_locale()).leaving_rest_to("-o json").text());
                    if !context.quiet {
                        output::note_fitted(&view::period_line(period, workspace.timezone));
                    }
                }
            },
        }
        Ok(exit_code::DONE)
    }
}

fn jobs(workspace: &Workspace, store: &mut Store, job: Option<&str>, period: Period) -> Result<Vec<JobStats>, Failure> {
    let mut ask = |period: Period| -> Result<_, Failure> {
        let filter = StatsFilter { job: job.map(str::to_owned), since: period.since, until: period.until };
        Ok((store.run_tallies(&filter)?, store.run_timings(&filter)?))
    };
    let (now, before) = (ask(period)?, ask(period.before())?);
    let failing: BTreeMap<String, u64> = store.jobs()?.into_iter().map(|record| (record.id, record.consecutive_failures)).collect();
    let is_gone = |id: &str| !stored::has_file(workspace, id);
    let failing = |id: &str| failing.get(id).copied().filter(|_| !is_gone(id)).unwrap_or(0);
    let mut jobs = data::jobs((&now.0, now.1), (&before.0, before.1), &failing);
    for job in &mut jobs {
        job.is_gone = is_gone(&job.id);
    }
    // Jobs whose file is gone need nobody: they come last.
    jobs.sort_by_key(|job| job.is_gone);
    Ok(jobs)
}

fn print_one(
    context: &Context,
    job: &JobStats,
    store: Option<&mut Store>,
    period: Period,
    zone: Zone,
    masker: &Masker,
) -> Result<(), Failure> {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    if let Some(store) = store {
        let Period { since, until } = period;
        sources = data::sources(&store.source_tallies(&job.id, since, until)?, &store.source_timings(&job.id, since, until)?);
        errors = store.error_tallies(&job.id, since, until)?;
        errors.sort_by(|left, right| right.runs.cmp(&left.runs).then_with(|| left.source.cmp(&right.source)));
    }
    sources.iter_mut().for_each(|source| masked::words(&mut source.name, masker));
    errors.iter_mut().for_each(|error| masked::words(&mut error.source, masker));
    match context.output {
        Format::Json => {
            let mut object = data::object(job);
            object["sources"] = sources.iter().map(|source| data::source_object(source, &errors)).collect::<Vec<_>>().into();
            output::json::print(&json!({"success": true, "since": utc(period.since), "until": utc(period.until), "jobs": [object]}));
        }
        Format::Csv => output::print(&data::csv(std::slice::from_ref(job)).csv()),
        Format::Table => output::print(&view::text(job, &sources, &errors, period, zone, Blocks::of_locale())),
    }
    Ok(())
}
