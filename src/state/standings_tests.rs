//! How jobs stand, read in few queries, on both back ends.

use chrono::{DateTime, Utc};

use super::bench::{BackEnd, Home, on_both_back_ends};
use crate::run::RunStatus;
use crate::run::due::SlotStatus;

on_both_back_ends!(
    each_job_has_its_newest_settled_slot_and_later_ones,
    missed_slots_are_those_since_an_instant,
    a_run_over_a_slot_is_found_and_an_open_one_ends_now,
    the_last_run_that_ended_is_that_which_began_last,
    a_store_without_jobs_has_no_standings,
);

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

/// A store with two jobs: `a` counts from the 1st, `b` was run by hand only.
fn home(back_end: BackEnd) -> Home {
    let home = Home::new(back_end);
    drop(home.open());
    home.sql(
        "INSERT INTO jobs (id, file, fingerprint, schedule_fingerprint, owner, first_seen_at, schedule_noticed_at, active_since, status, \
         status_changed_at, cancelled_count) VALUES \
         ('a', 'a', 'f', 's', 'o', '2026-11-01 00:00:00', '2026-11-02 00:00:00', '2026-11-01 00:00:00', 'active', '2026-11-01 00:00:00', 3), \
         ('b', 'b', 'f', 't', 'o', '2026-11-01 00:00:00', '2026-11-01 00:00:00', NULL, 'active', '2026-11-01 00:00:00', 0)",
    );
    home
}

fn slot(home: &Home, job: &str, due: &str, status: &str, updated: &str) {
    home.sql(&format!(
        "INSERT INTO slots (job, slot, due_at, status, updated_at) VALUES ('{job}', '{due}', '2026-11-{due}:00', '{status}', '2026-11-{updated}:00')"
    ));
}

fn run(home: &Home, id: &str, started: &str, ended: Option<(&str, f64)>, status: &str) {
    let (completed, seconds) = ended
        .map_or(("NULL".to_owned(), "NULL".to_owned()), |(completed, seconds)| (format!("'2026-11-{completed}:00'"), seconds.to_string()));
    home.sql(&format!(
        "INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, total_records_added, host, pid, \
         process_start, username, version) VALUES ('{id}', 'a', '{status}', 'schedule', '2026-11-{started}:00', {completed}, {seconds}, 7, \
         'h', 1, '1', 'u', '1')"
    ));
}

fn each_job_has_its_newest_settled_slot_and_later_ones(back_end: BackEnd) {
    let home = home(back_end);
    slot(&home, "a", "20 02:00", "done", "20 02:01");
    slot(&home, "a", "21 02:00", "failed", "21 02:01");
    // Written off by a clock that was ahead: it has no fate yet.
    slot(&home, "a", "22 02:00", "missed", "28 00:00");
    slot(&home, "a", "23 02:00", "done", "22 00:00");
    let standings = home.open().standings(at("22T09:00"), at("28T00:00")).unwrap();
    let [a, b] = &standings[..] else { panic!("{standings:?}") };
    let slots: Vec<(&str, SlotStatus)> = a.slots.iter().map(|slot| (slot.key.as_str(), slot.status)).collect();
    let expected = [("21 02:00", SlotStatus::Failed), ("22 02:00", SlotStatus::Missed), ("23 02:00", SlotStatus::Done)];
    assert_eq!((slots.len(), expected.iter().all(|slot| slots.contains(slot))), (3, true), "{slots:?}");
    assert_eq!((a.counted_since, a.done_slot_at, a.cancelled_count), (Some(at("02T00:00")), Some(at("20T02:00")), 3));
    assert_eq!((a.schedule_fingerprint.as_str(), a.record.id.as_str()), ("s", "a"));
    assert_eq!((b.counted_since, b.done_slot_at, b.slots.len()), (None, None, 0));
}

fn missed_slots_are_those_since_an_instant(back_end: BackEnd) {
    let home = home(back_end);
    for (due, status) in [("20 02:00", "missed"), ("22 02:00", "missed"), ("21 02:00", "missed"), ("22 03:00", "skipped")] {
        slot(&home, "a", due, status, due);
    }
    let standings = home.open().standings(at("22T09:00"), at("21T02:00")).unwrap();
    let missed: Vec<DateTime<Utc>> = standings[0].missed.iter().map(|slot| slot.due_at).collect();
    assert_eq!((missed, standings[1].missed.len()), (vec![at("21T02:00"), at("22T02:00")], 0));
}

fn a_run_over_a_slot_is_found_and_an_open_one_ends_now(back_end: BackEnd) {
    let home = home(back_end);
    run(&home, "1", "20 01:30", Some(("20 02:30", 3600.0)), "success");
    run(&home, "2", "21 01:30", None, "running");
    let mut store = home.open();
    let slots = [("a", at("20T02:00")), ("a", at("20T02:30")), ("a", at("21T02:00")), ("b", at("20T02:00"))];
    let found = store.runs_over(&slots, at("21T09:00")).unwrap();
    let expected = [Some((at("20T01:30"), at("20T02:30"))), None, Some((at("21T01:30"), at("21T09:00"))), None];
    assert_eq!(found, expected);
}

fn the_last_run_that_ended_is_that_which_began_last(back_end: BackEnd) {
    let home = home(back_end);
    run(&home, "1", "20 01:30", Some(("20 02:30", 3600.5)), "success");
    run(&home, "2", "21 01:30", Some(("21 01:31", 60.0)), "timeout");
    run(&home, "3", "22 01:30", None, "running");
    let ended = home.open().ended_runs().unwrap();
    let last = &ended["a"];
    assert_eq!((ended.len(), last.status, last.duration_seconds, last.totals.added), (1, RunStatus::Timeout, Some(60.0), 7));
    assert_eq!(last.completed_at, at("21T01:31"));
}

fn a_store_without_jobs_has_no_standings(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    assert_eq!(store.standings(at("20T00:00"), at("19T00:00")).unwrap(), []);
    assert!(store.ended_runs().unwrap().is_empty() && store.runs_over(&[], at("20T00:00")).unwrap().is_empty());
}
