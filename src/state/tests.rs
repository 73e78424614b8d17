use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness;
use tempfile::TempDir;

use super::connection::MIGRATIONS;
use super::*;
use crate::clock::BootTime;
use crate::plan::Level;
use crate::process::Liveness;
use crate::run::{Counts, RunStatus, SourceStatus, Trigger};

const POLICY: EndPolicy = EndPolicy { failure_threshold: 5, is_partial_counted: false, retention_days: 90, slot_now: DateTime::UNIX_EPOCH };

struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let mut bench = Self { folder, store };
        bench.store.register_job(&job("sales"), at(0)).unwrap();
        bench
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    fn begin(&mut self, run_id: &str, second: u64) -> Begun {
        self.store.begin_run(&new_run(run_id), &moment(second), &alive).unwrap()
    }

    fn end(&mut self, run_id: &str, status: RunStatus, second: u64) -> Closed {
        self.store.close_run(&end(run_id, status), POLICY, at(second)).unwrap()
    }

    fn statuses(&mut self) -> Vec<(String, RunStatus)> {
        let page = self.store.runs(&RunFilter::default(), 1, 1000).unwrap();
        page.runs.into_iter().map(|run| (run.id, run.status)).collect()
    }
}

fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + Duration::from_secs(second)
}

fn moment(second: u64) -> Moment {
    Moment { at: at(second), boot: BootTime { boot_id: "b1".to_owned(), elapsed: Duration::from_secs(1000 + second) } }
}

fn alive(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Alive
}

fn gone(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Gone
}

fn elsewhere(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Unknown
}

fn job(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        file: format!("jobs/{id}.yaml"),
        fingerprint: "f".to_owned(),
        schedule_fingerprint: "s".to_owned(),
        owner: "etl".to_owned(),
        host: "here".to_owned(),
    }
}

fn new_run(run_id: &str) -> NewRun {
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

fn end(run_id: &str, status: RunStatus) -> RunEnd {
    RunEnd {
        run_id: run_id.to_owned(),
        status,
        exit_code: 0,
        duration_seconds: 1.5,
        summary: RunSummary::default(),
        sources: Vec::new(),
        streams: Vec::new(),
        events: Vec::new(),
    }
}

fn person() -> Actor {
    Actor { user: "ana".to_owned(), host: "db1".to_owned() }
}

#[test]
fn a_second_run_of_a_job_is_held_off_by_a_living_lease() {
    let mut bench = Bench::new();
    assert_eq!(bench.begin("r1", 0), Begun::Started);
    match bench.begin("r2", 5) {
        Begun::Held(lease) => assert_eq!((lease.run_id.as_str(), lease.pid), ("r1", 42)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.statuses(), [("r1".to_owned(), RunStatus::Started)]);
    assert!(matches!(bench.end("r1", RunStatus::Success, 10), Closed::Done { .. }));
    assert_eq!(bench.begin("r2", 11), Begun::Started);
}

#[test]
fn a_lease_is_lost_after_sixty_seconds_and_its_run_can_t_renew_it_once_another_took_over() {
    let mut bench = Bench::new();
    bench.begin("r1", 0);
    assert!(bench.store.renew_lease("r1", "{}", &moment(10)).unwrap().is_held);
    assert!(matches!(bench.begin("r2", 70), Begun::Held(_)), "sixty seconds after the renewal it still holds");
    assert_eq!(bench.begin("r2", 71), Begun::Unrepaired);
    let dead = bench.store.dead_runs("sales", &moment(71), &alive).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].last_seen_at, at(10));
    let interrupted = DeadEnd::Interrupted { message: "interrupted".to_owned() };
    assert!(bench.store.close_dead_run(&dead[0], &interrupted, &moment(71), &alive).unwrap());
    assert!(!bench.store.close_dead_run(&dead[0], &interrupted, &moment(72), &alive).unwrap(), "it is closed once");
    assert_eq!(bench.begin("r2", 72), Begun::Started);
    let late = bench.store.renew_lease("r1", "{}", &moment(73)).unwrap();
    assert_eq!(late, Renewal { is_held: false, cancel_requested_by: None });
    assert_eq!(bench.end("r1", RunStatus::Success, 74), Closed::LeaseLost);
    assert_eq!(bench.statuses(), [("r2".to_owned(), RunStatus::Started), ("r1".to_owned(), RunStatus::Failed)]);
}

