//! A run ends within ten seconds of its time limit, wherever it hangs: in a web server's answer, at a locked table, at a server that takes
//! connections and says nothing, in a worker that hears no signal, at a warehouse that another program holds.
//!
//! `ETLSCHED_HANGS=20` hangs so often in each way.

use std::net::TcpListener;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::etl::{Ended, Etl, report};
use crate::faults::children;
use crate::servers::http::{Response, serve};
use crate::servers::{self, PASSWORD, postgresql, psql, wait_until};

/// The run's limit, and how much longer it may take: SIGTERM at the limit, SIGKILL 8 s later.
const LIMIT: Duration = Duration::from_secs(1);
const OVER_MAX: Duration = Duration::from_secs(10);

/// Runs a job that hangs, as often as asked, and demands that each run ends in time, as `timeout`, with nothing left behind.
#[track_caller]
fn ends_in_time(kind: &str, etl: &Etl, interfere: &dyn Fn(&Child)) {
    let rounds: u32 = std::env::var("ETLSCHED_HANGS").map_or(1, |text| text.parse().expect("a number"));
    let (mut kept, mut worst) = (0, Duration::ZERO);
    for _ in 0..rounds {
        let run = etl.command(&["run", "stuck", "--timeout-seconds", "1"]).spawn().expect("it starts");
        interfere(&run);
        let ended = Ended::new(etl, &["run", "stuck"], run.wait_with_output().expect("it ends"));
        let ended = ended.exits(124).mentions("time limit of 1 s passed");
        // From the run's begin to its end, by a clock that never steps: a busy machine starts processes late.
        let took = etl.state().value("SELECT execution_time_seconds FROM runs ORDER BY started_at DESC, id DESC LIMIT 1");
        let over = Duration::from_secs_f64(took.parse().expect("seconds")).saturating_sub(LIMIT);
        worst = worst.max(over);
        kept += u32::from(over <= OVER_MAX);
        assert_eq!(etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0]["status"], "timeout", "{}", ended.stderr);
        assert_eq!(etl.state().value("SELECT count(*) FROM leases"), "0");
    }
    report(&format!("hangs: kind={kind} runs={rounds} kept={kept} worst_over_seconds={:.1}", worst.as_secs_f64()));
    assert_eq!(kept, rounds, "{kind}: {worst:?} over the limit");
}

/// A job on a PostgreSQL connection.
fn of_server(port: u16, database: &str) -> Etl {
    let connection = format!("{{type: postgresql, host: 127.0.0.1, port: {port}, database: {database}, user: etl");
    Etl::new()
        .env("PG_PASSWORD", PASSWORD)
        .file("etlsched.yaml", format!("connections:\n  erp: {connection}, password: \"${{PG_PASSWORD}}\"}}\n"))
        .file("jobs/stuck.yaml", "data_sources:\n  - {name: stuck, connection: erp, table: public.held, target: held}\n")
}

#[test]
fn an_answer_that_does_not_come_is_left_at_the_limit() {
    let server = serve(|_| Response::hang());
    let etl = Etl::new().file("jobs/stuck.yaml", format!("data_sources:\n  - {{name: stuck, path: \"{}\"}}\n", server.url("/x.csv")));
    ends_in_time("web-answer", &etl, &|_| {});
}

#[test]
fn a_locked_table_is_left_at_the_limit() {
    psql(postgresql(), "postgres", "CREATE DATABASE hangs");
    psql(postgresql(), "hangs", "CREATE TABLE held (id int PRIMARY KEY)");
    let mut session = servers::session(postgresql(), "hangs");
    session.say("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE;");
    ends_in_time("locked-table", &of_server(postgresql().port, "hangs"), &|_| {});
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_left_at_the_limit() {
    // Its backlog takes them; nobody accepts.
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    ends_in_time("silent-server", &of_server(server.local_addr().expect("an address").port(), "any"), &|_| {});
}

#[test]
fn a_worker_that_hears_nothing_is_killed_after_the_limit() {
    let server = serve(|_| Response::hang());
    let etl = Etl::new().file("jobs/stuck.yaml", format!("data_sources:\n  - {{name: stuck, path: \"{}\"}}\n", server.url("/x.csv")));
    ends_in_time("stopped-worker", &etl, &|run| {
        wait_until("the worker starts", || !children(run.id()).is_empty());
        kill_process(children(run.id())[0], Signal::STOP).expect("it runs");
    });
}

#[test]
fn a_warehouse_that_another_program_holds_is_left_at_the_limit() {
    let etl = Etl::new().csv_job("stuck", "", "id\n1\n");
    etl.run(&["run", "stuck"]).exits(0);
    let holder = rusqlite::Connection::open(etl.path(".etlsched/warehouse.db")).expect("the warehouse");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    ends_in_time("held-warehouse", &etl, &|_| {});
}

/// Where the run's limit leaves time for it, the log says who holds the lock: here a worker of another run that was stopped.
#[test]
fn who_waits_for_a_stopped_worker_says_which_process_that_is() {
    let rows: String = (0..1_500_000).map(|number| format!("{number},a text of some length that fills the file\n")).collect();
    let etl = Etl::new().csv_job("first", "", format!("id,text\n{rows}")).csv_job("second", "", "id\n1\n");
    let first = etl.start("first");
    let worker = children(first.id())[0];
    let holds = || {
        let warehouse = rusqlite::Connection::open(etl.path(".etlsched/warehouse.db")).expect("the warehouse");
        warehouse.busy_timeout(Duration::ZERO).expect("a timeout can be set");
        warehouse.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
    };
    // Stopped between two chunks it holds nothing: again, until it is met within one.
    wait_until("the worker is stopped in a transaction", || {
        kill_process(worker, Signal::STOP).expect("it runs");
        let is_held = holds();
        if !is_held {
            kill_process(worker, Signal::CONT).expect("it is stopped");
        }
        is_held
    });
    let second = etl.run(&["run", "second", "--timeout-seconds", "7"]);
    kill_process(worker, Signal::CONT).expect("it is stopped");
    let holder = format!("process {} (etlsched, stopped) holds the lock on ", worker.as_raw_nonzero());
    second.exits(124).mentions("waiting for the turn to write: ").mentions(&holder).mentions("warehouse.db");
    let (code, said) = first.end();
    assert_eq!(code, Some(0), "{said}");
    etl.run(&["run", "second"]).exits(0);
}
