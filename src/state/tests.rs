//! What both back ends keep. Files alone are tested in `file_tests.rs`, servers alone in `server_tests.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_migrations::MigrationHarness;

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::migrations::MIGRATIONS;
use super::*;
use crate::clock::BootTime;
use crate::plan::Level;
use crate::process::Liveness;
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};

const HELD: Renewal = Renewal::Held { cancel_requested_by: None };

const POLICY: EndPolicy = EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 90, slot_now: DateTime::UNIX_EPOCH };

struct Bench {
    store: Store,
    home: Home,
    back_end: BackEnd,
    /// When a lease was last renewed.
    renewed: u64,
}

impl Bench {
    fn new(back_end: BackEnd) -> Self {
        let home = Home::new(back_end);
        let mut bench = Self { store: home.open(), home, back_end, renewed: 0 };
        bench.store.register_job(&job("sales"), at(0)).unwrap();
        bench
    }

    /// Lets time pass: a server's clock can't be set, so its leases are made older, by half a second less than told.
    fn turn_to(&self, second: u64) {
        let age = second.saturating_sub(self.renewed);
        if self.back_end == BackEnd::Postgresql && age > 0 {
            let renewed = format!("(extract(epoch FROM clock_timestamp()) - {age} + 0.5) * 1000000");
            self.home.sql(&format!("UPDATE leases SET renewed_boot_micros = {renewed}"));
        }
    }

    fn begin(&mut self, run_id: &str, second: u64) -> Begun {
        self.turn_to(second);
        let begun = self.store.begin_run(&new_run(run_id), &moment(second), &alive).unwrap();
        if begun == Begun::Started {
            self.renewed = second;
        }
        begun
    }

    fn renew(&mut self, run_id: &str, second: u64) -> Renewal {
        let renewal = self.store.renew_lease(run_id, "{}", &moment(second)).unwrap();
        if matches!(renewal, Renewal::Held { .. }) {
            self.renewed = second;
        }
        renewal
    }

    fn end(&mut self, run_id: &str, status: RunStatus, second: u64) -> Closed {
        self.store.close_run(&end(run_id, status), POLICY, at(second)).unwrap()
    }

    fn statuses(&mut self) -> Vec<(String, RunStatus)> {
        let page = self.store.runs(&RunFilter::default(), 1, 1000).unwrap();
        page.runs.into_iter().map(|run| (run.id, run.status)).collect()
    }
}

pub(super) fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + Duration::from_secs(second)
}

pub(super) fn moment(second: u64) -> Moment {
    Moment { at: at(second), boot: BootTime { boot_id: "b1".to_owned(), elapsed: Duration::from_secs(1000 + second) } }
}

pub(super) fn alive(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Alive
}

pub(super) fn gone(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Gone
}

pub(super) fn elsewhere(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Unknown
}

pub(super) fn job(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        file: format!("jobs/{id}.yaml"),
        fingerprint: "f".to_owned(),
        schedule_fingerprint: "s".to_owned(),
        owner: "etl".to_owned(),
        host: "here".to_owned(),
    }
}

pub(super) fn new_run(run_id: &str) -> NewRun {
    NewRun {
        run_id: run_id.to_owned(),
        job: "sales".to_owned(),
        trigger: Trigger::Manual,
        slot: None,
        host: "db1".to_owned(),
        pid: 42,
        process_start: "7".to_owned(),
        user: "etl".to_owned(),
        version: "0.1.0".to_owned(),
        sources: vec!["orders".to_owned(), "customers".to_owned()],
    }
}

pub(super) fn end(run_id: &str, status: RunStatus) -> RunEnd {
    RunEnd {
        run_id: run_id.to_owned(),
        status,
        exit_code: 0,
        duration_seconds: 1.5,
        is_interrupted: false,
        summary: RunSummary::default(),
        left_out: Vec::new(),
        sources: Vec::new(),
        streams: Vec::new(),
        events: Vec::new(),
    }
}

