//! Sums over the run log on both back ends, and that long logs are asked by their indexes.

use chrono::{DateTime, TimeDelta};

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::tests::{alive, at, end, job, moment, new_run};
use super::*;
use crate::run::{RunStatus, SourceStatus};

const POLICY: EndPolicy =
    EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 9000, slot_now: DateTime::UNIX_EPOCH };

on_both_back_ends!(
    ends_are_counted_apart_and_only_within_the_span,
    sources_are_counted_with_their_retries_and_errors,
    who_follows_the_log_sees_each_run_and_line_once
);

/// Lets a run of a job begin at a second and end a second later.
fn run(store: &mut Store, id: &str, second: u64, status: RunStatus, code: u8) {
    store.register_job(&job("sales"), at(0)).unwrap();
    assert_eq!(store.begin_run(&new_run(id), &moment(second), &alive).unwrap(), Begun::Started);
    let mut done = RunEnd { exit_code: code, duration_seconds: second as f64, ..end(id, status) };
    done.summary.totals.processed = 10;
    done.summary.retry_count = 1;
    done.summary.peak_memory_mb = Some(second as f64);
    store.close_run(&done, POLICY, at(second + 1)).unwrap();
}

fn id(number: u64) -> String {
    format!("0190a000-0000-7000-8000-{number:012}")
}

fn span(since: u64, until: u64) -> StatsFilter {
    StatsFilter { job: Some("sales".to_owned()), since: at(since), until: at(until) }
}

fn ends_are_counted_apart_and_only_within_the_span(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    let ends =
        [(RunStatus::Success, 0), (RunStatus::Failed, 3), (RunStatus::Failed, 1), (RunStatus::Success, 0), (RunStatus::Cancelled, 130)];
    for (number, (status, code)) in (1..).zip(ends) {
        run(&mut store, &id(number), number * 10, status, code);
    }
    home.sql(&format!("UPDATE runs SET is_interrupted = TRUE WHERE id = '{}'", id(3)));
    let tallies = store.run_tallies(&span(0, 1000)).unwrap();
    let found: Vec<_> = tallies.iter().map(|tally| (tally.status, tally.is_interrupted, tally.runs, tally.partly, tally.rows)).collect();
    assert_eq!(
        found,
        [
            (RunStatus::Cancelled, false, 1, 0, 10),
            (RunStatus::Failed, false, 1, 1, 10),
            (RunStatus::Failed, true, 1, 0, 10),
            (RunStatus::Success, false, 2, 0, 20)
        ]
    );
    let good = &tallies[3];
    assert_eq!((good.retries, good.peak_memory_mb, good.last_started_at), (2, Some(40.0), at(40)));
    // The begin belongs to the span, the end doesn't.
    assert_eq!(store.run_tallies(&span(10, 40)).unwrap().iter().map(|tally| tally.runs).sum::<u64>(), 3);
    assert_eq!(store.run_tallies(&StatsFilter { job: None, ..span(0, 1000) }).unwrap(), tallies);
    assert_eq!(store.run_tallies(&StatsFilter { job: Some("other".to_owned()), ..span(0, 1000) }).unwrap(), []);
    let took = store.run_timings(&span(0, 1000)).unwrap();
    assert_eq!(took.into_iter().collect::<Vec<_>>(), [("sales".to_owned(), vec![10.0, 40.0])]);
}

