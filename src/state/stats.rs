//! What the run log amounts to: counts, durations and rows by job, by source and by error, over a span of time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, max, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamp};

use super::connection::{Store, naive};
use super::error::StateError;
use super::schema::{run_sources, run_streams, runs};
use crate::run::{RunStatus, SourceStatus};

/// Which runs are summed up: those begun at or after `since` and before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsFilter {
    /// Of this job; `None` means all.
    pub job: Option<String>,
    /// The beginning of the span.
    pub since: DateTime<Utc>,
    /// Its end.
    pub until: DateTime<Utc>,
}

/// The runs of a job that ended alike.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTally {
    /// The job.
    pub job: String,
    /// How they ended.
    pub status: RunStatus,
    /// Whether their processes ended without closing them.
    pub is_interrupted: bool,
    /// How many they are.
    pub runs: u64,
    /// Of these, how many refreshed some of their sources and not others.
    pub partly: u64,
    /// Rows taken from the sources.
    pub rows: u64,
    /// Rows kept aside.
    pub rejected: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Bytes taken from the sources.
    pub bytes_read: u64,
    /// The most memory that one of them held, in MiB.
    pub peak_memory_mb: Option<f64>,
    /// When the last of them began.
    pub last_started_at: DateTime<Utc>,
}

/// How often a source ended so.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTally {
    /// The source.
    pub source: String,
    /// How it ended.
    pub status: SourceStatus,
    /// How often.
    pub runs: u64,
    /// Rows that were added, updated, left or folded.
    pub rows: u64,
    /// Rows kept aside.
    pub rejected: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// The most memory that its worker held, in MiB.
    pub peak_memory_mb: Option<f64>,
}

/// How often a source failed with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorTally {
    /// The source.
    pub source: String,
    /// The stable word of the error.
    pub code: String,
    /// In how many runs.
    pub runs: u64,
    /// When the last of them began.
    pub last_started_at: DateTime<Utc>,
}

/// How long a source of a run took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The source.
    pub of: String,
    /// The run.
    pub run_id: String,
    /// How long it took.
    pub seconds: f64,
}

type SourceTallyRow = (String, String, i64, i64, i64, i64, Option<f64>);

// SQLite takes the tables of a CROSS JOIN in their order: job by job by `runs_by_job`, which has all that is summed up of successes, and
// grouping by the job alone is no sorting. What didn't succeed is little: the index of statuses leads to it. That index would only lead
// away from the successes, so it is hidden from them.

const OF_JOBS: &str = " FROM jobs j CROSS JOIN runs r WHERE r.job = j.id AND r.status || '' = 'success'";

/// A run of some sources says nothing of how long the job takes; `runs_of_parts` has the few there are.
const OF_ALL_SOURCES: &str = " AND r.id NOT IN (SELECT id FROM runs WHERE data_sources_skipped <> '[]')";

const SUCCESSES: &str = "SELECT j.id, 'success', FALSE, count(*), CAST(0 AS BIGINT), CAST(SUM(r.total_records_processed) AS BIGINT), \
     CAST(SUM(r.total_records_rejected) AS BIGINT), CAST(SUM(r.retry_count) AS BIGINT), CAST(SUM(r.bytes_read) AS BIGINT), \
     max(r.peak_memory_usage_mb), max(r.started_at)";

const OTHERS: &str = "SELECT r.job, r.status, r.is_interrupted, count(*), CAST(SUM(CASE WHEN r.exit_code = 3 THEN 1 ELSE 0 END) AS BIGINT), \
     CAST(SUM(r.total_records_processed) AS BIGINT), CAST(SUM(r.total_records_rejected) AS BIGINT), CAST(SUM(r.retry_count) AS BIGINT), \
     CAST(SUM(r.bytes_read) AS BIGINT), max(r.peak_memory_usage_mb), max(r.started_at) \
     FROM runs r WHERE r.status IN ('failed', 'timeout', 'cancelled', 'started', 'running')";

type TallyTypes = (Text, Text, Bool, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, Nullable<Double>, Timestamp);
type TallyRow = (String, String, bool, i64, i64, i64, i64, i64, i64, Option<f64>, NaiveDateTime);

