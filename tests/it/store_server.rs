//! A state store on a server: how seldom the gate asks it, and its disk that is full.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::etl::{Ended, Etl};
use crate::servers::small_disk::{clear, fill, postgresql_on_small_disk};
use crate::servers::{Server, own_postgresql, psql, wait_until};
use crate::shared_state::workspace;

/// Calls the gate of the job `sales` at an instant of 2026-11-24; returns how many connections and statements the server saw.
#[track_caller]
fn gate(server: &Server, etl: &Etl, time: &str) -> (usize, usize) {
    let seen = || {
        let log = std::fs::read_to_string(server.folder.join("log")).expect("the server's log");
        let count = |words: &[&str]| log.lines().filter(|line| words.iter().any(|word| line.contains(word))).count();
        (count(&["connection authorized:"]), count(&[" statement: ", " execute "]))
    };
    let before = seen();
    let mut command = etl.command(&["run", "sales", "--scheduled"]);
    let output = command.env("ETLSCHED_NOW", format!("2026-11-24T{time}Z")).output().expect("the program starts");
    Ended::new(etl, &["run", "sales", "--scheduled"], output).exits(0).prints("").says("");
    let after = seen();
    (after.0 - before.0, after.1 - before.1)
}

fn runs(server: &Server) -> String {
    psql(server, "etl", "SELECT count(*) || ' of ' || count(DISTINCT slot) FROM runs WHERE status = 'success'")
}

#[test]
fn a_gate_with_nothing_to_do_asks_once_and_then_not_at_all_until_the_next_slot() {
    let server = own_postgresql(&["log_connections=on", "log_statement=all"]);
    let [here, there] = [workspace(&server, "etl"), workspace(&server, "etl")];
    gate(&server, &here, "01:00:01");
    gate(&server, &here, "01:15:01");
    // The greeting, the versions and the look, sent in one go.
    assert_eq!(gate(&server, &here, "01:15:05"), (1, 3));
    assert_eq!([gate(&server, &here, "01:15:09"), gate(&server, &here, "01:29:59")], [(0, 0), (0, 0)]);
    let note = here.path(".etlsched/gate/sales.json");
    let mode = std::fs::metadata(&note).expect("a note").permissions().mode() & 0o7777;
    let text = std::fs::read_to_string(&note).expect("a note");
    assert!(mode == 0o600 && text.contains("2026-11-24T01:15") && !text.contains("secret"), "{mode:o} {text}");
    // Another host has no note; that its job lies in another folder is written down first.
    assert_eq!(gate(&server, &there, "01:20:00").0, 1);
    assert_eq!([gate(&server, &there, "01:20:01"), gate(&server, &there, "01:20:02")], [(1, 3), (0, 0)]);
    gate(&server, &here, "01:30:01");
    assert_eq!(runs(&server), "3 of 3");
    assert_eq!(gate(&server, &there, "01:30:02").0, 1);
    assert_eq!([gate(&server, &there, "01:30:03"), gate(&server, &there, "01:30:04")], [(1, 3), (0, 0)]);
    // A clock that went back, another definition and spoiled notes are asked about.
    assert!(gate(&server, &there, "01:20:00").0 > 0);
    for spoiled in ["", "{", &text.replace("fingerprint", "print"), &text.replace("as etl", "as other")] {
        here.write(".etlsched/gate/sales.json", spoiled);
        assert!(gate(&server, &here, "01:31:00").0 > 0, "{spoiled:?} was believed");
    }
    let job = std::fs::read_to_string(here.path("jobs/sales.yaml")).expect("the job");
    here.write("jobs/sales.yaml", format!("{job}description: as before\n"));
    assert!(gate(&server, &here, "01:32:00").0 > 0);
    // What people did to the job since: the next slot is not started, nor the one in which it comes back by itself missed.
    here.run(&["disable", "sales"]).exits(0);
    gate(&server, &here, "01:45:01");
    gate(&server, &there, "01:45:01");
    assert_eq!(runs(&server), "3 of 3");
    there.command(&["enable", "sales"]).env("ETLSCHED_NOW", "2026-11-24T01:50:00Z").output().expect("it starts");
    gate(&server, &here, "02:00:01");
    assert_eq!(runs(&server), "4 of 4");
    here.run(&["delete", "sales", "--yes"]).exits(0);
    assert!(!note.exists());
}

