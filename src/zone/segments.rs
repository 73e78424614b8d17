//! Spans of time in which a zone's wall clock runs evenly: what every answer about local times is made of.

use super::Zone;

/// Seconds around a local time, read as if it were UTC, within which every instant that shows it lies: offsets are below 26 h
/// (POSIX TZ), and a change of date moves a clock by 24 h (Apia, 2011-12-30).
pub(super) const MARGIN: i64 = 4 * 86_400;

/// No two changes that cancel each other lie within a day in any zone; those that don't cancel are all found.
const STEP: i64 = 86_400;

/// From `start` (counted in) to `end` (not), in seconds since 1970, the wall clock is `offset` seconds east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The first instant.
    pub start: i64,
    /// The first instant behind it.
    pub end: i64,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Segment {
    /// Returns the instant of this segment at which the wall clock shows a local time (its seconds since 1970 as if it were UTC).
    pub fn exactly_at(&self, local: i64) -> Option<i64> {
        let instant = local - i64::from(self.offset);
        (self.start..self.end).contains(&instant).then_some(instant)
    }

    /// Returns the first instant of this segment at which the wall clock shows a local time or a later one.
    pub fn first_at_or_after(&self, local: i64) -> Option<i64> {
        let instant = (local - i64::from(self.offset)).max(self.start);
        (instant < self.end).then_some(instant)
    }
}

impl Zone {
    /// Returns the segments from `from` to `until` (seconds since 1970), in order, without holes; none where `until` isn't later.
    pub fn segments(self, from: i64, until: i64) -> Vec<Segment> {
        if until <= from {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let (mut at, mut offset) = (from, self.offset_at(from));
        let first = offset;
        while at < until - 1 {
            let next = (at + STEP).min(until - 1);
            let later = self.offset_at(next);
            self.find_changes((at, offset), (next, later), &mut changes);
            (at, offset) = (next, later);
        }
        let mut segments = vec![Segment { start: from, end: until, offset: first }];
        for (start, offset) in changes {
            if let Some(last) = segments.last_mut() {
                last.end = start;
            }
            segments.push(Segment { start, end: until, offset });
        }
        segments
    }

    /// Bisects to the second: every change between two instants whose offsets differ.
    fn find_changes(self, from: (i64, i32), until: (i64, i32), changes: &mut Vec<(i64, i32)>) {
        if from.1 == until.1 {
            return;
        }
        if until.0 - from.0 == 1 {
            changes.push(until);
            return;
        }
        let middle = from.0 + (until.0 - from.0) / 2;
        let middle = (middle, self.offset_at(middle));
        self.find_changes(from, middle, changes);
        self.find_changes(middle, until, changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, from: &str, until: &str, expected: &[(&str, i32)]) {
        let seconds = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp();
        let segments = Zone::parse(name).unwrap().segments(seconds(from), seconds(until));
        let found: Vec<(String, i32)> = segments
            .iter()
            .map(|segment| (chrono::DateTime::from_timestamp(segment.start, 0).unwrap().format("%FT%TZ").to_string(), segment.offset))
            .collect();
        let expected: Vec<(String, i32)> = expected.iter().map(|(start, offset)| ((*start).to_owned(), *offset)).collect();
        assert_eq!(found, expected, "{name}");
        assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start), "{name} has holes");
        assert_eq!(segments.last().map(|segment| segment.end), Some(seconds(until)), "{name}");
    }

    #[test]
    fn segments_begin_where_the_clocks_change() {
        check("UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", &[("2026-01-01T00:00:00Z", 0)]);
        let paris = [("2026-01-01T00:00:00Z", 3600), ("2026-03-29T01:00:00Z", 7200), ("2026-10-25T01:00:00Z", 3600)];
        check("Europe/Paris", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", &paris);
        let apia = [("2011-12-29T00:00:00Z", -36_000), ("2011-12-30T10:00:00Z", 50_400)];
        check("Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z", &apia);
    }

    #[test]
    fn an_empty_span_has_no_segments() {
        assert_eq!(Zone::UTC.segments(5, 5), Vec::new());
        assert_eq!(Zone::UTC.segments(5, 4), Vec::new());
        assert_eq!(Zone::UTC.segments(5, 6), vec![Segment { start: 5, end: 6, offset: 0 }]);
    }
}
