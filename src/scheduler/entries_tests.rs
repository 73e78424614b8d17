//! Lines against the slots that they have to start: known rows, and any schedule in any two zones.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use proptest::prelude::*;

use super::Entry;
use super::crontab::fields;
use super::entries::{Line, lines};
use crate::schedule::cron::Cron;
use crate::schedule::{MonthDay, Schedule, ShortMonth, TimeOfDay};
use crate::zone::Zone;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

const fn time(hour: u8, minute: u8) -> TimeOfDay {
    TimeOfDay { hour, minute }
}

pub(super) fn entry(job: &str, schedule: Schedule, zone_name: &str) -> Entry {
    let timeout = Duration::from_secs(3600);
    Entry { job: job.to_owned(), schedule, zone: zone(zone_name), is_woken_hourly: false, looked_at: None, on_overlap: "skip", timeout }
}

fn rendered(host: &str, entry: &Entry) -> Vec<String> {
    lines(entry, zone(host), at("2026-11-24T03:00:00Z")).iter().map(fields).collect()
}

#[track_caller]
fn check(host: &str, zone: &str, schedule: Schedule, expected: &[&str]) {
    assert_eq!(rendered(host, &entry("job", schedule.clone(), zone)), expected, "{schedule:?} of {zone} on a host in {host}");
}

fn daily(hour: u8, minute: u8) -> Schedule {
    Schedule::Daily(time(hour, minute))
}

fn weekly(day: u8, hour: u8, minute: u8) -> Schedule {
    Schedule::Weekly(vec![day], time(hour, minute))
}

fn monthly(day: MonthDay, hour: u8, minute: u8) -> Schedule {
    Schedule::Monthly(vec![day], ShortMonth::Clip, time(hour, minute))
}

fn cron(line: &str) -> Schedule {
    Schedule::Cron(line.to_owned())
}

const fn every(every_minutes: u8, minute: u8) -> Schedule {
    Schedule::Interval { every_minutes, minute }
}

#[test]
fn twelve_hosts_and_jobs_have_their_known_lines() {
    check("UTC", "Europe/Berlin", daily(2, 30), &["30 0,1 * * *", "0 1 * * *"]);
    check("Europe/Berlin", "Europe/Berlin", daily(2, 30), &["30 2 * * *", "0 3 * * *"]);
    check("Europe/Berlin", "Asia/Tokyo", daily(10, 30), &["30 * * * *"]);
    check("UTC", "Asia/Tokyo", monthly(MonthDay::Day(1), 8, 0), &["0 23 28-31 * *"]);
    check("America/New_York", "Europe/Berlin", daily(2, 30), &["0,30 * * * *"]);
    check("UTC", "Australia/Lord_Howe", every(60, 15), &["15,45 * * * *"]);
    check("Europe/London", "Asia/Kathmandu", every(30, 0), &["15,45 * * * *"]);
    check("UTC", "America/Santiago", daily(0, 0), &["0 3,4 * * *"]);
    check("America/Los_Angeles", "Pacific/Auckland", weekly(0, 0, 15), &["15 * * * *"]);
    check("Africa/Cairo", "America/Havana", daily(0, 30), &["0,30 * * * *"]);
    check("Antarctica/Troll", "Asia/Kolkata", daily(7, 15), &["45 * * * *"]);
    check("America/New_York", "America/New_York", monthly(MonthDay::Day(8), 2, 30), &["30 2 8 * *", "0 3 8 * *"]);
}

#[test]
fn days_are_named_where_that_is_exact() {
    check("UTC", "Europe/Berlin", weekly(0, 6, 10), &["10 4,5 * * 1"]);
    check("UTC", "Europe/Berlin", weekly(0, 1, 30), &["30 0 * * 1", "30 23 * * 0"]);
    check("UTC", "Europe/Berlin", weekly(6, 2, 30), &["30 0,1 * * 0", "0 1 * * 0"]);
    check("Europe/Berlin", "Europe/Berlin", monthly(MonthDay::Day(31), 6, 0), &["0 6 28-31 * *"]);
    check("Europe/Berlin", "Europe/Paris", monthly(MonthDay::Last, 6, 0), &["0 6 28-31 * *"]);
    check("UTC", "UTC", cron("*/10 8-18 * * mon-fri"), &["0,10,20,30,40,50 8-18 * * 1-5"]);
    check("UTC", "Asia/Tokyo", cron("0 8 1 */3 *"), &["0 23 30,31 3,6,9,12 *"]);
    check("UTC", "UTC", cron("0 5 29 2 *"), &["0 5 29 2 *"]);
}

