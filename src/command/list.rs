//! `etlsched list`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use super::{Context, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Job, Problem, Severity};
use crate::output::{self, Format, list};
use crate::process;
use crate::state::{JobRecord, JobStatus};
use crate::text::{count, nearest, printable};
use crate::workspace::{FILE, Workspace};

/// List the jobs with their schedules and last runs
///
/// Jobs whose files have errors are left out; each is named on standard error. Exit 4 if that leaves none.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched list --status error\n  etlsched list --tag sales --output json")]
pub struct List {
    /// Only jobs of this status: active, inactive, error or paused
    #[arg(long)]
    pub status: Option<String>,
    /// Only jobs with this tag
    #[arg(long)]
    pub tag: Option<String>,
}

impl List {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { status, tag } = self;
        let status = status.as_deref().map(parse_status).transpose()?;
        let workspace = context.workspace()?;
        let (mut jobs, problems) = workspace.jobs();
        if jobs.is_empty() && problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Failure::invalid(problems));
        }
        jobs.retain(|job| tag.as_ref().is_none_or(|tag| job.tags.contains(tag)));
        let lines = lines(&workspace, &jobs, status, context.slot_clock().now())?;
        match context.output {
            Format::Json => output::json::print(&list::json(&lines)),
            Format::Csv => output::print(&list::csv(&lines).csv()),
            Format::Table if lines.is_empty() => output::note("no jobs"),
            Format::Table => output::print(&list::table(&lines, workspace.timezone).leaving_rest_to("-o csv").text()),
        }
        note_broken(&problems);
        Ok(exit_code::DONE)
    }
}

fn parse_status(word: &str) -> Result<JobStatus, Failure> {
    JobStatus::parse(word).ok_or_else(|| {
        let words = JobStatus::ALL.map(JobStatus::as_str);
        let failure = Failure::usage(format!("--status {word:?} is no status of a job: {}", words.join(", ")));
        match nearest(word, words) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure,
        }
    })
}

fn lines(workspace: &Workspace, jobs: &[Job], wanted: Option<JobStatus>, slot_now: DateTime<Utc>) -> Result<Vec<list::JobLine>, Failure> {
    let (records, dead) = match stored::open_existing(workspace)? {
        Some(mut store) => (store.jobs()?, store.dead_run_ids(&stored::moment(), &process::liveness)?),
        None => (Vec::new(), Vec::new()),
    };
    let records: BTreeMap<&str, &JobRecord> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    let mut lines = Vec::with_capacity(jobs.len());
    for job in jobs {
        let record = records.get(job.id.as_str()).copied();
        let status = stored::status(job, record, slot_now);
        if wanted.is_none_or(|wanted| wanted == status) {
            let next_run = stored::next_slots(job, status, record, slot_now, 1).first().map(|slot| slot.at);
            lines.push(list::JobLine { next_run, ..line(workspace, job, status, record, &dead) });
        }
    }
    Ok(lines)
}

fn line(workspace: &Workspace, job: &Job, status: JobStatus, record: Option<&JobRecord>, dead: &[String]) -> list::JobLine {
    let last_run = record.and_then(|record| record.last_run.as_ref()).map(|run| {
        let word = if dead.contains(&run.id) { "interrupted" } else { run.status.as_str() };
        (run.at, word)
    });
    let masker = workspace.masker_for(job);
    list::JobLine {
        id: job.id.as_str().to_owned(),
        name: masker.mask(&job.name),
        description: masker.mask(&job.description),
        schedule_type: job.schedule.word(),
        schedule: job.schedule.describe(),
        timezone: job.timezone.name().to_owned(),
        status: status.as_str(),
        last_run,
        next_run: None,
        success_rate: record.and_then(JobRecord::success_rate),
        consecutive_failures: record.map_or(0, |record| record.consecutive_failures),
        sources_count: job.sources.len(),
    }
}

/// Names each file that is left out, in a line each.
pub(super) fn note_broken(problems: &[Problem]) {
    // A setting that is wrong is met by every job.
    let mut files: BTreeMap<&PathBuf, BTreeSet<(usize, usize, &str)>> = BTreeMap::new();
    for problem in problems.iter().filter(|problem| problem.severity == Severity::Error) {
        files.entry(&problem.file).or_default().insert((problem.line, problem.column, &problem.message));
    }
    for (file, errors) in files {
        let errors = count(errors.len() as u64, "error");
        let what = if file.file_name().is_some_and(|name| name == FILE) { "jobs are left out, it has" } else { "left out, its file has" };
        let file = file.display().to_string();
        output::note_fitted(&format!("warning: {}: {what} {errors}; see: etlsched validate", printable(&file)));
    }
}
