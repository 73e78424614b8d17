//! Tells of jobs that nobody started in time, and of those whose deadline passed without fresh data: no run of theirs says so, so that the
//! runs of others look. Each slot and each deadline is told once.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::clock::{self, SlotClock};
use crate::job::Job;
use crate::notify::{Kind, Message, Standing};
use crate::state::{JobStatus, RunFilter, StateError, Store, Told};
use crate::workspace::Workspace;

use super::health::{self, Health};
use super::herald::{self, Herald};
use super::post;

/// How many slots a message names.
const SLOTS_NAMED_MAX: usize = 20;

/// So long ago slots were written off at most: whoever writes one off looks at once, so that this is for looks that failed.
const WRITTEN_OFF_LATELY: TimeDelta = TimeDelta::hours(24);

/// How many of the job's last runs a message shows.
const RUNS_TOLD: u64 = 14;

/// Something to tell of a job: the instants that it is remembered by, and the slots that it names.
struct Overdue {
    kind: Kind,
    causes: Vec<DateTime<Utc>>,
    slots: Vec<DateTime<Utc>>,
    slot_count: u64,
}

/// Puts letters about those of the jobs into the outbox that are late or past their deadline, where they weren't told; returns how many messages
/// that are.
///
/// # Errors
/// The store can't be read or written.
pub fn tell_overdue(workspace: &Workspace, store: &mut Store, jobs: &[Job], clock: SlotClock) -> Result<usize, StateError> {
    let jobs: Vec<Job> = jobs.iter().filter(|job| is_heard(job)).cloned().collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    let found = health::examine(store, &jobs, clock.now())?;
    let known: HashSet<(String, String, String)> = store
        .told(&[Kind::Missed.as_str(), Kind::Deadline.as_str()])?
        .into_iter()
        .map(|(job, told)| (job, told.kind, told.cause))
        .collect();
    let written_off = store.missed_slots(clock.now() - WRITTEN_OFF_LATELY)?;
    let mut count = 0;
    for (job, health) in jobs.iter().zip(&found) {
        let is_new = |kind: Kind, at: DateTime<Utc>| !known.contains(&(health.job.clone(), kind.as_str().to_owned(), key(at)));
        let own = written_off.iter().filter(|(of, _)| *of == health.job).map(|(_, slot)| (slot.due_at, slot.slot_count));
        let missed = missed(own.collect(), health, &|at| is_new(Kind::Missed, at));
        let passed = health.deadline.filter(|passed| is_new(Kind::Deadline, passed.at));
        let deadline =
            passed.map(|passed| Overdue { kind: Kind::Deadline, causes: vec![passed.at], slots: vec![passed.slot_at], slot_count: 1 });
        for overdue in missed.into_iter().chain(deadline).filter(|overdue| job.notifications.tells(overdue.kind)) {
            count += usize::from(tell(workspace, store, job, health, overdue, clock)?);
        }
    }
    Ok(count)
}

/// Whether anybody would hear of it.
fn is_heard(job: &Job) -> bool {
    let rules = &job.notifications;
    let has_recipients = !rules.emails.is_empty() || !rules.webhooks.is_empty();
    has_recipients && (rules.tells(Kind::Missed) || rules.tells(Kind::Deadline))
}

fn key(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the slots that nobody started: those that the gate wrote off, and the one that it would start now.
fn missed(written_off: Vec<(DateTime<Utc>, u64)>, health: &Health, is_new: &dyn Fn(DateTime<Utc>) -> bool) -> Option<Overdue> {
    let late = health.late.iter().map(|late| (late.due_at, 1)).filter(|(at, _)| written_off.iter().all(|(known, _)| known != at));
    let mut slots: Vec<(DateTime<Utc>, u64)> = written_off.iter().copied().chain(late).filter(|(at, _)| is_new(*at)).collect();
    slots.sort_unstable();
    if slots.is_empty() {
        return None;
    }
    let first = slots.len().saturating_sub(SLOTS_NAMED_MAX);
    Some(Overdue {
        kind: Kind::Missed,
        causes: slots.iter().map(|(at, _)| *at).collect(),
        slots: slots[first..].iter().map(|(at, _)| *at).collect(),
        slot_count: slots.iter().map(|(_, count)| count).sum(),
    })
}

fn tell(
    workspace: &Workspace,
    store: &mut Store,
    job: &Job,
    health: &Health,
    overdue: Overdue,
    clock: SlotClock,
) -> Result<bool, StateError> {
    let Overdue { kind, causes, slots, slot_count } = overdue;
    // The addresses of its people may be secrets that were not fetched.
    let is_known = job.notifications.webhooks.iter().all(|url| !url.expose().is_empty());
    let fetched = if is_known { None } else { post::reachable(workspace, &job.id).ok() };
    let job = fetched.as_ref().unwrap_or(job);
    let herald = Herald::new(workspace, &store.workspace_id()?, job, clock);
    let filter = RunFilter { job: Some(job.id.to_string()), ..RunFilter::default() };
    let runs = store.runs(&filter, 1, RUNS_TOLD)?.runs;
    let message = Message {
        slots,
        slot_count,
        strip: runs.iter().rev().filter(|run| !run.status.is_open()).map(herald::strip_run).collect(),
        standing: Some(Standing { consecutive_failures: health.consecutive_failures, failure_threshold: job.failure_threshold }),
        ..herald.about_job(kind, health.status == JobStatus::Active)
    };
    let now = clock::now();
    let told: Vec<Told> =
        causes.iter().map(|at| Told { kind: kind.as_str().to_owned(), cause: key(*at), sources: Vec::new(), at: now }).collect();
    store.tell_once(job.id.as_str(), &told, &herald.letters(&message), now)
}
