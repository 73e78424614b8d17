//! Times, spans and sizes as people and as scripts read them.

use chrono::{DateTime, SecondsFormat, Utc};

pub use crate::text::span;
use crate::zone::Zone;

/// Returns a time in a zone: `2026-11-23 23:18:11`.
pub fn local(time: DateTime<Utc>, zone: Zone) -> String {
    time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns a time's hour, minute and second in a zone.
pub fn local_clock(time: DateTime<Utc>, zone: Zone) -> String {
    time.with_timezone(&zone).format("%H:%M:%S").to_string()
}

/// Returns the zone's abbreviations at these times, for a header: `CET`, or `CET/CEST` where both occur.
pub fn abbreviation(times: impl IntoIterator<Item = DateTime<Utc>>, zone: Zone) -> String {
    let mut names: Vec<String> = Vec::new();
    for time in times {
        let name = time.with_timezone(&zone).format("%Z").to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { zone.name().to_owned() } else { names.join("/") }
}

/// Returns a time for scripts, RFC 3339 in UTC: `2026-11-23T22:53:00Z`.
pub fn utc(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns a number of bytes: `812 B`, `1.4 MB`.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            let is_whole = unit == "B" || value >= 99.95;
            return if is_whole { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_at_every_length() {
        let spans = [0.04, 0.44, 9.96, 59.4, 59.6, 185.0, 3720.0, 183_600.0].map(span);
        assert_eq!(spans, ["0.0 s", "0.4 s", "10 s", "59 s", "1m 00s", "3m 05s", "1h 02m", "2d 03h"]);
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        assert_eq!(
            [0, 812, 1_449, 99_949, 123_456, 999_600, 5_000_000_000_000].map(bytes),
            ["0 B", "812 B", "1.4 kB", "99.9 kB", "123 kB", "1.0 MB", "5.0 TB"]
        );
    }

    #[test]
    fn a_header_names_both_abbreviations_across_a_change_of_clocks() {
        let times = ["2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", "2026-10-26T13:00:00Z"];
        let times = times.map(|time| time.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(abbreviation(times, Zone::parse("Europe/Paris").unwrap()), "CEST/CET");
        assert_eq!(abbreviation([], Zone::UTC), "UTC");
        assert_eq!(local(times[0], Zone::parse("Europe/Paris").unwrap()), "2026-10-24 14:00:00");
        assert_eq!(utc(times[0]), "2026-10-24T12:00:00Z");
    }
}
