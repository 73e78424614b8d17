//! The schedule keys of a job as a [`Schedule`] with its zone.

use std::time::Duration;

use crate::schedule::{self, MonthDay, Schedule, ShortMonth, TimeOfDay};
use crate::zone::Zone;

use super::defaults;
use super::positions::{Node, Origin, ScalarKind};
use super::report::Report;
use super::settings::{Settings, int, set, text, texts, unset};
use super::spec::{CatchUp, Lateness};

/// Every key that says when a job is due, with the kinds that it belongs to.
const KEYS: &[(&str, &[&str])] = &[
    ("schedule", &["cron"]),
    ("hour", &["daily", "weekly", "monthly"]),
    ("minute", &["15min", "30min", "hourly", "daily", "weekly", "monthly"]),
    ("day_of_week", &["weekly"]),
    ("day_of_month", &["monthly"]),
    ("short_month", &["monthly"]),
];

/// Settles the kind of schedule, takes keys out that don't belong to it (with a warning where the job's own file has them),
/// and settles the zone.
pub fn settle(job: &mut Node, settings: &Settings, report: &mut Report<'_>) {
    if job.get("schedule_type").is_none() {
        let (kind, origin) = match job.get("schedule") {
            Some(line) => ("cron", line.place.origin),
            None => (defaults::SCHEDULE_TYPE, Origin::BuiltIn),
        };
        set(job, "schedule_type", Node::scalar(origin, kind, ScalarKind::Text));
    }
    let kind = text(job, "schedule_type").unwrap_or_default().to_owned();
    if kind == "cron" && job.get("schedule").is_none() {
        let place = job.get("schedule_type").map_or(job.place, |node| node.place);
        report.error(place, "schedule_type cron without a schedule", "add schedule: \"0 6 * * *\"".to_owned());
    }
    for (key, kinds) in KEYS {
        if !kinds.contains(&kind.as_str()) {
            if let Some(entry) = job.entry(key)
                && entry.place.origin == Origin::Job
                && super::keys::SCHEDULE_TYPES.contains(&kind.as_str())
            {
                let hint = format!("it belongs to schedule_type {}", kinds.join(", "));
                report.warning(entry.place, format!("{key} has no effect with schedule_type {kind}"), hint);
            }
            unset(job, key);
        }
    }
    if job.get("timezone").is_none() {
        let zone = match (settings.zone_override, settings.tree.get("timezone")) {
            (Some(zone), _) => Node::scalar(Origin::Environment, zone.name(), ScalarKind::Text),
            (None, Some(node)) => node.clone(),
            (None, None) => Node::scalar(Origin::BuiltIn, defaults::TIMEZONE, ScalarKind::Text),
        };
        set(job, "timezone", zone);
    }
    if job.get("grace_minutes").is_none()
        && let Some(node) = settings.tree.get("grace_minutes")
    {
        set(job, "grace_minutes", node.clone());
    }
}

/// Builds what happens to slots that were not started in time, of a settled and filled job.
pub fn lateness(job: &Node) -> Lateness {
    let minutes = |key: &str| int(job, key).and_then(|number| u64::try_from(number).ok()).map(|number| Duration::from_secs(60 * number));
    Lateness {
        grace: minutes("grace_minutes").unwrap_or(Duration::from_secs(60 * defaults::GRACE_MINUTES.unsigned_abs())),
        catch_up: match text(job, "catch_up") {
            Some("none") => CatchUp::None,
            Some("all") => CatchUp::All,
            _ => CatchUp::Last,
        },
        catch_up_window: minutes("catch_up_window_minutes"),
        is_woken_hourly: text(job, "catch_up_wakeups") == Some("hourly"),
        deadline: text(job, "deadline").and_then(clock),
    }
}

/// Reads `07:30`.
fn clock(text: &str) -> Option<TimeOfDay> {
    let (hour, minute) = text.split_once(':')?;
    Some(TimeOfDay { hour: hour.parse().ok().filter(|hour| *hour < 24)?, minute: minute.parse().ok().filter(|minute| *minute < 60)? })
}

/// Whether a key's default is filled in for a kind of schedule.
pub fn is_filled(key: &str, kind: &str) -> bool {
    match KEYS.iter().find(|(name, _)| *name == key) {
        Some((_, kinds)) => kinds.contains(&kind),
        None => true,
    }
}

