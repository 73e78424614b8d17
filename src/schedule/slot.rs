//! A slot: one instant at which a schedule says that its job is due, and the key by which it is claimed once.

use chrono::{DateTime, SecondsFormat, Utc};

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
}
