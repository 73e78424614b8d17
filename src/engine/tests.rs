//! Runs with a worker that is a shell script: it speaks the protocol, or doesn't.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::clock;
use crate::job::{CatchUp, DataSource, Environment, Job, JobId, Lateness, Limits, Notifications, OnOverlap, Retry};
use crate::plan::{
    BadRows, CsvPlan, DestinationKind, DestinationPlan, DryRun, Encoding, Expect, LoadOptions, Lookback, Mode, OnBadRow, OnInvalidValue,
    Publish, SchemaPolicy, SourceKind, SqlitePlan,
};
use crate::process::{self, Program, Stop, StopSignal};
use crate::run::{RunStatus, SourceStatus, Trigger};
use crate::schedule::Schedule;
use crate::secret::Masker;
use crate::state::{Actor, Begun, Found, JobRecord, NewJob, NewRun, RunDetail, Store};
use crate::workspace::{StateLocation, Workspace};
use crate::zone::Zone;

mod gate;
#[cfg(target_os = "linux")]
mod limits;
mod retry;

/// The words that the scripts are made of. `$dir` is the folder of the test.
const WORDS: &str = r#"
IFS= read -r order
say() { printf '%s\n' "$1"; }
run_id=$(printf '%s' "$order" | sed 's/.*"run_id":"\([^"]*\)".*/\1/')
phase() { say "{\"event\":\"phase\",\"stream\":\"$1\",\"phase\":\"loading\"}"; }
streams() { say "{\"event\":\"streams\",\"streams\":[[\"$1\",\"$1\"]]}"; phase "$1"; }
ready() { say "{\"event\":\"ready\",\"stream\":\"$1\"}"; IFS= read -r answer; printf '%s' "$answer" > "$dir/answer-$1"; }
published() { say "{\"event\":\"published\",\"stream\":\"$1\",\"target\":\"$1\",\"mode\":\"full\",\"counts\":{\"added\":3,\"updated\":0,\"unchanged\":0,\"folded\":0,\"skipped\":0,\"rejected\":0,\"deleted\":0},\"rows_in_target\":3,\"bytes_read\":10,\"cursor\":null,\"version\":1,\"schema\":[],\"schema_changes\":[],\"statements\":[]}"; }
failed() { say "{\"event\":\"stream_failed\",\"stream\":\"$1\",\"error\":{\"code\":\"$2\",\"message\":\"$3\",\"hint\":null,\"is_transient\":${4:-false}},\"rejected\":0}"; }
finished() { say '{"event":"finished","error":null}'; exit 0; }
load() { streams "$1"; ready "$1"; if [ "$answer" = '"publish"' ]; then published "$1"; else failed "$1" dropped 'told to drop'; fi; finished; }
case "$order" in
'{"order":"inspect"'*)
    if [ -f "$dir/inspect" ]; then say "{\"event\":\"answered\",\"value\":$(cat "$dir/inspect")}"; else say '{"event":"answered","value":{"records":[],"exists":false}}'; fi
    finished ;;
'{"order":"mend"'*)
    if [ -f "$dir/unmendable" ]; then rm "$dir/unmendable"; kill -9 $$; fi
    say "$order" >> "$dir/mended"
    say '{"event":"answered","value":{"dropped":[]}}'
    finished ;;
esac
"#;

/// Loads, and does as it is answered whatever signal comes.
const STUBBORN: &str = "trap '' TERM; load a";

/// A workspace with a job whose sources are scripts.
struct Bench {
    folder: tempfile::TempDir,
    workspace: Workspace,
    job: Job,
    options: RunOptions,
    stop: Stop,
}

/// Watches with a closure.
struct Hook<F>(F);

impl<F: FnMut(&Notice<'_>)> Observer for Hook<F> {
    fn notice(&mut self, notice: &Notice<'_>) {
        self.0(notice);
    }
}

