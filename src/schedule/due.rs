//! When a schedule is due in a zone. Pure: an instant goes in, slots come out.
//!
//! One sentence is the rule for the calendar kinds: a slot is due at the first instant at which the zone's wall clock shows the slot's time or
//! later. The interval kinds are due at every instant at which the wall clock shows a matching minute.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::Schedule;
use super::pattern::Pattern;
use super::slot::Slot;
use crate::zone::{Segment, Zone};

const DAY: i64 = 86_400;

/// Seconds around a span from which a slot of the span can take its local time: offsets are below 26 h, a change of date moves by 24 h.
const MARGIN: i64 = 3 * DAY;

/// No two slots are further apart: 29 February is eight years away when a century has none (2096 to 2104).
const HORIZON_DAYS: i64 = 9 * 366;

impl Schedule {
    /// Returns the slots from `from` (counted in) to `until` (not), in order.
    pub fn between(&self, zone: Zone, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Slot> {
        match Pattern::of(self) {
            Some(pattern) => slots(&pattern, zone, seconds_up(from), seconds_up(until)),
            None => Vec::new(),
        }
    }

    /// Returns the first `count` slots strictly after `instant`; fewer where the schedule has no more.
    pub fn next(&self, zone: Zone, instant: DateTime<Utc>, count: usize) -> Vec<Slot> {
        let Some(pattern) = Pattern::of(self) else { return Vec::new() };
        let mut found = Vec::new();
        let mut from = instant.timestamp() + 1;
        let end = from + HORIZON_DAYS * DAY;
        let mut days = if pattern.is_every_pass { 1 } else { 2 + i64::try_from(count).unwrap_or(i64::MAX).min(400) };
        while found.len() < count && from < end {
            let until = from + days * DAY;
            found.extend(slots(&pattern, zone, from, until));
            from = until;
            days = (days * 2).min(2000);
        }
        found.truncate(count);
        found
    }

    /// Returns the latest slot at or before `instant`.
    pub fn latest(&self, zone: Zone, instant: DateTime<Utc>) -> Option<Slot> {
        let pattern = Pattern::of(self)?;
        let mut until = instant.timestamp() + 1;
        let end = until - HORIZON_DAYS * DAY;
        let mut days = 1;
        while until > end {
            let from = until - days * DAY;
            if let Some(last) = slots(&pattern, zone, from, until).pop() {
                return Some(last);
            }
            until = from;
            days = (days * 2).min(2000);
        }
        None
    }
}

/// The first whole second at or after an instant.
fn seconds_up(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() + i64::from(instant.timestamp_subsec_nanos() > 0)
}

fn slots(pattern: &Pattern, zone: Zone, from: i64, until: i64) -> Vec<Slot> {
    if until <= from {
        return Vec::new();
    }
    let segments = zone.segments(from - 2 * MARGIN, until + 2 * MARGIN);
    let local_date = |instant: i64| (instant + i64::from(zone.offset_at(instant))).div_euclid(DAY);
    let dates = local_date(from) - 2..=local_date(until) + 2;
    let times = pattern.times();
    let mut found = Vec::new();
    // Dates ascend, so the segments that end before a date's neighbourhood never matter again.
    let mut first = 0;
    for days in dates.filter(|days| date_of(*days).is_some_and(|date| pattern.dates.contains(date))) {
        while segments.get(first).is_some_and(|segment| segment.end < days * DAY - MARGIN) {
            first += 1;
        }
        let near = &segments[first..];
        for local in times.iter().map(|time| days * DAY + time) {
            if pattern.is_every_pass {
                found.extend(near.iter().filter_map(|segment| segment.exactly_at(local)).map(|at| (at, local)));
            } else if let Some(at) = first_showing(near, local, days) {
                found.push((at, local));
            }
        }
    }
    found.retain(|(at, _)| (from..until).contains(at));
    found.sort_unstable();
    // Two local times of a gap fall on one instant: one slot, named by the later of them.
    found.reverse();
    found.dedup_by_key(|(at, _)| *at);
    found.reverse();
    found.into_iter().filter_map(|(at, local)| slot(at, (!pattern.is_every_pass).then_some(local))).collect()
}

/// The first instant at which the wall clock shows a local time or a later one; `None` where its date doesn't exist in the zone.
fn first_showing(segments: &[Segment], local: i64, days: i64) -> Option<i64> {
    let at = segments.iter().find_map(|segment| segment.first_at_or_after(local))?;
    let shows = |segment: &Segment| {
        segment.start + i64::from(segment.offset) < (days + 1) * DAY && segment.end + i64::from(segment.offset) > days * DAY
    };
    segments.iter().any(shows).then_some(at)
}

fn slot(at: i64, nominal: Option<i64>) -> Option<Slot> {
    Some(Slot { at: DateTime::from_timestamp(at, 0)?, nominal })
}

fn date_of(days: i64) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(days)?)
}
