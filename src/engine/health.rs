//! How jobs stand: which are late, past their deadline, in error, or stuck. Reads the store only, in a few queries however many jobs there
//! are; tells nobody.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::Job;
use crate::process;
use crate::run::due::{Facts, SlotRecord};
use crate::run::late::Successes;
pub use crate::run::late::{LateReason, LateSlot, PassedDeadline};
use crate::state::{FailingSources, JobStanding, JobStatus, LastRun, RunRecord, StateError, Store};

use super::gate::rules;
use super::journal::moment;
use super::run::timeout_of;

/// A run ends at most so long after its time limit, whatever its drivers do.
const OVERTIME: Duration = Duration::from_secs(10);

/// So far back slots are told that nobody started.
pub const MISSED_LATELY: TimeDelta = TimeDelta::hours(24);

/// How a job stands. Of one that is inactive or paused nothing is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The job.
    pub job: String,
    /// As it is now: the file's `is_active: false` wins.
    pub status: JobStatus,
    /// Since when its slots count; `None` where no scheduler has asked for them yet, and while it isn't active.
    pub counted_since: Option<DateTime<Utc>>,
    /// Whether the store knows the schedule that its file has now; if not, the next firing of the gate notices it.
    pub is_schedule_known: bool,
    /// When the status was last changed.
    pub status_changed_at: Option<DateTime<Utc>>,
    /// The end of a pause that has one.
    pub paused_until: Option<DateTime<Utc>>,
    /// The slot that was not started and is older than its grace.
    pub late: Option<LateSlot>,
    /// The deadline that passed without a success since the slot before it.
    pub deadline: Option<PassedDeadline>,
    /// A run that doesn't end.
    pub stuck: Option<Stuck>,
    /// Slots of the last 24 hours that nobody started, as the gate wrote them down, oldest first.
    pub missed: Vec<SlotRecord>,
    /// Runs in a row that count towards `failure_threshold`.
    pub consecutive_failures: u64,
    /// How its runs ended, ever.
    pub run_counts: RunCounts,
    /// Whether a run of it goes on, and its process lives.
    pub is_running: bool,
    /// The run begun last.
    pub last_run: Option<LastRun>,
    /// When every source was last refreshed.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The sources that the last run of each did not refresh, with how many runs in a row that was so.
    pub sources_failing: FailingSources,
    /// After so many runs in a row a failure is more than one; 0 means never.
    pub failure_threshold: u32,
    /// The next slot that will be started.
    pub next_at: Option<DateTime<Utc>>,
}

/// How many runs of a job ended how, ever: also those that are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// Every source was refreshed.
    pub success: u64,
    /// Failed, or hit the time limit.
    pub failed: u64,
    /// Ended by a signal or by `cancel`.
    pub cancelled: u64,
}

/// A run that doesn't end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The run.
    pub run_id: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Why it counts as stuck.
    pub reason: StuckReason,
}

/// Why a run counts as stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckReason {
    /// Its process is gone, and no later run of the job has settled it.
    Interrupted,
    /// It goes on past its time limit.
    Overtime {
        /// The limit: the job's `timeout_minutes`.
        limit: Duration,
    },
}

impl Health {
    /// Whether nothing is wrong: the job isn't late, past its deadline, in error or stuck, and none of its sources starves.
    pub fn is_well(&self) -> bool {
        let is_in_time = self.late.is_none() && self.deadline.is_none() && self.stuck.is_none();
        self.status != JobStatus::Error && is_in_time && self.starving().next().is_none()
    }

    /// Returns the sources that `failure_threshold` runs in a row did not refresh, while others of the job may have been: that never puts the
    /// job into `error`.
    pub fn starving(&self) -> impl Iterator<Item = (&str, u64)> {
        let threshold = u64::from(self.failure_threshold);
        let is_starving = move |runs: u64| threshold > 0 && runs >= threshold;
        self.sources_failing.iter().map(|(name, runs)| (name.as_str(), *runs)).filter(move |(_, runs)| is_starving(*runs))
    }
}

/// Looks at jobs: `slot_now` is the present instant by the clock that slots go by. Returns one entry a job, in their order.
///
/// # Errors
/// The store can't be read.
pub fn examine(store: &mut Store, jobs: &[Job], slot_now: DateTime<Utc>) -> Result<Vec<Health>, StateError> {
    let now = moment();
    let dead: HashSet<String> = store.dead_run_ids(&now, &process::liveness)?.into_iter().collect();
    let open: HashMap<String, RunRecord> = store.open_runs()?.into_iter().map(|run| (run.job.clone(), run)).collect();
    let standings = store.standings(slot_now, slot_now - MISSED_LATELY)?;
    let standings: HashMap<String, JobStanding> = standings.into_iter().map(|standing| (standing.record.id.clone(), standing)).collect();
    let mut found: Vec<Health> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let Some(standing) = standings.get(job.id.as_str()) else {
            found.push(unseen(job, slot_now));
            continue;
        };
        let mut health = judge(job, standing, slot_now);
        if let Some(run) = open.get(job.id.as_str()) {
            let is_dead = dead.contains(&run.id);
            health.is_running = !is_dead;
            health.stuck = stuck(run, is_dead, timeout_of(job), now.at).filter(|_| is_watched(health.status));
        }
        found.push(health);
    }
    leave_out_overlaps(store, jobs, &standings, &mut found, slot_now)?;
    found.iter_mut().for_each(|health| count_written_off(health, slot_now));
    Ok(found)
}

/// Whether anything may be wrong with a job of this status.
fn is_watched(status: JobStatus) -> bool {
    matches!(status, JobStatus::Active | JobStatus::Error)
}