impl Bench {
    fn new(sources: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().to_owned();
        let mut script = format!("dir='{}'\n{WORDS}\ncase \"$order\" in\n", root.display());
        for (name, body) in sources {
            script.push_str(&format!("*'\"source\":{{\"name\":\"{name}\"'*)\n{body}\n;;\n"));
        }
        script.push_str("esac\n");
        let path = root.join("worker.sh");
        fs::write(&path, script).expect("the folder is writable");
        let worker = Program { program: "/bin/sh".into(), arguments: vec![path.into()], variables_removed: vec![], niceness: 0 };
        let workspace = workspace_at(&root);
        let job = job_of(&root, sources.iter().map(|(name, _)| *name));
        let mut options = RunOptions::new(worker);
        options.grace = Some(Duration::from_millis(300));
        Self { folder, workspace, job, options, stop: Stop::new() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn state_path(&self) -> PathBuf {
        let StateLocation::Sqlite(path) = &self.workspace.state else { unreachable!("the tests' store is a file") };
        path.clone()
    }

    fn run(&self) -> RunReport {
        self.watched(|_| {})
    }

    fn watched(&self, hook: impl FnMut(&Notice<'_>)) -> RunReport {
        run_job(&self.workspace, &self.job, &self.options, &self.stop, &mut Hook(hook)).expect("the run begins")
    }

    fn refused(&self) -> Refusal {
        run_job(&self.workspace, &self.job, &self.options, &self.stop, &mut Unwatched).expect_err("the run does not begin")
    }

    fn store(&self) -> Store {
        Store::open(&self.workspace.state).expect("the store opens")
    }

    fn logged(&self, run_id: &str) -> RunDetail {
        match self.store().run(run_id).expect("the store can be read") {
            Found::One(detail) => detail,
            other => panic!("run {run_id}: {other:?}"),
        }
    }

    fn has_lease(&self) -> bool {
        self.store().lease(self.job.id.as_str()).expect("the store can be read").is_some()
    }
}

fn workspace_at(root: &Path) -> Workspace {
    fs::create_dir(root.join("jobs")).expect("the folder is writable");
    let environment = Environment::new(std::iter::empty::<(String, String)>(), 2);
    let mut workspace = Workspace::find(root, None, environment).expect("it has a jobs folder");
    workspace.masker = Masker::new(["hunter22".to_owned()]);
    workspace
}

fn job_of<'a>(root: &Path, names: impl Iterator<Item = &'a str>) -> Job {
    Job {
        id: JobId::parse("bench").expect("a valid id"),
        file: root.join("jobs/bench.yaml"),
        name: "bench".to_owned(),
        description: String::new(),
        tags: vec![],
        is_active: true,
        is_active_line: None,
        minute_line: None,
        schedule: Schedule::Manual,
        timezone: Zone::UTC,
        lateness: Lateness {
            grace: Duration::from_secs(600),
            catch_up: CatchUp::Last,
            catch_up_window: None,
            is_woken_hourly: false,
            deadline: None,
        },
        on_overlap: OnOverlap::Skip,
        destination: DestinationPlan {
            name: "warehouse".to_owned(),
            kind: DestinationKind::Sqlite(SqlitePlan { path: root.join("warehouse.db") }),
            schema: None,
        },
        sources: names.map(|name| source(root, name)).collect(),
        is_parallel: true,
        limits: Limits { timeout_minutes: 1, memory_limit_mb: 512, max_parallel_sources: 2, cpu_nice: 0 },
        retry: Retry { max_retries: 0, delay_seconds: 1, delay_max_seconds: 1 },
        failure_threshold: 5,
        is_partial_counted: false,
        notifications: Notifications::default(),
        hash_key: None,
        missing_variables: vec![],
        reserved: vec![],
        variables: vec![],
        fingerprint: "f".to_owned(),
        schedule_fingerprint: "s".to_owned(),
        warnings: vec![],
    }
}

fn source(root: &Path, name: &str) -> DataSource {
    DataSource {
        name: name.to_owned(),
        connection: None,
        kind: SourceKind::Csv(CsvPlan {
            path: root.join("x.csv").display().to_string(),
            path_secrets: Vec::new(),
            delimiter: None,
            quote: None,
            header: None,
            encoding: Encoding::Auto,
            null_values: None,
            connect_timeout_seconds: 15,
            allow_link_local: false,
        }),
        columns: Default::default(),
        options: LoadOptions {
            target: None,
            table_prefix: String::new(),
            mode: Mode::Full,
            is_full_refresh: false,
            publish: Publish::Swap,
            primary_key: vec![],
            timestamp_column: None,
            lookback: Lookback::Minutes(None),
            window: None,
            null_cursor: None,
            schema_change: SchemaPolicy::Evolve,
            bad_rows: BadRows { on_bad_row: OnBadRow::Reject, max_bad_rows: None },
            invalid_values: OnInvalidValue::Reject,
            allow_empty: false,
            expect: Expect::default(),
            batch_size: 65536,
            sample_rows: 10000,
        },
    }
}

fn statuses(report: &RunReport) -> Vec<SourceStatus> {
    report.sources.iter().map(|source| source.status).collect()
}

fn message(report: &RunReport, source: usize) -> &str {
    report.sources[source].error.as_ref().map_or("", |error| &error.message)
}

use SourceStatus::{Cancelled, Failed, Skipped, Success, Timeout};

#[test]
fn a_good_run_is_in_the_log_with_its_counts_and_gives_its_lease_up() {
    let bench = Bench::new(&[("a", "load a"), ("b", "load b"), ("c", "load c")]);
    let report = bench.run();
    assert_eq!((report.status, report.exit_code), (RunStatus::Success, 0), "{report:?}");
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    assert_eq!(logged.run.status, RunStatus::Success);
    assert_eq!(logged.run.exit_code, Some(0));
    assert_eq!(logged.run.summary.sources_processed, ["a", "b", "c"]);
    assert_eq!(logged.run.summary.totals.added, 9);
    assert!(logged.run.summary.peak_memory_mb.is_some_and(|peak| peak > 0.1));
    assert!(logged.streams.iter().all(|stream| stream.status == Success && stream.counts.added == 3 && stream.load_version == Some(1)));
    assert!(!bench.has_lease());
}

#[test]
fn a_source_that_crashes_leaves_the_others_and_says_how_it_ended() {
    for (body, how) in [
        ("streams bad; exit 7", "exit code 7"),
        ("streams bad; kill -9 $$", "signal 9 (SIGKILL)"),
        ("streams bad; kill -SEGV $$", "signal 11 (SIGSEGV)"),
        ("exit 0", "exit code 0"),
    ] {
        let bench = Bench::new(&[("bad", &format!("echo last words >&2; {body}")), ("good", "load good")]);
        let report = bench.run();
        assert_eq!(statuses(&report), [Failed, Success], "{body}");
        assert_eq!((report.status, report.exit_code), (RunStatus::Failed, 3), "{body}");
        assert!(message(&report, 0).contains(how), "{body}: {}", message(&report, 0));
        let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
        assert_eq!(
            (logged.run.summary.sources_processed, logged.run.summary.sources_failed),
            (vec!["good".to_owned()], vec!["bad".to_owned()])
        );
        assert!(logged.events.iter().any(|event| event.message == "worker: last words"), "{:?}", logged.events);
        // What a killed worker staged is dropped before the run ends.
        assert_eq!(bench.said("mended").contains(&logged.run.id), body != "exit 0", "{body}");
    }
}

#[test]
fn a_worker_that_does_not_stop_is_killed_and_the_run_is_a_timeout() {
    let bench = Bench::new(&[("deaf", "streams deaf; trap '' TERM; while :; do sleep 1; done"), ("good", "load good")]);
    let bench = Bench { options: RunOptions { timeout: Some(Duration::from_millis(600)), ..bench.options.clone() }, ..bench };
    let began = Instant::now();
    let report = bench.run();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(statuses(&report), [Timeout, Success]);
    assert_eq!((report.status, report.exit_code), (RunStatus::Timeout, 124));
    assert_eq!(bench.logged(report.run_id.as_deref().expect("it has an id")).run.status, RunStatus::Timeout);
}

#[test]
fn a_ready_behind_the_time_limit_is_told_to_drop() {
    let bench = Bench::new(&[(
        "late",
        "trap 'load late' TERM; say '{\"event\":\"log\",\"level\":\"info\",\"stream\":null,\"message\":\"x\"}'; sleep 5; load late",
    )]);
    let bench = Bench { options: RunOptions { timeout: Some(Duration::from_millis(200)), ..bench.options.clone() }, ..bench };
    let report = bench.run();
    assert_eq!(statuses(&report), [Timeout]);
    assert_eq!(bench.said("answer-late"), "\"drop\"");
}

#[test]
fn floods_and_garbage_cost_their_own_source_only() {
    let log = r#"{"event":"log","level":"warn","stream":null,"message":"again"}"#;
    let flood = format!("streams flood; yes '{log}' | head -n 20000; ready flood; published flood; finished");
    let bench = Bench::new(&[
        ("flood", &flood),
        ("garbage", "streams garbage; echo 'Segmentation fault'; sleep 10; published garbage; finished"),
        ("endless", "streams endless; yes | tr -d '\\n'"),
        ("liar", "streams liar; published other; finished"),
        ("twice", "load twice; published twice"),
    ]);
    let report = bench.run();
    assert_eq!(statuses(&report), [Success, Failed, Failed, Failed, Success]);
    assert!(message(&report, 1).contains("no event") && message(&report, 1).contains("Segmentation fault"), "{}", message(&report, 1));
    assert!(message(&report, 2).contains("more than 4194304 bytes"), "{}", message(&report, 2));
    assert!(message(&report, 3).contains("had not named"), "{}", message(&report, 3));
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    assert_eq!(logged.events.iter().filter(|event| event.message == "again").count(), 1000);
    assert!(logged.events.iter().any(|event| event.message == "19,000 further log lines left out"), "{:?}", logged.events.len());
}

#[test]
fn a_publish_that_was_told_to_be_dropped_is_never_believed() {
    let mut source = SourceReport::new("a");
    source.accept(crate::plan::Event::Streams { streams: vec![("a".to_owned(), "a".to_owned())] }).expect("the first word");
    source.refuse(0);
    let line = r#"{"event":"published","stream":"a","target":"a","mode":"full","counts":{"added":3,"updated":0,"unchanged":0,"folded":0,"skipped":0,"rejected":0,"deleted":0},"rows_in_target":3,"bytes_read":10,"cursor":null,"version":1,"schema":[],"schema_changes":[],"statements":[]}"#;
    let event = serde_json::from_str(line).expect("an event");
    assert!(source.accept(event).expect_err("it lies").contains("told to drop"));
}

#[test]
fn a_signal_cancels_what_runs_and_skips_what_waits() {
    let polite = "streams NAME; trap 'failed NAME cancelled stopped; finished' TERM; while :; do sleep 0.05; done";
    let bench = Bench::new(&[("a", &polite.replace("NAME", "a")), ("b", "load b"), ("c", &polite.replace("NAME", "c")), ("d", "load d")]);
    let report = bench.watched(|notice| {
        if let Notice::Progress { source, .. } = notice
            && source.name == "c"
        {
            bench.stop.request(StopSignal::Interrupt);
        }
    });
    assert_eq!(statuses(&report), [Cancelled, Success, Cancelled, Skipped]);
    assert_eq!((report.status, report.exit_code), (RunStatus::Cancelled, 130));
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    assert_eq!(logged.run.status, RunStatus::Cancelled);
    assert_eq!(logged.run.summary.sources_skipped, ["d"]);
    assert!(!bench.has_lease());
}

#[test]
fn a_cancel_behind_the_last_publish_changes_nothing() {
    let late = "streams a; ready a; published a; say '{\"event\":\"finished\",\"error\":{\"code\":\"cancelled\",\"message\":\"stopped\",\"hint\":null,\"is_transient\":false}}'";
    let bench = Bench::new(&[("a", late)]);
    let report = bench.watched(|notice| {
        if let Notice::StreamEnded { .. } = notice {
            bench.stop.request(StopSignal::Interrupt);
        }
    });
    assert_eq!((statuses(&report), report.exit_code), (vec![Success], 0));
}

#[test]
fn a_run_that_lost_its_lease_publishes_nothing() {
    let bench = Bench::new(&[("a", STUBBORN)]);
    let report = bench.watched(|notice| {
        if let Notice::Progress { .. } = notice {
            let thief = rusqlite::Connection::open(bench.state_path()).expect("the store is there");
            thief.execute("DELETE FROM leases", []).expect("it can be written");
        }
    });
    assert_eq!(bench.said("answer-a"), "\"drop\"");
    assert_eq!((report.status, report.exit_code), (RunStatus::Failed, 1));
    assert!(message(&report, 0).contains("lost its lease"), "{}", message(&report, 0));
}

#[test]
fn a_cancel_in_the_lease_is_seen_before_the_publish() {
    let bench = Bench::new(&[("a", STUBBORN)]);
    let mut run = String::new();
    let report = bench.watched(|notice| match notice {
        Notice::RunStarted { run_id, .. } => run = (*run_id).to_owned(),
        Notice::Progress { .. } => {
            bench
                .store()
                .request_cancel(&run, &Actor { user: "someone".to_owned(), host: "here".to_owned() }, clock::now())
                .expect("the store can be written");
        }
        _ => {}
    });
    assert_eq!(bench.said("answer-a"), "\"drop\"");
    assert_eq!((report.status, report.exit_code), (RunStatus::Cancelled, 143));
}

#[test]
fn a_store_that_vanishes_is_one_clear_error_and_nothing_is_published() {
    let bench = Bench::new(&[("a", STUBBORN)]);
    let report = bench.watched(|notice| {
        if let Notice::Progress { .. } = notice {
            fs::remove_file(bench.state_path()).expect("the store is there");
        }
    });
    assert_eq!(bench.said("answer-a"), "\"drop\"");
    assert_eq!((report.status, report.exit_code), (RunStatus::Failed, 1));
    let error = report.error.expect("it says why");
    assert!(error.message.contains("deleted or replaced"), "{}", error.message);
}

#[test]
fn a_worker_that_dies_between_publish_and_report_is_settled_by_the_destination() {
    let record = r#"{"records":[{"target":"a","job":"bench","source":"a","stream":"a","version":4,"run_id":"RUN","slot":null,"mode":"full","cursor":null,"rows":5,"schema":[],"committed_at":"2026-11-23T22:53:00Z"}],"exists":true}"#;
    let dies = format!("streams a; ready a; printf '%s' '{record}' | sed \"s/RUN/$run_id/\" > \"$dir/inspect\"; kill -9 $$");
    let bench = Bench::new(&[("a", &dies)]);
    let report = bench.run();
    assert_eq!(statuses(&report), [Success], "{}", message(&report, 0));
    assert_eq!((report.exit_code, report.sources[0].counts().added), (0, 5));

    let dies = format!("streams a; ready a; printf '%s' '{record}' > \"$dir/inspect\"; kill -9 $$");
    let bench = Bench::new(&[("a", &dies)]);
    let report = bench.run();
    assert_eq!(statuses(&report), [Failed]);
    assert!(message(&report, 0).contains("SIGKILL"), "{}", message(&report, 0));
}

#[test]
fn a_second_run_of_a_job_is_refused_while_the_first_holds_the_lease() {
    let bench = Bench::new(&[("a", "load a")]);
    let mut refused = None;
    let report = bench.watched(|notice| {
        if let Notice::SourceStarted { .. } = notice {
            refused = Some(bench.refused());
        }
    });
    assert_eq!(report.exit_code, 0);
    let refused = refused.expect("the second run was tried");
    assert_eq!(refused.exit_code(), 5);
    assert!(refused.to_string().contains(report.run_id.as_deref().expect("it has an id")), "{refused}");
}

#[test]
fn a_run_refused_by_on_overlap_fail_is_in_the_log_and_counts_towards_nothing() {
    let mut other = Bench::new(&[("a", "load a")]);
    other.job.on_overlap = OnOverlap::Fail;
    let mut refused = None;
    let report = other.watched(|notice| {
        if let Notice::SourceStarted { .. } = notice {
            refused = Some(other.refused());
        }
    });
    let running = report.run_id.expect("it has an id");
    assert_eq!((report.exit_code, refused.expect("the second run was tried").exit_code()), (0, 5));
    let mut store = other.store();
    let runs = store.runs(&crate::state::RunFilter::default(), 1, 10).expect("the store can be read").runs;
    assert_eq!(runs.len(), 2);
    let row = runs.iter().find(|run| run.id != running).expect("the refused run is in the log");
    assert_eq!((row.status, row.exit_code, row.is_interrupted), (RunStatus::Failed, Some(5), false));
    assert_eq!(row.completed_at, Some(row.started_at));
    assert_eq!(row.summary.sources_skipped, ["a"]);
    assert!(row.summary.error_message.as_deref().is_some_and(|message| message.contains(&running)), "{row:?}");
    let job = store.job("bench").expect("the store can be read").expect("it is registered");
    assert_eq!((job.consecutive_failures, job.failure_count, job.success_count), (0, 0, 1));
    assert_eq!(job.last_run.expect("it ran").id, running);
}

#[test]
fn a_run_that_waits_begins_when_the_lease_is_free_and_stops_waiting_when_asked() {
    let mut bench = Bench::new(&[("a", "load a")]);
    bench.job.on_overlap = OnOverlap::Wait;
    let waiter = |stop: &Stop| {
        let (workspace, job, options, stop) = (bench.workspace.clone(), bench.job.clone(), bench.options.clone(), stop.clone());
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut hook = Hook(|notice: &Notice<'_>| {
                if let Notice::Waiting { .. } = notice {
                    let _ = tell.send(());
                }
            });
            run_job(&workspace, &job, &options, &stop, &mut hook)
        });
        told.recv().expect("it waits");
        thread
    };
    let (mut patient, mut stopped) = (None, None);
    let report = bench.watched(|notice| {
        if let Notice::SourceStarted { .. } = notice {
            patient = Some(waiter(&Stop::new()));
            let stop = Stop::new();
            let thread = waiter(&stop);
            stop.request(StopSignal::Terminate);
            stopped = Some(thread.join().expect("it doesn't panic"));
        }
    });
    assert_eq!(report.exit_code, 0);
    assert_eq!(stopped.expect("it was started").expect_err("it was stopped").exit_code(), 143);
    let second = patient.expect("it was started").join().expect("it doesn't panic").expect("it begins");
    assert_eq!(second.exit_code, 0);
    assert!(second.started_at >= report.completed_at, "{second:?}");
}