fn sources_are_counted_with_their_retries_and_errors(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    for number in 1..=2_u64 {
        assert_eq!(store.begin_run(&new_run(&id(number)), &moment(number * 10), &alive).unwrap(), Begun::Started);
        let failed = |source: &str, code: &str| {
            let error = RecordedError { code: code.to_owned(), message: "m".to_owned(), hint: None };
            let duration_seconds = Some(number as f64);
            SourceRecord { status: SourceStatus::Failed, attempt: 3, duration_seconds, error: Some(error), ..SourceRecord::waiting(source) }
        };
        let good =
            SourceRecord { status: SourceStatus::Success, attempt: 1, duration_seconds: Some(7.0), ..SourceRecord::waiting("customers") };
        let sources = vec![failed("orders", "unreachable"), good];
        store.close_run(&RunEnd { sources, ..end(&id(number), RunStatus::Failed) }, POLICY, at(number * 10 + 1)).unwrap();
    }
    let tallies = store.source_tallies("sales", at(0), at(1000)).unwrap();
    let found: Vec<_> = tallies.iter().map(|tally| (tally.source.as_str(), tally.status, tally.runs, tally.retries)).collect();
    assert_eq!(found, [("customers", SourceStatus::Success, 2, 0), ("orders", SourceStatus::Failed, 2, 4)]);
    let errors = store.error_tallies("sales", at(0), at(1000)).unwrap();
    assert_eq!(errors, [ErrorTally { source: "orders".to_owned(), code: "unreachable".to_owned(), runs: 2, last_started_at: at(20) }]);
    let timings = store.source_timings("sales", at(0), at(1000)).unwrap();
    assert_eq!(
        timings.iter().map(|timing| (timing.of.as_str(), timing.seconds)).collect::<Vec<_>>(),
        [("customers", 7.0), ("customers", 7.0)]
    );
    // What only a stream says counts too.
    home.sql("UPDATE run_sources SET error_code = NULL, error_message = NULL WHERE source = 'orders'");
    home.sql(&format!(
        "INSERT INTO run_streams (run_id, source, stream, target, position, status, error_code) VALUES
         ('{0}', 'orders', 'a', 'a', 0, 'failed', 'bad_values'), ('{0}', 'orders', 'b', 'b', 1, 'failed', 'bad_values')",
        id(1)
    ));
    let errors = store.error_tallies("sales", at(0), at(1000)).unwrap();
    assert_eq!(errors, [ErrorTally { source: "orders".to_owned(), code: "bad_values".to_owned(), runs: 1, last_started_at: at(10) }]);
}

fn who_follows_the_log_sees_each_run_and_line_once(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    run(&mut store, &id(1), 10, RunStatus::Success, 0);
    assert_eq!(store.begin_run(&new_run(&id(2)), &moment(20), &alive).unwrap(), Begun::Started);
    assert_eq!(store.closed_since(None, at(0)).unwrap(), [id(1)]);
    assert_eq!(store.closed_since(Some("sales"), at(11)).unwrap(), Vec::<String>::new());
    assert_eq!(store.open_run_ids(Some("sales")).unwrap(), [id(2)]);
    assert_eq!(store.open_run_ids(Some("other")).unwrap(), Vec::<String>::new());
    let line = |message: &str| EventRecord {
        at: at(21),
        level: crate::plan::Level::Info,
        source: None,
        stream: None,
        message: message.to_owned(),
    };
    store.add_events(&id(2), &[line("a"), line("b")]).unwrap();
    let messages = |store: &mut Store, known: u64| -> Vec<String> {
        store.events_behind(&id(2), known).unwrap().into_iter().map(|event| event.message).collect()
    };
    assert_eq!(messages(&mut store, 0), ["a", "b"]);
    store.add_events(&id(2), &[line("c")]).unwrap();
    assert_eq!(messages(&mut store, 2), ["c"]);
    let ids: Vec<String> = store.runs_named(&[id(2), id(1), id(7)]).unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(ids, [id(1), id(2)]);
}

/// A hundred thousand runs of a thousand jobs, made by the database itself.
fn fill(home: &Home) {
    home.sql(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
         INSERT INTO jobs (id, file, fingerprint, schedule_fingerprint, owner, first_seen_at, schedule_noticed_at, status, status_changed_at)
         SELECT 'job' || i, 'f', 'f', 's', 'etl', '2026-01-01', '2026-01-01', 'active', '2026-01-01' FROM n",
    );
    home.sql(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
         INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, exit_code,
                           total_records_processed, host, pid, process_start, username, version)
         SELECT printf('%08x-0000-7000-8000-000000000000', i), 'job' || (i % 1000), CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'success' END,
                'schedule', strftime('%Y-%m-%d %H:%M:%f', 1795000000 + i * 60, 'unixepoch'),
                strftime('%Y-%m-%d %H:%M:%f', 1795000030 + i * 60, 'unixepoch'), 30.5, 0, 1000, 'db1', 42, '7', 'etl', '0.1.0' FROM n",
    );
}

#[derive(Debug)]
struct Plan(Vec<String>);

/// Asks SQLite how it would answer a question.
fn plan(home: &Home, sql: &str) -> Plan {
    let StateLocation::Sqlite(path) = &home.location else { unreachable!("made in a file") };
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
    Plan(rows.map(Result::unwrap).collect())
}

