//! Runs whose process ended without closing them: which they are, and their closing by the next run of the job.

use super::backends::StoreConnection;
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::end::{count_run, has_refreshed_some};
use super::error::StateError;
use super::failing;
use super::jobs::JobStatus;
use super::leases::{self, Clocks, Lease, Moment, Probe};
use super::progress::{write_events, write_source, write_stream};
use super::records::{EventRecord, RunDetail, RunSummary, SourceRecord, StreamRecord};
use super::rows::SummaryChanges;
use super::runs::{open_statuses, run_in_full};
use super::schema::{jobs, runs};
use super::slots;
use crate::exit_code;
use crate::plan::Level;
use crate::run::due::SlotStatus;
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};

/// How a dead run is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadEnd {
    /// The destination shows that all its sources were published.
    Success,
    /// It was interrupted.
    Interrupted {
        /// For the log: "interrupted: its process ended at ...".
        message: String,
    },
}

/// A run whose process ended without closing it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadRun {
    /// The run with its sources and streams, as its process wrote them last.
    pub detail: RunDetail,
    /// When its process last gave a sign of life.
    pub last_seen_at: DateTime<Utc>,
    /// Lines for its log about what was found out after its process had ended.
    pub findings: Vec<EventRecord>,
    /// The sources of the job that it was not to refresh.
    pub left_out: Vec<String>,
}

impl Store {
    /// Returns the open runs of a job that nobody works on: their lease is dead, gone, or another run's. With each its
    /// sources and streams with their targets, to ask the destination what was published.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn dead_runs(&mut self, job: &str, now: &Moment, probe: Probe<'_>) -> Result<Vec<DeadRun>, StateError> {
        self.read(|connection| {
            let clocks = Clocks::read(connection, now)?;
            let open = runs::table.filter(runs::job.eq(job)).filter(runs::status.eq_any(open_statuses()));
            let ids: Vec<String> = open.order(runs::id).select(runs::id).load(connection)?;
            let mut dead = Vec::new();
            for id in ids {
                let lease = own_lease(connection, job, &id)?;
                if lease.as_ref().is_none_or(|lease| lease.is_dead(&clocks, probe))
                    && let Some(detail) = run_in_full(connection, &id)?
                {
                    let last_seen_at = last_seen_at(&detail, lease.as_ref());
                    dead.push(DeadRun { detail, last_seen_at, findings: Vec::new(), left_out: Vec::new() });
                }
            }
            Ok(dead)
        })
    }

    /// Returns the ids of all open runs, of any job, that nobody works on: listings show them as interrupted.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn dead_run_ids(&mut self, now: &Moment, probe: Probe<'_>) -> Result<Vec<String>, StateError> {
        self.read(|connection| {
            let clocks = Clocks::read(connection, now)?;
            let open = runs::table.filter(runs::status.eq_any(open_statuses())).order(runs::id);
            let open: Vec<(String, String)> = open.select((runs::id, runs::job)).load(connection)?;
            let mut dead = Vec::new();
            for (id, job) in open {
                if own_lease(connection, &job, &id)?.is_none_or(|lease| lease.is_dead(&clocks, probe)) {
                    dead.push(id);
                }
            }
            Ok(dead)
        })
    }

    /// Closes a dead run: row, sources, streams, counters, its slot, and gives its lease up. An interrupted run doesn't count towards
    /// `failure_threshold`. The record's sources and streams hold what the destination showed; those still running are
    /// ended as the run is. Returns false, and writes nothing, where the run is closed already or lives after all.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn close_dead_run(&mut self, dead: &DeadRun, end: &DeadEnd, now: &Moment, probe: Probe<'_>) -> Result<bool, StateError> {
        let run = &dead.detail.run;
        self.write_telling(|connection, telling| {
            let open = runs::table.find(&run.id).filter(runs::status.eq_any(open_statuses()));
            let is_open: bool = diesel::select(diesel::dsl::exists(open)).get_result(connection)?;
            let clocks = Clocks::read(connection, now)?;
            let lease = own_lease(connection, &run.job, &run.id)?;
            if !is_open || lease.is_some_and(|lease| !lease.is_dead(&clocks, probe)) {
                return Ok(false);
            }
            close(connection, dead, end, now.at)?;
            let slot = if *end == DeadEnd::Success { SlotStatus::Done } else { SlotStatus::Interrupted };
            slots::settle(connection, &run.id, slot, now.at)?;
            leases::release(connection, &run.id)?;
            telling.tell(connection, &run.id, None, now.at)?;
            Ok(true)
        })
    }
}

fn own_lease(connection: &mut StoreConnection, job: &str, run_id: &str) -> QueryResult<Option<Lease>> {
    Ok(leases::of_job(connection, job)?.filter(|lease| lease.run_id == run_id))
}

fn last_seen_at(detail: &RunDetail, lease: Option<&Lease>) -> DateTime<Utc> {
    let last_event = detail.events.last().map(|event| event.at);
    let seen = [lease.map(|lease| lease.renewed_at), last_event];
    seen.into_iter().flatten().max().unwrap_or(detail.run.started_at).max(detail.run.started_at)
}