#[test]
fn a_store_that_is_locked_keeps_no_run_beyond_its_limit() {
    let bench = Bench::new(&[(
        "deaf",
        "streams deaf; trap '' TERM; while :; do say '{\"event\":\"log\",\"level\":\"warn\",\"stream\":null,\"message\":\"x\"}'; sleep 0.1; done",
    )]);
    let bench = Bench { options: RunOptions { timeout: Some(Duration::from_millis(800)), ..bench.options.clone() }, ..bench };
    let began = Instant::now();
    let mut backup = None;
    let report = bench.watched(|notice| {
        if let (Notice::Progress { .. }, None) = (notice, &backup) {
            let connection = rusqlite::Connection::open(bench.state_path()).expect("the store is there");
            connection.execute_batch("BEGIN IMMEDIATE").expect("it can be locked");
            backup = Some(connection);
        }
    });
    // The limit, and at most ten seconds more.
    assert!(began.elapsed() < Duration::from_millis(10_800), "{:?}", began.elapsed());
    assert_ne!((report.status, report.exit_code), (RunStatus::Success, 0));
    assert!(report.error.is_some());
}

#[test]
fn a_dead_run_is_closed_and_what_it_left_is_dropped_by_the_next() {
    let bench = Bench::new(&[("a", "load a")]);
    begin_and_die(&bench, "0193-dead");
    let mut settled = Vec::new();
    let report = bench.watched(|notice| {
        if let Notice::Settled { run_id, finding } = notice {
            settled.push((run_id.to_string(), finding.to_string()));
        }
    });
    assert_eq!(report.exit_code, 0);
    assert_eq!(settled.len(), 1);
    assert!(settled[0].1.starts_with("interrupted: its process ended"), "{settled:?}");
    assert!(bench.said("mended").contains("\"dead_runs\":[\"0193-dead\"]"), "{}", bench.said("mended"));
    let dead = bench.logged("0193-dead");
    assert_eq!((dead.run.status, dead.run.is_interrupted), (RunStatus::Failed, true));
    assert_eq!(dead.sources[0].status, Failed);
}