#[test]
fn a_long_log_is_asked_by_its_indexes() {
    let home = Home::new(BackEnd::Sqlite);
    drop(home.open());
    fill(&home);
    let check = |sql: &str, index: &str| {
        let Plan(steps) = plan(&home, sql);
        let is_by_index = steps.iter().any(|step| step.contains(index));
        let is_sorted = steps.iter().any(|step| step.contains("USE TEMP B-TREE"));
        let is_scan = steps.iter().any(|step| step.starts_with("SCAN runs") && !step.contains("INDEX"));
        assert!(is_by_index && !is_sorted && !is_scan, "{sql}:\n{}", steps.join("\n"));
    };
    let newest = "ORDER BY started_at DESC, id DESC LIMIT 20";
    check(&format!("SELECT * FROM runs {newest}"), "runs_by_time");
    check(&format!("SELECT * FROM runs {newest} OFFSET 9980"), "runs_by_time");
    check(&format!("SELECT * FROM runs WHERE job = 'job7' {newest}"), "runs_by_job");
    check(&format!("SELECT * FROM runs WHERE status = 'failed' AND started_at >= '2026-12-01' {newest}"), "runs_by_status");
    check(&format!("SELECT * FROM runs WHERE job = 'job7' AND status || '' = 'success' {newest}"), "runs_by_job");
    check("SELECT count(*) FROM runs", "INDEX");
    check("SELECT count(*) FROM runs WHERE job = 'job7'", "runs_by_job");
    check("SELECT id FROM runs WHERE status IN ('started', 'running')", "INDEX");
    check("SELECT id FROM runs WHERE started_at >= '2026-12-01' AND completed_at IS NOT NULL", "runs_by_time");
    // As `stats` asks: job by job, and no run is looked up.
    let span = "r.started_at >= '2026-12-01' AND r.started_at < '2027-12-01'";
    let jobs = "j.id >= '' AND j.id <= '~'";
    let good = format!("FROM jobs j CROSS JOIN runs r WHERE r.job = j.id AND r.status || '' = 'success' AND {span} AND {jobs}");
    let summed = "count(*), SUM(r.total_records_processed), SUM(r.total_records_rejected), SUM(r.retry_count), SUM(r.bytes_read), \
                  max(r.peak_memory_usage_mb), max(r.started_at)";
    check(&format!("SELECT j.id, {summed} {good} GROUP BY j.id"), "COVERING INDEX runs_by_job");
    let ordered = "ORDER BY j.id, r.started_at, r.id";
    check(&format!("SELECT j.id, r.execution_time_seconds {good} {ordered}"), "COVERING INDEX runs_by_job");
    let others = "r.status IN ('failed', 'timeout', 'cancelled', 'started', 'running')";
    check(&format!("SELECT max(r.exit_code) FROM runs r WHERE {others} AND {span} AND r.job >= '' AND r.job <= '~'"), "runs_by_status");
    check(
        "SELECT s.slot FROM slots s WHERE s.status = 'missed' AND s.updated_at >= '2026-12-01' AND s.due_at >= '2026-12-01'",
        "slots_missed",
    );
}

/// How long questions take is measured by people; this is what they ask, with limits that only a scan of everything breaks, even in
/// a build without optimizations on a machine that is busy.
#[test]
fn a_hundred_thousand_runs_are_counted_whole() {
    let home = Home::new(BackEnd::Sqlite);
    let mut store = home.open();
    fill(&home);
    let filter = |job: Option<&str>, status: Option<RunStatus>| RunFilter { job: job.map(str::to_owned), status, ..RunFilter::default() };
    assert_eq!(store.runs(&filter(None, None), 500, 20).unwrap().total, 100_000);
    assert_eq!(store.runs(&filter(Some("job7"), None), 1, 20).unwrap().total, 100);
    assert_eq!(store.runs(&filter(None, Some(RunStatus::Failed)), 1, 20).unwrap().total, 2000);
    let until = at(0) + TimeDelta::days(3650);
    let all = StatsFilter { job: None, since: at(0), until };
    let tallies = store.run_tallies(&all).unwrap();
    assert_eq!(tallies.iter().map(|tally| tally.runs).sum::<u64>(), 100_000);
    assert_eq!(store.run_timings(&all).unwrap().values().map(Vec::len).sum::<usize>(), 98_000);
}
