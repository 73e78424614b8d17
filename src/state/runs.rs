//! Questions to the run log: pages of runs, one run in full, the last runs of a job.

use std::collections::{BTreeSet, HashMap};

use super::backends::{MultiBackend, StoreConnection};
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::error::StateError;
use super::records::{EventRecord, RunDetail, RunRecord, SourceRecord, StreamRecord};
use super::rows::{EventRow, RunRow, SourceRow, StreamRow};
use super::schema::{run_events, run_sources, run_streams, runs, slots};
use crate::run::{RunStatus, SourceStatus};

/// Which runs are asked for; `None` means any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Of this job.
    pub job: Option<String>,
    /// In this status.
    pub status: Option<RunStatus>,
    /// Open runs whose process is dead ([`Store::dead_run_ids`]): they pass as failed, not as running.
    pub dead: Vec<String>,
    /// Begun at or after this.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this.
    pub until: Option<DateTime<Utc>>,
}

/// A page of the run log, the newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPage {
    /// The runs of the page.
    pub runs: Vec<RunRecord>,
    /// How many runs the filter lets through.
    pub total: u64,
}

/// When slots were due, by job and key.
pub type SlotTimes = HashMap<(String, String), DateTime<Utc>>;

/// What the beginning of a run's id leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    /// No run.
    None,
    /// One run.
    One(T),
    /// Several; their ids, at most five.
    Several(Vec<String>),
}

type Filtered<'a> = runs::BoxedQuery<'a, MultiBackend>;

impl Store {
    /// Returns a page of runs, the newest first; `page` counts from 1.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn runs(&mut self, filter: &RunFilter, page: u64, page_size: u64) -> Result<RunPage, StateError> {
        let skipped = page.saturating_sub(1).saturating_mul(page_size);
        self.read(|connection| {
            let total: i64 = filtered(filter).count().get_result(connection)?;
            let rows = filtered(filter)
                .order((runs::started_at.desc(), runs::id.desc()))
                .limit(limit(page_size))
                .offset(limit(skipped))
                .select(RunRow::as_select())
                .load(connection)?;
            Ok(RunPage { runs: rows.into_iter().map(RunRecord::from).collect(), total: total.unsigned_abs() })
        })
    }

    /// Returns when the slots of runs were due, by job and key: of those that are still written down.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn slot_times(&mut self, runs: &[RunRecord]) -> Result<SlotTimes, StateError> {
        let keys: BTreeSet<&str> = runs.iter().filter_map(|run| run.slot.as_deref()).collect();
        if keys.is_empty() {
            return Ok(SlotTimes::new());
        }
        let jobs: BTreeSet<&str> = runs.iter().map(|run| run.job.as_str()).collect();
        self.read(|connection| {
            let known = slots::table.filter(slots::job.eq_any(&jobs)).filter(slots::slot.eq_any(&keys));
            let rows: Vec<(String, String, NaiveDateTime)> = known.select((slots::job, slots::slot, slots::due_at)).load(connection)?;
            Ok(rows.into_iter().map(|(job, key, at)| ((job, key), at.and_utc())).collect())
        })
    }

    /// Returns the run whose id begins with `prefix`, in full.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn run(&mut self, prefix: &str) -> Result<Found<RunDetail>, StateError> {
        // Ids are lower-case hexadecimal with hyphens: every id with the prefix sorts before the prefix and a tilde.
        let prefix = prefix.to_lowercase();
        let behind = format!("{prefix}~");
        self.read(|connection| {
            let like = runs::table.filter(runs::id.ge(&prefix)).filter(runs::id.lt(&behind));
            let mut ids: Vec<String> = like.order(runs::id).limit(5).select(runs::id).load(connection)?;
            if ids.len() > 1 {
                return Ok(Found::Several(ids));
            }
            let Some(id) = ids.pop() else { return Ok(Found::None) };
            Ok(run_in_full(connection, &id)?.map_or(Found::None, Found::One))
        })
    }

    /// Returns the cursors that the last publishes of a stream left, the newest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn last_cursors(&mut self, job: &str, source: &str, stream: &str, count: u64) -> Result<Vec<Option<String>>, StateError> {
        self.read(|connection| {
            let published = run_streams::table.inner_join(runs::table.on(runs::id.eq(run_streams::run_id)));
            published
                .filter(runs::job.eq(job))
                .filter(run_streams::source.eq(source))
                .filter(run_streams::stream.eq(stream))
                .filter(run_streams::status.eq(SourceStatus::Success.as_str()))
                .order((runs::started_at.desc(), runs::id.desc()))
                .limit(limit(count))
                .select(run_streams::cursor_text)
                .load(connection)
        })
    }

    /// Returns the runs that are not closed, the newest first; dead ones too.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn open_runs(&mut self) -> Result<Vec<RunRecord>, StateError> {
        self.read(|connection| {
            let open = runs::table.filter(runs::status.eq_any(open_statuses()));
            let rows = open.order((runs::started_at.desc(), runs::id.desc())).select(RunRow::as_select()).load(connection)?;
            Ok(rows.into_iter().map(RunRecord::from).collect())
        })
    }
}

