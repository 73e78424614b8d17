//! Who may publish: a supervisor that was stopped past its lease, a job that is deleted after a kill, a hundred runs at once, clocks that
//! jump, a disk that is full for real.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::etl::{Ended, Etl};
use crate::faults::children;
use crate::servers::{postgresql, psql, wait_until};
use crate::shared_state;

/// Returns rows that take a while to load.
fn many(rows: u32) -> String {
    let lines: String = (0..rows).map(|number| format!("{number},a text of some length that fills the file\n")).collect();
    format!("number,text\n{lines}")
}

/// Stops processes; a supervisor is stopped again until it is met outside of a transaction, so that the store can be written.
fn stop(etl: &Etl, processes: &[Pid]) {
    wait_until("it is stopped outside of a transaction", || {
        processes.iter().for_each(|process| kill_process(*process, Signal::STOP).expect("it runs"));
        let file = etl.path(".etlsched/state.db");
        if !file.exists() {
            return true;
        }
        let state = rusqlite::Connection::open(file).expect("the store");
        state.busy_timeout(Duration::ZERO).expect("a timeout can be set");
        let is_free = state.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !is_free {
            processes.iter().for_each(|process| kill_process(*process, Signal::CONT).expect("it is stopped"));
        }
        is_free
    });
}

/// Ages the lease of a job as if its holder had been away for so long: what a test can't wait for.
fn age_lease(etl: &Etl, seconds: u32) {
    etl.state().execute(&format!(
        "UPDATE leases SET renewed_boot_micros = renewed_boot_micros - {seconds}000000, renewed_at = datetime(renewed_at, '-{seconds} seconds')"
    ));
}

fn statuses(etl: &Etl) -> Vec<(String, String)> {
    let logs = etl.run(&["logs", "-o", "json"]).exits(0).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    logs["logs"].as_array().into_iter().flatten().map(|log| (text(&log["status"]), text(&log["error_message"]))).collect()
}

/// Lets a second run publish while the first is away past its lease, then wakes the first up and demands that it ends as failed.
#[track_caller]
fn overtake(etl: &Etl, run: Child, stopped: &[Pid], second: &dyn Fn()) {
    stop(etl, stopped);
    // Within its time the lease holds, and a second run is refused.
    etl.run(&["run", "rows"]).exits(5);
    age_lease(etl, 61);
    second();
    for process in stopped {
        kill_process(*process, Signal::CONT).expect("it is stopped");
    }
    let ended = Ended::new(etl, &["run", "rows"], run.wait_with_output().expect("it ends")).exits(1).mentions("lost its lease");
    assert!(!ended.stderr.contains("event=stream_published"), "{}", ended.stderr);
    assert_eq!(etl.warehouse().rows("SELECT * FROM rows"), ["7|of the second run"]);
    let log = statuses(etl);
    assert_eq!((log.len(), log[0].0.as_str(), log[1].0.as_str()), (2, "success", "failed"), "{log:?}");
}

const SECOND: &str = "number,text\n7,of the second run\n";

#[test]
fn a_supervisor_that_was_stopped_past_its_lease_is_refused_its_publish_and_ends_as_failed() {
    let etl = Etl::new().csv_job("rows", "", many(1_500_000));
    let run = etl.command(&["run", "rows"]).spawn().expect("it starts");
    // The worker goes on, and is ready by the time its supervisor wakes up.
    wait_until("the worker starts", || !children(run.id()).is_empty());
    wait_until("it has begun", || etl.path(".etlsched/warehouse.db-wal").exists());
    let supervisor = Pid::from_child(&run);
    let rows = etl.path("jobs/data/rows.csv");
    overtake(&etl, run, &[supervisor], &|| {
        std::fs::write(rows.with_extension("new"), SECOND).expect("a file");
        std::fs::rename(rows.with_extension("new"), &rows).expect("the rows are replaced");
        etl.run(&["run", "rows"]).exits(0);
    });
    etl.write("jobs/data/rows.csv", many(1000));
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "1000");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_whole_run_that_was_stopped_past_its_lease_is_refused_too() {
    // The first request is answered when it is told to be, each further one at once.
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/rows.csv", server.local_addr().expect("an address"));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut first = true;
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let go: std::sync::mpsc::Receiver<()> = if std::mem::replace(&mut first, false) {
                let (go, wait) = std::sync::mpsc::channel();
                tell.send(go).expect("the test listens");
                wait
            } else {
                std::sync::mpsc::channel().1
            };
            std::thread::spawn(move || {
                let is_first = go.recv().is_ok();
                let text = if is_first { "number,text\n1,of the first run\n" } else { SECOND };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
            });
        }
    });
    let etl = Etl::new().file("jobs/rows.yaml", format!("data_sources:\n  - {{name: rows, path: \"{url}\"}}\n"));
    let run = etl.command(&["run", "rows"]).spawn().expect("it starts");
    let go = told.recv().expect("the worker asks");
    let worker = children(run.id())[0];
    let supervisor = Pid::from_child(&run);
    overtake(&etl, run, &[supervisor, worker], &|| {
        etl.run(&["run", "rows"]).exits(0);
        go.send(()).expect("the first is answered now");
    });
}