/// Returns how a job stands that no store knows.
pub fn unseen(job: &Job, slot_now: DateTime<Utc>) -> Health {
    let status = if job.is_active { JobStatus::Active } else { JobStatus::Inactive };
    Health {
        job: job.id.to_string(),
        status,
        counted_since: None,
        is_schedule_known: false,
        status_changed_at: None,
        paused_until: None,
        late: None,
        deadline: None,
        stuck: None,
        missed: Vec::new(),
        consecutive_failures: 0,
        run_counts: RunCounts::default(),
        is_running: false,
        last_run: None,
        last_success_at: None,
        sources_failing: FailingSources::new(),
        failure_threshold: job.failure_threshold,
        next_at: next_slot_at(job, status, None, slot_now),
    }
}

/// Judges everything but runs that go on.
fn judge(job: &Job, standing: &JobStanding, slot_now: DateTime<Utc>) -> Health {
    let record = &standing.record;
    let status = if job.is_active { record.status_at(slot_now) } else { JobStatus::Inactive };
    let is_schedule_known = standing.schedule_fingerprint == job.schedule_fingerprint;
    let counted_since = standing.counted_since.filter(|_| job.is_active);
    let mut health = Health {
        status,
        counted_since,
        is_schedule_known,
        status_changed_at: Some(record.status_changed_at),
        paused_until: record.paused_until.filter(|_| status == JobStatus::Paused),
        consecutive_failures: record.consecutive_failures,
        run_counts: RunCounts { success: record.success_count, failed: record.failure_count, cancelled: standing.cancelled_count },
        last_run: record.last_run.clone(),
        last_success_at: record.last_success_at,
        sources_failing: of_the_job(&record.sources_failing, job),
        next_at: next_slot_at(job, status, record.paused_until, slot_now),
        ..unseen(job, slot_now)
    };
    // A schedule counts from its first notice on.
    if let (JobStatus::Active, true, Some(facts)) = (status, is_schedule_known, facts(standing, Vec::new())) {
        let successes = successes(standing);
        health.late = rules(job).late_slot(&facts, successes, slot_now);
        health.deadline = rules(job).passed_deadline(&facts, successes, slot_now);
        health.missed.clone_from(&standing.missed);
    }
    health
}

/// Leaves out the sources that its file doesn't have any more.
fn of_the_job(failing: &FailingSources, job: &Job) -> FailingSources {
    let has = |name: &String| job.sources.iter().any(|source| source.name == *name);
    failing.iter().filter(|(name, _)| has(name)).map(|(name, runs)| (name.clone(), *runs)).collect()
}

/// Looks again at the jobs that are late: a slot may have fallen into another run. Few are late, and there are many runs.
fn leave_out_overlaps(
    store: &mut Store,
    jobs: &[Job],
    standings: &HashMap<String, JobStanding>,
    found: &mut [Health],
    slot_now: DateTime<Utc>,
) -> Result<(), StateError> {
    let late: Vec<usize> = (0..found.len()).filter(|index| found[*index].late.is_some()).collect();
    let slots: Vec<(&str, DateTime<Utc>)> =
        late.iter().filter_map(|index| Some((jobs[*index].id.as_str(), found[*index].late.as_ref()?.due_at))).collect();
    if slots.is_empty() {
        return Ok(());
    }
    for (index, run) in late.into_iter().zip(store.runs_over(&slots, slot_now)?) {
        let job = &jobs[index];
        if let (Some(run), Some(standing)) = (run, standings.get(job.id.as_str()))
            && let Some(facts) = facts(standing, vec![run])
        {
            found[index].late = rules(job).late_slot(&facts, successes(standing), slot_now);
        }
    }
    Ok(())
}

/// Counts the slots before a late one that the gate wrote off since the last run: each firing settles another, and nothing has run.
fn count_written_off(health: &mut Health, slot_now: DateTime<Utc>) {
    let last_run_at = health.last_run.as_ref().map(|run| run.at);
    let Some(late) = health.late.as_mut().filter(|late| late.reason == LateReason::Missed) else { return };
    // A run of another clock altogether (`--now`) says nothing of these slots.
    let is_since_run = |at: DateTime<Utc>| last_run_at.into_iter().chain(health.last_success_at).all(|run| run < at || run > slot_now);
    let first = health.missed.iter().map(|slot| slot.due_at).find(|at| is_since_run(*at));
    if let Some(at) = first.filter(|at| *at < late.since) {
        (late.since, late.by, late.are_there_more) = (at, slot_now - at, true);
    }
}

fn facts(standing: &JobStanding, runs: Vec<(DateTime<Utc>, DateTime<Utc>)>) -> Option<Facts> {
    Some(Facts { counted_since: standing.counted_since?, records: standing.slots.clone(), runs })
}

fn successes(standing: &JobStanding) -> Successes {
    Successes { last_at: standing.record.last_success_at, last_slot_at: standing.done_slot_at }
}

fn stuck(run: &RunRecord, is_dead: bool, limit: Duration, now: DateTime<Utc>) -> Option<Stuck> {
    let age = (now - run.started_at).to_std().unwrap_or_default();
    let reason = if is_dead {
        StuckReason::Interrupted
    } else if age > limit + OVERTIME {
        StuckReason::Overtime { limit }
    } else {
        return None;
    };
    Some(Stuck { run_id: run.id.clone(), started_at: run.started_at, reason })
}

/// Returns the next slot of a job that will be started: none while it isn't active, those after a pause that has an end.
fn next_slot_at(job: &Job, status: JobStatus, paused_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let after = match (status, paused_until) {
        (JobStatus::Active, _) => now,
        // A slot at the very end of the pause is started.
        (JobStatus::Paused, Some(until)) => until - TimeDelta::seconds(1),
        _ => return None,
    };
    job.schedule.next(job.timezone, after, 1).first().map(|slot| slot.at)
}
