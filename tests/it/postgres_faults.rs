//! PostgreSQL as destination when something fails beneath a load: workers killed in their commit, servers that crash at any moment, a full
//! disk, a standby. The table is the old one or the new one, the log says which, and the next run ends right.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::etl::{Ended, Etl};
use crate::faults::children;
use crate::postgres_destination::into_schema;
use crate::servers::{Server, limit_files, own_postgresql, postgresql, psql, restart_at_once, session, standby, wait_until};

fn start(etl: &Etl, job: &str) -> Child {
    etl.command(&["run", job]).stdin(Stdio::null()).spawn().expect("the program starts")
}

#[track_caller]
fn ended(etl: &Etl, job: &str, run: Child) -> Ended {
    Ended::new(etl, &["run", job], run.wait_with_output().expect("it ends"))
}

/// Returns the statuses of the runs of a job, the newest first.
fn statuses(etl: &Etl) -> Vec<String> {
    let logs = etl.run(&["logs", "-o", "json"]).exits(0).json();
    logs["logs"].as_array().into_iter().flatten().map(|log| log["status"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Whether a session of a load waits for something of that kind.
fn waits_for(server: &Server, kind: &str) -> bool {
    let sql = format!("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'etlsched' AND {kind}");
    psql(server, "etl", &sql) == "t"
}

/// Makes every commit wait for a standby that never comes, or no longer.
fn hold_commits(server: &Server, is_held: bool) {
    let sql =
        if is_held { "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" } else { "ALTER SYSTEM RESET synchronous_standby_names" };
    psql(server, "etl", sql);
    psql(server, "etl", "SELECT pg_reload_conf()");
}

/// Starts a load of the row 2 over the row 1 and returns when its COMMIT hangs in the server.
fn hang_in_commit(etl: &Etl, server: &Server, schema: &str) -> Child {
    etl.run(&["run", "people"]).exits(0);
    etl.write("jobs/data/people.csv", "id\n2\n");
    let mut reader = session(server, "etl");
    reader.say(&format!("BEGIN; SELECT FROM {schema}.people;"));
    let run = start(etl, "people");
    wait_until("the publish waits for the table", || waits_for(server, "wait_event_type = 'Lock'"));
    hold_commits(server, true);
    reader.say("COMMIT;");
    wait_until("the commit waits", || waits_for(server, "wait_event = 'SyncRep'"));
    run
}

const VALUE: &str = "SELECT string_agg(id::text, ',') FROM";

#[test]
fn a_worker_that_is_killed_in_its_commit_is_a_success_when_the_server_does_it() {
    let server = own_postgresql(&[]);
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), &server, "killed");
    let run = hang_in_commit(&etl, &server, "killed");
    let worker = children(run.id()).pop().expect("a worker");
    kill_process(worker, Signal::KILL).expect("it is at work");
    wait_until("the destination is asked", || waits_for(&server, "wait_event_type = 'Lock'"));
    hold_commits(&server, false);
    ended(&etl, "people", run).exits(0);
    assert_eq!(psql(&server, "etl", &format!("{VALUE} killed.people")), "2");
    assert_eq!(statuses(&etl), ["success", "success"]);
    let log = etl.run(&["logs", "--run", "last", "-o", "json"]).exits(0).json().to_string();
    assert!(log.contains("the destination holds the load"), "{log}");
}

#[test]
fn a_run_that_is_killed_whole_in_its_commit_is_settled_by_the_next_one() {
    let server = own_postgresql(&[]);
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), &server, "killed");
    let run = hang_in_commit(&etl, &server, "killed");
    let id = Pid::from_raw(run.id().try_into().expect("a process")).expect("a process");
    kill_process(id, Signal::KILL).expect("it is at work");
    assert_eq!(ended(&etl, "people", run).code, None);
    etl.write("jobs/data/people.csv", "id\n3\n");
    let next = start(&etl, "people");
    wait_until("the destination is asked", || waits_for(&server, "wait_event_type = 'Lock'"));
    hold_commits(&server, false);
    ended(&etl, "people", next).exits(0);
    assert_eq!(psql(&server, "etl", &format!("{VALUE} killed.people")), "3");
    assert_eq!(statuses(&etl), ["success", "success", "success"]);
}

#[test]
fn a_worker_that_is_killed_before_its_commit_is_a_failure_and_the_table_is_the_old_one() {
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), postgresql(), "unpublished");
    etl.run(&["run", "people"]).exits(0);
    etl.write("jobs/data/people.csv", "id\n2\n");
    let mut reader = session(postgresql(), "etl");
    reader.say("BEGIN; SELECT FROM unpublished.people;");
    let run = start(&etl, "people");
    let waiters = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'unpublished.people'::regclass";
    wait_until("the publish waits for the table", || psql(postgresql(), "etl", waiters) == "1");
    kill_process(children(run.id()).pop().expect("a worker"), Signal::KILL).expect("it is at work");
    ended(&etl, "people", run).exits(1).mentions("SIGKILL");
    reader.say("COMMIT;");
    assert_eq!(psql(postgresql(), "etl", &format!("{VALUE} unpublished.people")), "1");
    assert_eq!(statuses(&etl), ["failed", "success"]);
    etl.run(&["run", "people"]).exits(0);
    assert_eq!(psql(postgresql(), "etl", &format!("{VALUE} unpublished.people")), "2");
    let staging = "SELECT count(*) FROM pg_class WHERE relnamespace = 'unpublished'::regnamespace AND relname ~ '^_etlsched_[0-9a-f]{8}_'";
    assert_eq!(psql(postgresql(), "etl", staging), "0");
}