/// Stops a run of the slot of 01:00 past its lease, whole (as a laptop that sleeps) or its supervisor alone, and wakes it up: nobody came
/// in between, and yet it publishes nothing more. The slot is due again, and the job has no failure to its account.
#[track_caller]
fn sleep_past_the_lease(etl: &Etl, is_whole: bool, age: &dyn Fn(), ask: &dyn Fn(&str) -> String) {
    let job = "schedule_type: hourly\nfailure_threshold: 1\ndata_sources:\n  - {name: rows, path: jobs/data/rows.csv}\n";
    etl.write("jobs/rows.yaml", job);
    etl.write("jobs/data/rows.csv", many(1_500_000));
    let command = |now: &str| {
        let mut command = etl.command(&["run", "rows", "--scheduled"]);
        command.env("ETLSCHED_NOW", now);
        command
    };
    command("2026-11-24T00:30:00Z").output().expect("it starts");
    let run = command("2026-11-24T01:00:01Z").spawn().expect("it starts");
    wait_until("the worker starts", || !children(run.id()).is_empty());
    wait_until("it has begun", || etl.path(".etlsched/warehouse.db-wal").exists());
    let mut stopped = vec![Pid::from_child(&run)];
    stopped.extend(children(run.id()).into_iter().filter(|_| is_whole));
    stop(etl, &stopped);
    age();
    stopped.iter().for_each(|process| kill_process(*process, Signal::CONT).expect("it is stopped"));
    let ended = Ended::new(etl, &["run", "rows"], run.wait_with_output().expect("it ends")).exits(1).mentions("lost its lease");
    assert!(!ended.stderr.contains("event=stream_published"), "{}", ended.stderr);
    let log = statuses(etl);
    assert!(log.len() == 1 && log[0].0 == "failed" && log[0].1.contains("interrupted: the run lost its lease"), "{log:?}");
    let fate = "SELECT status || ' ' || claim_count || ' ' || (SELECT count(*) FROM leases) || ' ' || \
                (SELECT status || ' ' || consecutive_failures FROM jobs) || ' ' || (SELECT count(*) FROM runs WHERE is_interrupted) FROM slots";
    assert_eq!(ask(fate), "interrupted 1 0 active 0 1");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_master WHERE name = 'rows'"), "0");
    etl.write("jobs/data/rows.csv", many(1000));
    Ended::new(etl, &["run", "rows"], command("2026-11-24T01:05:01Z").output().expect("it starts")).exits(0).prints("").says("");
    assert_eq!(ask(fate), "done 2 0 active 0 1");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "1000");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_supervisor_that_slept_past_its_lease_is_refused_though_nobody_overtook_it() {
    for is_whole in [false, true] {
        let etl = Etl::new();
        sleep_past_the_lease(&etl, is_whole, &|| age_lease(&etl, 61), &|sql| etl.state().value(sql));
    }
}

#[test]
fn a_supervisor_that_slept_past_its_lease_in_a_store_on_a_server_is_refused_too() {
    for is_whole in [false, true] {
        let database = shared_state::database();
        let etl = shared_state::workspace(postgresql(), &database);
        let ask = |sql: &str| psql(postgresql(), &database, sql);
        let age = || drop(ask("UPDATE leases SET renewed_boot_micros = renewed_boot_micros - 61000000"));
        sleep_past_the_lease(&etl, is_whole, &age, &ask);
    }
}

