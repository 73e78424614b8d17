//! What `stats` shows of a job and of a source, for scripts too: figures made of what the run log counts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::measure::utc;
use super::table::{Align, Rows};
use crate::run::{RunStatus, SourceStatus, Spread};
use crate::state::{ErrorTally, RunTally, SourceTally, Timing};
use crate::text::percent;

/// How many runs ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// Every source was refreshed.
    pub success: u64,
    /// At least one was not.
    pub failed: u64,
    /// Of the failed ones, those that refreshed some of their sources.
    pub partly: u64,
    /// Ended by their time limit.
    pub timeout: u64,
    /// Their processes were killed.
    pub interrupted: u64,
    /// Stopped by somebody.
    pub cancelled: u64,
    /// Not ended.
    pub open: u64,
}

impl Ends {
    /// Returns how many count for the rate of success: neither those that somebody stopped nor those that are under way.
    pub fn counted(&self) -> u64 {
        self.success + self.failed + self.timeout + self.interrupted
    }
}

/// The figures of a job in a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobStats {
    /// The job.
    pub id: String,
    /// Whether its file is gone.
    pub is_gone: bool,
    /// How its runs ended.
    pub ends: Ends,
    /// How long its successes took.
    pub spread: Option<Spread>,
    /// The same one by one, the oldest first.
    pub durations: Vec<f64>,
    /// Rows taken from its sources.
    pub rows: u64,
    /// Rows kept aside.
    pub rejected: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Bytes taken from its sources.
    pub bytes_read: u64,
    /// The most memory that a run held, in MiB.
    pub peak_memory_mb: Option<f64>,
    /// Runs in a row that have failed until now.
    pub failing: u64,
    /// When its last run began.
    pub last_started_at: Option<DateTime<Utc>>,
    /// The span before, where it had runs then.
    pub before: Option<Before>,
}

/// The figures of a job in the span before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Before {
    /// Runs that count for the rate of success.
    pub counted: u64,
    /// Of a hundred of them, how many succeeded.
    pub success_rate: Option<f64>,
    /// How long successes took.
    pub spread: Option<Spread>,
    /// Rows of a run.
    pub rows_per_run: Option<f64>,
}

/// A change below this is no news: durations vary.
const SLOWER: f64 = 1.5;

/// Runs of fewer rows than this part of those before are told.
const FEWER_ROWS: f64 = 0.5;

/// So many runs a span must have to be compared.
const RUNS_COMPARED_MIN: u64 = 5;

impl JobStats {
    /// Returns how many runs there were.
    pub fn runs(&self) -> u64 {
        self.ends.counted() + self.ends.cancelled + self.ends.open
    }

    /// Returns of a hundred runs that count how many succeeded.
    pub fn success_rate(&self) -> Option<f64> {
        percent(self.ends.success, self.ends.counted())
    }

    /// Returns the rows of a run that counts.
    pub fn rows_per_run(&self) -> Option<f64> {
        (self.ends.counted() > 0).then(|| self.rows as f64 / self.ends.counted() as f64)
    }

    /// Returns by which factor half of the successes took longer than in the span before.
    pub fn duration_change(&self) -> Option<f64> {
        let (now, before) = (self.spread?.p50, self.before?.spread?.p50);
        (before > 0.0).then(|| now / before)
    }

    /// Returns the job as tables name it.
    pub fn named(&self) -> String {
        if self.is_gone { format!("{} (no file)", self.id) } else { self.id.clone() }
    }

    /// Returns what somebody should look at.
    pub fn attention(&self) -> Vec<String> {
        let mut found = Vec::new();
        match self.failing {
            0 => {}
            1 => found.push("failing".to_owned()),
            runs => found.push(format!("failing: {runs} in a row")),
        }
        if self.failing == 0 && self.success_rate() == Some(0.0) {
            found.push("no success".to_owned());
        }
        if self.ends.interrupted > 0 {
            found.push(format!("{} interrupted", self.ends.interrupted));
        }
        if let Some(ratio) = self.slower() {
            found.push(format!("slower: {ratio:.1} times"));
        }
        if self.has_fewer_rows() {
            found.push("fewer rows".to_owned());
        }
        found
    }

    fn is_comparable(&self) -> bool {
        self.ends.counted() >= RUNS_COMPARED_MIN && self.before.is_some_and(|before| before.counted >= RUNS_COMPARED_MIN)
    }

    /// A second more or less is no news either.
    fn slower(&self) -> Option<f64> {
        let by = self.spread?.p50 - self.before?.spread?.p50;
        self.duration_change().filter(|ratio| *ratio >= SLOWER && by >= 1.0 && self.is_comparable())
    }

    fn has_fewer_rows(&self) -> bool {
        let before = self.before.and_then(|before| before.rows_per_run).filter(|before| *before > 0.0);
        self.is_comparable() && self.rows_per_run().zip(before).is_some_and(|(now, before)| now < before * FEWER_ROWS)
    }

