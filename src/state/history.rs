//! The run log over a span of time, for reports of all jobs at once: set by set and page by page, so that memory stays bounded.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::max;
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::error::StateError;
use super::schema::{run_sources, run_streams, runs, slots};
use crate::run::due::SlotStatus;
use crate::run::{RunStatus, SourceStatus, Trigger};

/// So many values are bound to one statement at most: PostgreSQL takes 65,535, SQLite 32,766.
const BOUND_MAX: usize = 1_000;

/// Which part of the log is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From when on.
    pub since: DateTime<Utc>,
    /// Of these jobs; empty means all.
    pub jobs: Vec<String>,
}

/// A run in a few words.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMark {
    /// Its id.
    pub id: String,
    /// Its job.
    pub job: String,
    /// As written: a dead process leaves it open.
    pub status: RunStatus,
    /// What started it.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Rows taken from the sources.
    pub rows: u64,
    /// Rows kept aside.
    pub rejected: u64,
    /// Whether its process ended without closing it.
    pub is_interrupted: bool,
    /// Why it failed, in a line.
    pub error: Option<String>,
}

/// Why a source of a run was not refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureMark {
    /// The run.
    pub run_id: String,
    /// The source.
    pub source: String,
    /// A stable word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A slot, or many of them in one entry, that brought no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotMark {
    /// Whose.
    pub job: String,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Missed or skipped.
    pub status: SlotStatus,
    /// How many slots the entry stands for.
    pub slot_count: u64,
}

/// A stream with its last loads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamMark {
    /// Its job.
    pub job: String,
    /// Its source.
    pub source: String,
    /// Its name.
    pub stream: String,
    /// Its target table.
    pub target: String,
    /// When the last run that took it up began.
    pub tried_at: DateTime<Utc>,
    /// When the last run that published it ended.
    pub published_at: Option<DateTime<Utc>>,
}

type FailureColumns = (String, String, Option<String>, Option<String>, Option<String>);
type RunColumns = (String, String, String, String, NaiveDateTime, Option<f64>, i64, i64, bool, Option<String>);

