//! What each scheduler does with its lines, minute by minute, as its program does it when clocks change.
//!
//! Sources of the rules: cron.c and crontab(5) of Debian's cron 3.0pl1-162 and of cronie 1.6, crond.c of busybox 1.36, systemd.time(7) of 252.

use super::{Claim, Firing, Line, Script};
use crate::schedule::cron::Cron;
use crate::zone::{Segment, Zone};

const DAY_MINUTES: i64 = 1440;

/// A scheduler that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Daemon {
    /// Debian's cron: ignores `CRON_TZ`; when clocks go forward it runs skipped lines at once, when they go back lines with a fixed hour wait.
    Debian,
    /// cronie: the same, and honours `CRON_TZ`.
    Cronie,
    /// busybox's crond: whatever the wall clock shows.
    Busybox,
    /// systemd's timers: `OnCalendar`, in UTC or in the zone that it names.
    Systemd,
}

impl Daemon {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Debian, Self::Cronie, Self::Busybox, Self::Systemd];

    /// Returns the word of `--daemon`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Cronie => "cronie",
            Self::Busybox => "busybox",
            Self::Systemd => "systemd",
        }
    }
}

/// Returns every start, in order.
pub(super) fn firings(script: &Script, claim: &Claim<'_>) -> Vec<Firing> {
    let from = claim.from.timestamp().div_euclid(60);
    let until = (claim.until.timestamp() + 59).div_euclid(60);
    let mut found = match claim.daemon {
        Daemon::Debian => vixie(script, claim.host_zone, from, until, false),
        Daemon::Cronie => vixie(script, claim.host_zone, from, until, true),
        Daemon::Busybox => by_the_wall(script, from, until, |_| claim.host_zone, matches_busybox),
        Daemon::Systemd => systemd(script, claim.host_zone, from, until),
    };
    found.retain(|firing| (claim.from.timestamp()..claim.until.timestamp()).contains(&firing.at));
    found.sort_unstable();
    found
}

/// A zone's wall clock, asked for ascending minutes since 1970.
struct Wall {
    segments: Vec<Segment>,
    index: usize,
}

impl Wall {
    fn new(zone: Zone, from: i64, until: i64) -> Self {
        Self { segments: zone.segments((from - 2 * DAY_MINUTES) * 60, (until + 2 * DAY_MINUTES) * 60), index: 0 }
    }

    /// Minutes since 1970 as the wall clock shows them; offsets are whole minutes since 1972.
    fn shows(&mut self, minute: i64) -> i64 {
        while self.segments.get(self.index + 1).is_some_and(|next| next.start <= minute * 60) {
            self.index += 1;
        }
        minute + i64::from(self.segments[self.index].offset).div_euclid(60)
    }

    /// Whether the clock runs evenly through the day that begins with the minute asked for last.
    fn is_even_day(&self, minute: i64) -> bool {
        (minute + DAY_MINUTES) * 60 <= self.segments[self.index].end
    }
}

/// A line with the dates that it matched last.
struct Matcher<'a> {
    line: &'a Line,
    /// For each minute of a day, whether it matches.
    times: Vec<bool>,
    day: i64,
    is_day: bool,
    matches: fn(&Line, chrono::NaiveDate) -> bool,
}

impl<'a> Matcher<'a> {
    fn new(line: &'a Line, matches: fn(&Line, chrono::NaiveDate) -> bool) -> Self {
        let bit = |bits: u64, at: i64| bits >> at & 1 == 1;
        let times = (0..DAY_MINUTES).map(|at| bit(line.times.minutes, at % 60) && bit(line.times.hours.into(), at / 60)).collect();
        Self { line, times, day: i64::MIN, is_day: false, matches }
    }

    fn matches(&mut self, local: i64) -> bool {
        self.times[local.rem_euclid(DAY_MINUTES) as usize] && self.matches_day(local)
    }

    fn matches_day(&mut self, local: i64) -> bool {
        let day = local.div_euclid(DAY_MINUTES);
        if day != self.day {
            self.day = day;
            let date = chrono::DateTime::from_timestamp(day * 86_400, 0).unwrap_or_default().date_naive();
            self.is_day = (self.matches)(self.line, date);
        }
        self.is_day
    }

    /// The starts of a whole day that begins with `minute`, at `local` midnight.
    fn run_day(&mut self, minute: i64, local: i64, found: &mut Vec<Firing>) {
        if self.matches_day(local) {
            let times = (0..).zip(&self.times).filter(|(_, matches)| **matches);
            found.extend(times.map(|(at, _)| self.firing(minute + at)));
        }
    }

    /// Whether the daemon calls the line a wildcard one: its minute or hour field begins with `*`.
    fn is_wild(&self) -> bool {
        self.line.times.is_every_hour || self.line.times.is_every_minute
    }

    fn firing(&self, minute: i64) -> Firing {
        Firing { at: minute * 60, is_gated: self.line.is_gated }
    }
}

fn has(cron: &Cron, date: chrono::NaiveDate) -> (bool, bool, bool) {
    use chrono::Datelike as _;
    let bit = |bits: u32, at: u32| bits >> at & 1 == 1;
    let weekday = date.weekday().num_days_from_sunday();
    (bit(cron.months.into(), date.month()), bit(cron.days, date.day()), bit(cron.weekdays.into(), weekday))
}

