//! The end of a run: one transaction closes its row, its sources, the job's counters and status, and the lease.

use super::backends::StoreConnection;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::audit::{self, Actor};
use super::connection::{Store, naive};
use super::error::StateError;
use super::failing;
use super::jobs::JobStatus;
use super::progress::{write_events, write_source, write_stream};
use super::records::{EventRecord, RunSummary, SourceRecord, StreamRecord};
use super::rows::SummaryChanges;
use super::schema::{jobs, runs};
use super::stale;
use super::telling::Standing as Around;
use super::{leases, outbox, retention, slots};
use crate::run::due::SlotStatus;
use crate::run::{RunStatus, SourceStatus, Trigger};

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// The run.
    pub run_id: String,
    /// Success, failed, cancelled or timeout.
    pub status: RunStatus,
    /// What its process ends with.
    pub exit_code: u8,
    /// How long it took, by a clock that never goes back.
    pub duration_seconds: f64,
    /// Its lease lapsed before it had published everything: as if its process had died, its slot is due again, and the run doesn't count
    /// towards `failure_threshold`.
    pub is_interrupted: bool,
    /// What it amounts to.
    pub summary: RunSummary,
    /// The sources of the job that it was not to refresh, as `--source` asks; not those that an earlier run of its slot had published.
    pub left_out: Vec<String>,
    /// How each source ended.
    pub sources: Vec<SourceRecord>,
    /// How each stream ended.
    pub streams: Vec<StreamRecord>,
    /// The last lines of the execution log.
    pub events: Vec<EventRecord>,
}

/// What the job and the workspace say about the ends of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndPolicy {
    /// How many runs in a row may refresh nothing before the job is put into `error`; 0 means never.
    pub failure_threshold: u32,
    /// Whether partly successful runs count towards it.
    pub is_partial_counted: bool,
    /// How long run logs are kept.
    pub retention_days: u32,
    /// The present instant by the clock that slots go by: a job that is active again is so from then on.
    pub slot_now: DateTime<Utc>,
}

/// What closing a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// It is closed.
    Done {
        /// The job's status before.
        status_before: JobStatus,
        /// And after.
        status_after: JobStatus,
        /// Runs in a row that count towards `failure_threshold`.
        consecutive_failures: u64,
        /// Why nobody is told of it, where the store refused what was to be sent.
        untold: Option<String>,
    },
    /// Another run took the lease and closed this one as interrupted; nothing was written.
    LeaseLost,
}

impl Store {
    /// Closes a run that holds its lease, in one transaction with what people are told of it, and forgets old runs of its job.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn close_run(&mut self, end: &RunEnd, policy: EndPolicy, now: DateTime<Utc>) -> Result<Closed, StateError> {
        let closed = self.write_telling(|connection, telling| {
            if !leases::is_held(connection, &end.run_id)? {
                return closed_before(connection, end);
            }
            write_end(connection, end, now)?;
            let slot = if end.is_interrupted { SlotStatus::Interrupted } else { end.status.into() };
            slots::settle(connection, &end.run_id, slot, policy.slot_now)?;
            leases::release(connection, &end.run_id)?;
            let mut closed = judge_job(connection, end, policy, now)?;
            if let Closed::Done { status_before, status_after, untold, .. } = &mut closed {
                let around = Around { before: *status_before, after: *status_after };
                *untold = telling.tell(connection, &end.run_id, Some(around), now)?;
            }
            let job = job_of(connection, &end.run_id)?;
            let before = naive(now - TimeDelta::days(i64::from(policy.retention_days)));
            retention::prune(connection, &job, before)?;
            retention::prune_slots(connection, &job, policy.slot_now)?;
            Ok(closed)
        })?;
        // Not in the transaction above: what it reads, runs of other jobs write, and on a server the two would undo each other.
        let before = naive(now - TimeDelta::days(i64::from(policy.retention_days)));
        if self.read(|connection| Ok(outbox::has_old(connection, before)? || stale::has_old(connection, before)?)).unwrap_or(false) {
            // The next run tries it again.
            let _ = self.write(|connection| {
                outbox::prune(connection, before)?;
                stale::prune(connection, before)
            });
        }
        Ok(closed)
    }
}

/// Returns what became of a run whose lease is gone: closed as it ended where the commit went through and its answer was lost, else by
/// another run.
fn closed_before(connection: &mut StoreConnection, end: &RunEnd) -> QueryResult<Closed> {
    // A run that was taken for dead may have been settled as good: what it published said so.
    let is_alike = runs::is_interrupted.eq(end.is_interrupted).or(runs::status.eq(RunStatus::Success.as_str()));
    let own = runs::table.find(&end.run_id).filter(is_alike).filter(runs::status.eq(end.status.as_str()));
    let Some(job) = own.select(runs::job).first::<String>(connection).optional()? else { return Ok(Closed::LeaseLost) };
    let (status, failures): (String, i64) = jobs::table.find(&job).select((jobs::status, jobs::consecutive_failures)).first(connection)?;
    let status = JobStatus::parse(&status).expect("held by a CHECK of the table");
    Ok(Closed::Done { status_before: status, status_after: status, consecutive_failures: failures.unsigned_abs(), untold: None })
}

