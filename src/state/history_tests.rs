//! Questions over many jobs at once, on both back ends.

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::tests::{at, job};
use super::*;
use crate::run::RunStatus;
use crate::run::due::SlotStatus;

on_both_back_ends!(pages_go_back_through_runs_of_one_instant, slots_without_a_run_come_the_newest_first, streams_show_their_last_loads);

/// A store with the jobs a and b.
fn home(back_end: BackEnd) -> (Home, Store) {
    let home = Home::new(back_end);
    let mut store = home.open();
    for id in ["a", "b"] {
        store.register_job(&job(id), at(0)).unwrap();
    }
    (home, store)
}

fn run_row(id: &str, job: &str, second: u64, status: &str) -> String {
    let time = |second| at(second).format("%Y-%m-%d %H:%M:%S").to_string();
    format!(
        "INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, total_records_processed,
         error_message, host, pid, process_start, username, version)
         VALUES ('{id}', '{job}', '{status}', 'schedule', '{}', '{}', 1.5, 7, 'why', 'h', 1, '1', 'u', '1');",
        time(second),
        time(second + 2)
    )
}

fn span(since: u64, jobs: &[&str]) -> Span {
    Span { since: at(since), jobs: jobs.iter().map(|job| (*job).to_owned()).collect() }
}

/// Reads all pages of a span.
fn ids(store: &mut Store, span: &Span, size: usize) -> Vec<String> {
    let mut found: Vec<RunMark> = Vec::new();
    loop {
        let page = store.run_marks(span, found.last(), size).unwrap();
        if page.is_empty() {
            return found.into_iter().map(|run| run.id).collect();
        }
        assert!(page.len() <= size);
        found.extend(page);
    }
}

fn pages_go_back_through_runs_of_one_instant(back_end: BackEnd) {
    let (home, mut store) = home(back_end);
    let rows = [("r1", "a", 5), ("r2", "b", 10), ("r3", "a", 10), ("r4", "b", 10), ("r5", "a", 20)];
    home.sql(&rows.map(|(id, job, second)| run_row(id, job, second, "failed")).concat());
    home.sql(
        "INSERT INTO run_sources (run_id, source, position, status, error_code, error_message, error_hint)
         VALUES ('r3', 'orders', 1, 'failed', 'refused', 'no answer', 'ask'), ('r3', 'lines', 0, 'success', NULL, NULL, NULL),
                ('r5', 'orders', 0, 'failed', 'refused', 'no answer', NULL);",
    );
    for size in 1..6 {
        assert_eq!(ids(&mut store, &span(10, &[]), size), ["r5", "r4", "r3", "r2"], "pages of {size}");
        assert_eq!(ids(&mut store, &span(0, &["a"]), size), ["r5", "r3", "r1"], "pages of {size}");
    }
    assert_eq!(ids(&mut store, &span(21, &[]), 3), Vec::<String>::new());
    let newest = store.run_marks(&span(0, &[]), None, 1).unwrap().remove(0);
    assert_eq!((newest.status, newest.started_at, newest.rows), (RunStatus::Failed, at(20), 7));
    assert_eq!((newest.duration_seconds, newest.error.as_deref()), (Some(1.5), Some("why")));
    let failures = store.failure_marks(&["r5".to_owned(), "r3".to_owned(), "r1".to_owned()]).unwrap();
    let failures: Vec<_> = failures.iter().map(|mark| (mark.run_id.as_str(), mark.code.as_str(), mark.hint.as_deref())).collect();
    assert_eq!(failures, [("r3", "refused", Some("ask")), ("r5", "refused", None)]);
    assert_eq!(store.failure_marks(&[]).unwrap(), []);
}

fn slots_without_a_run_come_the_newest_first(back_end: BackEnd) {
    let (home, mut store) = home(back_end);
    let slot = |job: &str, second: u64, status: &str, times: u64| {
        let time = at(second).format("%Y-%m-%d %H:%M:%S");
        format!(
            "INSERT INTO slots (job, slot, due_at, status, slot_count, updated_at) VALUES ('{job}', '{second}', '{time}', '{status}', {times}, '{time}');"
        )
    };
    let rows = [slot("a", 5, "missed", 40), slot("a", 10, "done", 1), slot("b", 15, "skipped", 1), slot("a", 20, "missed", 1)];
    home.sql(&rows.concat());
    let mut found = |span: &Span, count| {
        let marks = store.slot_marks(span, count).unwrap();
        marks.into_iter().map(|mark| (mark.job, mark.due_at, mark.status, mark.slot_count)).collect::<Vec<_>>()
    };
    let [missed, skipped, old] = [
        ("a".to_owned(), at(20), SlotStatus::Missed, 1),
        ("b".to_owned(), at(15), SlotStatus::Skipped, 1),
        ("a".to_owned(), at(5), SlotStatus::Missed, 40),
    ];
    assert_eq!(found(&span(0, &[]), 9), [missed.clone(), skipped.clone(), old]);
    assert_eq!(found(&span(0, &[]), 1), std::slice::from_ref(&missed));
    assert_eq!(found(&span(6, &["a"]), 9), [missed]);
    assert_eq!(found(&span(6, &["b"]), 9), [skipped]);
}

fn streams_show_their_last_loads(back_end: BackEnd) {
    let (home, mut store) = home(back_end);
    home.sql(&[run_row("r1", "a", 10, "success"), run_row("r2", "a", 20, "failed"), run_row("r3", "b", 30, "success")].concat());
    let stream = |run: &str, name: &str, status: &str| {
        format!(
            "INSERT INTO run_sources (run_id, source, position, status) VALUES ('{run}', '{name}', 0, '{status}');
             INSERT INTO run_streams (run_id, source, stream, target, position, status) VALUES ('{run}', '{name}', '{name}', 't_{name}', 0, '{status}');"
        )
    };
    home.sql(
        &[stream("r1", "x", "success"), stream("r2", "x", "failed"), stream("r2", "y", "failed"), stream("r3", "z", "success")].concat(),
    );
    let found = store.stream_marks(&span(0, &[])).unwrap();
    let found: Vec<_> = found.iter().map(|mark| (mark.job.as_str(), mark.target.as_str(), mark.tried_at, mark.published_at)).collect();
    assert_eq!(found, [("a", "t_x", at(20), Some(at(12))), ("a", "t_y", at(20), None), ("b", "t_z", at(30), Some(at(32)))]);
    let only = store.stream_marks(&span(0, &["b"])).unwrap();
    assert_eq!(only.iter().map(|mark| mark.stream.as_str()).collect::<Vec<_>>(), ["z"]);
    assert_eq!(store.stream_marks(&span(15, &["a"])).unwrap().iter().filter(|mark| mark.published_at.is_some()).count(), 0);
}