/// Ends a run and its workers where they are.
fn kill_all(run: crate::etl::AtWork) {
    let workers = children(run.id());
    kill_process(Pid::from_raw(i32::try_from(run.id()).expect("an id")).expect("an id"), Signal::KILL).expect("it runs");
    for worker in workers {
        kill_process(worker, Signal::KILL).ok();
    }
    run.end();
}

#[test]
fn a_job_that_is_deleted_after_a_kill_leaves_nothing_behind() {
    let etl = Etl::new().csv_job("rows", "", many(1_500_000));
    kill_all(etl.start("rows"));
    assert_ne!(etl.warehouse().staging(), Vec::<String>::new());
    etl.run(&["delete", "rows", "--yes"]).exits(0);
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    let log = statuses(&etl);
    assert!(log.len() == 1 && log[0].0 == "failed" && log[0].1.starts_with("interrupted"), "{log:?}");
    assert_eq!(etl.state().value("SELECT count(*) FROM leases"), "0");
}

#[test]
fn a_job_whose_destination_is_gone_can_be_deleted_all_the_same() {
    let etl = Etl::new().csv_job("rows", "", many(1_500_000));
    kill_all(etl.start("rows"));
    std::fs::write(etl.path(".etlsched/warehouse.db"), b"no database at all".repeat(500)).expect("it can be spoiled");
    for log in ["warehouse.db-wal", "warehouse.db-shm"] {
        std::fs::remove_file(etl.path(".etlsched").join(log)).ok();
    }
    etl.run(&["delete", "rows", "--yes"]).exits(0).mentions("stays there").mentions("deleted jobs/rows.yaml");
}

/// How many runs are begun at once, and how often: `ETLSCHED_CONCURRENT_RUNS=20` makes twenty rounds.
fn rounds() -> u64 {
    std::env::var("ETLSCHED_CONCURRENT_RUNS").map_or(1, |text| text.parse().expect("a number"))
}