    /// Orders jobs: those that fail now, then by their rate of failure, then those that became slower, then by name.
    fn rank(&self) -> (std::cmp::Reverse<u64>, u64, std::cmp::Reverse<u64>, &str) {
        let good = self.success_rate().map_or(1000, |rate| (rate * 10.0) as u64);
        let slower = self.slower().map_or(0, |ratio| (ratio * 100.0) as u64);
        (std::cmp::Reverse(self.failing), good, std::cmp::Reverse(slower), &self.id)
    }

    fn add(&mut self, tally: &RunTally) {
        let RunTally { status, is_interrupted, runs, partly, rows, rejected, retries, bytes_read, peak_memory_mb, last_started_at, .. } =
            tally;
        let ends = &mut self.ends;
        match status {
            RunStatus::Failed if *is_interrupted => ends.interrupted += runs,
            RunStatus::Failed => {
                ends.failed += runs;
                ends.partly += partly;
            }
            RunStatus::Success => ends.success += runs,
            RunStatus::Timeout => ends.timeout += runs,
            RunStatus::Cancelled => ends.cancelled += runs,
            RunStatus::Started | RunStatus::Running => ends.open += runs,
        }
        self.rows += rows;
        self.rejected += rejected;
        self.retries += retries;
        self.bytes_read += bytes_read;
        self.peak_memory_mb = greatest(self.peak_memory_mb, *peak_memory_mb);
        self.last_started_at = self.last_started_at.max(Some(*last_started_at));
    }
}

fn greatest(left: Option<f64>, right: Option<f64>) -> Option<f64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.max(right)),
        (left, right) => left.or(right),
    }
}

/// How long the successes of each job took, the oldest first.
pub type Durations = BTreeMap<String, Vec<f64>>;

/// Returns the figures of jobs by what the log counts.
fn gather(tallies: &[RunTally], mut durations: Durations) -> BTreeMap<String, JobStats> {
    let mut jobs: BTreeMap<String, JobStats> = BTreeMap::new();
    for tally in tallies {
        jobs.entry(tally.job.clone()).or_insert_with(|| JobStats { id: tally.job.clone(), ..JobStats::default() }).add(tally);
    }
    for job in jobs.values_mut() {
        job.durations = durations.remove(&job.id).unwrap_or_default();
        job.spread = Spread::of(job.durations.iter().copied());
    }
    jobs
}

/// Returns the figures of jobs in a span and the one before, what needs attention first. `failing` knows how many runs in a row of a
/// job have failed until now.
pub fn jobs(now: (&[RunTally], Durations), before: (&[RunTally], Durations), failing: &dyn Fn(&str) -> u64) -> Vec<JobStats> {
    let earlier = gather(before.0, before.1);
    let mut jobs: Vec<JobStats> = gather(now.0, now.1).into_values().collect();
    for job in &mut jobs {
        job.failing = failing(&job.id);
        job.before = earlier.get(&job.id).map(|before| Before {
            counted: before.ends.counted(),
            success_rate: before.success_rate(),
            spread: before.spread,
            rows_per_run: before.rows_per_run(),
        });
    }
    jobs.sort_by(|left, right| left.rank().cmp(&right.rank()));
    jobs
}

/// The figures of a source in a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceStats {
    /// Its name.
    pub name: String,
    /// How often it was refreshed.
    pub success: u64,
    /// How often it failed or ran out of time.
    pub failed: u64,
    /// How often it was cancelled.
    pub cancelled: u64,
    /// How often it was not attempted.
    pub skipped: u64,
    /// How long it took where it was refreshed.
    pub spread: Option<Spread>,
    /// The run in which it took longest.
    pub slowest_run: Option<String>,
    /// Rows taken from it.
    pub rows: u64,
    /// Rows kept aside.
    pub rejected: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// The most memory that its worker held, in MiB.
    pub peak_memory_mb: Option<f64>,
}

impl SourceStats {
    /// Returns how often it was attempted.
    pub fn attempted(&self) -> u64 {
        self.success + self.failed + self.cancelled
    }

    /// Returns of a hundred attempts that came to their own end how many succeeded.
    pub fn success_rate(&self) -> Option<f64> {
        percent(self.success, self.success + self.failed)
    }

    fn add(&mut self, tally: &SourceTally) {
        match tally.status {
            SourceStatus::Success => self.success += tally.runs,
            SourceStatus::Failed | SourceStatus::Timeout => self.failed += tally.runs,
            SourceStatus::Cancelled => self.cancelled += tally.runs,
            SourceStatus::Skipped => self.skipped += tally.runs,
            SourceStatus::Waiting | SourceStatus::Running => {}
        }
        self.rows += tally.rows;
        self.rejected += tally.rejected;
        self.retries += tally.retries;
        self.peak_memory_mb = greatest(self.peak_memory_mb, tally.peak_memory_mb);
    }
}

