//! Time zones by their IANA names.

use std::fmt;

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::text;

/// A time zone of the IANA database, aliases included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Tz::UTC);

    /// Reads a zone's name as the database spells it.
    ///
    /// # Errors
    /// The nearest name, where one is near.
    pub fn parse(name: &str) -> Result<Self, Option<&'static str>> {
        name.parse().map(Self).map_err(|_| text::nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())))
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the zone for chrono.
    pub fn tz(self) -> Tz {
        self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