fn write_end(connection: &mut StoreConnection, end: &RunEnd, now: DateTime<Utc>) -> QueryResult<()> {
    let RunEnd { run_id, status, exit_code, duration_seconds, is_interrupted, summary, left_out: _, sources, streams, events } = end;
    let changes = (
        runs::status.eq(status.as_str()),
        runs::completed_at.eq(naive(now)),
        runs::execution_time_seconds.eq(duration_seconds),
        runs::exit_code.eq(i64::from(*exit_code)),
        runs::is_interrupted.eq(is_interrupted),
        SummaryChanges::of(summary),
    );
    diesel::update(runs::table.find(run_id)).set(changes).execute(connection)?;
    for source in sources {
        write_source(connection, run_id, source)?;
    }
    for stream in streams {
        write_stream(connection, run_id, stream)?;
    }
    write_events(connection, run_id, events)
}

/// Whether a run refreshed a source, or a table of one that failed.
pub(super) fn has_refreshed_some(summary: &RunSummary, streams: &[StreamRecord]) -> bool {
    !summary.sources_processed.is_empty() || streams.iter().any(|stream| stream.status == SourceStatus::Success)
}

fn job_of(connection: &mut StoreConnection, run_id: &str) -> QueryResult<String> {
    runs::table.find(run_id).select(runs::job).first(connection)
}

/// What a run's end is judged by.
#[derive(Debug, Clone, Copy)]
struct Facts {
    status: RunStatus,
    has_refreshed_some: bool,
    /// It left sources of the job out, as `--source` and `--retry-failed` ask.
    is_part: bool,
    /// No source of the job fails after it.
    is_whole: bool,
    is_partial_counted: bool,
    is_interrupted: bool,
}

/// How a run's end bears on `failure_threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The count begins again.
    Good,
    /// The count goes on.
    Bad,
    /// The count stays.
    Neither,
}

/// A run of some sources is no run in which the job refreshed nothing: it can end such a row, never lengthen it.
fn verdict(facts: Facts) -> Verdict {
    let Facts { status, has_refreshed_some, is_part, is_whole, is_partial_counted, is_interrupted } = facts;
    match status {
        _ if is_interrupted => Verdict::Neither,
        RunStatus::Success if is_whole || !is_partial_counted => Verdict::Good,
        RunStatus::Success => Verdict::Neither,
        RunStatus::Failed | RunStatus::Timeout if has_refreshed_some && !is_partial_counted => Verdict::Good,
        RunStatus::Failed | RunStatus::Timeout if is_part => Verdict::Neither,
        RunStatus::Failed | RunStatus::Timeout => Verdict::Bad,
        RunStatus::Cancelled | RunStatus::Started | RunStatus::Running => Verdict::Neither,
    }
}

/// A job's status and count before a run's end was judged.
#[derive(Debug, Clone, Copy)]
struct Standing {
    status: JobStatus,
    failures: u64,
}

/// Returns the standing after a run: too many failures put an active job into `error`; a success by hand that leaves no source failing
/// clears it.
fn judged(before: Standing, facts: Facts, trigger: Trigger, failure_threshold: u32) -> Standing {
    let verdict = verdict(facts);
    let failures = match verdict {
        Verdict::Good => 0,
        Verdict::Bad => before.failures + 1,
        Verdict::Neither => before.failures,
    };
    let is_too_many = verdict == Verdict::Bad && failure_threshold > 0 && failures >= u64::from(failure_threshold);
    let is_by_hand = matches!(trigger, Trigger::Manual | Trigger::Ci);
    let status = match before.status {
        JobStatus::Active if is_too_many => JobStatus::Error,
        JobStatus::Error if facts.status == RunStatus::Success && facts.is_whole && is_by_hand => JobStatus::Active,
        unchanged => unchanged,
    };
    Standing { status, failures }
}

