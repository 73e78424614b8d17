//! Whether a job is late, or past its deadline: what monitoring asks. By the same rules as the gate's ([`super::due`]). Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::due::{Candidate, CatchUp, Facts, Lateness, OnOverlap, Rules, SlotStatus, Standing};
use crate::schedule::{Schedule, Slot};

/// How far ahead of ours another host's clock may be when it tells of a success. What is further ahead is of another time altogether (`--now`).
const CLOCK_SKEW_MAX: TimeDelta = TimeDelta::minutes(5);

/// So far back slots are counted that nobody started; the last two of a rarer schedule are looked at all the same.
const COUNTED_BACK: TimeDelta = TimeDelta::days(2);

/// A slot that was due and is older than its grace, and whose run was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateSlot {
    /// Under which it is claimed: [`Slot::key`], or what its interrupted run claimed.
    pub key: String,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// When the first slot was due that nobody started since the last success, of those in a row that this one ends.
    pub since: DateTime<Utc>,
    /// How long ago that is: it grows as long as nothing runs.
    pub by: TimeDelta,
    /// How many slots in a row nobody started, this one the last; counted over two days.
    pub slot_count: u64,
    /// How many of those were due since the last success.
    pub fresh_count: u64,
    /// Whether there are more of them, before those two days.
    pub are_there_more: bool,
    /// Why it has no run.
    pub reason: LateReason,
}

/// Why a late slot has no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateReason {
    /// Nobody started it; the next firing of the gate does.
    NotStarted,
    /// Nobody started it, and the gate won't any more: what `catch_up` and its window allow is over.
    Missed,
    /// The process of its run died, and it was not started again.
    Interrupted,
}

/// A deadline that passed without a success since the slot before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedDeadline {
    /// The first deadline after the slot; where the clocks skip both, as long after the slot as on other days.
    pub at: DateTime<Utc>,
    /// The slot.
    pub slot_at: DateTime<Utc>,
}

/// What is known of a job's successes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Successes {
    /// When a run last succeeded, by the wall clock.
    pub last_at: Option<DateTime<Utc>>,
    /// The newest slot whose run succeeded.
    pub last_slot_at: Option<DateTime<Utc>>,
}

impl Successes {
    /// Whether a run succeeded at or after an instant.
    fn is_any_since(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.last(now).is_some_and(|at| at >= since)
    }

    /// Returns the last instant that data are known to be of.
    fn last(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        [self.last_slot_at, self.last_at].into_iter().flatten().filter(|at| *at <= now + CLOCK_SKEW_MAX).max()
    }
}

