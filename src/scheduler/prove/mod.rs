//! Proves entries: simulates what a scheduler makes of the text it is given, minute by minute, and holds every start against the slots that
//! are due. It reads the emitted text and shares nothing with the routine that made it.

mod daemons;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

pub use daemons::Daemon;
pub use text::{Called, Firing, Line, Script, TextError};

use crate::schedule::{Schedule, Slot};
use crate::zone::Zone;

/// What is to be proved.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The job's id, as its lines name it.
    pub job: &'a str,
    /// When it is due.
    pub schedule: &'a Schedule,
    /// The zone of its schedule.
    pub zone: Zone,
    /// The zone in which the scheduler reads its lines.
    pub host_zone: Zone,
    /// The scheduler.
    pub daemon: Daemon,
    /// From when on, counted in.
    pub from: DateTime<Utc>,
    /// Until when, not counted in.
    pub until: DateTime<Utc>,
}

/// What the simulation found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Slots that are due in the time looked at.
    pub due: u64,
    /// Slots whose run was started.
    pub started: u64,
    /// Slots that nothing started before the next one was due.
    pub missed: u64,
    /// Runs beyond one for each slot.
    pub doubled: u64,
    /// The greatest span from a slot to its start.
    pub lateness: TimeDelta,
    /// How often the scheduler started the program.
    pub wakeups: u64,
    /// The first faults, at most ten, in words.
    pub faults: Vec<String>,
}

/// More are not listed.
const FAULTS_MAX: usize = 10;

impl Proof {
    /// Whether every slot is started once; `late` says how late a start may be (a busybox daemon starts a native line at the gap's end, which
    /// is when the slot is due).
    pub fn holds(&self, late: TimeDelta) -> bool {
        self.missed == 0 && self.doubled == 0 && self.started == self.due && self.lateness <= late
    }

    /// Returns how often the scheduler starts the program for each run.
    pub fn wakeups_per_run(&self) -> f64 {
        if self.started == 0 { 0.0 } else { self.wakeups as f64 / self.started as f64 }
    }

    fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(text());
        }
    }
}

/// Simulates a scheduler over its text, with the gate where the lines ask for it, and judges every start.
pub fn prove(script: &Script, claim: &Claim<'_>) -> Proof {
    let firings = daemons::firings(script, claim);
    // A slot just before the span may be started within it: that is not looked at, and neither is one whose start lies behind.
    let slots = claim.schedule.between(claim.zone, claim.from, claim.until);
    judge(&slots, &firings)
}

/// Holds starts against slots. Through the gate a start runs the latest slot at or before it, once; past the gate every start is a run.
fn judge(slots: &[Slot], firings: &[Firing]) -> Proof {
    let mut proof = Proof { due: slots.len() as u64, wakeups: firings.len() as u64, ..Proof::default() };
    let mut claimed = BTreeSet::new();
    for firing in firings {
        let latest = slots.partition_point(|slot| slot.at.timestamp() <= firing.at).checked_sub(1);
        let Some(index) = latest else {
            if !firing.is_gated {
                proof.doubled += 1;
                proof.fault(|| format!("{} starts a run before any slot is due", shown(firing.at)));
            }
            continue;
        };
        if claimed.insert(index) {
            let late = TimeDelta::seconds(firing.at - slots[index].at.timestamp());
            if late > TimeDelta::zero() {
                proof.fault(|| format!("slot {} starts {} s late", slots[index].key(), late.num_seconds()));
            }
            proof.lateness = proof.lateness.max(late);
        } else if !firing.is_gated {
            proof.doubled += 1;
            proof.fault(|| format!("{} starts slot {} again", shown(firing.at), slots[index].key()));
        }
    }
    proof.started = claimed.len() as u64;
    proof.missed = proof.due - proof.started;
    for (_, slot) in slots.iter().enumerate().filter(|(index, _)| !claimed.contains(index)) {
        proof.fault(|| format!("slot {} at {} is never started", slot.key(), shown(slot.at.timestamp())));
    }
    proof
}

fn shown(instant: i64) -> String {
    DateTime::from_timestamp(instant, 0).map(|at| at.format("%Y-%m-%dT%H:%MZ").to_string()).unwrap_or_default()
}
