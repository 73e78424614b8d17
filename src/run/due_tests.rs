//! Which slot is started and what is written off, case by case. `src/state/slots_tests.rs` lives whole lives.

use super::*;
use crate::schedule::TimeOfDay;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const DAILY: Schedule = Schedule::Daily(TimeOfDay { hour: 2, minute: 0 });
const HOURLY: Schedule = Schedule::Interval { every_minutes: 60, minute: 0 };

fn rules(schedule: &Schedule, catch_up: CatchUp) -> Rules<'_> {
    let lateness = Lateness { grace: minutes(10), catch_up, catch_up_window: None, is_woken_hourly: false, deadline: None };
    Rules { schedule, zone: Zone::UTC, lateness, on_overlap: OnOverlap::Skip }
}

fn record(key: &str, status: SlotStatus, claims: u32) -> SlotRecord {
    let due_at = if key.ends_with('Z') { key.parse().unwrap() } else { format!("{key}:00Z").parse().unwrap() };
    SlotRecord { key: key.to_owned(), due_at, status, run_id: None, claims, slot_count: 1, updated_at: due_at }
}

/// What is decided, in words: `start KEY trigger` or `-`, then what is written off.
#[track_caller]
fn check(rules: &Rules<'_>, facts: &Facts, now: &str, expected: &[&str]) {
    let Decision { start, written_off, rest } = rules.decide(facts, at(now));
    let mut words: Vec<String> = Vec::new();
    words.extend(start.map(|start| format!("start {} {}", start.key, start.trigger.as_str())));
    words.extend(rest.map(|(slot, count)| format!("{count} up to {}", slot.key())));
    words.extend(written_off.iter().map(|(slot, status)| format!("{} {}", status.as_str(), slot.key())));
    assert_eq!(words, expected);
}

fn since(text: &str) -> Facts {
    Facts { counted_since: at(text), ..Facts::default() }
}

#[test]
fn a_slot_counts_from_the_grace_before_the_job_was_noticed() {
    let rules = rules(&DAILY, CatchUp::Last);
    check(&rules, &since("24T02:10"), "24T02:10", &["start 2026-11-24T02:00 schedule"]);
    check(&rules, &since("24T02:11"), "24T02:11", &[]);
    check(&rules, &since("24T02:11"), "25T01:59", &[]);
    check(&rules, &since("24T02:11"), "25T02:00", &["start 2026-11-25T02:00 schedule"]);
}

#[test]
fn a_slot_is_never_started_before_its_time() {
    let now = at("24T02:00") - TimeDelta::milliseconds(1);
    let facts = Facts { records: vec![record("2026-11-23T02:00", SlotStatus::Done, 1)], ..since("20T00:00") };
    assert!(rules(&DAILY, CatchUp::Last).decide(&facts, now).is_idle());
}

#[test]
fn a_late_slot_is_caught_up_and_older_ones_are_missed() {
    let facts = Facts { records: vec![record("2026-11-20T02:00", SlotStatus::Done, 1)], ..since("19T00:00") };
    let missed = ["missed 2026-11-21T02:00", "missed 2026-11-22T02:00", "missed 2026-11-23T02:00"];
    let late: Vec<&str> = ["start 2026-11-24T02:00 catch_up"].into_iter().chain(missed).collect();
    check(&rules(&DAILY, CatchUp::Last), &facts, "24T09:30", &late);
    let none: Vec<&str> = missed.into_iter().chain(["missed 2026-11-24T02:00"]).collect();
    check(&rules(&DAILY, CatchUp::None), &facts, "24T09:30", &none);
    let mut narrow = rules(&DAILY, CatchUp::Last);
    narrow.lateness.catch_up_window = Some(minutes(60));
    check(&narrow, &facts, "24T09:30", &none);
    check(&narrow, &facts, "24T03:00", &late);
}

#[test]
fn catch_up_all_runs_what_is_a_day_old_at_most_oldest_first() {
    let facts = Facts { records: vec![record("2026-11-22T21:00:00Z", SlotStatus::Done, 1)], ..since("20T00:00") };
    let missed = ["missed 2026-11-22T22:00:00Z", "missed 2026-11-22T23:00:00Z"];
    let first: Vec<&str> = ["start 2026-11-23T00:00:00Z catch_up"].into_iter().chain(missed).collect();
    check(&rules(&HOURLY, CatchUp::All), &facts, "24T00:00", &first);
    // The next look: the first is done, the others are written off.
    let mut records = facts.records.clone();
    records.extend(missed.map(|word| record(word.trim_start_matches("missed "), SlotStatus::Missed, 0)));
    records.push(record("2026-11-23T00:00:00Z", SlotStatus::Failed, 1));
    check(&rules(&HOURLY, CatchUp::All), &Facts { records, ..facts }, "24T00:00", &["start 2026-11-23T01:00:00Z catch_up"]);
}