impl Rules<'_> {
    /// Returns the latest slot whose grace is over, if it was not started and neither was a later one, and nobody has refreshed the job
    /// since: a run by hand claims no slot and makes the data as fresh. A slot that fell into another run is not late, unless `on_overlap`
    /// lets it wait and that run is over.
    ///
    /// Of [`Facts::records`], the newest settled one and later ones are needed.
    pub fn late_slot(&self, facts: &Facts, successes: Successes, now: DateTime<Utc>) -> Option<LateSlot> {
        // The gate may owe more to `catch_up: all`; how fresh the data is the last slot tells.
        let lateness = Lateness { catch_up: CatchUp::Last, ..self.lateness };
        let rules = Rules { lateness, ..*self };
        let latest = rules.latest(now)?;
        let before = rules.latest(latest.at - TimeDelta::seconds(1)).map_or(latest.at, |slot| slot.at);
        let known_from = rules.first_looked_at(facts, now);
        let first = known_from.max(before.min(now - COUNTED_BACK));
        let candidates = rules.candidates_from(first, facts, now);
        let overdue: Vec<_> = candidates.iter().filter(|candidate| !candidate.is_on_time).collect();
        let last = overdue.last()?;
        let key = last.slot.key();
        let (key, reason) = match &last.standing {
            Standing::Interrupted { key, .. } => (key.clone(), LateReason::Interrupted),
            Standing::Open if last.is_inside_run && !self.has_waited(&last.slot, facts, now) => return None,
            Standing::Open if self.is_given_up(&last.slot, now) => (key, LateReason::Missed),
            Standing::Open => (key, LateReason::NotStarted),
            Standing::Settled if self.is_missed(&last.slot, facts, now) => (key, LateReason::Missed),
            Standing::Settled => return None,
        };
        let is_lost = |slot: &Slot, standing: &Standing| *standing != Standing::Settled || self.is_missed(slot, facts, now);
        let slot_count = overdue.iter().rev().take_while(|candidate| is_lost(&candidate.slot, &candidate.standing)).count();
        let due_at = last.slot.at;
        if successes.is_any_since(due_at, now) {
            return None;
        }
        let mut since = overdue[overdue.len() - slot_count].slot.at;
        let mut are_there_more = false;
        if slot_count == overdue.len() && known_from < first {
            let earlier = self.first_lost(facts, known_from, now).filter(|slot| slot.at < since);
            are_there_more = earlier.is_some();
            since = earlier.map_or(since, |slot| slot.at);
        }
        let after_success = successes.last(now).and_then(|at| self.schedule.next(self.zone, at, 1).first().map(|slot| slot.at));
        let since = after_success.map_or(since, |at| at.clamp(since, due_at));
        let in_row = &overdue[overdue.len() - slot_count..];
        let fresh_count = in_row.iter().filter(|candidate| candidate.slot.at >= since).count() as u64;
        let slot_count = slot_count as u64;
        are_there_more &= fresh_count == slot_count;
        Some(LateSlot { key, due_at, since, by: now - since, slot_count, fresh_count, are_there_more, reason })
    }

    /// Returns the first slot from an instant on that nobody started, where only the first one there may have a record.
    fn first_lost(&self, facts: &Facts, from: DateTime<Utc>, now: DateTime<Utc>) -> Option<Slot> {
        let slots = self.schedule.next(self.zone, from - TimeDelta::seconds(1), 3);
        let until = slots.last()?.at.min(now);
        let rules = Rules { lateness: Lateness { catch_up: CatchUp::Last, ..self.lateness }, ..*self };
        let is_lost = |candidate: &Candidate| candidate.standing != Standing::Settled || self.is_missed(&candidate.slot, facts, now);
        rules.candidates_from(from, facts, until).into_iter().find(is_lost).map(|candidate| candidate.slot)
    }

    /// Whether the run that a slot waited for is over.
    fn has_waited(&self, slot: &Slot, facts: &Facts, now: DateTime<Utc>) -> bool {
        self.on_overlap == OnOverlap::Wait && !facts.runs.iter().any(|(begin, end)| *begin <= slot.at && *end >= now)
    }

    /// Whether the gate leaves a slot alone that it finds now, after its grace.
    fn is_given_up(&self, slot: &Slot, now: DateTime<Utc>) -> bool {
        let window = self.lateness.catch_up_window.and_then(|window| TimeDelta::from_std(window).ok());
        self.lateness.catch_up == CatchUp::None || window.is_some_and(|window| now - slot.at > window)
    }

    fn is_missed(&self, slot: &Slot, facts: &Facts, now: DateTime<Utc>) -> bool {
        let record = facts.records.iter().find(|record| record.due_at == slot.at && record.is_settled(now));
        record.is_some_and(|record| record.status == SlotStatus::Missed)
    }

    /// Returns the deadline that passed without a success since the slot before it, if that slot counts.
    pub fn passed_deadline(&self, facts: &Facts, successes: Successes, now: DateTime<Utc>) -> Option<PassedDeadline> {
        let daily = Schedule::Daily(self.lateness.deadline?);
        let latest = daily.latest(self.zone, now)?;
        let just_before = latest.at - TimeDelta::seconds(1);
        let at_once = self.schedule.between(self.zone, latest.at, latest.at + TimeDelta::seconds(1));
        let beside = at_once.into_iter().rev().find(|slot| slot.lead(&latest).is_some());
        let is_over = |slot: &Slot| self.deadline_of(&daily, slot).is_some_and(|at| at <= now);
        let slot = beside.filter(is_over).or_else(|| self.schedule.latest(self.zone, just_before))?;
        let (at, slot_at) = (self.deadline_of(&daily, &slot)?, slot.at);
        let grace = TimeDelta::from_std(self.lateness.grace).unwrap_or(COUNTED_BACK);
        let is_counted = slot_at + grace >= facts.counted_since;
        (is_counted && !successes.is_any_since(slot_at, now)).then_some(PassedDeadline { at, slot_at })
    }

    /// Returns the deadline of a slot: the first one after it. Where the clocks skip both, or the deadline is the end of what they skip, the
    /// job has as long as on other days.
    fn deadline_of(&self, daily: &Schedule, slot: &Slot) -> Option<DateTime<Utc>> {
        let beside = daily.latest(self.zone, slot.at).and_then(|deadline| Some(deadline.at + slot.lead(&deadline)?));
        beside.or_else(|| daily.next(self.zone, slot.at, 1).first().map(|deadline| deadline.at))
    }
}

#[cfg(test)]
#[path = "late_tests.rs"]
mod tests;
