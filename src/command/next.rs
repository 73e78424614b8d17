//! `etlsched next`.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::list::note_broken;
use super::{Context, stored, when};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Job, Severity};
use crate::output::next::{self as view, JobSlots};
use crate::output::{self, Format};
use crate::schedule::Slot;
use crate::state::{JobRecord, Store};
use crate::zone::database;

/// How many slots of a job are shown.
const SLOTS_SHOWN: usize = 5;

/// The most slots of a job.
const SLOTS_MAX: u64 = 10_000;

/// Show when jobs are due next, in their zones, in yours and in UTC
///
/// Slots are what the schedule says; those of a job that is inactive, paused or in error are not started.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched next\n  etlsched next sales -n 3\n  etlsched next sales --from 2026-10-24 --until 2026-10-27"
)]
pub struct Next {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// How many slots of each job (default: 5; with --until: all)
    #[arg(short = 'n', long = "number", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=SLOTS_MAX))]
    pub number: Option<u64>,
    /// From then on (RFC 3339, a date, a date and time in your zone, or a span such as 2h from now; default: now)
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl Next {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs: names, number, from, until } = self;
        let workspace = context.workspace()?;
        let now = context.slot_clock().now();
        let time = |text: Option<String>, flag| text.map(|text| when::any(&text, flag, workspace.timezone, now)).transpose();
        let (from, until) = (time(from, "--from")?, time(until, "--until")?);
        let (jobs, problems) = if names.is_empty() {
            workspace.jobs()
        } else {
            (names.iter().map(|name| stored::job(&workspace, name)).collect::<Result<Vec<Job>, Failure>>()?, Vec::new())
        };
        if jobs.is_empty() && problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Failure::invalid(problems));
        }
        let records = stored::open_existing(&workspace)?.as_mut().map(Store::jobs).transpose()?.unwrap_or_default();
        let count = number.map_or(if until.is_some() { SLOTS_MAX as usize } else { SLOTS_SHOWN }, |number| number as usize);
        let job_slots = |job: &Job| {
            // One more than is shown: whether there are more.
            let mut slots = slots(job, from, until, now, count + 1);
            let has_more = slots.len() > count;
            slots.truncate(count);
            let status = stored::status(job, record_of(&records, job), now).as_str();
            JobSlots { id: job.id.to_string(), zone: job.timezone, status, slots, has_more }
        };
        let shown: Vec<JobSlots> = jobs.iter().map(job_slots).collect();
        let zones = || jobs.iter().map(|job| job.timezone);
        match context.output {
            Format::Json => output::json::print(&view::json(&shown, database::in_use(), &database::lacking(zones()))),
            Format::Csv => output::print(&view::csv(&shown).csv()),
            Format::Table if shown.is_empty() => output::note("no jobs"),
            Format::Table => output::print(&view::text(&shown, workspace.timezone, &database::describe(zones()))),
        }
        note_broken(&problems);
        Ok(exit_code::DONE)
    }
}

fn record_of<'a>(records: &'a [JobRecord], job: &Job) -> Option<&'a JobRecord> {
    records.iter().find(|record| record.id == job.id.as_str())
}

/// Returns the slots from `from` (counted in), else those after now, before `until`.
fn slots(job: &Job, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>, now: DateTime<Utc>, count: usize) -> Vec<Slot> {
    let after = from.map_or(now, |from| from - TimeDelta::seconds(1));
    let is_wanted = |slot: &Slot| from.is_none_or(|from| slot.at >= from);
    let slots = match until {
        None => job.schedule.next(job.timezone, after, count),
        Some(until) => job.schedule.between(job.timezone, after + TimeDelta::seconds(1), until),
    };
    slots.into_iter().filter(is_wanted).take(count).collect()
}