#[test]
fn rare_dates_are_named_where_every_hour_is() {
    check("Europe/Berlin", "Asia/Tokyo", monthly(MonthDay::Day(1), 8, 0), &["0 * 1 * *"]);
    check("Europe/Berlin", "Asia/Tokyo", monthly(MonthDay::Day(1), 2, 0), &["0 * 28-31 * *"]);
    check("Europe/Berlin", "Asia/Tokyo", cron("0 2 1 4 *"), &["0 * 31 3 *"]);
    check("Europe/Berlin", "Asia/Tokyo", cron("0 2 1 4 mon"), &["0 * * 3,4 *"]);
    check("Europe/Berlin", "Asia/Tokyo", cron("0 2 1 * mon"), &["0 * * * *"]);
    let woken = Entry { is_woken_hourly: true, ..entry("job", monthly(MonthDay::Day(1), 8, 0), "Asia/Tokyo") };
    assert_eq!(rendered("Europe/Berlin", &woken), ["0 * * * *"]);
}

#[test]
fn where_either_day_field_counts_each_has_its_line() {
    check("UTC", "UTC", cron("0 5 13 * fri"), &["0 5 13 * *", "0 5 * * 5"]);
    check("UTC", "Asia/Tokyo", cron("0 5 13 * fri"), &["0 20 12 * *", "0 20 * * 4"]);
    check("UTC", "UTC", cron("0 5 */2 * mon"), &["0 5 * * 1"]);
}