/// The words of a run that is not closed.
pub(super) fn open_statuses() -> [&'static str; 2] {
    [RunStatus::Started.as_str(), RunStatus::Running.as_str()]
}

/// Returns a run with its sources, streams and events.
pub(super) fn run_in_full(connection: &mut StoreConnection, id: &str) -> QueryResult<Option<RunDetail>> {
    run_with_tail(connection, id, i64::MAX)
}

/// Returns a run with its sources, its streams and its last events.
pub(super) fn run_with_tail(connection: &mut StoreConnection, id: &str, events_max: i64) -> QueryResult<Option<RunDetail>> {
    let row = runs::table.find(id).select(RunRow::as_select()).first(connection).optional()?;
    let Some(row) = row else { return Ok(None) };
    let sources = run_sources::table.filter(run_sources::run_id.eq(id)).order(run_sources::position);
    let sources: Vec<SourceRow> = sources.select(SourceRow::as_select()).load(connection)?;
    let streams = run_streams::table.filter(run_streams::run_id.eq(id)).order((run_streams::source, run_streams::position));
    let streams: Vec<StreamRow> = streams.select(StreamRow::as_select()).load(connection)?;
    let events = run_events::table.filter(run_events::run_id.eq(id)).order(run_events::sequence.desc()).limit(events_max);
    let events: Vec<EventRow> = events.select(EventRow::as_select()).load(connection)?;
    Ok(Some(RunDetail {
        run: RunRecord::from(row),
        sources: sources.into_iter().map(SourceRecord::from).collect(),
        streams: streams.into_iter().map(StreamRecord::from).collect(),
        events: events.into_iter().rev().map(EventRecord::from).collect(),
    }))
}

fn filtered(filter: &RunFilter) -> Filtered<'_> {
    let RunFilter { job, status, dead, since, until } = filter;
    let mut query = runs::table.into_boxed();
    if let Some(job) = job {
        query = query.filter(runs::job.eq(job));
    }
    if let Some(status) = status {
        let is_so = runs::status.eq(status.as_str());
        query = match status {
            // Of one job's few runs, not of all that ended so: a column that is part of an expression is looked up in no index.
            _ if dead.is_empty() && job.is_some() => query.filter(runs::status.concat("").eq(status.as_str())),
            _ if dead.is_empty() => query.filter(is_so),
            RunStatus::Failed => query.filter(is_so.or(runs::id.eq_any(dead))),
            RunStatus::Started | RunStatus::Running => query.filter(is_so.and(runs::id.ne_all(dead))),
            RunStatus::Success | RunStatus::Cancelled | RunStatus::Timeout => query.filter(is_so),
        };
    }
    if let Some(since) = since {
        query = query.filter(runs::started_at.ge(naive(*since)));
    }
    if let Some(until) = until {
        query = query.filter(runs::started_at.lt(naive(*until)));
    }
    query
}

fn limit(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
