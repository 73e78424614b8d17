//! A slot: one instant at which a schedule says that its job is due, and the key by which it is claimed once.

use chrono::{DateTime, LocalResult, SecondsFormat, TimeDelta, TimeZone as _, Utc};

use crate::zone::Zone;

/// One instant at which a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When.
    pub at: DateTime<Utc>,
    /// The local time that the calendar names, in seconds since 1970 as if it were UTC; `None` where the instant is the identity.
    pub(super) nominal: Option<i64>,
}

impl Slot {
    /// Returns the text by which the slot is claimed, unique within its job: the nominal local time (`2026-10-25T02:30`) of a calendar kind,
    /// the UTC instant (`2026-10-25T00:30:00Z`) of an interval kind.
    pub fn key(&self) -> String {
        match self.nominal.and_then(|nominal| DateTime::from_timestamp(nominal, 0)) {
            Some(nominal) => nominal.format("%Y-%m-%dT%H:%M").to_string(),
            None => self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// Returns by how much the calendar names this slot's time before that of another at the same instant: the clocks skip its time, and
    /// the other's too or end there.
    pub fn lead(&self, other: &Self) -> Option<TimeDelta> {
        let lead = other.nominal? - self.nominal?;
        (self.at == other.at && lead > 0).then(|| TimeDelta::seconds(lead))
    }
}

/// What a change of clocks does to a slot of a calendar kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// The clocks skip its time: it is due when they have.
    Gap,
    /// Its time comes twice: the first one counts.
    FirstPass,
}

impl Slot {
    /// Returns what a change of clocks does to the slot, where there is one at its time.
    pub fn shift(&self, zone: Zone) -> Option<Shift> {
        let nominal = DateTime::from_timestamp(self.nominal?, 0)?.naive_utc();
        match zone.from_local_datetime(&nominal) {
            LocalResult::Single(_) => None,
            LocalResult::None => Some(Shift::Gap),
            LocalResult::Ambiguous(..) => Some(Shift::FirstPass),
        }
    }

    /// Returns the time that the calendar names, `02:30`; the instant's own where that is the identity.
    pub fn nominal_time(&self, zone: Zone) -> String {
        let nominal = self.nominal.and_then(|nominal| DateTime::from_timestamp(nominal, 0)).map(|nominal| nominal.naive_utc());
        nominal.unwrap_or_else(|| self.at.with_timezone(&zone).naive_local()).format("%H:%M").to_string()
    }
}