#[test]
fn every_pass_of_a_repeated_hour_needs_hours_that_begin_with_a_star() {
    check("Europe/Berlin", "Europe/Berlin", cron("30 */2 * * *"), &["30 */2 * * *"]);
    check("Europe/Berlin", "Europe/Berlin", cron("30 */6,5 * * *"), &["30 * * * *"]);
    check(
        "Europe/Berlin",
        "Europe/Berlin",
        cron("30 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
        &["30 0,2,4,6,8,10,12,14,16,18,20,22 * * *", "0 3 * * *"],
    );
    check("UTC", "UTC", cron("30 */6,5 * * *"), &["30 0,5,6,12,18 * * *"]);
    check("Europe/Berlin", "Europe/Berlin", every(15, 7), &["7,22,37,52 * * * *"]);
}

#[test]
fn jobs_that_are_woken_hourly_have_every_hour() {
    let woken = |schedule, zone| Entry { is_woken_hourly: true, ..entry("job", schedule, zone) };
    assert_eq!(rendered("UTC", &woken(daily(6, 10), "Europe/Berlin")), ["10 * * * *"]);
    assert_eq!(rendered("Europe/Berlin", &woken(weekly(6, 2, 30), "Europe/Berlin")), ["0,30 * * * *"]);
}

#[test]
fn a_job_with_a_deadline_is_started_just_after_it_too() {
    let looked_at = |schedule, zone, hour, minute| Entry { looked_at: Some(TimeOfDay { hour, minute }), ..entry("job", schedule, zone) };
    assert_eq!(rendered("UTC", &looked_at(daily(6, 10), "UTC", 8, 1)), ["10 6 * * *", "1 8 * * *"]);
    assert_eq!(rendered("UTC", &looked_at(weekly(0, 6, 10), "UTC", 8, 1)), ["10 6 * * 1", "1 8 * * *"]);
    assert_eq!(rendered("UTC", &looked_at(daily(6, 10), "Asia/Tokyo", 8, 1)), ["10 21 * * *", "1 23 * * *"]);
    assert_eq!(rendered("UTC", &looked_at(every(15, 0), "UTC", 8, 30)), ["0,15,30,45 * * * *"], "it is started then anyway");
    assert_eq!(rendered("Europe/Berlin", &looked_at(daily(6, 10), "Asia/Tokyo", 8, 11)), ["10 * * * *", "11 * * * *"]);
    let woken = Entry { is_woken_hourly: true, ..looked_at(daily(6, 10), "UTC", 8, 1) };
    assert_eq!(rendered("UTC", &woken), ["10 * * * *"]);
    assert_eq!(rendered("UTC", &looked_at(Schedule::Manual, "UTC", 8, 1)), Vec::<String>::new());
}

#[test]
fn a_zone_of_other_name_and_equal_offsets_is_native() {
    check("Europe/Paris", "Europe/Berlin", daily(6, 10), &["10 6 * * *"]);
    check("Etc/GMT-2", "Africa/Johannesburg", daily(6, 10), &["10 6 * * *"]);
}

#[test]
fn lines_stay_the_same_from_day_to_day() {
    let entry = entry("job", monthly(MonthDay::Day(8), 2, 30), "America/New_York");
    let of = |day: &str| lines(&entry, zone("America/New_York"), at(day));
    assert_eq!(of("2026-01-01T00:00:00Z"), of("2026-12-31T23:59:59Z"));
}

#[test]
fn what_is_never_due_in_these_years_has_no_line() {
    let leap = entry("job", cron("0 5 29 2 *"), "UTC");
    assert_eq!(lines(&leap, Zone::UTC, at("2097-01-01T00:00:00Z")), []);
    assert_eq!(lines(&entry("job", Schedule::Manual, "UTC"), Zone::UTC, at("2026-01-01T00:00:00Z")), []);
}

/// Whether a cron daemon in `host` starts a line at an instant, by crontab(5) and cron(8): a line of fixed hours is not started in the
/// second pass of a repeated hour, one whose hours begin with `*` is started at every real matching minute.
fn is_fired(cron: &Cron, host: Zone, instant: DateTime<Utc>) -> bool {
    let local = instant.with_timezone(&host).naive_local();
    let is_second_pass =
        || (1..=12).any(|quarters| (instant - TimeDelta::minutes(15 * quarters)).with_timezone(&host).naive_local() == local);
    let is_day = cron.days >> local.day() & 1 == 1 && cron.weekdays >> local.weekday().num_days_from_sunday() & 1 == 1;
    cron.minutes >> local.minute() & 1 == 1
        && cron.hours >> local.hour() & 1 == 1
        && cron.months >> local.month() & 1 == 1
        && is_day
        && (cron.is_every_hour || !is_second_pass())
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let day = || prop_oneof![(1_u8..=31).prop_map(MonthDay::Day), Just(MonthDay::Last)];
    let clock = || (0_u8..24, 0_u8..60).prop_map(|(hour, minute)| TimeOfDay { hour, minute });
    let short = || prop_oneof![Just(ShortMonth::Clip), Just(ShortMonth::Skip)];
    let field = |first: u8, last: u8| {
        prop_oneof![
            3 => Just("*".to_owned()),
            3 => (first..=last).prop_map(|number| number.to_string()),
            2 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{a},{b}")),
            1 => (2_u8..=7).prop_map(|step| format!("*/{step}")),
        ]
    };
    prop_oneof![
        (prop_oneof![Just(15_u8), Just(30), Just(60)], 0_u8..15)
            .prop_map(|(every_minutes, minute)| Schedule::Interval { every_minutes, minute }),
        clock().prop_map(Schedule::Daily),
        (proptest::collection::vec(0_u8..7, 1..4), clock()).prop_map(|(days, time)| Schedule::Weekly(days, time)),
        (proptest::collection::vec(day(), 1..4), short(), clock()).prop_map(|(days, short, time)| Schedule::Monthly(days, short, time)),
        (0_u8..60, field(0, 23), field(1, 31), field(1, 12), field(0, 6))
            .prop_map(|(m, h, d, mon, w)| Schedule::Cron(format!("{m} {h} {d} {mon} {w}"))),
        (field(0, 59), 0_u8..24, field(1, 28), field(0, 6)).prop_map(|(m, h, d, w)| Schedule::Cron(format!("{m} {h} {d} * {w}"))),
    ]
}

/// Half of the zones are such as test the rules.
fn any_zone() -> impl Strategy<Value = Zone> {
    const ODD: [&str; 16] = [
        "UTC",
        "Europe/Berlin",
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Beirut",
        "America/Nuuk",
        "Pacific/Chatham",
        "America/Havana",
        "Pacific/Apia",
        "Atlantic/Azores",
    ];
    let names: Vec<&'static str> = Zone::names().collect();
    prop_oneof![proptest::sample::select(ODD.to_vec()), proptest::sample::select(names)].prop_map(zone)
}

/// The slots that no line starts at their very instant.
fn missed(entry: &Entry, host: Zone, from: DateTime<Utc>) -> Vec<String> {
    let lines: Vec<String> = lines(entry, host, from).iter().map(fields).collect();
    let crons: Vec<Cron> = lines.iter().map(|line| Cron::parse(line).expect("a line that our own reader takes")).collect();
    let until = from + TimeDelta::days(5 * 365);
    let slots = entry.schedule.between(entry.zone, from, until);
    // Frequent ones repeat themselves: the days around changes of clocks, and every fiftieth of the rest.
    let is_looked_at = |index: usize, instant: DateTime<Utc>| {
        let offset = |days: i64| (instant + TimeDelta::days(days)).with_timezone(&host).naive_local() - instant.naive_utc();
        let job_offset = |days: i64| (instant + TimeDelta::days(days)).with_timezone(&entry.zone).naive_local() - instant.naive_utc();
        slots.len() < 3000
            || index.is_multiple_of(50)
            || offset(-1) + TimeDelta::days(2) != offset(1)
            || job_offset(-1) + TimeDelta::days(2) != job_offset(1)
    };
    slots
        .iter()
        .enumerate()
        .filter(|(index, slot)| is_looked_at(*index, slot.at) && !crons.iter().any(|cron| is_fired(cron, host, slot.at)))
        .map(|(_, slot)| format!("{} by {lines:?}", slot.at))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_slot_of_five_years_is_started_at_its_instant(
        schedule in any_schedule(), job_zone in any_zone(), host in any_zone(), is_native in proptest::bool::weighted(0.3), is_woken_hourly: bool,
        days in 0_i64..3000,
    ) {
        if let Schedule::Cron(line) = &schedule {
            prop_assume!(Cron::parse(line).is_ok());
        }
        let host = if is_native { job_zone } else { host };
        let entry = Entry { is_woken_hourly, ..entry("job", schedule, job_zone.name()) };
        let missed = missed(&entry, host, at("2024-01-01T00:00:00Z") + TimeDelta::days(days));
        prop_assert!(missed.is_empty(), "{entry:?} on a host in {host}: {:?}", &missed[..missed.len().min(5)]);
    }
}

#[test]
fn a_line_of_a_fixed_hour_is_convicted_where_clocks_go_back() {
    let host = zone("America/New_York");
    let is_fired = |line: &str, host, instant| is_fired(&Cron::parse(line).unwrap(), host, instant);
    // 06:30 UTC on 2026-11-01 is the second 01:30 in New York.
    assert!(!is_fired("30 1 * * *", host, at("2026-11-01T06:30:00Z")) && is_fired("30 * * * *", host, at("2026-11-01T06:30:00Z")));
    assert!(is_fired("30 1 * * *", host, at("2026-11-01T05:30:00Z")) && !is_fired("30 1 * * *", host, at("2026-11-01T05:31:00Z")));
}

#[test]
fn one_job_has_a_dozen_lines_at_most() {
    let busy = entry("job", cron("*/7 1-23/3 1-9 */5 *"), "America/Santiago");
    for host in ["UTC", "America/Santiago", "Europe/Berlin"] {
        let lines: Vec<Line> = lines(&busy, zone(host), at("2026-01-01T00:00:00Z"));
        assert!((1..=12).contains(&lines.len()), "{host}: {lines:?}");
    }
}