#[test]
fn a_hundred_runs_of_one_slot_at_once_are_one_run() {
    let job = "schedule_type: hourly\ndata_sources:\n  - path: jobs/data/sales.csv\n";
    let etl = Etl::new().file("jobs/sales.yaml", job).file("jobs/data/sales.csv", "id\n1\n2\n");
    etl.command(&["run", "sales", "--scheduled"]).env("ETLSCHED_NOW", "2026-11-24T00:30:00Z").output().expect("it starts");
    let (mut failed, began) = (Vec::new(), Instant::now());
    for round in 1..=rounds() {
        let now = format!("2026-11-{:02}T{:02}:00:01Z", 24 + round / 24, round % 24);
        let start = |_| {
            let mut command = etl.command(&["run", "sales", "--scheduled"]);
            command.env("ETLSCHED_NOW", &now).stdout(Stdio::null()).spawn().expect("it starts")
        };
        let runs: Vec<Child> = (0..100).map(start).collect();
        for run in runs {
            let ended = Ended::new(&etl, &["run", "sales", "--scheduled"], run.wait_with_output().expect("it ends"));
            if ended.code != Some(0) {
                failed.push(format!("round {round}: {:?} {}", ended.code, ended.stderr));
            }
        }
        let runs = etl.state().value("SELECT count(*) || ' ' || count(DISTINCT slot) FROM runs WHERE status = 'success'");
        assert_eq!(runs, format!("{round} {round}"), "of 100 each");
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let rounds = rounds();
    crate::etl::report(&format!("{rounds} x 100 concurrent runs of one slot: {rounds} runs, {:.0} s", began.elapsed().as_secs_f64()));
}

#[test]
fn clocks_that_jump_in_a_run_neither_take_its_lease_nor_its_time() {
    // The whole program lives ten hours ahead, then ten hours behind, of a run that goes on: boot time decides about leases.
    let etl = Etl::new().csv_job("rows", "", many(1_500_000));
    etl.run(&["run", "rows"]).exits(0);
    for jump in ["+10h", "-10h"] {
        let run = etl.start("rows");
        let supervisor = Pid::from_raw(i32::try_from(run.id()).expect("an id")).expect("an id");
        kill_process(supervisor, Signal::STOP).expect("it runs");
        let inner = etl.command(&["run", "rows"]);
        let mut jumped = Command::new("faketime");
        jumped.args(["-f", jump]).arg(inner.get_program()).args(inner.get_args()).env_clear().current_dir(etl.path(""));
        jumped.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // Boot time and waits are those of the machine.
        jumped.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let output = jumped.output().expect("faketime is installed: apt-get install faketime");
        assert_eq!(output.status.code(), Some(5), "{jump}: {}", String::from_utf8_lossy(&output.stderr));
        kill_process(supervisor, Signal::CONT).expect("it is stopped");
        let (code, said) = run.end();
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(statuses(&etl).into_iter().filter(|(status, _)| status == "success").count(), 3);
}

/// A file system of so many KiB at a folder of the workspace, in a mount namespace of the run's own.
fn run_on_small_disk(etl: &Etl, arguments: &[&str], kibibytes: u32) -> Ended {
    let inner = etl.command(arguments);
    let script = format!(
        "mount -t tmpfs -o size={kibibytes}k none disk && cp -p kept/* disk/ 2>/dev/null; \"$@\"; code=$?; cp -p disk/* kept/; exit $code"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(etl.path(""));
    Ended::new(etl, arguments, command.stdin(Stdio::null()).output().expect("unshare is installed: apt-get install util-linux"))
}

#[test]
fn a_disk_without_room_fails_the_run_cleanly_and_the_old_table_stays() {
    let etl = Etl::new()
        .csv_job("rows", "", "number,text\n1,old\n")
        .file("etlsched.yaml", "destination: dwh\nconnections:\n  dwh: {type: sqlite, path: disk/warehouse.db}\n")
        .file("disk/.keep", "")
        .file("kept/.keep", "");
    run_on_small_disk(&etl, &["run", "rows"], 2048).exits(0);
    etl.write("jobs/data/rows.csv", many(100_000));
    run_on_small_disk(&etl, &["run", "rows"], 2048).exits(1).mentions("disk").mentions("source rows");
    let kept = || crate::etl::Database::open(&etl.path("kept/warehouse.db"));
    assert_eq!(kept().rows("SELECT * FROM rows"), ["1|old"]);
    assert_eq!(kept().value("PRAGMA integrity_check"), "ok");
    run_on_small_disk(&etl, &["run", "rows"], 65_536).exits(0);
    assert_eq!(kept().value("SELECT count(*) FROM rows"), "100000");
    assert_eq!(kept().staging(), Vec::<String>::new());
}

#[test]
fn a_state_store_on_a_full_disk_never_calls_a_run_good_and_the_next_one_settles_it() {
    let etl = Etl::new()
        .csv_job("rows", "", many(1000))
        .file("etlsched.yaml", "state: sqlite:disk/state.db\n")
        .file("disk/.keep", "")
        .file("kept/.keep", "");
    run_on_small_disk(&etl, &["run", "rows"], 4096).exits(0);
    // Room for the store as it is, and for hardly a page more.
    let used = std::fs::read_dir(etl.path("kept"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.metadata().map_or(0, |data| data.len()))
        .sum::<u64>();
    let tight = u32::try_from(used / 1024 + 8).expect("a small store");
    let ended = run_on_small_disk(&etl, &["run", "rows"], tight);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("state.db") || ended.stderr.contains("state store"), "{}", ended.stderr);
    run_on_small_disk(&etl, &["run", "rows"], 16_384).exits(0);
    let state = crate::etl::Database::open(&etl.path("kept/state.db"));
    assert_eq!(state.value("SELECT count(*) FROM runs WHERE status IN ('started', 'running')"), "0");
    assert_eq!(state.value("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_worker_that_hears_no_signal_is_ended_within_ten_seconds_of_the_limit() {
    let etl = Etl::new().csv_job("rows", "", many(500_000));
    let mut run = etl.command(&["run", "rows", "--timeout-seconds", "2"]).spawn().expect("it starts");
    // The kernel keeps a stopped process from hearing SIGTERM: to its supervisor it hangs in its driver.
    wait_until("the worker starts", || !children(run.id()).is_empty());
    let worker = children(run.id())[0];
    kill_process(worker, Signal::STOP).expect("it runs");
    let began = Instant::now();
    let status = run.wait().expect("it ends");
    assert_eq!(status.code(), Some(124));
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    // Who takes its leavings in is another process.
    wait_until("the worker ends with its run", || !std::path::Path::new(&format!("/proc/{}", worker.as_raw_nonzero())).exists());
    assert_eq!(statuses(&etl)[0].0, "timeout");
}
