//! Tells of jobs that nobody started in time, and of those whose deadline passed without fresh data: no run of theirs says so, so that the
//! runs of others look. Each slot and each deadline is told once; what one look finds is one letter a recipient.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::clock::{self, SlotClock};
use crate::job::{Job, Repeat};
use crate::notify::Kind;
use crate::state::{LookTidings, StateError, Store, Told};
use crate::workspace::Workspace;

use super::health::{self, Health};
use super::roundup::Round;

/// How many slots a message names.
const SLOTS_NAMED_MAX: usize = 20;

/// So long ago slots were written off at most: whoever writes one off looks at once, so that this is for looks that failed.
const WRITTEN_OFF_LATELY: TimeDelta = TimeDelta::hours(24);

/// What is told here.
const KINDS: [&str; 2] = [Kind::Missed.as_str(), Kind::Deadline.as_str()];

/// Something to tell of a job: the instants that it is remembered by, oldest first, and the slots that it names.
#[derive(Debug, Clone)]
pub(super) struct Overdue<'a> {
    pub(super) job: &'a Job,
    pub(super) health: &'a Health,
    pub(super) kind: Kind,
    pub(super) causes: Vec<DateTime<Utc>>,
    pub(super) slots: Vec<DateTime<Utc>>,
    pub(super) slot_count: u64,
    /// Whether it goes on with what was told before: then it is only remembered.
    is_known: bool,
}

/// When each slot of one job was told as missed.
type KnownSlots<'a> = HashMap<&'a str, DateTime<Utc>>;

/// What a look found, whatever of it was told before.
struct Look {
    found: Vec<(Job, Health)>,
    /// Slots that the gate wrote off, each with how many it stands for, by job.
    written_off: HashMap<String, Vec<(DateTime<Utc>, u64)>>,
}

/// Puts letters about those of the jobs into the outbox that are late or past their deadline, where they weren't told; returns how many
/// letters that are.
///
/// # Errors
/// The store can't be read or written.
pub fn tell_overdue(workspace: &Workspace, store: &mut Store, jobs: &[Job], clock: SlotClock) -> Result<usize, StateError> {
    let jobs: Vec<Job> = jobs.iter().filter(|job| is_heard(job)).cloned().collect();
    if jobs.is_empty() {
        return Ok(0);
    }
    let look = Look::take(store, jobs, clock.now())?;
    let overdue = look.overdue(&store.told(&KINDS)?);
    if overdue.is_empty() {
        return Ok(0);
    }
    let news: Vec<&Overdue<'_>> = overdue.iter().filter(|overdue| !overdue.is_known).collect();
    let round = Round::prepare(workspace, store, &news, clock)?;
    let now = clock::now();
    store.tell_by_look(&KINDS, now, &|known| {
        // Another process may have told a part of it meanwhile.
        let overdue = look.overdue(known);
        let news: Vec<&Overdue<'_>> = overdue.iter().filter(|overdue| !overdue.is_known).collect();
        LookTidings {
            letters: round.letters(&news),
            told: overdue.iter().flat_map(|overdue| remembered(overdue, now)).collect(),
            over: Vec::new(),
        }
    })
}

fn remembered(overdue: &Overdue<'_>, now: DateTime<Utc>) -> Vec<(String, Told)> {
    let kind = overdue.kind.as_str();
    let told = |at: &DateTime<Utc>| Told { kind: kind.to_owned(), cause: key(*at), sources: Vec::new(), at: now };
    overdue.causes.iter().map(|at| (overdue.job.id.to_string(), told(at))).collect()
}

impl Look {
    fn take(store: &mut Store, jobs: Vec<Job>, slot_now: DateTime<Utc>) -> Result<Self, StateError> {
        let health = health::examine(store, &jobs, slot_now)?;
        let mut written_off: HashMap<String, Vec<(DateTime<Utc>, u64)>> = HashMap::new();
        for (job, slot) in store.missed_slots(slot_now - WRITTEN_OFF_LATELY)? {
            written_off.entry(job).or_default().push((slot.due_at, slot.slot_count));
        }
        Ok(Self { found: jobs.into_iter().zip(health).collect(), written_off })
    }

    /// Returns what is to be told or remembered, in the order of the jobs.
    fn overdue(&self, told: &[(String, Told)]) -> Vec<Overdue<'_>> {
        let mut known: HashMap<(&str, &str), KnownSlots<'_>> = HashMap::new();
        for (job, told) in told {
            known.entry((job.as_str(), told.kind.as_str())).or_default().insert(told.cause.as_str(), told.at);
        }
        let none = KnownSlots::new();
        let mut all = Vec::new();
        for (job, health) in &self.found {
            let of = |kind: Kind| known.get(&(health.job.as_str(), kind.as_str())).unwrap_or(&none);
            let written_off = self.written_off.get(&health.job).map(Vec::as_slice).unwrap_or_default();
            let missed = missed(written_off, job, health, of(Kind::Missed));
            let passed = health.deadline.filter(|passed| !of(Kind::Deadline).contains_key(key(passed.at).as_str()));
            let deadline = passed.map(|passed| Overdue {
                job,
                health,
                kind: Kind::Deadline,
                causes: vec![passed.at],
                slots: vec![passed.slot_at],
                slot_count: 1,
                is_known: false,
            });
            all.extend(missed.into_iter().chain(deadline).filter(|overdue| job.notifications.tells(overdue.kind)));
        }
        all
    }
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
fn missed<'a>(written_off: &[(DateTime<Utc>, u64)], job: &'a Job, health: &'a Health, known: &KnownSlots<'_>) -> Option<Overdue<'a>> {
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
        job,
        health,
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
