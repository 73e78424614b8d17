//! From a job to the lines that start it: its due instants over the coming years, seen on the host's wall clock, brought together.
//!
//! The lines only have to fire at every slot; the gate of `run --scheduled` holds the rest. So a line may fire too often, never too seldom.
//! There are three families of them, and one routine makes all:
//! 1. Host and job have equal offsets: the natural line, and a second one at the gap's end where a slot falls into a gap.
//! 2. The host's offset is constant: the union of the hours, minutes and days that the slots have there. Exact.
//! 3. Otherwise, and where the job is woken hourly: the union of the minutes in every hour, on rare dates where the job has only such. A line of a fixed hour would be late by up to
//!    an hour on the day on which the host's clocks go back; lines of every hour run at each real matching minute (cron(8)).

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use super::Entry;
use crate::schedule::Schedule;
use crate::schedule::cron::Cron;
use crate::zone::{Segment, Zone};

const DAY: i64 = 86_400;

/// How many years are looked at behind the present one: entries are right for five at least, and change at New Year's at most.
const YEARS: i32 = 5;

/// More lines for one job are brought together, at the price of more firings.
const LINES_MAX: usize = 12;

/// The bits of all minutes.
pub const EVERY_MINUTE: u64 = (1 << 60) - 1;
/// The bits of all hours.
pub const EVERY_HOUR: u32 = (1 << 24) - 1;
/// The bits of the days of a month: 1 to 31.
pub const EVERY_DAY: u32 = 0xffff_fffe;
/// The bits of the months: 1 to 12.
pub const EVERY_MONTH: u16 = 0x1ffe;
/// The bits of the days of a week: 0 = Sunday to 6, as cron counts.
pub const EVERY_WEEKDAY: u8 = 0x7f;

/// Local times at which a scheduler starts a job: all that match every field. At most one of `days` and `weekdays` is restricted, so that
/// no scheduler's rule for both matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u32,
    /// Bits 1 to 31.
    pub days: u32,
    /// Bits 1 to 12.
    pub months: u16,
    /// Bits 0 to 6, 0 = Sunday.
    pub weekdays: u8,
    /// Both passes of a repeated hour count: a cron line must begin its hours with `*`. They are all of them, or every n-th.
    pub is_every_pass: bool,
}

impl Line {
    /// Whether it fires whenever another one does.
    fn covers(&self, other: &Self) -> bool {
        let Self { minutes, hours, days, months, weekdays, is_every_pass } = *other;
        let is_time = minutes & !self.minutes == 0 && hours & !self.hours == 0 && (self.is_every_pass || !is_every_pass);
        is_time && days & !self.days == 0 && months & !self.months == 0 && weekdays & !self.weekdays == 0
    }
}

/// Returns the numbers of the bits that are set, ascending.
pub fn numbers(bits: u64) -> Vec<u8> {
    (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
}

/// Returns n where the bits are 0, n, 2n and so on below `end`, at least two of them.
pub fn step(bits: u64, end: u8) -> Option<u8> {
    let step = numbers(bits).get(1).copied()?;
    let every = (0..end).step_by(usize::from(step)).fold(0, |bits, number| bits | 1_u64 << number);
    (every == bits).then_some(step)
}

/// Returns the lines of each entry, as [`lines`]; equal schedules are worked out once.
pub fn lines_of_all(entries: &[Entry], zone: Zone, from: DateTime<Utc>) -> Vec<Vec<Line>> {
    let mut known: Vec<(&Entry, Vec<Line>)> = Vec::new();
    let traits = |entry: &Entry| (entry.schedule.clone(), entry.zone, entry.is_woken_hourly, entry.looked_at);
    let is_alike = |one: &Entry, other: &Entry| traits(one) == traits(other);
    entries
        .iter()
        .map(|entry| match known.iter().find(|(other, _)| is_alike(entry, other)) {
            Some((_, lines)) => lines.clone(),
            None => {
                let lines = lines(entry, zone, from);
                known.push((entry, lines.clone()));
                lines
            }
        })
        .collect()
}

/// Returns the lines that start a job, on a host whose scheduler reads them in `zone`; none where the job is not due in these years. A job with
/// a deadline is also started just after it.
pub fn lines(entry: &Entry, zone: Zone, from: DateTime<Utc>) -> Vec<Line> {
    let (from, until) = span(from);
    let seconds = (from.timestamp() - 2 * DAY, until.timestamp() + 2 * DAY);
    let host = zone.segments(seconds.0, seconds.1);
    let is_exact = host.len() == 1 || host == entry.zone.segments(seconds.0, seconds.1);
    let mut found = Vec::new();
    let own = parts(&entry.schedule).into_iter().map(|part| (part, false));
    for (part, is_look) in own.chain(look(entry).map(|part| (part, true))) {
        if is_look && found.is_empty() {
            continue;
        }
        let slots = part.schedule.between(entry.zone, from, until);
        let cells = Cells::of(slots.iter().map(|slot| slot.at.timestamp()), &host, part.days);
        if cells.minutes() == 0 {
            continue;
        }
        if entry.is_woken_hourly {
            found.push(every_hour(cells.minutes()));
            continue;
        }
        if !is_exact {
            // Rare dates are worth naming, days of the week are not: every seventh is no rare one.
            let dates = Dates { weekdays: 0, ..cells.dates() };
            found.push(dates.line(cells.minutes(), EVERY_HOUR));
            continue;
        }
        let mut lines = cells.lines();
        if part.is_every_pass && host.len() > 1 {
            lines.iter_mut().for_each(make_every_pass);
        }
        found.extend(lines);
    }
    merged(found)
}

/// From the beginning of the year, so that the lines of a job don't change from day to day.
fn span(from: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let new_year = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN).and_utc();
    (new_year(from.year()), new_year(from.year() + 1 + YEARS))
}