fn judge_job(connection: &mut StoreConnection, end: &RunEnd, policy: EndPolicy, now: DateTime<Utc>) -> QueryResult<Closed> {
    let (job, trigger, user, host): (String, String, String, String) =
        runs::table.find(&end.run_id).select((runs::job, runs::triggered_by, runs::username, runs::host)).first(connection)?;
    let (status, failures): (String, i64) = jobs::table.find(&job).select((jobs::status, jobs::consecutive_failures)).first(connection)?;
    let status = JobStatus::parse(&status).expect("held by a CHECK of the table");
    let trigger = Trigger::parse(&trigger).expect("held by a CHECK of the table");
    let before = Standing { status, failures: failures.unsigned_abs() };
    let ends: Vec<(&str, SourceStatus)> = end.sources.iter().map(|source| (source.source.as_str(), source.status)).collect();
    let left_out: Vec<&str> = end.left_out.iter().map(String::as_str).collect();
    let is_counted = !end.is_interrupted && end.status != RunStatus::Cancelled;
    let failing_before = failing::read(connection, &job)?;
    let failing_after = failing::after(&failing_before, failing::Ends { sources: &ends, left_out: &left_out, is_counted });
    failing::write(connection, &job, &failing_after)?;
    let is_part = !left_out.is_empty();
    // What isn't known to be fresh is not called so: what fails under a name of before, or put the job into error before it was kept.
    let is_unknown =
        failing::is_any_unknown(&failing_before, &ends, &left_out) || (status == JobStatus::Error && failing_before.is_empty());
    let facts = Facts {
        status: end.status,
        has_refreshed_some: has_refreshed_some(&end.summary, &end.streams),
        is_part,
        is_whole: failing_after.is_empty() && !(is_part && is_unknown),
        is_partial_counted: policy.is_partial_counted,
        is_interrupted: end.is_interrupted,
    };
    let after = judged(before, facts, trigger, policy.failure_threshold);
    // Of the whole job, or of what of it was left to be refreshed.
    let is_refreshed = facts.is_whole && (!facts.is_part || !failing_before.is_empty());
    count_run(connection, &job, &end.run_id, (end.status, is_refreshed), now)?;
    let failures = jobs::consecutive_failures.eq(i64::try_from(after.failures).unwrap_or(i64::MAX));
    diesel::update(jobs::table.find(&job)).set(failures).execute(connection)?;
    if after.status != before.status {
        let changes = (jobs::status.eq(after.status.as_str()), jobs::status_changed_at.eq(naive(now)));
        diesel::update(jobs::table.find(&job)).set(changes).execute(connection)?;
        if after.status == JobStatus::Active {
            diesel::update(jobs::table.find(&job)).set(jobs::active_since.eq(naive(policy.slot_now))).execute(connection)?;
        }
        let details = format!("{} -> {}", before.status.as_str(), after.status.as_str());
        audit::write(connection, &Actor { user, host }, "status", Some(&job), Some(&end.run_id), Some(&details), now)?;
    }
    Ok(Closed::Done { status_before: before.status, status_after: after.status, consecutive_failures: after.failures, untold: None })
}