fn close(connection: &mut StoreConnection, dead: &DeadRun, end: &DeadEnd, now: DateTime<Utc>) -> QueryResult<()> {
    let run = &dead.detail.run;
    let mut summary = RunSummary { sources_processed: vec![], sources_failed: vec![], sources_skipped: vec![], ..run.summary.clone() };
    let mut counts = Counts::default();
    for source in &dead.detail.sources {
        let status = ended(source.status, end);
        match status {
            SourceStatus::Success => summary.sources_processed.push(source.source.clone()),
            SourceStatus::Skipped => summary.sources_skipped.push(source.source.clone()),
            _ => summary.sources_failed.push(source.source.clone()),
        }
        counts += source.counts;
        write_source(connection, &run.id, &SourceRecord { status, ..source.clone() })?;
    }
    for stream in &dead.detail.streams {
        let status = ended(stream.status, end);
        write_stream(connection, &run.id, &StreamRecord { status, ..stream.clone() })?;
    }
    summary.totals = counts.into();
    let before = failing::read(connection, &run.job)?;
    let ends: Vec<(&str, SourceStatus)> =
        dead.detail.sources.iter().map(|source| (source.source.as_str(), ended(source.status, end))).collect();
    let left_out: Vec<&str> = dead.left_out.iter().map(String::as_str).collect();
    summary.sources_skipped.extend(dead.left_out.iter().cloned());
    let after = failing::after(&before, failing::Ends { sources: &ends, left_out: &left_out, is_counted: false });
    failing::write(connection, &run.job, &after)?;
    let is_whole = after.is_empty() && (left_out.is_empty() || !before.is_empty() && !failing::is_any_unknown(&before, &ends, &left_out));
    write_end(connection, dead, end, (&summary, is_whole), now)
}

/// What becomes of a source or stream that was open when its process ended.
fn ended(status: SourceStatus, end: &DeadEnd) -> SourceStatus {
    match (status, end) {
        (SourceStatus::Waiting | SourceStatus::Running, DeadEnd::Success) => SourceStatus::Success,
        (SourceStatus::Waiting, DeadEnd::Interrupted { .. }) => SourceStatus::Skipped,
        (SourceStatus::Running, DeadEnd::Interrupted { .. }) => SourceStatus::Failed,
        (closed, _) => closed,
    }
}

/// `is_whole` says whether by a success every source of the job is refreshed.
fn write_end(
    connection: &mut StoreConnection,
    dead: &DeadRun,
    end: &DeadEnd,
    (summary, is_whole): (&RunSummary, bool),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let run = &dead.detail.run;
    let (status, code, level, message) = match end {
        DeadEnd::Success => (RunStatus::Success, exit_code::DONE, Level::Warn, "its process ended after all sources were published"),
        DeadEnd::Interrupted { message } => (RunStatus::Failed, failed_code(summary, &dead.detail.streams), Level::Error, message.as_str()),
    };
    let error = (status == RunStatus::Failed).then(|| message.to_owned());
    let summary = RunSummary { error_message: error, ..summary.clone() };
    let seconds = (dead.last_seen_at - run.started_at).as_seconds_f64();
    let changes = (
        runs::status.eq(status.as_str()),
        runs::completed_at.eq(naive(dead.last_seen_at)),
        runs::execution_time_seconds.eq(seconds),
        runs::exit_code.eq(i64::from(code)),
        runs::is_interrupted.eq(true),
        SummaryChanges::of(&summary),
    );
    diesel::update(runs::table.find(&run.id)).set(changes).execute(connection)?;
    let event = EventRecord { at: now, level, source: None, stream: None, message: message.to_owned() };
    write_events(connection, &run.id, &dead.findings)?;
    write_events(connection, &run.id, &[event])?;
    count_run(connection, &run.job, &run.id, (status, is_whole), dead.last_seen_at)?;
    if status == RunStatus::Success && is_whole {
        diesel::update(jobs::table.find(&run.job)).set(jobs::consecutive_failures.eq(0)).execute(connection)?;
        if matches!(run.trigger, Trigger::Manual | Trigger::Ci) {
            clear_error(connection, &run.job, dead.last_seen_at)?;
        }
    }
    Ok(())
}

/// A run by hand that published everything puts a job in `error` right, though it didn't live to say so.
fn clear_error(connection: &mut StoreConnection, job: &str, at: DateTime<Utc>) -> QueryResult<()> {
    let spoiled = jobs::table.filter(jobs::id.eq(job)).filter(jobs::status.eq(JobStatus::Error.as_str()));
    let (status, since) = (jobs::status.eq(JobStatus::Active.as_str()), jobs::active_since.eq(naive(at)));
    diesel::update(spoiled).set((status, jobs::status_changed_at.eq(naive(at)), since)).execute(connection).map(drop)
}

/// The code that the process would have ended with.
fn failed_code(summary: &RunSummary, streams: &[StreamRecord]) -> u8 {
    if has_refreshed_some(summary, streams) { exit_code::PARTLY_FAILED } else { exit_code::FAILED }
}
