//! Which slot of a job is to be started now, and what becomes of those that nobody started. Pure: the store's records go in, a decision
//! comes out.
//!
//! Never looks at the greatest slot that was ever claimed: a clock that was once set to 2030 must not silence a job.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::Trigger;
use crate::schedule::{Schedule, Slot, TimeOfDay};
use crate::zone::Zone;

/// How often a slot is claimed at most: once, and again while its runs are interrupted.
pub const CLAIMS_MAX: u32 = 3;

/// So many slots that nobody started are written down one by one, the rest as one entry.
pub const WRITTEN_OFF_MAX: usize = 100;

/// How far back slots are looked for after a long silence: enough for a year's report, and soon counted.
const LOOK_BACK: TimeDelta = TimeDelta::days(366);

/// How old a slot is at most that `catch_up: all` runs, where the job doesn't say.
const ALL_WINDOW: TimeDelta = TimeDelta::days(1);

/// What a second run of a job does while one runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOverlap {
    /// It ends: exit 5 by hand.
    #[default]
    Skip,
    /// It waits for the lease.
    Wait,
    /// It fails, with a run row.
    Fail,
}

/// What happens to slots that were not started in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// How late a start is still on time; where slots are close, half the span between them is.
    pub grace: Duration,
    /// Which of them are run later.
    pub catch_up: CatchUp,
    /// How old a slot may be to be caught up; `None`: until the next slot, for [`CatchUp::All`] a day.
    pub catch_up_window: Option<Duration>,
    /// Whether the scheduler also fires every hour, so that a slot lost to downtime is caught up within the hour.
    pub is_woken_hourly: bool,
    /// When the job's data must be fresh, in its zone.
    pub deadline: Option<TimeOfDay>,
}

/// Which slots that were not started in time are run later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// None.
    None,
    /// The latest one.
    #[default]
    Last,
    /// All of them, in order.
    All,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotStatus {
    /// Its run goes on.
    Running,
    /// Its run succeeded.
    Done,
    /// Its run ended otherwise, or was refused because another one went on.
    Failed,
    /// The process of its run died: it is due again.
    Interrupted,
    /// Another run of the job went on.
    Skipped,
    /// Nobody started it in time.
    Missed,
}

impl SlotStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Running, Self::Done, Self::Failed, Self::Interrupted, Self::Skipped, Self::Missed];

    /// Returns the word that the store, tables and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A slot that something became of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRecord {
    /// [`Slot::key`].
    pub key: String,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// What became of it.
    pub status: SlotStatus,
    /// The run that claimed it last.
    pub run_id: Option<String>,
    /// How many runs have claimed it.
    pub claims: u32,
    /// How many slots the entry stands for: more than one only where many were missed.
    pub slot_count: u64,
    /// When it was last written, by the clock that slots go by.
    pub updated_at: DateTime<Utc>,
}

impl SlotRecord {
    /// Whether the slot's fate stands. A slot that was written off before its time came, by a clock that was ahead, has none yet.
    pub(super) fn is_settled(&self, now: DateTime<Utc>) -> bool {
        !(matches!(self.status, SlotStatus::Missed | SlotStatus::Skipped) && self.updated_at > now)
    }

    fn is_of(&self, slot: &Slot, key: &str) -> bool {
        self.due_at == slot.at || self.key == key
    }
}

/// What a job's file says about its slots.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// When it is due.
    pub schedule: &'a Schedule,
    /// In which zone.
    pub zone: Zone,
    /// What happens to slots that were not started in time.
    pub lateness: Lateness,
    /// What happens to slots that fall into another run.
    pub on_overlap: OnOverlap,
}

/// What the store knows about a job's slots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Since when the job counts: it and its present schedule were noticed, and it is active.
    pub counted_since: DateTime<Utc>,
    /// The record of the latest slot, the newest settled record of a slot that is due, and for [`CatchUp::All`] all from [`Rules::reach`].
    pub records: Vec<SlotRecord>,
    /// Begin and end of the job's runs.
    pub runs: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// The slot to start.
    pub start: Option<Start>,
    /// Slots that nobody started and nobody will, oldest first, each with what it is from now on.
    pub written_off: Vec<(Slot, SlotStatus)>,
    /// Older ones, as one entry: the newest of them, and how many.
    pub rest: Option<(Slot, u64)>,
}

impl Decision {
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// A slot that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The slot.
    pub slot: Slot,
    /// The key under which it is claimed: its own, or that of its interrupted run.
    pub key: String,
    /// How many runs have claimed it before.
    pub claims: u32,
    /// Whether it is on time.
    pub trigger: Trigger,
}

/// How a slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Interrupted { key: String, claims: u32 },
    Settled,
}

/// A slot at the moment of the decision.
pub(super) struct Candidate {
    pub(super) slot: Slot,
    pub(super) standing: Standing,
    pub(super) is_on_time: bool,
    pub(super) is_inside_run: bool,
}

