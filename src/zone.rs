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

#[cfg(test)]
mod tests {
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
    }
}