pub(super) fn person() -> Actor {
    Actor { user: "ana".to_owned(), host: "db1".to_owned() }
}

fn a_second_run_of_a_job_is_held_off_by_a_living_lease(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    assert_eq!(bench.begin("r1", 0), Begun::Started);
    match bench.begin("r2", 5) {
        Begun::Held(lease) => assert_eq!((lease.run_id.as_str(), lease.pid), ("r1", 42)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.statuses(), [("r1".to_owned(), RunStatus::Started)]);
    assert!(matches!(bench.end("r1", RunStatus::Success, 10), Closed::Done { .. }));
    assert_eq!(bench.begin("r2", 11), Begun::Started);
}

fn a_lease_is_lost_after_sixty_seconds_and_its_run_can_t_renew_it_once_another_took_over(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("r1", 0);
    assert_eq!(bench.renew("r1", 10), HELD);
    assert!(matches!(bench.begin("r2", 70), Begun::Held(_)), "sixty seconds after the renewal it still holds");
    assert_eq!(bench.begin("r2", 71), Begun::Unrepaired);
    let dead = bench.store.dead_runs("sales", &moment(71), &alive).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].last_seen_at, at(10));
    let interrupted = DeadEnd::Interrupted { message: "interrupted".to_owned() };
    assert!(bench.store.close_dead_run(&dead[0], &interrupted, &moment(71), &alive).unwrap());
    assert!(!bench.store.close_dead_run(&dead[0], &interrupted, &moment(72), &alive).unwrap(), "it is closed once");
    assert_eq!(bench.begin("r2", 72), Begun::Started);
    assert_eq!(bench.renew("r1", 73), Renewal::Taken);
    assert_eq!(bench.end("r1", RunStatus::Success, 74), Closed::LeaseLost);
    assert_eq!(bench.statuses(), [("r2".to_owned(), RunStatus::Started), ("r1".to_owned(), RunStatus::Failed)]);
}

fn a_lease_that_lapsed_stays_lost_though_nobody_took_it_and_its_run_is_closed_as_interrupted(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("r1", 0);
    bench.turn_to(60);
    assert_eq!(bench.renew("r1", 60), HELD, "sixty seconds after the renewal it still holds");
    bench.turn_to(121);
    for second in [121, 122] {
        let Renewal::Lapsed { age } = bench.renew("r1", second) else { panic!("it can't be renewed at {second}") };
        assert!(age.as_secs() >= 60, "{age:?}");
    }
    assert_eq!(bench.store.dead_runs("sales", &moment(122), &alive).unwrap().len(), 1, "the refused renewal renewed nothing");
    let summary = RunSummary { error_message: Some("interrupted: asleep".to_owned()), ..RunSummary::default() };
    let end = RunEnd { is_interrupted: true, exit_code: 1, summary, ..end("r1", RunStatus::Failed) };
    for _ in 0..2 {
        let closed = bench.store.close_run(&end, EndPolicy { failure_threshold: 1, ..POLICY }, at(123)).unwrap();
        assert!(matches!(closed, Closed::Done { status_after: JobStatus::Active, consecutive_failures: 0, .. }), "{closed:?}");
    }
    let Found::One(detail) = bench.store.run("r1").unwrap() else { panic!("r1 is in the log") };
    assert_eq!((detail.run.status, detail.run.is_interrupted), (RunStatus::Failed, true));
    assert_eq!(bench.store.job("sales").unwrap().unwrap().failure_count, 1);
    assert_eq!(bench.begin("r2", 124), Begun::Started);
}