/// A full load (swapped and in place) and a merge, each under crashes of the server at moments that are spread over its time.
#[test]
fn a_server_that_crashes_at_any_moment_leaves_the_old_table_or_the_new_one() {
    let server = own_postgresql(&[]);
    let rows = |value: u32| (0..20_000).map(|id| format!("{id},{value},some text that is long enough to be seen\n")).collect::<String>();
    let csv = |value| format!("id,value,text\n{}", rows(value));
    let merge = "primary_key: [id]\netl_config: {mode: incremental}\n";
    for (schema, keys, more) in [
        ("swapped", "", "CREATE UNIQUE INDEX ON swapped.rows (id); CREATE INDEX ON swapped.rows (text)"),
        ("stays", "", "CREATE VIEW stays.of_rows AS SELECT * FROM stays.rows"),
        ("merged", merge, "SELECT 1"),
    ] {
        let etl = into_schema(Etl::new().csv_job("rows", keys, csv(0)), &server, schema);
        etl.run(&["run", "rows"]).exits(0);
        psql(&server, "etl", more);
        let mut last = 0;
        let mut whole = Duration::ZERO;
        for turn in 1..=9_u32 {
            etl.write("jobs/data/rows.csv", csv(turn));
            // The first one isn't crashed: it tells how long a load takes.
            let (run, began) = (start(&etl, "rows"), Instant::now());
            if turn > 1 {
                std::thread::sleep(whole * (turn + 3) / 12);
                restart_at_once(&server);
            }
            let run = ended(&etl, "rows", run);
            if turn == 1 {
                whole = began.elapsed();
            }
            let found = psql(&server, "etl", &format!("SELECT DISTINCT value FROM {schema}.rows"));
            let new = turn.to_string();
            assert!(found == last.to_string() || found == new, "{schema}, crash {turn}: {found:?} after {last}");
            assert_eq!(psql(&server, "etl", &format!("SELECT count(*) FROM {schema}.rows")), "20000", "{schema}, crash {turn}");
            // The log tells the truth.
            assert_eq!(run.code == Some(0), found == new, "{schema}, crash {turn}: {}", run.stderr);
            assert_eq!(statuses(&etl)[0] == "success", found == new, "{schema}, crash {turn}");
            last = found.parse().expect("a number");
        }
        let staging = format!(
            "SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relname ~ '^_etlsched_[0-9a-f]{{8}}_'"
        );
        etl.run(&["run", "rows"]).exits(0);
        assert_eq!(psql(&server, "etl", &staging), "0", "{schema}");
        assert_eq!(psql(&server, "etl", &format!("SELECT DISTINCT value FROM {schema}.rows")), "9", "{schema}");
    }
}

#[test]
fn a_disk_that_is_full_on_the_server_leaves_the_old_table_and_the_next_run_succeeds() {
    let server = own_postgresql(&[]);
    let csv = |rows: u32| format!("id,text\n{}", (0..rows).map(|id| format!("{id},{}\n", "x".repeat(400))).collect::<String>());
    let etl = into_schema(Etl::new().csv_job("rows", "", csv(10)), &server, "full");
    etl.run(&["run", "rows"]).exits(0);
    etl.write("jobs/data/rows.csv", csv(60_000));
    // More than a file of the log (16 MiB), less than the rows.
    limit_files(&server, "17000001");
    etl.run(&["run", "rows"]).exits(1).mentions("could not extend file").mentions("make room on the server's disk");
    assert_eq!(psql(&server, "etl", "SELECT count(*) FROM \"full\".rows"), "10");
    limit_files(&server, "unlimited");
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(psql(&server, "etl", "SELECT count(*) FROM \"full\".rows"), "60000");
    assert_eq!(psql(&server, "etl", "SELECT count(*) FROM pg_class WHERE relname ~ '^_etlsched_[0-9a-f]{8}_'"), "0");
}

#[test]
fn a_standby_is_refused_as_a_destination() {
    let server = own_postgresql(&["wal_level=replica"]);
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), &server, "primary_only");
    etl.run(&["run", "people"]).exits(0);
    let copy = standby(&server);
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("it is text");
    etl.write("etlsched.yaml", settings.replace(&format!("port: {}", server.port), &format!("port: {}", copy.port)));
    etl.run(&["run", "people"]).exits(1).mentions("recovery").mentions("name the primary");
    etl.run(&["state", "show", "people"]).exits(0);
}