fn every_hour(minutes: u64) -> Line {
    Line { minutes, hours: EVERY_HOUR, days: EVERY_DAY, months: EVERY_MONTH, weekdays: EVERY_WEEKDAY, is_every_pass: true }
}

/// cron(8) fires at both passes of a repeated hour only where the hours begin with `*`: all, or every n-th.
fn make_every_pass(line: &mut Line) {
    line.is_every_pass = true;
    if step(line.hours.into(), 24).is_none() {
        line.hours = EVERY_HOUR;
    }
}

/// Leaves out lines that another one covers, equal ones among them.
fn merged(lines: Vec<Line>) -> Vec<Line> {
    let mut kept: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        if !kept.iter().any(|other| other.covers(&line)) {
            kept.retain(|other| !line.covers(other));
            kept.push(line);
        }
    }
    kept
}

/// A schedule whose dates are restricted in one way, and in which.
struct Part {
    schedule: Schedule,
    days: Days,
    is_every_pass: bool,
}

/// Which fields of a date tell it from others.
#[derive(Clone, Copy, Default)]
struct Days {
    by_day: bool,
    by_month: bool,
    by_weekday: bool,
}

/// A start just after the deadline, when the gate looks whether the job's data are fresh; one that is woken hourly looks then.
fn look(entry: &Entry) -> Option<Part> {
    let time = entry.looked_at.filter(|_| !entry.is_woken_hourly && entry.schedule != Schedule::Manual)?;
    Some(Part { schedule: Schedule::Daily(time), days: Days::default(), is_every_pass: false })
}

/// A cron line with both day fields is due where either matches (crontab(5)): that is two schedules.
fn parts(schedule: &Schedule) -> Vec<Part> {
    let part = |days, is_every_pass| vec![Part { schedule: schedule.clone(), days, is_every_pass }];
    match schedule {
        Schedule::Manual => Vec::new(),
        Schedule::Interval { .. } => part(Days::default(), true),
        Schedule::Daily(_) => part(Days::default(), false),
        Schedule::Weekly(..) => part(Days { by_weekday: true, ..Days::default() }, false),
        Schedule::Monthly(..) => part(Days { by_day: true, ..Days::default() }, false),
        Schedule::Cron(text) => match Cron::parse(text) {
            Ok(cron) => cron_parts(text, &cron),
            Err(_) => Vec::new(),
        },
    }
}

fn cron_parts(text: &str, cron: &Cron) -> Vec<Part> {
    let by_month = cron.months != EVERY_MONTH;
    let has_weekdays = cron.weekdays != EVERY_WEEKDAY;
    let part = |schedule, days| Part { schedule, days, is_every_pass: cron.is_every_hour };
    let is_either = !cron.is_every_day && !cron.is_every_weekday;
    if let (true, [minute, hour, day, month, weekday]) = (is_either, text.split_ascii_whitespace().collect::<Vec<_>>().as_slice()) {
        return vec![
            part(Schedule::Cron(format!("{minute} {hour} {day} {month} *")), Days { by_day: true, by_month, by_weekday: false }),
            part(
                Schedule::Cron(format!("{minute} {hour} * {month} {weekday}")),
                Days { by_day: false, by_month, by_weekday: has_weekdays },
            ),
        ];
    }
    let days = Days { by_day: cron.days != EVERY_DAY && !has_weekdays, by_month, by_weekday: has_weekdays };
    vec![part(Schedule::Cron(text.to_owned()), days)]
}