fn repair_takes_over_what_the_destination_shows(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("r1", 0);
    let streams = [("a".to_owned(), "t_a".to_owned()), ("b".to_owned(), "t_b".to_owned())];
    bench.store.streams_begun("r1", "orders", &streams).unwrap();
    let counts = Counts { added: 3, ..Counts::default() };
    let running = SourceRecord { status: SourceStatus::Running, attempt: 1, counts, ..SourceRecord::waiting("orders") };
    bench.store.update_source("r1", &running).unwrap();
    let dead = bench.store.dead_runs("sales", &moment(1), &gone).unwrap();
    let targets: Vec<_> = dead[0].detail.streams.iter().map(|stream| stream.target.as_str()).collect();
    assert_eq!(targets, ["t_a", "t_b"]);

    let message = "interrupted: its process ended".to_owned();
    bench.store.close_dead_run(&dead[0], &DeadEnd::Interrupted { message: message.clone() }, &moment(1), &gone).unwrap();
    let Found::One(detail) = bench.store.run("r1").unwrap() else { panic!("r1 is in the log") };
    assert_eq!((detail.run.status, detail.run.exit_code, detail.run.is_interrupted), (RunStatus::Failed, Some(1), true));
    assert_eq!(detail.run.summary.sources_failed, ["orders"]);
    assert_eq!(detail.run.summary.sources_skipped, ["customers"]);
    assert_eq!(detail.run.summary.totals.processed, 3);
    assert_eq!(detail.run.summary.error_message.as_deref(), Some(message.as_str()));
    assert_eq!(detail.events.last().unwrap().message, message);
    let job = bench.store.job("sales").unwrap().unwrap();
    assert_eq!((job.consecutive_failures, job.failure_count), (0, 1), "an interruption isn't counted towards the threshold");
    assert!(bench.store.lease("sales").unwrap().is_none());
}

fn a_dead_run_that_published_everything_ends_as_success(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("r1", 0);
    let dead = bench.store.dead_runs("sales", &moment(1), &gone).unwrap();
    bench.store.close_dead_run(&dead[0], &DeadEnd::Success, &moment(1), &gone).unwrap();
    let Found::One(detail) = bench.store.run("r1").unwrap() else { panic!("r1 is in the log") };
    assert_eq!((detail.run.status, detail.run.exit_code), (RunStatus::Success, Some(0)));
    assert_eq!(detail.run.summary.sources_processed, ["orders", "customers"]);
    assert_eq!(bench.store.job("sales").unwrap().unwrap().success_rate(), Some(100.0));
}

fn what_a_run_writes_is_read_back_whole(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("01890a5d-ac96-774b-bcce-b302099a8057", 0);
    let run_id = "01890a5d-ac96-774b-bcce-b302099a8057";
    bench.store.mark_running(run_id).unwrap();
    bench.store.streams_begun(run_id, "orders", &[("orders".to_owned(), "raw_orders".to_owned())]).unwrap();
    let counts = Counts { added: 1, updated: 2, unchanged: 3, folded: 4, skipped: 5, rejected: 6, deleted: 7 };
    let error = RecordedError { code: "invalid_data".to_owned(), message: "row 7".to_owned(), hint: None };
    let source = SourceRecord {
        source: "orders".to_owned(),
        status: SourceStatus::Failed,
        attempt: 2,
        counts,
        bytes_read: 512,
        duration_seconds: Some(0.5),
        cpu_seconds: Some(0.25),
        peak_memory_mb: Some(31.5),
        rejects_path: Some("/w/.etlsched/rejects/x.csv".to_owned()),
        error: Some(error.clone()),
    };
    let stream = StreamRecord {
        status: SourceStatus::Success,
        attempt: 2,
        mode: Some("incremental".to_owned()),
        counts,
        rows_in_target: Some(99),
        bytes_read: 512,
        duration_seconds: Some(0.5),
        load_version: Some(4),
        cursor: Some("2026-01-01T00:00:00.000001".to_owned()),
        schema_changes: r#"["x added"]"#.to_owned(),
        ..StreamRecord::waiting("orders", "orders", "raw_orders")
    };
    let event =
        EventRecord { at: at(1), level: Level::Warn, source: Some("orders".to_owned()), stream: None, message: "went on".to_owned() };
    bench.store.update_stream(run_id, &stream).unwrap();
    bench.store.add_events(run_id, &[event.clone(), event.clone()]).unwrap();
    let summary = RunSummary {
        sources_processed: vec!["a \"b\"".to_owned()],
        sources_failed: vec!["orders".to_owned()],
        sources_skipped: Vec::new(),
        totals: counts.into(),
        bytes_read: 512,
        retry_count: 1,
        peak_memory_mb: Some(80.0),
        cpu_seconds: Some(1.0),
        error_message: Some("orders: row 7".to_owned()),
        error_details: Some("in full".to_owned()),
    };
    let closing = RunEnd {
        summary: summary.clone(),
        left_out: Vec::new(),
        sources: vec![source.clone()],
        events: vec![event.clone()],
        exit_code: 3,
        ..end(run_id, RunStatus::Failed)
    };
    bench.store.close_run(&closing, POLICY, at(2)).unwrap();
    let Found::One(detail) = bench.store.run("01890A5D").unwrap() else { panic!("found by the beginning of its id") };
    assert_eq!(detail.run.summary, summary);
    assert_eq!((detail.run.exit_code, detail.run.completed_at, detail.run.duration_seconds), (Some(3), Some(at(2)), Some(1.5)));
    assert_eq!(detail.sources, [source, SourceRecord::waiting("customers")]);
    assert_eq!(detail.streams, [stream]);
    assert_eq!(detail.events, [event.clone(), event.clone(), event]);
    let last = bench.store.job("sales").unwrap().unwrap().last_run.unwrap();
    assert_eq!((last.id.as_str(), last.status), (run_id, RunStatus::Failed));
}

