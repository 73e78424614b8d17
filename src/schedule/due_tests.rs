//! The rule for slots, on the changes of clocks that test it.

use chrono::{DateTime, Utc};

use super::{MonthDay, Schedule, ShortMonth, TimeOfDay};
use crate::zone::Zone;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn daily(hour: u8, minute: u8) -> Schedule {
    Schedule::Daily(TimeOfDay { hour, minute })
}

fn cron(line: &str) -> Schedule {
    Schedule::Cron(line.to_owned())
}

const fn every(every_minutes: u8, minute: u8) -> Schedule {
    Schedule::Interval { every_minutes, minute }
}

/// The slots from `from` until `until` are `expected`: "instant key".
#[track_caller]
fn check(schedule: &Schedule, zone: &str, from: &str, until: &str, expected: &[&str]) {
    let zone = Zone::parse(zone).unwrap();
    let slots = schedule.between(zone, at(from), at(until));
    let found: Vec<String> = slots.iter().map(|slot| format!("{} {}", slot.at.format("%d %H:%M"), slot.key())).collect();
    assert_eq!(found, expected, "{schedule:?} in {zone}");
    for (index, slot) in slots.iter().enumerate() {
        assert_eq!(schedule.latest(zone, slot.at), Some(*slot), "latest at {slot:?}");
        assert_eq!(schedule.next(zone, slot.at, slots.len() - index - 1), slots[index + 1..], "next after {slot:?}");
    }
}

#[test]
fn a_skipped_hour_is_due_at_the_end_of_the_gap() {
    let days = ["28 01:30 2026-03-28T02:30", "29 01:00 2026-03-29T02:30", "30 00:30 2026-03-30T02:30"];
    check(&daily(2, 30), "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", &days);
    check(&cron("30 2 * * *"), "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", &days);
}

#[test]
fn a_repeated_hour_is_due_once_the_first_time() {
    let days = ["24 00:30 2026-10-24T02:30", "25 00:30 2026-10-25T02:30", "26 01:30 2026-10-26T02:30"];
    check(&daily(2, 30), "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", &days);
    check(&cron("30 2 * * *"), "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", &days);
}

#[test]
fn an_interval_is_due_at_every_matching_minute_of_both_passes() {
    let both = ["25 00:05 2026-10-25T00:05:00Z", "25 01:05 2026-10-25T01:05:00Z", "25 02:05 2026-10-25T02:05:00Z"];
    check(&every(60, 5), "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", &both);
    check(&cron("5 * * * *"), "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", &both);
    // Lord Howe's clocks go back half an hour: 02:00 to 01:30 on 2026-04-05, at 15:00 UTC the day before.
    let half = [
        "04 14:15 2026-04-04T14:15:00Z",
        "04 14:45 2026-04-04T14:45:00Z",
        "04 15:15 2026-04-04T15:15:00Z",
        "04 15:45 2026-04-04T15:45:00Z",
    ];
    check(&every(30, 15), "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-04T16:00:00Z", &half);
    check(&every(60, 45), "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-04T16:00:00Z", &[half[1], half[2]]);
}

#[test]
fn minutes_that_the_clocks_skip_have_no_interval_slot() {
    // 02:00 to 02:30 doesn't exist in Lord Howe on 2026-10-04 (15:30 UTC the day before).
    check(
        &every(60, 15),
        "Australia/Lord_Howe",
        "2026-10-03T14:30:00Z",
        "2026-10-03T17:30:00Z",
        &["03 14:45 2026-10-03T14:45:00Z", "03 16:15 2026-10-03T16:15:00Z", "03 17:15 2026-10-03T17:15:00Z"],
    );
}

#[test]
fn a_skipped_midnight_still_has_its_slot_and_a_skipped_date_has_none() {
    check(
        &daily(0, 0),
        "America/Santiago",
        "2026-09-05T12:00:00Z",
        "2026-09-07T12:00:00Z",
        &["06 04:00 2026-09-06T00:00", "07 03:00 2026-09-07T00:00"],
    );
    check(
        &daily(12, 0),
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        "2012-01-01T00:00:00Z",
        &["29 22:00 2011-12-29T12:00", "30 22:00 2011-12-31T12:00", "31 22:00 2012-01-01T12:00"],
    );
    check(
        &cron("0 12 30 12 *"),
        "Pacific/Apia",
        "2010-12-01T00:00:00Z",
        "2012-12-31T00:00:00Z",
        &["30 22:00 2010-12-30T12:00", "29 22:00 2012-12-30T12:00"],
    );
}

#[test]
fn cron_slots_that_fall_on_one_instant_are_one() {
    let nights = ["29 00:59 2026-03-29T01:59", "29 01:00 2026-03-29T03:00"];
    check(&cron("0,30,59 1-3 29 3 *"), "Europe/Berlin", "2026-03-29T00:45:00Z", "2026-03-29T01:20:00Z", &nights);
}

#[test]
fn the_end_of_a_month_is_clipped() {
    let monthly = Schedule::Monthly(vec![MonthDay::Day(31)], ShortMonth::Clip, TimeOfDay { hour: 8, minute: 0 });
    let days = ["30 23:00 2026-01-31T08:00", "27 23:00 2026-02-28T08:00", "30 23:00 2026-03-31T08:00"];
    check(&monthly, "Asia/Tokyo", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", &days);
}

#[test]
fn rare_days_are_found_years_away() {
    let leap = cron("0 0 29 2 *");
    let next = leap.next(Zone::UTC, at("2096-02-29T00:00:00Z"), 1);
    assert_eq!(next.iter().map(super::Slot::key).collect::<Vec<_>>(), ["2104-02-29T00:00"]);
    assert_eq!(leap.latest(Zone::UTC, at("2104-02-28T00:00:00Z")).map(|slot| slot.key()).as_deref(), Some("2096-02-29T00:00"));
}

#[test]
fn a_manual_job_is_never_due() {
    assert_eq!(Schedule::Manual.next(Zone::UTC, at("2026-01-01T00:00:00Z"), 5), Vec::new());
    assert_eq!(Schedule::Manual.latest(Zone::UTC, at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn spans_hold_their_beginning_and_not_their_end() {
    check(&daily(2, 0), "UTC", "2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z", &["01 02:00 2026-01-01T02:00"]);
    check(&daily(2, 0), "UTC", "2026-01-01T02:00:00.5Z", "2026-01-02T02:00:00Z", &[]);
    check(&daily(2, 0), "UTC", "2026-01-02T02:00:00Z", "2026-01-01T02:00:00Z", &[]);
    assert_eq!(daily(2, 0).latest(Zone::UTC, at("2026-01-01T02:00:00.9Z")).map(|slot| slot.at), Some(at("2026-01-01T02:00:00Z")));
    assert_eq!(daily(2, 0).next(Zone::UTC, at("2026-01-01T01:59:59.9Z"), 1)[0].at, at("2026-01-01T02:00:00Z"));
}