#[test]
fn what_could_not_be_dropped_at_the_begin_is_dropped_at_the_end() {
    let bench = Bench::new(&[("a", "load a")]);
    begin_and_die(&bench, "0193-dead");
    fs::write(bench.file("unmendable"), "").expect("the folder is writable");
    assert_eq!(bench.run().exit_code, 0);
    assert!(bench.said("mended").contains("\"dead_runs\":[\"0193-dead\"]"), "{}", bench.said("mended"));
}

#[test]
fn a_dead_run_whose_sources_were_all_published_is_a_success() {
    let bench = Bench::new(&[("a", "load a")]);
    begin_and_die(&bench, "0193-dead");
    let record = r#"{"records":[{"target":"a","job":"bench","source":"a","stream":"a","version":4,"run_id":"0193-dead","slot":null,"mode":"full","cursor":null,"rows":5,"schema":[],"committed_at":null}],"exists":true}"#;
    fs::write(bench.file("inspect"), record).expect("the folder is writable");
    assert_eq!(bench.run().exit_code, 0);
    let dead = bench.logged("0193-dead");
    assert_eq!((dead.run.status, dead.streams[0].counts.added), (RunStatus::Success, 5));
}

/// Writes a run whose process is gone.
fn begin_and_die(bench: &Bench, run_id: &str) {
    let mut store = bench.store();
    let now = journal::moment();
    let job = NewJob {
        id: "bench".to_owned(),
        file: "f".to_owned(),
        fingerprint: "f".to_owned(),
        schedule_fingerprint: "s".to_owned(),
        owner: process::user_name(),
        host: process::host_name(),
    };
    store.register_job(&job, now.at).expect("the store can be written");
    let run = NewRun {
        run_id: run_id.to_owned(),
        job: "bench".to_owned(),
        trigger: Trigger::Manual,
        slot: None,
        host: process::host_name(),
        pid: process::own().pid,
        process_start: format!("9{}", process::own().start),
        user: process::user_name(),
        version: "0".to_owned(),
        sources: vec!["a".to_owned()],
    };
    assert_eq!(store.begin_run(&run, &now, &process::liveness).expect("the store can be written"), Begun::Started);
    store.mark_running(run_id).expect("the store can be written");
    let running = crate::state::SourceRecord { status: SourceStatus::Running, attempt: 1, ..crate::state::SourceRecord::waiting("a") };
    store.update_source(run_id, &running).expect("the store can be written");
    store.streams_begun(run_id, "a", &[("a".to_owned(), "a".to_owned())]).expect("the store can be written");
}