#[test]
fn a_run_that_wakes_up_before_anyone_repaired_it_goes_on() {
    let mut bench = Bench::new();
    bench.begin("r1", 0);
    let dead = bench.store.dead_runs("sales", &moment(100), &alive).unwrap();
    assert!(bench.store.renew_lease("r1", "{}", &moment(101)).unwrap().is_held);
    assert!(!bench.store.close_dead_run(&dead[0], &DeadEnd::Success, &moment(102), &alive).unwrap());
    assert!(matches!(bench.end("r1", RunStatus::Success, 103), Closed::Done { .. }));
}

#[test]
fn a_lease_is_dead_at_once_when_its_process_is_gone_or_its_host_was_started_anew() {
    let mut bench = Bench::new();
    bench.begin("r1", 0);
    let lease = bench.store.lease("sales").unwrap().unwrap();
    let reboot = Moment { boot: BootTime { boot_id: "b2".to_owned(), elapsed: Duration::from_secs(3) }, ..moment(1) };
    assert!(!lease.is_dead(&moment(1), &alive));
    assert!(lease.is_dead(&moment(1), &gone));
    assert!(lease.is_dead(&reboot, &alive), "the process id belongs to another boot");
    assert!(!lease.is_dead(&reboot, &elsewhere), "another machine has another boot");
    assert!(lease.is_dead(&Moment { at: at(61), ..reboot }, &elsewhere));
}

#[test]
fn a_wall_clock_that_is_set_leaves_a_lease_alone() {
    let mut bench = Bench::new();
    bench.begin("r1", 0);
    let lease = bench.store.lease("sales").unwrap().unwrap();
    assert!(!lease.is_dead(&Moment { at: at(0) + TimeDelta::days(1), ..moment(5) }, &alive));
    assert!(lease.is_dead(&Moment { at: at(0) - TimeDelta::hours(2), ..moment(61) }, &alive));
}

