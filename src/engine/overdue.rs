//! Tells of jobs that nobody started in time, and of those whose deadline passed without fresh data: no run of theirs says so, so that the
//! runs of others look. Each slot and each deadline is told once.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::clock::{self, SlotClock};
use crate::job::{Job, Repeat};
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
    /// Whether it goes on with what was told before: then it is only remembered.
    is_known: bool,
}

/// When each slot of one job was told as missed.
type KnownSlots<'a> = HashMap<&'a str, DateTime<Utc>>;

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
    let told = store.told(&[Kind::Missed.as_str(), Kind::Deadline.as_str()])?;
    let written_off = store.missed_slots(clock.now() - WRITTEN_OFF_LATELY)?;
    let mut count = 0;
    for (job, health) in jobs.iter().zip(&found) {
        let of = |kind: Kind| {
            let own = told.iter().filter(move |(id, told)| *id == health.job && told.kind == kind.as_str());
            own.map(|(_, told)| (told.cause.as_str(), told.at)).collect::<KnownSlots<'_>>()
        };
        let own = written_off.iter().filter(|(of, _)| *of == health.job).map(|(_, slot)| (slot.due_at, slot.slot_count));
        let missed = missed(own.collect(), job, health, &of(Kind::Missed));
        let passed = health.deadline.filter(|passed| !of(Kind::Deadline).contains_key(key(passed.at).as_str()));
        let deadline = passed.map(|passed| Overdue {
            kind: Kind::Deadline,
            causes: vec![passed.at],
            slots: vec![passed.slot_at],
            slot_count: 1,
            is_known: false,
        });
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

/// Returns the slots that nobody started: those that the gate wrote off, and those up to the one that it would start now. An outage that
/// goes on was told when it began.
fn missed(written_off: Vec<(DateTime<Utc>, u64)>, job: &Job, health: &Health, known: &KnownSlots<'_>) -> Option<Overdue> {
    let outage = outage(job, health);
    let is_new = |at: DateTime<Utc>| !known.contains_key(key(at).as_str());
    let late = outage.iter().map(|at| (*at, 1)).filter(|(at, _)| written_off.iter().all(|(known, _)| known != at));
    let mut slots: Vec<(DateTime<Utc>, u64)> = written_off.iter().copied().chain(late).filter(|(at, _)| is_new(*at)).collect();
    slots.sort_unstable();
    if slots.is_empty() {
        return None;
    }
    let told_at = outage.iter().filter_map(|at| known.get(key(*at).as_str())).max();
    let is_part = slots.iter().all(|(at, _)| outage.contains(at));
    let first = slots.len().saturating_sub(SLOTS_NAMED_MAX);
    Some(Overdue {
        kind: Kind::Missed,
        causes: slots.iter().map(|(at, _)| *at).collect(),
        slots: slots[first..].iter().map(|(at, _)| *at).collect(),
        slot_count: slots.iter().map(|(_, count)| count).sum(),
        is_known: is_part && told_at.is_some_and(|at| !is_told_again(job, *at)),
    })
}

/// Returns the slots in a row that nobody started, up to the one that is late, oldest first.
fn outage(job: &Job, health: &Health) -> Vec<DateTime<Utc>> {
    let Some(late) = &health.late else { return Vec::new() };
    let mut slots = vec![late.due_at];
    while (slots.len() as u64) < late.slot_count {
        let before = slots[slots.len() - 1] - TimeDelta::seconds(1);
        let Some(slot) = job.schedule.latest(job.timezone, before) else { break };
        slots.push(slot.at);
    }
    slots.reverse();
    slots
}

/// Whether an outage that was told at an instant is told once more now.
fn is_told_again(job: &Job, told_at: DateTime<Utc>) -> bool {
    let day = |at: DateTime<Utc>| (at.timestamp() + i64::from(job.timezone.offset_at(at.timestamp()))).div_euclid(86_400);
    match job.notifications.repeat {
        Repeat::All => true,
        Repeat::First => false,
        Repeat::Daily => day(told_at) != day(clock::now()),
    }
}

fn tell(
    workspace: &Workspace,
    store: &mut Store,
    job: &Job,
    health: &Health,
    overdue: Overdue,
    clock: SlotClock,
) -> Result<bool, StateError> {
    let Overdue { kind, causes, slots, slot_count, is_known } = overdue;
    let now = clock::now();
    let told: Vec<Told> =
        causes.iter().map(|at| Told { kind: kind.as_str().to_owned(), cause: key(*at), sources: Vec::new(), at: now }).collect();
    if is_known {
        store.tell_once(job.id.as_str(), &told, &[], now)?;
        return Ok(false);
    }
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
    store.tell_once(job.id.as_str(), &told, &herald.letters(&message), now)
}