/// Adds a run to its job's counters: how it ended, and whether every source of the job is refreshed by it.
pub(super) fn count_run(
    connection: &mut StoreConnection,
    job: &str,
    run_id: &str,
    (status, is_refreshed): (RunStatus, bool),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let row = jobs::table.find(job);
    match status {
        RunStatus::Success => {
            let at = is_refreshed.then(|| jobs::last_success_at.eq(naive(now)));
            diesel::update(row).set((jobs::success_count.eq(jobs::success_count + 1), at)).execute(connection)?
        }
        RunStatus::Failed | RunStatus::Timeout => {
            diesel::update(row).set(jobs::failure_count.eq(jobs::failure_count + 1)).execute(connection)?
        }
        RunStatus::Cancelled => diesel::update(row).set(jobs::cancelled_count.eq(jobs::cancelled_count + 1)).execute(connection)?,
        RunStatus::Started | RunStatus::Running => 0,
    };
    let last = jobs::table.filter(jobs::id.eq(job)).filter(jobs::last_run_id.eq(run_id));
    diesel::update(last).set(jobs::last_run_status.eq(status.as_str())).execute(connection).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: JobStatus = JobStatus::Active;
    const ERROR: JobStatus = JobStatus::Error;
    const PAUSED: JobStatus = JobStatus::Paused;

    /// A run of the whole job.
    fn whole(status: RunStatus, has_refreshed_some: bool, is_partial_counted: bool) -> Facts {
        let is_whole = status == RunStatus::Success;
        Facts { status, has_refreshed_some, is_part: false, is_whole, is_partial_counted, is_interrupted: false }
    }

    #[track_caller]
    fn check(before: (JobStatus, u64), run: (RunStatus, bool, Trigger), is_partial_counted: bool, after: (JobStatus, u64)) {
        let (status, has_refreshed_some, trigger) = run;
        check_facts(before, whole(status, has_refreshed_some, is_partial_counted), trigger, after);
    }

    #[track_caller]
    fn check_facts(before: (JobStatus, u64), facts: Facts, trigger: Trigger, after: (JobStatus, u64)) {
        let found = judged(Standing { status: before.0, failures: before.1 }, facts, trigger, 3);
        assert_eq!((found.status, found.failures), after);
    }

    #[test]
    fn a_run_of_some_sources_never_lengthens_a_row_of_failures() {
        let part = |status, has_refreshed_some, is_partial_counted| Facts {
            is_part: true,
            ..whole(status, has_refreshed_some, is_partial_counted)
        };
        check_facts((ACTIVE, 2), part(RunStatus::Failed, false, false), Trigger::Manual, (ACTIVE, 2));
        check_facts((ACTIVE, 2), part(RunStatus::Timeout, false, true), Trigger::Manual, (ACTIVE, 2));
        check_facts((ACTIVE, 2), part(RunStatus::Failed, true, false), Trigger::Manual, (ACTIVE, 0));
        check_facts((ACTIVE, 2), part(RunStatus::Failed, true, true), Trigger::Manual, (ACTIVE, 2));
        check_facts((ERROR, 3), part(RunStatus::Success, true, false), Trigger::Manual, (ACTIVE, 0));
    }

    #[test]
    fn a_job_stays_in_error_while_one_of_its_sources_fails() {
        let rest_fails =
            |is_partial_counted| Facts { is_part: true, is_whole: false, ..whole(RunStatus::Success, true, is_partial_counted) };
        check_facts((ERROR, 3), rest_fails(false), Trigger::Manual, (ERROR, 0));
        check_facts((ERROR, 3), rest_fails(true), Trigger::Ci, (ERROR, 3));
        check_facts((ACTIVE, 2), rest_fails(true), Trigger::Manual, (ACTIVE, 2));
    }

    #[test]
    fn runs_in_a_row_that_refresh_nothing_put_a_job_into_error_at_the_threshold() {
        check((ACTIVE, 1), (RunStatus::Failed, false, Trigger::Schedule), false, (ACTIVE, 2));
        check((ACTIVE, 2), (RunStatus::Failed, false, Trigger::Schedule), false, (ERROR, 3));
        check((ACTIVE, 2), (RunStatus::Timeout, false, Trigger::Manual), false, (ERROR, 3));
        check((ERROR, 3), (RunStatus::Failed, false, Trigger::Manual), false, (ERROR, 4));
    }

    #[test]
    fn a_partly_successful_run_resets_the_count_unless_partial_counts() {
        check((ACTIVE, 2), (RunStatus::Failed, true, Trigger::Schedule), false, (ACTIVE, 0));
        check((ACTIVE, 2), (RunStatus::Failed, true, Trigger::Schedule), true, (ERROR, 3));
        check((ACTIVE, 2), (RunStatus::Timeout, true, Trigger::Schedule), false, (ACTIVE, 0));
    }

    #[test]
    fn a_cancelled_run_leaves_status_and_count() {
        check((ACTIVE, 2), (RunStatus::Cancelled, false, Trigger::Schedule), true, (ACTIVE, 2));
        check((ERROR, 3), (RunStatus::Cancelled, true, Trigger::Manual), false, (ERROR, 3));
    }

    #[test]
    fn only_a_success_by_hand_clears_an_error() {
        check((ERROR, 3), (RunStatus::Success, true, Trigger::Manual), false, (ACTIVE, 0));
        check((ERROR, 3), (RunStatus::Success, true, Trigger::Ci), false, (ACTIVE, 0));
        check((ERROR, 3), (RunStatus::Failed, true, Trigger::Manual), false, (ERROR, 0));
        check((ERROR, 3), (RunStatus::Success, true, Trigger::Schedule), false, (ERROR, 0));
    }

    #[test]
    fn a_forced_run_of_a_paused_job_changes_no_status() {
        check((PAUSED, 2), (RunStatus::Failed, false, Trigger::Manual), false, (PAUSED, 3));
        check((PAUSED, 2), (RunStatus::Success, true, Trigger::Manual), false, (PAUSED, 0));
    }

    #[test]
    fn an_interrupted_run_leaves_the_count_whatever_it_refreshed() {
        for has_refreshed_some in [false, true] {
            let interrupted = Facts { is_interrupted: true, ..whole(RunStatus::Failed, has_refreshed_some, true) };
            assert_eq!(verdict(interrupted), Verdict::Neither);
        }
    }

    #[test]
    fn a_threshold_of_zero_never_disables() {
        let standing = Standing { status: ACTIVE, failures: 99 };
        let after = judged(standing, whole(RunStatus::Failed, false, false), Trigger::Schedule, 0);
        assert_eq!((after.status, after.failures), (ACTIVE, 100));
    }
}