/// The dates of slots, as far as they matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Dates {
    days: u32,
    months: u16,
    weekdays: u8,
}

/// The slots by hour and minute of the host's wall clock: how many, and on which dates.
struct Cells(BTreeMap<(u8, u8), (usize, Dates)>);

impl Cells {
    /// Sorts instants (seconds since 1970, ascending) in.
    fn of(instants: impl Iterator<Item = i64>, host: &[Segment], by: Days) -> Self {
        let mut cells = vec![(0_usize, Dates::default()); 24 * 60];
        let mut segments = host.iter().peekable();
        for instant in instants {
            while segments.next_if(|segment| segment.end <= instant).is_some() {}
            let Some(segment) = segments.peek() else { break };
            let local = instant + i64::from(segment.offset);
            let (count, dates) = &mut cells[(local.rem_euclid(DAY) / 60) as usize];
            *count += 1;
            dates.add(local.div_euclid(DAY), by);
        }
        let cells = (0_u8..24).flat_map(|hour| (0_u8..60).map(move |minute| (hour, minute))).zip(cells);
        Self(cells.filter(|(_, (count, _))| *count > 0).collect())
    }

    /// Returns the minutes of all hours.
    fn minutes(&self) -> u64 {
        self.0.keys().fold(0, |bits, (_, minute)| bits | 1 << minute)
    }

    /// Returns the dates of all of them.
    fn dates(&self) -> Dates {
        self.0.values().fold(Dates::default(), |all, (_, dates)| all.with(*dates))
    }

    /// Returns lines that fire at all of them: the usual ones first, then those of rare slots (at the end of gaps).
    fn lines(&self) -> Vec<Line> {
        let often = self.0.values().map(|(count, _)| *count).max().unwrap_or(0) / 20;
        let mut lines = Vec::new();
        for is_rare in [false, true] {
            lines.extend(grouped(
                self.0.iter().filter(|(_, (count, _))| (*count < often) == is_rare).map(|(time, (_, dates))| (*time, *dates)),
            ));
        }
        if lines.len() <= LINES_MAX {
            return lines;
        }
        let dates = self.dates();
        let lines = grouped(self.0.keys().map(|time| (*time, dates)));
        if lines.len() <= LINES_MAX {
            return lines;
        }
        let hours = self.0.keys().fold(0, |bits, (hour, _)| bits | 1 << hour);
        vec![dates.line(self.minutes(), hours)]
    }
}

/// Minutes with the same hours and dates are one line.
fn grouped(cells: impl Iterator<Item = ((u8, u8), Dates)>) -> Vec<Line> {
    let mut hours: BTreeMap<(Dates, u8), u32> = BTreeMap::new();
    for ((hour, minute), dates) in cells {
        *hours.entry((dates, minute)).or_default() |= 1 << hour;
    }
    let mut minutes: BTreeMap<(Dates, u32), u64> = BTreeMap::new();
    for ((dates, minute), hours) in hours {
        *minutes.entry((dates, hours)).or_default() |= 1 << minute;
    }
    let mut lines: Vec<Line> = minutes.into_iter().map(|((dates, hours), minutes)| dates.line(minutes, hours)).collect();
    lines.sort_by_key(|line| (line.hours.trailing_zeros(), line.minutes.trailing_zeros(), *line));
    lines
}

impl Dates {
    /// Adds a day, counted from 1970-01-01, which was a Thursday.
    fn add(&mut self, day: i64, by: Days) {
        if by.by_weekday {
            self.weekdays |= 1 << (day + 4).rem_euclid(7);
        }
        if (by.by_day || by.by_month)
            && let Some(date) = TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days))
        {
            self.days |= u32::from(by.by_day) << date.day();
            self.months |= u16::from(by.by_month) << date.month();
        }
    }

    fn with(self, other: Self) -> Self {
        Self { days: self.days | other.days, months: self.months | other.months, weekdays: self.weekdays | other.weekdays }
    }

    /// A field that doesn't matter is every one.
    fn line(self, minutes: u64, hours: u32) -> Line {
        let days = if self.days == 0 { EVERY_DAY } else { self.days };
        let months = if self.months == 0 { EVERY_MONTH } else { self.months };
        let weekdays = if self.weekdays == 0 { EVERY_WEEKDAY } else { self.weekdays };
        Line { minutes, hours, days, months, weekdays, is_every_pass: hours == EVERY_HOUR }
    }
}