/// Comes after every job's id, which is ASCII; a server's encoding may have nothing beyond.
const BEHIND_ALL: &str = "\u{7f}";

/// Makes a query over the runs of a filter; `$job` is the column by which those of its job are found.
macro_rules! ask {
    ($types:ty, $select:expr, $job:literal, $filter:expr, $rest:expr) => {{
        let StatsFilter { job, since, until } = $filter;
        // One job or all in the same words.
        let (first, last) = job.as_deref().map_or(("", BEHIND_ALL), |job| (job, job));
        let begun = sql::<$types>($select).sql(" AND r.started_at >= ").bind::<Timestamp, _>(naive(*since));
        let ended = begun.sql(" AND r.started_at < ").bind::<Timestamp, _>(naive(*until));
        let from = ended.sql(concat!(" AND ", $job, " >= ")).bind::<Text, _>(first);
        from.sql(concat!(" AND ", $job, " <= ")).bind::<Text, _>(last).sql(" ").sql($rest)
    }};
}

impl Store {
    /// Returns the runs of a span by job and end, the job's name first. Successes of a job are one.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn run_tallies(&mut self, filter: &StatsFilter) -> Result<Vec<RunTally>, StateError> {
        self.read(|connection| {
            let good = ask!(TallyTypes, &format!("{SUCCESSES}{OF_JOBS}"), "j.id", filter, "GROUP BY j.id");
            let mut rows: Vec<TallyRow> = good.load(connection)?;
            let others = ask!(TallyTypes, OTHERS, "r.job", filter, "GROUP BY r.job, r.status, r.is_interrupted");
            rows.extend(others.load::<TallyRow>(connection)?);
            let mut tallies: Vec<RunTally> = rows.into_iter().map(run_tally).collect();
            tallies.sort_by(|left, right| key(left).cmp(&key(right)));
            Ok(tallies)
        })
    }

    /// Returns how long the successful runs of a span took, by job, the oldest first; not those of some sources alone.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn run_timings(&mut self, filter: &StatsFilter) -> Result<BTreeMap<String, Vec<f64>>, StateError> {
        self.read(|connection| {
            let order = "ORDER BY j.id, r.started_at, r.id";
            let select = format!("SELECT j.id, r.execution_time_seconds{OF_JOBS}{OF_ALL_SOURCES}");
            let took = ask!((Text, Nullable<Double>), &select, "j.id", filter, order);
            let rows: Vec<(String, Option<f64>)> = took.load(connection)?;
            let parts = rows.chunk_by(|left, right| left.0 == right.0);
            Ok(parts.map(|part| (part[0].0.clone(), part.iter().filter_map(|(_, seconds)| *seconds).collect())).collect())
        })
    }

    /// Returns how the sources of a job ended in a span, by name and end.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn source_tallies(&mut self, job: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<SourceTally>, StateError> {
        self.read(|connection| {
            let rows: Vec<SourceTallyRow> = run_sources::table
                .inner_join(runs::table)
                .filter(runs::job.eq(job))
                .filter(runs::started_at.ge(naive(since)))
                .filter(runs::started_at.lt(naive(until)))
                .group_by((run_sources::source, run_sources::status))
                .select((
                    run_sources::source,
                    run_sources::status,
                    count_star(),
                    sql::<BigInt>(
                        "CAST(SUM(records_added + records_updated + records_unchanged + records_folded + records_skipped + records_rejected) AS BIGINT)",
                    ),
                    sql::<BigInt>("CAST(SUM(records_rejected) AS BIGINT)"),
                    sql::<BigInt>("CAST(SUM(CASE WHEN attempt > 1 THEN attempt - 1 ELSE 0 END) AS BIGINT)"),
                    max(run_sources::peak_memory_usage_mb),
                ))
                .order((run_sources::source, run_sources::status))
                .load(connection)?;
            Ok(rows.into_iter().map(source_tally).collect())
        })
    }

    /// Returns how long the refreshed sources of a job took in a span, the oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn source_timings(&mut self, job: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Timing>, StateError> {
        self.read(|connection| {
            let rows: Vec<(String, String, Option<f64>)> = run_sources::table
                .inner_join(runs::table)
                .filter(runs::job.eq(job))
                .filter(runs::started_at.ge(naive(since)))
                .filter(runs::started_at.lt(naive(until)))
                .filter(run_sources::status.eq(SourceStatus::Success.as_str()))
                .order((runs::started_at, runs::id))
                .select((run_sources::source, runs::id, run_sources::duration_seconds))
                .load(connection)?;
            Ok(timings(rows))
        })
    }

    /// Returns how often the sources of a job failed with which codes in a span; where only streams of a source say why, theirs.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn error_tallies(&mut self, job: &str, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<ErrorTally>, StateError> {
        type Row = (String, Option<String>, i64, Option<NaiveDateTime>);
        self.read(|connection| {
            let mut rows: Vec<Row> = run_sources::table
                .inner_join(runs::table)
                .filter(runs::job.eq(job))
                .filter(runs::started_at.ge(naive(since)))
                .filter(runs::started_at.lt(naive(until)))
                .filter(run_sources::error_code.is_not_null())
                .group_by((run_sources::source, run_sources::error_code))
                .select((run_sources::source, run_sources::error_code, count_star(), max(runs::started_at)))
                .load(connection)?;
            let is_told = run_sources::table
                .filter(run_sources::run_id.eq(run_streams::run_id))
                .filter(run_sources::source.eq(run_streams::source))
                .filter(run_sources::error_code.is_not_null());
            let of_streams: Vec<Row> = run_streams::table
                .inner_join(runs::table.on(runs::id.eq(run_streams::run_id)))
                .filter(runs::job.eq(job))
                .filter(runs::started_at.ge(naive(since)))
                .filter(runs::started_at.lt(naive(until)))
                .filter(run_streams::error_code.is_not_null())
                .filter(diesel::dsl::not(diesel::dsl::exists(is_told)))
                .group_by((run_streams::source, run_streams::error_code))
                .select((
                    run_streams::source,
                    run_streams::error_code,
                    sql::<BigInt>("COUNT(DISTINCT run_streams.run_id)"),
                    max(runs::started_at),
                ))
                .load(connection)?;
            rows.extend(of_streams);
            Ok(rows.into_iter().filter_map(error_tally).collect())
        })
    }
}