#[test]
fn an_inactive_job_runs_only_when_forced() {
    let mut bench = Bench::new(&[("a", "load a")]);
    bench.job.is_active = false;
    bench.job.is_active_line = Some(3);
    let refused = bench.refused();
    assert_eq!(refused.exit_code(), 6);
    assert!(refused.to_string().ends_with("bench.yaml:3"), "{refused}");
    bench.options.is_forced = true;
    assert_eq!(bench.run().exit_code, 0);
}

#[test]
fn a_dry_run_writes_nothing_anywhere() {
    let mut bench = Bench::new(&[("a", "case \"$order\" in *'\"dry_run\":{\"limit\":5}'*) streams a; published a; finished ;; esac")]);
    bench.options.dry_run = Some(DryRun { limit: Some(5) });
    let report = bench.run();
    assert_eq!((report.status, report.exit_code, report.run_id.as_deref()), (RunStatus::Success, 0, None));
    let mut left: Vec<_> =
        fs::read_dir(bench.folder.path()).expect("the folder is there").map(|entry| entry.expect("readable").file_name()).collect();
    left.sort();
    assert_eq!(left, ["jobs", "worker.sh"]);
}

#[test]
fn secrets_in_what_a_worker_says_never_reach_report_or_log() {
    let body = "streams a; say '{\"event\":\"log\",\"level\":\"warn\",\"stream\":null,\"message\":\"pw hunter22\"}'; echo hunter22 >&2; failed a refused 'login with hunter22'; finished";
    let bench = Bench::new(&[("a", body)]);
    let mut seen = String::new();
    let report = bench.watched(|notice| seen.push_str(&format!("{notice:?}")));
    assert_eq!(message(&report, 0), "login with ***");
    let logged = bench.logged(report.run_id.as_deref().expect("it has an id"));
    for text in [format!("{report:?}"), seen, format!("{logged:?}")] {
        assert!(!text.contains("hunter22"), "{text}");
    }
    assert!(logged.events.iter().any(|event| event.message == "worker: ***"), "{:?}", logged.events);
}