fn the_beginning_of_an_id_leads_to_one_run_or_names_those_it_may_mean(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    for (second, id) in [(1, "ab1"), (3, "ab2")] {
        bench.begin(id, second);
        bench.end(id, RunStatus::Success, second + 1);
    }
    assert_eq!(bench.store.run("ab").unwrap(), Found::Several(vec!["ab1".to_owned(), "ab2".to_owned()]));
    assert!(matches!(bench.store.run("ab2").unwrap(), Found::One(detail) if detail.run.id == "ab2"));
    assert_eq!(bench.store.run("zz").unwrap(), Found::None);
    assert_eq!(bench.store.run("%").unwrap(), Found::None);
}

fn a_cancel_reaches_the_run_at_its_next_renewal(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    assert!(!bench.store.request_cancel("r1", &person(), at(0)).unwrap(), "nothing runs");
    bench.begin("r1", 0);
    assert!(bench.store.request_cancel("r1", &person(), at(1)).unwrap());
    let renewal = bench.store.renew_lease("r1", r#"{"rows": 1}"#, &moment(2)).unwrap();
    assert_eq!(renewal, Renewal::Held { cancel_requested_by: Some("ana".to_owned()) });
    let lease = bench.store.lease("sales").unwrap().unwrap();
    assert_eq!((lease.progress.as_str(), lease.cancel_requested), (r#"{"rows": 1}"#, Some(("ana".to_owned(), at(1)))));
}

fn old_runs_are_forgotten_but_never_the_last_twenty_of_a_job(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    let day = 86_400;
    for number in 0..25 {
        let id = format!("r{number:02}");
        bench.begin(&id, number * 10);
        bench.end(&id, RunStatus::Success, number * 10 + 1);
    }
    assert_eq!(bench.statuses().len(), 25);
    bench.begin("late", 200 * day);
    bench.end("late", RunStatus::Success, 200 * day + 1);
    let left: Vec<String> = bench.statuses().into_iter().map(|(id, _)| id).collect();
    assert_eq!((left.len(), left[0].as_str(), left[19].as_str()), (20, "late", "r06"));
    let job = bench.store.job("sales").unwrap().unwrap();
    assert_eq!(job.success_count, 26, "counters outlive the runs");
}

fn pages_follow_one_another_and_the_total_is_that_of_the_filter(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    for number in 0..5 {
        let id = format!("r{number}");
        bench.begin(&id, number * 10);
        let status = if number == 3 { RunStatus::Failed } else { RunStatus::Success };
        bench.end(&id, status, number * 10 + 1);
    }
    let ids = |page: RunPage| (page.runs.into_iter().map(|run| run.id).collect::<Vec<_>>().join(" "), page.total);
    let mut page = |filter: &RunFilter, page| ids(bench.store.runs(filter, page, 2).unwrap());
    let all = RunFilter::default();
    assert_eq!(page(&all, 1), ("r4 r3".to_owned(), 5));
    assert_eq!(page(&all, 3), ("r0".to_owned(), 5));
    assert_eq!(page(&all, 4), (String::new(), 5));
    assert_eq!(page(&all, u64::MAX), (String::new(), 5));
    assert_eq!(page(&RunFilter { status: Some(RunStatus::Failed), ..all.clone() }, 1), ("r3".to_owned(), 1));
    assert_eq!(page(&RunFilter { since: Some(at(30)), ..all.clone() }, 1), ("r4 r3".to_owned(), 2));
    assert_eq!(page(&RunFilter { job: Some("x' OR 1=1 --".to_owned()), ..all }, 1), (String::new(), 0));
}

fn a_dead_run_passes_the_filter_as_failed_without_being_written(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.begin("r1", 0);
    assert_eq!(bench.store.dead_run_ids(&moment(1), &alive).unwrap(), Vec::<String>::new());
    let dead = bench.store.dead_run_ids(&moment(1), &gone).unwrap();
    assert_eq!(dead, ["r1"]);
    let mut total = |status| {
        let filter = RunFilter { status: Some(status), dead: dead.clone(), ..RunFilter::default() };
        bench.store.runs(&filter, 1, 10).unwrap().total
    };
    assert_eq!([total(RunStatus::Failed), total(RunStatus::Started), total(RunStatus::Success)], [1, 0, 0]);
    assert_eq!(bench.statuses(), [("r1".to_owned(), RunStatus::Started)]);
}

fn a_status_changes_all_jobs_or_none_and_leaves_a_line_where_something_changed(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    let both = [job("sales"), job("leads")];
    let before = bench.store.set_status(&both, NewStatus::Paused(Some(at(100))), &person(), at(1), at(1)).unwrap();
    assert!(before.iter().all(|job| job.status == JobStatus::Active));
    bench.store.set_status(&both, NewStatus::Paused(Some(at(100))), &person(), at(2), at(2)).unwrap();
    let jobs = bench.store.jobs().unwrap();
    assert_eq!(jobs.iter().map(|job| job.status_at(at(99))).collect::<Vec<_>>(), [JobStatus::Paused; 2]);
    assert_eq!(jobs[0].status_at(at(100)), JobStatus::Active, "a pause ends by itself");
    assert_eq!(jobs[0].status_changed_at, at(1), "the second time nothing changed");
    let lines: i64 = {
        use diesel::prelude::*;
        schema::audit::table.count().get_result(&mut bench.store.connection).unwrap()
    };
    assert_eq!(lines, 2);
}

fn enabling_a_job_in_error_begins_its_count_anew(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    for number in 0..5_u64 {
        let id = format!("r{number}");
        bench.begin(&id, number * 10);
        bench.end(&id, RunStatus::Failed, number * 10 + 1);
    }
    let job_now = bench.store.job("sales").unwrap().unwrap();
    assert_eq!((job_now.status, job_now.consecutive_failures), (JobStatus::Error, 5));
    bench.store.set_status(&[job("sales")], NewStatus::Active, &person(), at(100), at(100)).unwrap();
    let job_now = bench.store.job("sales").unwrap().unwrap();
    assert_eq!((job_now.status, job_now.consecutive_failures), (JobStatus::Active, 0));
}

fn the_first_user_to_register_a_job_owns_it(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    let other = NewJob { owner: "bob".to_owned(), fingerprint: "f2".to_owned(), ..job("sales") };
    assert_eq!(bench.store.register_job(&other, at(9)).unwrap().owner, "etl");
}

fn a_store_keeps_its_workspace_id_and_reading_never_makes_one(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    let id = bench.store.workspace_id().unwrap();
    let mut again = Store::open_existing(&bench.home.location).unwrap().unwrap();
    assert_eq!(again.workspace_id().unwrap(), id);
    let empty = Home::new(back_end);
    assert!(Store::open_existing(&empty.location).unwrap().is_none());
    assert!(Store::peek_workspace_id(&empty.location, std::path::Path::new("nowhere")).is_none());
    assert!(Store::open_existing(&empty.location).unwrap().is_none(), "nothing was made");
    assert_eq!(std::fs::read_dir(empty.folder.path()).unwrap().count(), 0);
}

fn many_processes_that_make_the_store_at_once_agree_on_it(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut ids: Vec<String> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| home.open().workspace_id().unwrap());
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

fn a_store_made_by_a_newer_etlsched_is_refused(back_end: BackEnd) {
    let bench = Bench::new(back_end);
    bench.home.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    assert!(matches!(Store::open_existing(&bench.home.location), Err(StateError::Newer { .. })));
    let error = Store::open(&bench.home.location).unwrap_err();
    assert!(matches!(&error, StateError::Newer { migration, .. } if migration == "99990101000000"), "{error}");
    assert!(error.to_string().ends_with("made by a newer etlsched (its migration 99990101000000 is not known here)"));
}

fn migrations_go_down_and_up_again(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    bench.store.connection.revert_all_migrations(MIGRATIONS).unwrap();
    let id = bench.home.open().workspace_id().unwrap();
    assert_eq!(id.len(), 36);
}

fn an_edit_is_in_the_trail_once_with_who_noticed_it(back_end: BackEnd) {
    let mut bench = Bench::new(back_end);
    let edited = NewJob { owner: "bob".to_owned(), host: "there".to_owned(), fingerprint: "f2".to_owned(), ..job("sales") };
    for new in [job("sales"), job("sales"), edited.clone(), edited] {
        bench.store.register_job(&new, at(0)).unwrap();
    }
    let page = bench.store.audit(&AuditFilter::default(), 1, 10).unwrap();
    let lines: Vec<_> = page.lines.iter().map(|line| (line.action.as_str(), line.user.as_str(), line.host.as_str())).collect();
    assert_eq!((lines, page.total), (vec![("edit", "bob", "there")], 1));
    assert_eq!(page.lines[0].details.as_deref(), Some("noticed: definition f -> f2"));
}

on_both_back_ends!(
    a_second_run_of_a_job_is_held_off_by_a_living_lease,
    a_lease_is_lost_after_sixty_seconds_and_its_run_can_t_renew_it_once_another_took_over,
    a_lease_that_lapsed_stays_lost_though_nobody_took_it_and_its_run_is_closed_as_interrupted,
    repair_takes_over_what_the_destination_shows,
    a_dead_run_that_published_everything_ends_as_success,
    what_a_run_writes_is_read_back_whole,
    the_beginning_of_an_id_leads_to_one_run_or_names_those_it_may_mean,
    a_cancel_reaches_the_run_at_its_next_renewal,
    old_runs_are_forgotten_but_never_the_last_twenty_of_a_job,
    pages_follow_one_another_and_the_total_is_that_of_the_filter,
    a_dead_run_passes_the_filter_as_failed_without_being_written,
    a_status_changes_all_jobs_or_none_and_leaves_a_line_where_something_changed,
    enabling_a_job_in_error_begins_its_count_anew,
    the_first_user_to_register_a_job_owns_it,
    a_store_keeps_its_workspace_id_and_reading_never_makes_one,
    many_processes_that_make_the_store_at_once_agree_on_it,
    a_store_made_by_a_newer_etlsched_is_refused,
    migrations_go_down_and_up_again,
    an_edit_is_in_the_trail_once_with_who_noticed_it,
);