/// find_jobs() of vixie's cron: a day field that begins with `*` makes both needed, else one is enough.
fn matches_vixie(line: &Line, date: chrono::NaiveDate) -> bool {
    let cron = &line.times;
    let (is_month, is_day, is_weekday) = has(cron, date);
    is_month && if cron.is_every_day || cron.is_every_weekday { is_day && is_weekday } else { is_day || is_weekday }
}

/// FixDayDow() of busybox: it looks at which days are left out, not at how the field begins.
fn matches_busybox(line: &Line, date: chrono::NaiveDate) -> bool {
    let cron = &line.times_of_busybox;
    let (is_month, is_day, is_weekday) = has(cron, date);
    let (every_day, every_weekday) = (cron.is_every_day, cron.weekdays == 0x7f);
    is_month
        && match (every_day, every_weekday) {
            (true, true) => true,
            (true, false) => is_weekday,
            (false, true) => is_day,
            (false, false) => is_day || is_weekday,
        }
}

/// The main loop of vixie's cron: `virtual time` follows the wall clock, and how far it is behind tells what runs.
fn vixie(script: &Script, host: Zone, from: i64, until: i64, honours_zone: bool) -> Vec<Firing> {
    let mut lines: Vec<(Matcher<'_>, Option<Wall>)> = script
        .lines
        .iter()
        .map(|line| {
            let zone = line.zone.filter(|_| honours_zone);
            (Matcher::new(line, matches_vixie), zone.map(|zone| Wall::new(zone, from, until)))
        })
        .collect();
    let mut wall = Wall::new(host, from, until);
    let mut virtual_time = wall.shows(from - 1);
    let mut found = Vec::new();
    let mut minute = from;
    while minute < until {
        let running = wall.shows(minute);
        // A day without a change, its clock as it should be: what matches runs, and nothing else happens.
        let is_plain = running - virtual_time == 1 && running.rem_euclid(DAY_MINUTES) == 0 && minute + DAY_MINUTES <= until;
        if is_plain && wall.is_even_day(minute) && lines.iter().all(|(_, zone)| zone.is_none()) {
            lines.iter_mut().for_each(|(line, _)| line.run_day(minute, running, &mut found));
            virtual_time += DAY_MINUTES;
            minute += DAY_MINUTES;
            continue;
        }
        let mut run = |local: i64, wild: bool, fixed: bool| {
            for (line, zone) in &mut lines {
                let shown = match zone {
                    Some(zone) => zone.shows(minute),
                    None => local,
                };
                if (if line.is_wild() { wild } else { fixed }) && line.matches(shown) {
                    found.push(line.firing(minute));
                }
            }
        };
        match running - virtual_time {
            1 => {
                virtual_time = running;
                run(running, true, true);
            }
            2..=5 => {
                while virtual_time < running {
                    virtual_time += 1;
                    run(virtual_time, true, true);
                }
            }
            6..=180 => {
                run(running, true, false);
                while virtual_time < running {
                    virtual_time += 1;
                    run(virtual_time, false, true);
                }
            }
            -179..=0 => run(running, true, false),
            _ => {
                virtual_time = running;
                run(running, true, true);
            }
        }
        minute += 1;
    }
    found
}

/// Every real minute whose wall clock matches.
fn by_the_wall(
    script: &Script,
    from: i64,
    until: i64,
    zone_of: impl Fn(&Line) -> Zone,
    matches: fn(&Line, chrono::NaiveDate) -> bool,
) -> Vec<Firing> {
    let mut found = Vec::new();
    for line in &script.lines {
        let mut matcher = Matcher::new(line, matches);
        let mut wall = Wall::new(zone_of(line), from, until);
        let mut minute = from;
        while minute < until {
            let local = wall.shows(minute);
            if local.rem_euclid(DAY_MINUTES) == 0 && minute + DAY_MINUTES <= until && wall.is_even_day(minute) {
                matcher.run_day(minute, local, &mut found);
                minute += DAY_MINUTES;
                continue;
            }
            if matcher.matches(local) {
                found.push(matcher.firing(minute));
            }
            minute += 1;
        }
    }
    found
}

/// A timer elapses once for each local time: the next one is always looked for behind the last (a repeated hour is passed over, a skipped one too).
fn systemd(script: &Script, host: Zone, from: i64, until: i64) -> Vec<Firing> {
    let mut found = Vec::new();
    for line in &script.lines {
        let mut matcher = Matcher::new(line, matches_vixie);
        let mut wall = Wall::new(line.zone.unwrap_or(host), from, until);
        let mut latest = i64::MIN;
        let mut minute = from;
        while minute < until {
            let local = wall.shows(minute);
            let is_plain = local > latest && local.rem_euclid(DAY_MINUTES) == 0 && minute + DAY_MINUTES <= until;
            if is_plain && wall.is_even_day(minute) {
                matcher.run_day(minute, local, &mut found);
                latest = local + DAY_MINUTES - 1;
                minute += DAY_MINUTES;
                continue;
            }
            if local > latest && matcher.matches(local) {
                found.push(matcher.firing(minute));
            }
            latest = latest.max(local);
            minute += 1;
        }
    }
    // One timer with several lines elapses once at an instant.
    found.sort_unstable();
    found.dedup();
    found
}