/// The slot is one host's, which dies: another host that came by meanwhile must not think that it is settled.
#[test]
fn a_slot_whose_run_goes_on_or_was_interrupted_elsewhere_is_never_noted_as_settled() {
    let server = own_postgresql(&[]);
    let [here, there] = [workspace(&server, "etl"), workspace(&server, "etl")];
    gate(&server, &here, "01:00:01");
    let rows: String = (0..1_500_000).map(|number| format!("{number},a text of some length that fills the file\n")).collect();
    here.write("jobs/data/sales.csv", format!("id,text\n{rows}"));
    let mut command = here.command(&["run", "sales", "--scheduled"]);
    let mut run = command.env("ETLSCHED_NOW", "2026-11-24T01:15:01Z").stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("it runs", || psql(&server, "etl", "SELECT count(*) FROM run_sources WHERE status = 'running'") == "1");
    let running = "UPDATE leases SET boot_id = 'of another host', host = 'another'";
    psql(&server, "etl", running);
    gate(&server, &there, "01:15:02");
    assert!(!there.path(".etlsched/gate/sales.json").exists(), "a slot whose run goes on is not settled");
    kill_process(Pid::from_child(&run), Signal::KILL).expect("it runs");
    run.wait().expect("it ends");
    psql(&server, "etl", &format!("{running}, renewed_boot_micros = renewed_boot_micros - 61000000"));
    gate(&server, &there, "01:20:01");
    assert_eq!(psql(&server, "etl", "SELECT status || ' ' || claim_count FROM slots WHERE due_at = '2026-11-24 01:15:00'"), "done 2");
    assert_eq!(there.warehouse().value("SELECT count(*) FROM sales"), "2");
}

#[test]
fn a_store_whose_server_has_a_full_disk_never_calls_a_run_good_and_the_next_one_settles_it() {
    let server = postgresql_on_small_disk(14 * 1024);
    let etl = workspace(&server, "etl");
    // Enough sources that each run writes about a page.
    let sources: String = (0..6).map(|number| format!("  - {{name: source{number}, path: jobs/data/sales.csv}}\n")).collect();
    etl.write("jobs/sales.yaml", format!("schedule_type: manual\nmax_retries: 0\ndata_sources:\n{sources}"));
    etl.run(&["run", "sales"]).exits(0);
    let mut round = 0;
    for pages in [0, 1, 3, 6] {
        fill(&server, pages);
        // What is free in the pages that the store has is used up first.
        let mut has_failed = false;
        for _ in 0..20 {
            round += 1;
            etl.write("jobs/data/sales.csv", format!("id,text\n{round},x\n"));
            let ended = etl.run(&["run", "sales"]);
            if ended.code == Some(0) {
                assert_eq!(etl.warehouse().rows("SELECT id FROM source5"), [round.to_string()]);
                continue;
            }
            assert_eq!(ended.code, Some(1), "{}", ended.stderr);
            assert!(ended.stderr.contains("the disk is full"), "{}", ended.stderr);
            has_failed = true;
            break;
        }
        assert!(has_failed, "no run met the full disk with {pages} pages left");
        clear(&server);
        etl.run(&["run", "sales"]).exits(0);
        assert_eq!(etl.warehouse().rows("SELECT id FROM source0 UNION ALL SELECT id FROM source5"), [round.to_string(), round.to_string()]);
        assert_eq!(psql(&server, "etl", "SELECT count(*) FROM runs WHERE status IN ('started', 'running')"), "0");
        assert_eq!(psql(&server, "etl", "SELECT count(*) FROM leases"), "0");
        assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    }
}
