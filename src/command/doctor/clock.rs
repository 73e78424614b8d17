//! The host's clock and zone, and the rules that times are worked out by.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::scene::Scene;
use super::tell::Tell;
use crate::process::{self, ClockKeeping};
use crate::zone::{Zone, database};

/// A program can't be older than the clock shows by more than time zones of file systems differ.
const SLACK: TimeDelta = TimeDelta::days(2);

/// How far ahead a change of the clocks is told.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// Looks, and tells what it finds.
pub fn check(scene: &Scene, tell: &Tell) {
    sane(scene.now, tell);
    match process::clock_keeping() {
        ClockKeeping::Synchronized => tell.ok("kept", "the kernel has it as synchronized"),
        ClockKeeping::Free => {
            let found = "the kernel has it as not synchronized: slots start when this clock says so";
            tell.warn("kept", found, "timedatectl set-ntp true, or install chrony");
        }
        ClockKeeping::Unknown => tell.skipped("kept", "this system doesn't tell whether anything sets its clock right"),
    }
    zone(scene.now, tell);
    rules(scene, tell);
}

/// Whether the clock can be right: not before this program was built.
fn sane(now: DateTime<Utc>, tell: &Tell) {
    let written = std::env::current_exe().and_then(std::fs::metadata).and_then(|metadata| metadata.modified());
    let built = written.ok().map(DateTime::<Utc>::from);
    let shown = now.format("%Y-%m-%dT%H:%M:%SZ");
    let first_year = database::Database::bundled().version.get(..4).and_then(|year| year.parse::<i32>().ok()).unwrap_or(0);
    match built {
        Some(built) if now + SLACK < built => {
            let found = format!("it shows {shown}, and this program was written {}", built.format("%Y-%m-%dT%H:%M:%SZ"));
            tell.fail("", found, "set the clock: timedatectl set-ntp true");
        }
        _ if now.year() < first_year => {
            tell.fail("", format!("it shows {shown}, before this program was made"), "set the clock: timedatectl set-ntp true");
        }
        _ => tell.ok("", format!("it shows {shown}")),
    }
}

/// Which zone the host's clock shows, and when it is changed next.
fn zone(now: DateTime<Utc>, tell: &Tell) {
    let variable = std::env::var("TZ").ok();
    let system = process::system_zone();
    if let Some(variable) = &variable {
        let named = process::zone_of_variable(variable);
        if let (Some(named), Some(system)) = (&named, &system)
            && named != system
        {
            let found = format!("TZ says {named} here, and the system's clock shows {system}, by which its scheduler goes");
            tell.warn("TZ", found, "unset TZ, or give etlsched schedule install --host-zone");
        }
    }
    let Some(name) = system else {
        return tell
            .skipped("zone", "which zone this machine's clock shows can't be found out; name it with --host-zone where entries are made");
    };
    let Ok(zone) = Zone::parse(&name) else {
        let remedy = "set another: timedatectl set-timezone Europe/Berlin";
        return tell.fail("zone", format!("this machine's clock shows {name}, which the time zone database doesn't have"), remedy);
    };
    let segments = zone.segments(now.timestamp(), (now + AHEAD).timestamp());
    let found = match segments.get(1).zip(segments.first()) {
        None => format!("{name}; its clocks are not changed within a year"),
        Some((next, present)) => {
            let at = DateTime::from_timestamp(next.start, 0).unwrap_or_default();
            let by = f64::from(next.offset - present.offset) / 60.0;
            format!("{name}; its clocks are changed by {by:+} min next, at {}", at.format("%Y-%m-%dT%H:%M:%SZ"))
        }
    };
    tell.ok("zone", found);
}

/// Rules of zones change several times a year: which are in use, and how old they are.
fn rules(scene: &Scene, tell: &Tell) {
    let zones = scene.jobs.iter().map(|loaded| loaded.job.timezone);
    let found = database::describe(zones);
    let in_use = database::in_use();
    let bundled = database::Database::bundled();
    // A year's letters begin anew in January: what is of the year before last has missed a dozen releases.
    let year = in_use.version.get(..4).and_then(|year| year.parse::<i32>().ok()).unwrap_or(0);
    if year + 1 < scene.now.year() {
        return tell.warn(
            "rules",
            format!("{found}: rules have changed since"),
            "update the system's: apt-get install --only-upgrade tzdata",
        );
    }
    let system = database::system_version();
    match system.filter(|version| *version < bundled.version) {
        Some(older) => {
            let found = format!("{found}; the system's own are {older}, by which its scheduler goes");
            tell.warn("rules", found, "update the system's: apt-get install --only-upgrade tzdata");
        }
        None => tell.ok("rules", found),
    }
}