/// Returns the zone of a settled job.
pub fn zone(job: &Node) -> Zone {
    text(job, "timezone").and_then(|name| Zone::parse(name).ok()).unwrap_or(Zone::UTC)
}

/// Builds the schedule of a settled and filled job; values that don't belong are reported.
pub fn schedule(job: &Node, report: &mut Report<'_>) -> Schedule {
    let hour = number(job, "hour", 23);
    let minute = number(job, "minute", 59);
    let time = TimeOfDay { hour, minute };
    match text(job, "schedule_type").unwrap_or_default() {
        "15min" => interval(job, 15, report),
        "30min" => interval(job, 30, report),
        "hourly" => interval(job, 60, report),
        "weekly" => Schedule::Weekly(days(job, "day_of_week", |text| schedule::parse_weekday(text).ok()), time),
        "monthly" => {
            let short_month = if text(job, "short_month") == Some("skip") { ShortMonth::Skip } else { ShortMonth::Clip };
            let days = days(job, "day_of_month", |text| schedule::parse_month_day(text).ok());
            warn_of_short_months(job, &days, report);
            Schedule::Monthly(days, short_month, time)
        }
        "cron" => {
            let line = text(job, "schedule").unwrap_or_default();
            Schedule::Cron(line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        }
        "manual" => Schedule::Manual,
        _ => Schedule::Daily(time),
    }
}

/// Days that some months lack have a meaning by default; who wrote them may have meant the other one.
fn warn_of_short_months(job: &Node, days: &[MonthDay], report: &mut Report<'_>) {
    let is_said = job.get("short_month").is_some_and(|node| node.place.origin != Origin::BuiltIn);
    let rare = days.iter().find_map(|day| match day {
        MonthDay::Day(day @ 29..) => Some(day),
        MonthDay::Day(_) | MonthDay::Last => None,
    });
    if let (Some(day), Some(node), false) = (rare, job.get("day_of_month"), is_said) {
        let hint = "say so with short_month: clip, or leave those months out with short_month: skip".to_owned();
        report.warning(node.place, format!("day_of_month: {day} is the last day of a month that is shorter"), hint);
    }
}

fn number(job: &Node, key: &str, max: u8) -> u8 {
    int(job, key).and_then(|number| u8::try_from(number).ok()).map_or(0, |number| number.min(max))
}

fn interval(job: &Node, every_minutes: u8, report: &mut Report<'_>) -> Schedule {
    let minute = number(job, "minute", 59);
    if minute >= every_minutes
        && let Some(node) = job.get("minute")
    {
        let hint = format!("with {every_minutes}min it is the offset, 0 to {}", every_minutes - 1);
        report.error(node.place, format!("minute: {minute} is not within {every_minutes} minutes"), hint);
    }
    Schedule::Interval { every_minutes, minute }
}

fn days<D: Ord>(job: &Node, key: &str, parse: impl Fn(&str) -> Option<D>) -> Vec<D> {
    let mut days: Vec<D> = texts(job, key).unwrap_or_default().iter().filter_map(|text| parse(text)).collect();
    days.sort();
    days.dedup();
    days
}

/// Returns a text that is the same for equal schedules and no others; it never changes meaning, since stores keep its hash.
pub fn key(schedule: &Schedule, zone: Zone) -> String {
    let joined = |days: Vec<String>| days.join(",");
    let text = match schedule {
        Schedule::Interval { every_minutes, minute } => format!("interval {every_minutes} {minute}"),
        Schedule::Daily(time) => format!("daily {time}"),
        Schedule::Weekly(days, time) => format!("weekly {} {time}", joined(days.iter().map(u8::to_string).collect())),
        Schedule::Monthly(days, short, time) => {
            let day = |day: &MonthDay| match day {
                MonthDay::Day(day) => day.to_string(),
                MonthDay::Last => "last".to_owned(),
            };
            let short = if *short == ShortMonth::Skip { "skip" } else { "clip" };
            format!("monthly {} {short} {time}", joined(days.iter().map(day).collect()))
        }
        Schedule::Cron(line) => format!("cron {line}"),
        Schedule::Manual => "manual".to_owned(),
    };
    format!("{text} {zone}")
}
