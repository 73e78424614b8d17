//! Time zones by their IANA names, over the rules of the system or of chrono-tz, whichever are newer.
//!
//! Never reads the environment: [`database::use_folder`] is told once where the system keeps its rules.

pub mod database;
mod rules;
mod segments;

use std::fmt;

use chrono::offset::{FixedOffset, LocalResult, Offset, TimeZone};
use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::{TZ_VARIANTS, Tz};

pub use segments::Segment;

use rules::{Rules, SystemRules};

/// A time zone of the IANA database, aliases included.
///
/// Its rules are those of [`database::in_use`]; a zone that the system's folder lacks has chrono-tz's.
#[derive(Debug, Clone, Copy)]
pub struct Zone(Rules);

/// How far a zone's wall clock is from UTC at some instant, with the abbreviation that the database gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneOffset {
    zone: Zone,
    seconds_east: i32,
    abbreviation: Abbreviation,
}

/// Up to seven ASCII characters, as `%Z` of strftime(3) prints them (RFC 9636: three to six are usual).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Abbreviation([u8; 8]);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Rules::Bundled(Tz::UTC));

    /// Reads a zone's name as the database spells it.
    ///
    /// # Errors
    /// The nearest name, where one is near.
    pub fn parse(name: &str) -> Result<Self, Option<&'static str>> {
        let bundled: Option<Tz> = name.parse().ok();
        if let Some(system) = database::system_rules(name, bundled.is_some()) {
            return Ok(Self(Rules::System(system)));
        }
        bundled.map(|zone| Self(Rules::Bundled(zone))).ok_or_else(|| Self::nearest(name).first().copied())
    }

    /// Returns the names that are most like an unknown one, the nearest first, at most three.
    pub fn nearest(name: &str) -> Vec<&'static str> {
        let given = name.to_lowercase();
        let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone).to_lowercase();
        // "Berlin", "paris", "New York": the city alone is how people say a zone.
        let spaced = given.replace(' ', "_");
        let mut names: Vec<&'static str> = TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|zone| city(zone) == spaced).collect();
        let mut ranked: Vec<(usize, &'static str)> = TZ_VARIANTS
            .iter()
            .map(|zone| (strsim::damerau_levenshtein(&spaced, &zone.name().to_lowercase()), zone.name()))
            .filter(|(distance, name)| *distance <= 1.max(name.len() / 4))
            .collect();
        ranked.sort();
        for (_, name) in ranked {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.truncate(3);
        names
    }

    /// Returns every name of the bundled database, in the alphabet's order, aliases included.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    /// Returns the zone with chrono-tz's rules whatever the system has; `None` for a name that it doesn't know.
    pub fn bundled(name: &str) -> Option<Self> {
        name.parse().ok().map(|zone| Self(Rules::Bundled(zone)))
    }

    /// Returns the zone with the rules of a compiled file (TZif, RFC 9636); `None` where the bytes are no such file.
    pub fn compiled(name: &str, bytes: &[u8]) -> Option<Self> {
        SystemRules::read(name, bytes).map(|rules| Self(Rules::System(Box::leak(Box::new(rules)))))
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Rules::Bundled(zone) => zone.name(),
            Rules::System(system) => system.name(),
        }
    }

    /// Whether it has chrono-tz's rules.
    pub fn is_bundled(self) -> bool {
        matches!(self.0, Rules::Bundled(_))
    }

    /// Returns how many seconds the wall clock is east of UTC at an instant, in seconds since 1970.
    pub fn offset_at(self, instant: i64) -> i32 {
        self.0.offset_at(instant).0
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Abbreviation {
    fn new(text: &str) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(text.bytes().filter(u8::is_ascii)) {
            *to = from;
        }
        Self(bytes)
    }

    fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        str::from_utf8(&self.0[..end]).unwrap_or_default()
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.abbreviation.as_str())
    }
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.seconds_east).unwrap_or(FixedOffset::east_opt(0).expect("zero is in range"))
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<ZoneOffset> {
        let nominal = local.and_utc().timestamp();
        let segments = self.segments(nominal - segments::MARGIN, nominal + segments::MARGIN);
        let mut found = segments.iter().filter_map(|segment| segment.exactly_at(nominal)).map(|at| self.zone_offset(at));
        match (found.next(), found.next_back()) {
            (None, _) => LocalResult::None,
            (Some(only), None) => LocalResult::Single(only),
            (Some(first), Some(last)) => LocalResult::Ambiguous(first, last),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.zone_offset(utc.and_utc().timestamp())
    }
}

impl Zone {
    fn zone_offset(self, instant: i64) -> ZoneOffset {
        let (seconds_east, abbreviation) = self.0.offset_at(instant);
        ZoneOffset { zone: self, seconds_east, abbreviation }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn names_and_aliases_of_the_database_are_zones() {
        for name in ["UTC", "Europe/Paris", "US/Eastern", "Asia/Calcutta", "America/Argentina/Buenos_Aires"] {
            assert_eq!(Zone::parse(name).map(Zone::name), Ok(name));
        }
    }

    #[test]
    fn unknown_names_bring_the_nearest_ones() {
        assert_eq!(Zone::nearest("Europe/Pariss")[0], "Europe/Paris");
        assert_eq!(Zone::nearest("New York")[0], "America/New_York");
        assert_eq!(Zone::nearest("Nowhere/At_All"), Vec::<&str>::new());
        assert!(Zone::parse("europe/paris").is_err() && Zone::parse("").is_err());
        assert_eq!(Zone::parse("Europe/Pariss"), Err(Some("Europe/Paris")));
    }

    #[test]
    fn chrono_shows_instants_with_offset_and_abbreviation() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap().with_timezone(&Zone::parse("Europe/Paris").unwrap());
        assert_eq!(at("2026-10-25T00:30:00Z").format("%F %T %Z %:z").to_string(), "2026-10-25 02:30:00 CEST +02:00");
        assert_eq!(at("2026-10-25T01:30:00Z").format("%F %T %Z %:z").to_string(), "2026-10-25 02:30:00 CET +01:00");
    }

    #[test]
    fn a_local_time_is_single_twice_or_never() {
        let zone = Zone::parse("Europe/Paris").unwrap();
        let local = |text: &str| zone.from_local_datetime(&text.parse().unwrap()).map(|time| time.to_utc().to_rfc3339());
        let text = |text: &str| text.to_owned();
        assert_eq!(local("2026-07-01T02:30:00"), LocalResult::Single(text("2026-07-01T00:30:00+00:00")));
        let (first, last) = (text("2026-10-25T00:30:00+00:00"), text("2026-10-25T01:30:00+00:00"));
        assert_eq!(local("2026-10-25T02:30:00"), LocalResult::Ambiguous(first, last));
        assert_eq!(local("2026-03-29T02:30:00"), LocalResult::None);
    }
}