#[test]
fn where_slots_are_close_half_the_span_between_them_is_on_time() {
    let quarter = Schedule::Interval { every_minutes: 15, minute: 0 };
    check(&rules(&quarter, CatchUp::None), &since("24T02:00"), "24T02:07", &["start 2026-11-24T02:00:00Z schedule"]);
    check(&rules(&quarter, CatchUp::None), &since("24T02:00"), "24T02:08", &["missed 2026-11-24T02:00:00Z"]);
}

#[test]
fn an_interrupted_slot_is_due_again_twice_and_a_failed_one_never() {
    let with = |status, claims| Facts { records: vec![record("2026-11-24T02:00", status, claims)], ..since("20T00:00") };
    let again = ["start 2026-11-24T02:00 catch_up"];
    for catch_up in [CatchUp::Last, CatchUp::None, CatchUp::All] {
        check(&rules(&DAILY, catch_up), &with(SlotStatus::Interrupted, 1), "24T03:00", &again);
        check(&rules(&DAILY, catch_up), &with(SlotStatus::Interrupted, 2), "24T02:03", &["start 2026-11-24T02:00 schedule"]);
        for (status, claims) in [(SlotStatus::Interrupted, 3), (SlotStatus::Failed, 1), (SlotStatus::Running, 1), (SlotStatus::Done, 1)] {
            let idle = with(status, claims);
            assert!(rules(&DAILY, catch_up).decide(&idle, at("24T03:00")).is_idle(), "{status:?}");
        }
    }
}

#[test]
fn a_late_slot_inside_an_earlier_run_is_skipped_unless_the_job_waits() {
    let runs = vec![(at("24T01:30"), at("24T04:30"))];
    let facts = Facts { runs, records: vec![record("2026-11-24T01:00:00Z", SlotStatus::Done, 1)], ..since("20T00:00") };
    let skipped = ["skipped 2026-11-24T02:00:00Z", "skipped 2026-11-24T03:00:00Z", "skipped 2026-11-24T04:00:00Z"];
    check(&rules(&HOURLY, CatchUp::Last), &facts, "24T04:40", &skipped);
    let waits = Rules { on_overlap: OnOverlap::Wait, ..rules(&HOURLY, CatchUp::Last) };
    check(&waits, &facts, "24T04:40", &["start 2026-11-24T04:00:00Z catch_up", skipped[0], skipped[1]]);
    check(&rules(&HOURLY, CatchUp::Last), &facts, "24T04:08", &["start 2026-11-24T04:00:00Z schedule", skipped[0], skipped[1]]);
}

#[test]
fn what_a_clock_that_was_ahead_wrote_off_or_claimed_doesn_t_silence_the_job() {
    let mut ahead = record("2026-11-24T02:00", SlotStatus::Missed, 0);
    ahead.updated_at = "2030-01-01T00:00:00Z".parse().unwrap();
    let of_2030 = record("2030-01-01T02:00", SlotStatus::Done, 1);
    let facts = Facts { records: vec![ahead, of_2030], ..since("20T00:00") };
    let Decision { start, .. } = rules(&DAILY, CatchUp::Last).decide(&facts, at("24T02:00"));
    assert_eq!(start.map(|start| start.key), Some("2026-11-24T02:00".to_owned()));
}

#[test]
fn a_clock_that_went_back_never_starts_a_slot_again() {
    let records = vec![record("2026-11-24T01:00:00Z", SlotStatus::Done, 1), record("2026-11-24T02:00:00Z", SlotStatus::Done, 1)];
    let facts = Facts { records, ..since("20T00:00") };
    for now in ["24T02:30", "24T01:30", "24T02:00"] {
        check(&rules(&HOURLY, CatchUp::Last), &facts, now, &[]);
    }
}

#[test]
fn a_hundred_missed_slots_are_written_one_by_one_the_rest_as_one_entry() {
    let facts = Facts { records: vec![record("2026-11-10T00:00:00Z", SlotStatus::Done, 1)], ..since("09T00:00") };
    let Decision { start, written_off, rest } = rules(&HOURLY, CatchUp::Last).decide(&facts, at("20T00:00"));
    assert_eq!(start.map(|start| start.key), Some("2026-11-20T00:00:00Z".to_owned()));
    assert_eq!((written_off.len(), written_off[0].0.key()), (100, "2026-11-15T20:00:00Z".to_owned()));
    assert_eq!(rest.map(|(slot, count)| (slot.key(), count)), Some(("2026-11-15T19:00:00Z".to_owned(), 139)));
}

#[test]
fn a_manual_job_is_never_due() {
    check(&rules(&Schedule::Manual, CatchUp::All), &since("01T00:00"), "24T00:00", &[]);
}