/// Returns the figures of a job's sources: those that failed most often first, then the slowest.
pub fn sources(tallies: &[SourceTally], timings: &[Timing]) -> Vec<SourceStats> {
    let mut found: BTreeMap<&str, SourceStats> = BTreeMap::new();
    for tally in tallies {
        let fresh = || SourceStats { name: tally.source.clone(), ..SourceStats::default() };
        found.entry(&tally.source).or_insert_with(fresh).add(tally);
    }
    let mut found: Vec<SourceStats> = found.into_values().collect();
    for source in &mut found {
        let own = || timings.iter().filter(|timing| timing.of == source.name);
        source.spread = Spread::of(own().map(|timing| timing.seconds));
        source.slowest_run = own().max_by(|left, right| left.seconds.total_cmp(&right.seconds)).map(|timing| timing.run_id.clone());
    }
    let slow = |source: &SourceStats| source.spread.map_or(0.0, |spread| spread.p50);
    found.sort_by(|left, right| right.failed.cmp(&left.failed).then(slow(right).total_cmp(&slow(left))));
    found
}

/// Returns jobs as rows for scripts.
pub fn csv(jobs: &[JobStats]) -> Rows {
    let names = ["job", "runs", "success", "failed", "partly_failed", "timeout", "interrupted", "cancelled", "running", "success_rate"];
    let more = ["duration_p50", "duration_p95", "duration_max", "duration_p50_before", "success_rate_before", "total_records_processed"];
    let rest = ["total_records_rejected", "retry_count", "bytes_read", "peak_memory_usage_mb", "failing", "attention"];
    let mut rows = Rows::new(names.into_iter().chain(more).chain(rest).map(|name| (name, Align::Left)));
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    for job in jobs {
        let Ends { success, failed, partly, timeout, interrupted, cancelled, open } = job.ends;
        let mut row = vec![job.id.clone()];
        row.extend([job.runs(), success, failed, partly, timeout, interrupted, cancelled, open].map(|count| count.to_string()));
        let spread = job.spread;
        row.extend([
            number(job.success_rate()),
            number(spread.map(|spread| spread.p50)),
            number(spread.map(|spread| spread.p95)),
            number(spread.map(|spread| spread.max)),
            number(job.before.and_then(|before| before.spread).map(|spread| spread.p50)),
            number(job.before.and_then(|before| before.success_rate)),
        ]);
        row.extend([job.rows, job.rejected, job.retries, job.bytes_read].map(|count| count.to_string()));
        row.extend([number(job.peak_memory_mb), job.failing.to_string(), job.attention().join("; ")]);
        rows.push(row);
    }
    rows
}

/// Returns a job as an object.
pub fn object(job: &JobStats) -> Value {
    let Ends { success, failed, partly, timeout, interrupted, cancelled, open } = job.ends;
    let before = job.before.map(|before| {
        json!({
            "runs_counted": before.counted,
            "success_rate": before.success_rate,
            "duration": before.spread.map(spread_object),
            "records_per_run": before.rows_per_run,
        })
    });
    json!({
        "id": job.id,
        "runs": job.runs(),
        "success": success,
        "failed": failed,
        "partly_failed": partly,
        "timeout": timeout,
        "interrupted": interrupted,
        "cancelled": cancelled,
        "running": open,
        "success_rate": job.success_rate(),
        "duration": job.spread.map(spread_object),
        "durations": job.durations,
        "total_records_processed": job.rows,
        "total_records_rejected": job.rejected,
        "records_per_run": job.rows_per_run(),
        "retry_count": job.retries,
        "bytes_read": job.bytes_read,
        "peak_memory_usage_mb": job.peak_memory_mb,
        "consecutive_failures": job.failing,
        "last_started_at": job.last_started_at.map(utc),
        "before": before,
        "attention": job.attention(),
    })
}

fn spread_object(spread: Spread) -> Value {
    json!({"p50": spread.p50, "p95": spread.p95, "max": spread.max})
}

/// Returns a source as an object, with its errors.
pub fn source_object(source: &SourceStats, errors: &[ErrorTally]) -> Value {
    let own = errors.iter().filter(|error| error.source == source.name);
    let errors: Vec<Value> =
        own.map(|error| json!({"code": error.code, "runs": error.runs, "last_started_at": utc(error.last_started_at)})).collect();
    json!({
        "name": source.name,
        "attempted": source.attempted(),
        "success": source.success,
        "failed": source.failed,
        "cancelled": source.cancelled,
        "skipped": source.skipped,
        "success_rate": source.success_rate(),
        "duration": source.spread.map(spread_object),
        "slowest_run": source.slowest_run,
        "records_processed": source.rows,
        "records_rejected": source.rejected,
        "retry_count": source.retries,
        "peak_memory_usage_mb": source.peak_memory_mb,
        "errors": errors,
    })
}