#[test]
fn an_unknown_source_is_refused_with_the_one_that_was_meant() {
    let mut bench = Bench::new(&[("weather", "load weather")]);
    bench.options.sources = vec!["wether".to_owned()];
    let refused = bench.refused();
    assert_eq!((refused.exit_code(), refused.hint()), (2, Some("did you mean weather?".to_owned())));
}

#[test]
fn a_question_is_answered_or_says_why_not() {
    let program = |script: &str| Program {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        variables_removed: vec![],
        niceness: 0,
    };
    let bench = Bench::new(&[("a", "")]);
    let order = test_order(&bench.job, &bench.job.sources[0]);
    let asked = |script: &str, seconds: f64| ask(&program(script), &order, Duration::from_secs_f64(seconds));
    let answered = "read x; echo '{\"event\":\"answered\",\"value\":{\"message\":\"hi\"}}'; echo '{\"event\":\"finished\",\"error\":null}'";
    assert_eq!(asked(answered, 10.0).expect("it answers")["message"], "hi");
    assert_eq!(asked("read x; sleep 60", 0.2).expect_err("it hangs").code, "timeout");
    assert_eq!(asked("read x; exit 3", 10.0).expect_err("it ends").code, "worker_crashed");
    assert_eq!(asked("read x; echo nonsense; sleep 60", 10.0).expect_err("it raves").code, "worker_fault");
}

#[test]
fn a_job_is_run_and_changed_by_its_owner_root_and_admins_alone() {
    let mut bench = Bench::new(&[("a", "load a")]);
    bench.workspace.admins = vec!["ann".to_owned()];
    bench.run();
    let mut store = bench.store();
    let owned = store.job("bench").expect("the store can be read").expect("it ran");
    let record = JobRecord { owner: "olga".to_owned(), ..owned };
    for user in ["olga", "ann", "root"] {
        assert!(check_permitted(&bench.workspace, &record, user).is_ok() || (cfg!(not(unix)) && user == "root"), "{user}");
    }
    let refusal = check_permitted(&bench.workspace, &record, "bob").expect_err("bob may not");
    assert_eq!(refusal.to_string(), "job bench belongs to olga, and bob may not run, change or stop it");
    assert_eq!((refusal.exit_code(), refusal.code()), (77, "not_permitted"));
}