impl Store {
    /// Returns the newest runs of a span, at most `count`: those before the run `before`, which the page before ended with.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn run_marks(&mut self, span: &Span, before: Option<&RunMark>, count: usize) -> Result<Vec<RunMark>, StateError> {
        self.read(|connection| {
            let mut query = runs::table.filter(runs::started_at.ge(naive(span.since))).into_boxed();
            if !span.jobs.is_empty() {
                query = query.filter(runs::job.eq_any(&span.jobs));
            }
            if let Some(before) = before {
                let at = naive(before.started_at);
                query = query.filter(runs::started_at.le(at)).filter(runs::started_at.lt(at).or(runs::id.lt(&before.id)));
            }
            let rows: Vec<RunColumns> = query
                .order((runs::started_at.desc(), runs::id.desc()))
                .limit(i64::try_from(count).unwrap_or(i64::MAX))
                .select((
                    runs::id,
                    runs::job,
                    runs::status,
                    runs::triggered_by,
                    runs::started_at,
                    runs::execution_time_seconds,
                    runs::total_records_processed,
                    runs::total_records_rejected,
                    runs::is_interrupted,
                    runs::error_message,
                ))
                .load(connection)?;
            Ok(rows.into_iter().map(RunMark::from).collect())
        })
    }

    /// Returns why sources of these runs were not refreshed, in the order of runs and sources.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn failure_marks(&mut self, run_ids: &[String]) -> Result<Vec<FailureMark>, StateError> {
        let mut found = Vec::new();
        for ids in run_ids.chunks(BOUND_MAX) {
            let rows: Vec<FailureColumns> = self.read(|connection| {
                run_sources::table
                    .filter(run_sources::run_id.eq_any(ids))
                    .filter(run_sources::error_code.is_not_null())
                    .order((run_sources::run_id, run_sources::position))
                    .select((
                        run_sources::run_id,
                        run_sources::source,
                        run_sources::error_code,
                        run_sources::error_message,
                        run_sources::error_hint,
                    ))
                    .load(connection)
            })?;
            found.extend(rows.into_iter().map(|(run_id, source, code, message, hint)| FailureMark {
                run_id,
                source,
                code: code.unwrap_or_default(),
                message: message.unwrap_or_default(),
                hint,
            }));
        }
        Ok(found)
    }

    /// Returns the newest slots of a span that brought no run, at most `count`.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn slot_marks(&mut self, span: &Span, count: usize) -> Result<Vec<SlotMark>, StateError> {
        let without_run = [SlotStatus::Missed.as_str(), SlotStatus::Skipped.as_str()];
        self.read(|connection| {
            let mut query = slots::table.filter(slots::due_at.ge(naive(span.since))).into_boxed();
            if !span.jobs.is_empty() {
                query = query.filter(slots::job.eq_any(&span.jobs));
            }
            let rows: Vec<(String, NaiveDateTime, String, i64)> = query
                .filter(slots::status.eq_any(without_run))
                .order((slots::due_at.desc(), slots::job))
                .limit(i64::try_from(count).unwrap_or(i64::MAX))
                .select((slots::job, slots::due_at, slots::status, slots::slot_count))
                .load(connection)?;
            let mark = |(job, due_at, status, slot_count): (String, NaiveDateTime, String, i64)| SlotMark {
                job,
                due_at: due_at.and_utc(),
                status: SlotStatus::parse(&status).expect("held by a CHECK of the table"),
                slot_count: slot_count.unsigned_abs(),
            };
            Ok(rows.into_iter().map(mark).collect())
        })
    }

    /// Returns every stream that a run of a span took up, by job, source and stream.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn stream_marks(&mut self, span: &Span) -> Result<Vec<StreamMark>, StateError> {
        type Names = (String, String, String, String);
        let names = (runs::job, run_streams::source, run_streams::stream, run_streams::target);
        self.read(|connection| {
            let of_runs = || {
                let joined = run_streams::table.inner_join(runs::table.on(runs::id.eq(run_streams::run_id)));
                joined.filter(runs::started_at.ge(naive(span.since))).group_by(names)
            };
            let tried: Vec<(Names, Option<NaiveDateTime>)> =
                of_runs().select((names, max(runs::started_at))).order(names).load(connection)?;
            let published: Vec<(Names, Option<NaiveDateTime>)> = of_runs()
                .filter(run_streams::status.eq(SourceStatus::Success.as_str()))
                .select((names, max(runs::completed_at)))
                .order(names)
                .load(connection)?;
            let published: std::collections::BTreeMap<Names, Option<NaiveDateTime>> = published.into_iter().collect();
            let mark = |(names, tried_at): (Names, Option<NaiveDateTime>)| {
                let published_at = published.get(&names).copied().flatten().map(|at| at.and_utc());
                let (job, source, stream, target) = names;
                Some(StreamMark { job, source, stream, target, tried_at: tried_at?.and_utc(), published_at })
            };
            let is_asked = |mark: &StreamMark| span.jobs.is_empty() || span.jobs.contains(&mark.job);
            Ok(tried.into_iter().filter_map(mark).filter(is_asked).collect())
        })
    }
}

impl From<RunColumns> for RunMark {
    fn from(row: RunColumns) -> Self {
        let (id, job, status, trigger, started_at, duration_seconds, rows, rejected, is_interrupted, error) = row;
        Self {
            id,
            job,
            status: RunStatus::parse(&status).expect("held by a CHECK of the table"),
            trigger: Trigger::parse(&trigger).expect("held by a CHECK of the table"),
            started_at: started_at.and_utc(),
            duration_seconds,
            rows: rows.unsigned_abs(),
            rejected: rejected.unsigned_abs(),
            is_interrupted,
            error,
        }
    }
}