#[test]
fn repair_takes_over_what_the_destination_shows() {
    let mut bench = Bench::new();
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

#[test]
fn a_dead_run_that_published_everything_ends_as_success() {
    let mut bench = Bench::new();
    bench.begin("r1", 0);
    let dead = bench.store.dead_runs("sales", &moment(1), &gone).unwrap();
    bench.store.close_dead_run(&dead[0], &DeadEnd::Success, &moment(1), &gone).unwrap();
    let Found::One(detail) = bench.store.run("r1").unwrap() else { panic!("r1 is in the log") };
    assert_eq!((detail.run.status, detail.run.exit_code), (RunStatus::Success, Some(0)));
    assert_eq!(detail.run.summary.sources_processed, ["orders", "customers"]);
    assert_eq!(bench.store.job("sales").unwrap().unwrap().success_rate(), Some(100.0));
}

#[test]
fn what_a_run_writes_is_read_back_whole() {
    let mut bench = Bench::new();
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

#[test]
fn the_beginning_of_an_id_leads_to_one_run_or_names_those_it_may_mean() {
    let mut bench = Bench::new();
    for (second, id) in [(1, "ab1"), (3, "ab2")] {
        bench.begin(id, second);
        bench.end(id, RunStatus::Success, second + 1);
    }
    assert_eq!(bench.store.run("ab").unwrap(), Found::Several(vec!["ab1".to_owned(), "ab2".to_owned()]));
    assert!(matches!(bench.store.run("ab2").unwrap(), Found::One(detail) if detail.run.id == "ab2"));
    assert_eq!(bench.store.run("zz").unwrap(), Found::None);
    assert_eq!(bench.store.run("%").unwrap(), Found::None);
}

#[test]
fn a_cancel_reaches_the_run_at_its_next_renewal() {
    let mut bench = Bench::new();
    assert!(!bench.store.request_cancel("r1", &person(), at(0)).unwrap(), "nothing runs");
    bench.begin("r1", 0);
    assert!(bench.store.request_cancel("r1", &person(), at(1)).unwrap());
    let renewal = bench.store.renew_lease("r1", r#"{"rows": 1}"#, &moment(2)).unwrap();
    assert_eq!(renewal, Renewal { is_held: true, cancel_requested_by: Some("ana".to_owned()) });
    let lease = bench.store.lease("sales").unwrap().unwrap();
    assert_eq!((lease.progress.as_str(), lease.cancel_requested), (r#"{"rows": 1}"#, Some(("ana".to_owned(), at(1)))));
}

#[test]
fn old_runs_are_forgotten_but_never_the_last_twenty_of_a_job() {
    let mut bench = Bench::new();
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

#[test]
fn pages_follow_one_another_and_the_total_is_that_of_the_filter() {
    let mut bench = Bench::new();
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

#[test]
fn a_dead_run_passes_the_filter_as_failed_without_being_written() {
    let mut bench = Bench::new();
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

#[test]
fn a_status_changes_all_jobs_or_none_and_leaves_a_line_where_something_changed() {
    let mut bench = Bench::new();
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

#[test]
fn enabling_a_job_in_error_begins_its_count_anew() {
    let mut bench = Bench::new();
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

#[test]
fn the_first_user_to_register_a_job_owns_it() {
    let mut bench = Bench::new();
    let other = NewJob { owner: "bob".to_owned(), fingerprint: "f2".to_owned(), ..job("sales") };
    assert_eq!(bench.store.register_job(&other, at(9)).unwrap().owner, "etl");
}

#[test]
fn a_store_keeps_its_workspace_id_and_reading_never_makes_one() {
    let mut bench = Bench::new();
    let id = bench.store.workspace_id().unwrap();
    let mut again = Store::open_existing(&bench.path()).unwrap().unwrap();
    assert_eq!(again.workspace_id().unwrap(), id);
    let absent = bench.folder.path().join("absent.db");
    assert!(Store::open_existing(&absent).unwrap().is_none());
    assert!(!absent.exists());
}

#[test]
fn many_processes_that_make_the_store_at_once_agree_on_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(".etlsched").join("state.db");
    let mut ids: Vec<String> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| Store::open(&path).unwrap().workspace_id().unwrap());
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[cfg(unix)]
#[test]
fn the_store_and_its_folder_belong_to_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let private = folder.path().join(".etlsched");
    let mut store = Store::open(&private.join("state.db")).unwrap();
    store.register_job(&job("sales"), at(0)).unwrap();
    let mode = |name: &str| std::fs::metadata(private.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("."), mode("state.db"), mode("state.db-wal"), mode("state.db-shm")], [0o700, 0o600, 0o600, 0o600]);
}

#[test]
fn a_store_made_by_a_newer_etlsched_is_refused() {
    let mut bench = Bench::new();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    bench.store.connection.batch_execute(newer).unwrap();
    let error = Store::open(&bench.path()).unwrap_err();
    assert!(matches!(&error, StateError::Newer { migration, .. } if migration == "99990101000000"), "{error}");
    assert!(error.to_string().ends_with("made by a newer etlsched (its migration 99990101000000 is not known here)"));
}

#[test]
fn other_files_and_missing_folders_give_one_clear_error() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to look like one to a careless reader".repeat(20)).unwrap();
    assert!(matches!(Store::open(&text).unwrap_err(), StateError::NotAStore { .. }));
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StateError::Unreachable { .. }));
    let absent = folder.path().join("absent").join("state.db");
    let error = Store::open(&absent).unwrap_err();
    assert!(error.to_string().ends_with("its folder doesn't exist"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_damaged_store_says_so() {
    let bench = Bench::new();
    let path = bench.path();
    let folder = bench.folder;
    drop(bench.store);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let found = Store::open(&path).and_then(|mut store| store.jobs());
    assert!(matches!(found, Err(StateError::Damaged { .. })), "{found:?} in {folder:?}");
}

#[test]
fn migrations_go_down_and_up_again() {
    let mut bench = Bench::new();
    bench.store.connection.revert_all_migrations(MIGRATIONS).unwrap();
    let id = Store::open(&bench.path()).unwrap().workspace_id().unwrap();
    assert_eq!(id.len(), 36);
}

#[test]
fn the_schema_names_the_columns_that_the_migrations_lay() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let mut bench = Bench::new();
    let mut compared = 0;
    for block in include_str!("schema.rs").split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let table = lines.next().unwrap().split(' ').next().unwrap().to_owned();
        let named: Vec<&str> = lines.map_while(|line| line.split_once(" -> ").map(|(column, _)| column)).collect();
        let sql = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
        let laid: Vec<Column> = diesel::sql_query(sql).load(&mut bench.store.connection).unwrap();
        assert_eq!(named, laid.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), "{table}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[test]
fn an_edit_is_in_the_trail_once_with_who_noticed_it() {
    let mut bench = Bench::new();
    let edited = NewJob { owner: "bob".to_owned(), host: "there".to_owned(), fingerprint: "f2".to_owned(), ..job("sales") };
    for new in [job("sales"), job("sales"), edited.clone(), edited] {
        bench.store.register_job(&new, at(0)).unwrap();
    }
    let page = bench.store.audit(&AuditFilter::default(), 1, 10).unwrap();
    let lines: Vec<_> = page.lines.iter().map(|line| (line.action.as_str(), line.user.as_str(), line.host.as_str())).collect();
    assert_eq!((lines, page.total), (vec![("edit", "bob", "there")], 1));
    assert_eq!(page.lines[0].details.as_deref(), Some("noticed: definition f -> f2"));
}
