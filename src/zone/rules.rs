//! One zone's rules, from either database.

use chrono::Offset as _;
use chrono::offset::TimeZone as _;
use chrono_tz::{OffsetName as _, Tz};

use super::Abbreviation;

/// Where a zone's offsets come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rules {
    /// chrono-tz's tables.
    Bundled(Tz),
    /// A compiled file of the system.
    System(&'static SystemRules),
}

/// The rules of a compiled file (TZif, RFC 9636).
#[derive(Debug)]
pub(super) struct SystemRules {
    name: &'static str,
    zone: tz::TimeZone,
}

impl Rules {
    /// Returns seconds east of UTC at an instant (seconds since 1970), and the abbreviation.
    pub(super) fn offset_at(self, instant: i64) -> (i32, Abbreviation) {
        match self {
            Self::Bundled(zone) => {
                let time = chrono::DateTime::from_timestamp(instant, 0).unwrap_or_default().naive_utc();
                let offset = zone.offset_from_utc_datetime(&time);
                (offset.fix().local_minus_utc(), Abbreviation::new(offset.abbreviation().unwrap_or_default()))
            }
            Self::System(system) => system.offset_at(instant),
        }
    }
}

impl SystemRules {
    /// Reads a compiled file; `None` where it is none, or counts leap seconds (`right/`), which no wall clock of a job does.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Option<Self> {
        let zone = tz::TimeZone::from_tz_data(bytes).ok()?;
        // A name is kept for the life of the process: there are some six hundred, and each is read once.
        zone.as_ref().leap_seconds().is_empty().then(|| Self { name: Box::leak(name.to_owned().into_boxed_str()), zone })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    fn offset_at(&self, instant: i64) -> (i32, Abbreviation) {
        match self.zone.find_local_time_type(instant) {
            Ok(found) => (found.ut_offset(), Abbreviation::new(found.time_zone_designation())),
            // A file without a closing rule knows nothing behind its last line, which then holds for ever (RFC 9636, 3.3).
            Err(_) => {
                let zone = self.zone.as_ref();
                let last = zone.transitions().last().map_or(0, tz::timezone::Transition::local_time_type_index);
                let last = &zone.local_time_types()[last];
                (last.ut_offset(), Abbreviation::new(last.time_zone_designation()))
            }
        }
    }
}