impl Rules<'_> {
    /// Returns the latest slot at or before `now`.
    pub fn latest(&self, now: DateTime<Utc>) -> Option<Slot> {
        self.schedule.latest(self.zone, now)
    }

    /// Returns the instant from which on every record counts, where more than the newest does.
    pub fn reach(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.lateness.catch_up == CatchUp::All).then(|| now - self.window().unwrap_or(ALL_WINDOW))
    }

    /// Decides what is to be done with the slots at or before `now`.
    pub fn decide(&self, facts: &Facts, now: DateTime<Utc>) -> Decision {
        let candidates = self.candidates(facts, now);
        let mut start = None;
        let mut written_off = Vec::new();
        let last = candidates.len().saturating_sub(1);
        for (index, candidate) in candidates.iter().enumerate() {
            let is_asked = self.lateness.catch_up == CatchUp::All || index == last;
            if is_asked && self.is_startable(candidate, now) {
                start.get_or_insert_with(|| candidate.start());
            } else if candidate.standing == Standing::Open {
                written_off.push((candidate.slot, candidate.fate()));
            }
        }
        // Every slot that is looked at one by one needs an entry of its own.
        let aged = self.reach(now).map_or(written_off.len(), |reach| written_off.partition_point(|(slot, _)| slot.at < reach));
        let rest_count = written_off.len().saturating_sub(WRITTEN_OFF_MAX).min(aged);
        let rest: Vec<(Slot, SlotStatus)> = written_off.drain(..rest_count).collect();
        Decision { start, written_off, rest: rest.last().map(|(slot, _)| (*slot, rest.len() as u64)) }
    }

    /// Whether the latest slot's fate stands for good, and so does that of every other that might be started: no run can end in a way that
    /// makes one of them due again.
    pub fn is_over(&self, records: &[SlotRecord], latest: &Slot, now: DateTime<Utc>) -> bool {
        let key = latest.key();
        let may_return = |record: &SlotRecord| matches!(record.status, SlotStatus::Running | SlotStatus::Interrupted);
        let mut of_latest = records.iter().filter(|record| record.is_of(latest, &key)).peekable();
        let is_known = of_latest.peek().is_some() && of_latest.all(|record| record.is_settled(now) && !may_return(record));
        is_known && (self.lateness.catch_up != CatchUp::All || !records.iter().any(may_return))
    }

    /// Returns the slots that count and may not be settled, oldest first; the last one is the latest.
    fn candidates(&self, facts: &Facts, now: DateTime<Utc>) -> Vec<Candidate> {
        let first = self.first_looked_at(facts, now);
        self.candidates_from(first, facts, now)
    }

    /// Returns the instant from which on slots are looked at.
    pub(super) fn first_looked_at(&self, facts: &Facts, now: DateTime<Utc>) -> DateTime<Utc> {
        let grace_max = span(self.lateness.grace);
        let settled =
            facts.records.iter().filter(|record| record.due_at <= now && record.is_settled(now)).map(|record| record.due_at).max();
        let first = match (self.reach(now), settled) {
            (Some(reach), Some(settled)) => reach.min(settled),
            (Some(reach), None) => reach.min(facts.counted_since - grace_max),
            (None, Some(settled)) => settled,
            (None, None) => facts.counted_since - grace_max,
        };
        first.max(facts.counted_since - grace_max).max(now - LOOK_BACK)
    }

    /// As [`Rules::candidates`], of the slots from an instant on.
    pub(super) fn candidates_from(&self, first: DateTime<Utc>, facts: &Facts, now: DateTime<Utc>) -> Vec<Candidate> {
        let grace_max = span(self.lateness.grace);
        let slots = self.schedule.between(self.zone, first, now.trunc_subsecs(0) + TimeDelta::seconds(1));
        let after = self.schedule.next(self.zone, now, 1).first().map(|slot| slot.at);
        let ends = slots.iter().skip(1).map(|slot| Some(slot.at)).chain([after]);
        let mut candidates = Vec::new();
        for (slot, end) in slots.iter().zip(ends) {
            // Half the span to the next slot, so that a firing always belongs to the nearer one.
            let grace = end.map_or(grace_max, |end| grace_max.min((end - slot.at) / 2));
            if slot.at + grace < facts.counted_since {
                continue;
            }
            let key = slot.key();
            let record = facts.records.iter().find(|record| record.is_of(slot, &key) && record.is_settled(now));
            let standing = match record {
                None => Standing::Open,
                Some(SlotRecord { status: SlotStatus::Interrupted, key, claims, .. }) if *claims < CLAIMS_MAX => {
                    Standing::Interrupted { key: key.clone(), claims: *claims }
                }
                Some(_) => Standing::Settled,
            };
            let is_inside_run = facts.runs.iter().any(|(begin, end)| (*begin..*end).contains(&slot.at));
            candidates.push(Candidate { slot: *slot, standing, is_on_time: now - slot.at <= grace, is_inside_run });
        }
        candidates
    }

    fn is_startable(&self, candidate: &Candidate, now: DateTime<Utc>) -> bool {
        let window = self.window().or((self.lateness.catch_up == CatchUp::All).then_some(ALL_WINDOW));
        let is_young = window.is_none_or(|window| now - candidate.slot.at <= window);
        match &candidate.standing {
            Standing::Settled => false,
            Standing::Open | Standing::Interrupted { .. } if candidate.is_on_time => true,
            Standing::Interrupted { .. } => is_young,
            // What a firing in time would have skipped is not caught up either.
            Standing::Open if candidate.is_inside_run && self.on_overlap != OnOverlap::Wait => false,
            Standing::Open => self.lateness.catch_up != CatchUp::None && is_young,
        }
    }

    fn window(&self) -> Option<TimeDelta> {
        self.lateness.catch_up_window.map(span)
    }
}

impl Candidate {
    fn start(&self) -> Start {
        let trigger = if self.is_on_time { Trigger::Schedule } else { Trigger::CatchUp };
        match &self.standing {
            Standing::Interrupted { key, claims } => Start { slot: self.slot, key: key.clone(), claims: *claims, trigger },
            Standing::Open | Standing::Settled => Start { slot: self.slot, key: self.slot.key(), claims: 0, trigger },
        }
    }

    fn fate(&self) -> SlotStatus {
        if self.is_inside_run { SlotStatus::Skipped } else { SlotStatus::Missed }
    }
}

fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(LOOK_BACK)
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