fn key(tally: &RunTally) -> (&str, &'static str, bool) {
    (&tally.job, tally.status.as_str(), tally.is_interrupted)
}

fn run_tally(row: TallyRow) -> RunTally {
    let (job, status, is_interrupted, runs, partly, rows, rejected, retries, bytes_read, peak_memory_mb, last_started_at) = row;
    RunTally {
        job,
        status: RunStatus::parse(&status).expect("held by a CHECK of the table"),
        is_interrupted,
        runs: runs.unsigned_abs(),
        partly: partly.unsigned_abs(),
        rows: rows.unsigned_abs(),
        rejected: rejected.unsigned_abs(),
        retries: retries.unsigned_abs(),
        bytes_read: bytes_read.unsigned_abs(),
        peak_memory_mb,
        last_started_at: last_started_at.and_utc(),
    }
}

fn source_tally(row: SourceTallyRow) -> SourceTally {
    let (source, status, runs, rows, rejected, retries, peak_memory_mb) = row;
    SourceTally {
        source,
        status: SourceStatus::parse(&status).expect("held by a CHECK of the table"),
        runs: runs.unsigned_abs(),
        rows: rows.unsigned_abs(),
        rejected: rejected.unsigned_abs(),
        retries: retries.unsigned_abs(),
        peak_memory_mb,
    }
}

fn error_tally((source, code, runs, last): (String, Option<String>, i64, Option<NaiveDateTime>)) -> Option<ErrorTally> {
    Some(ErrorTally { source, code: code?, runs: runs.unsigned_abs(), last_started_at: last?.and_utc() })
}

fn timings(rows: Vec<(String, String, Option<f64>)>) -> Vec<Timing> {
    rows.into_iter().filter_map(|(of, run_id, seconds)| Some(Timing { of, run_id, seconds: seconds? })).collect()
}
