//! What fails beneath a run: a worker dies, the disk is full, a store is taken away. The run fails cleanly, what was published
//! before stays, and the next run is good by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::etl::Etl;

/// Returns the children of a process.
pub fn children(parent: u32) -> Vec<Pid> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let mut ids: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
    // Whichever thread started it, a child is listed under that thread.
    for task in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let listed = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        ids.extend(listed.split_whitespace().map(str::to_owned));
    }
    ids.sort();
    ids.dedup();
    ids.iter().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

/// Returns a child that has a file open.
fn reader_of(parent: u32, file: &str) -> Option<Pid> {
    children(parent).into_iter().find(|child| {
        let open = fs::read_dir(format!("/proc/{}/fd", child.as_raw_nonzero())).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path.ends_with(file))
    })
}

#[test]
fn a_worker_that_is_killed_leaves_the_other_sources_alone() {
    let etl = Etl::sample();
    // Long enough to be met at work.
    let month = etl.path("jobs/data/flights-2013-01.csv.gz");
    let member = fs::read(&month).expect("the sample");
    etl.write("jobs/data/flights-2013-01.csv.gz", member.repeat(10));
    let run = etl.start_source("flights", "flights");
    let victim = reader_of(run.id(), "flights-2013-01.csv.gz").expect("a worker reads the flights");
    kill_process(victim, Signal::KILL).expect("the worker is at work");
    let (code, said) = run.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("SIGKILL") && said.contains("flights"), "{said}");
    let counts = ["airlines", "airports", "planes", "weather"].map(|table| etl.warehouse().value(&format!("SELECT count(*) FROM {table}")));
    assert_eq!(counts, ["16", "1458", "3322", "26115"]);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'flights'"), "0");
    let log = &etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0];
    assert_eq!(log["data_sources_failed"], serde_json::json!(["flights"]));
    etl.write("jobs/data/flights-2013-01.csv.gz", member);
    etl.run(&["run", "flights"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM flights"), "27004");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_a_clean_failure_and_the_old_table_stays() {
    let etl = Etl::new().csv_job("rows", "", "number,text\n1,old\n");
    etl.run(&["run", "rows"]).exits(0);
    let many: String = (0..200_000).map(|number| format!("{number},a text of some length\n")).collect();
    let etl = etl.csv_job("rows", "", format!("number,text\n{many}"));
    // No file may grow beyond 2,000 blocks of 512 bytes: to SQLite, a disk that is full.
    let program = etl.command(&["run", "rows"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 2000; exec \"$0\" run rows"]).arg(program.get_program()).current_dir(etl.path(""));
    let output = limited.output().expect("sh");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("source rows") && !said.contains("SIGXFSZ"), "{said}");
    assert_eq!(etl.warehouse().rows("SELECT * FROM rows"), ["1|old"]);
    let log = &etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0];
    assert_eq!(log["status"], "failed");
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) || ' ' || sum(number) FROM rows"), "200000 19999900000");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_state_store_that_cannot_be_used_fails_the_run_before_any_source_is_opened() {
    for (spoil, text) in [(b"no database at all".repeat(500), "not a SQLite database"), (Vec::new(), "folder")] {
        let etl = Etl::new().csv_job("rows", "", "a\n1\n");
        let store = etl.path(".etlsched/state.db");
        fs::create_dir(etl.path(".etlsched")).expect("its folder");
        fs::set_permissions(etl.path(".etlsched"), fs::Permissions::from_mode(0o700)).expect("its mode");
        if spoil.is_empty() {
            fs::create_dir(&store).expect("a folder in its place");
        } else {
            fs::write(&store, &spoil).expect("a file in its place");
        }
        etl.run(&["run", "rows"]).exits(1).mentions("state.db").mentions(text);
        assert!(!etl.path(".etlsched/warehouse.db").exists(), "the warehouse was opened");
    }
}

#[test]
fn a_state_store_that_is_removed_in_a_run_tears_nothing_and_the_next_run_goes_on() {
    let rows: String = (0..1_500_000).map(|number| format!("{number},a text of some length\n")).collect();
    let etl = Etl::new().csv_job("rows", "", format!("number,text\n{rows}"));
    let run = etl.start("rows");
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(etl.path(".etlsched").join(name));
    }
    let (code, said) = run.end();
    let is_published = etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'rows'") == "1";
    assert!(is_published || code == Some(1), "{said}");
    // The workspace's id was kept beside the store: its tables are still its own.
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM sqlite_schema WHERE name = 'rows'") == "1", is_published);
    etl.run(&["run", "rows"]).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM rows"), "1500000");
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
    assert_eq!(etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0]["status"], "success");
}

/// The store is on a disk of its own, which is filled to some measure before a run and freed after it.
#[test]
fn a_state_store_on_a_full_disk_is_a_clean_failure_wherever_the_disk_ends() {
    let etl = Etl::new().csv_job("rows", "", "a\n1\n").file("etlsched.yaml", "state: sqlite:store/state.db\n");
    fs::create_dir(etl.path("store")).expect("a folder");
    let script = "mount -t tmpfs -o size=1m none store && \"$0\" run rows >/dev/null 2>&1 || exit 9
        for free in 0 4 8 16 24 32 40 48 64 80 96 128 160; do
          dd if=/dev/zero of=store/filler bs=1k count=1024 2>/dev/null; truncate -s $(( $(stat -c %s store/filler) - free * 1024 )) store/filler
          \"$0\" run rows >/dev/null 2>said; echo \"$free $? $(grep -c '^error: .*is full' said)\"
          rm store/filler; \"$0\" run rows >/dev/null 2>&1; echo \"freed $?\"
        done
        mount -o remount,ro store; \"$0\" run rows >/dev/null 2>said; echo \"read-only $? $(grep -c '^error: .*it is read-only here' said)\"
        mount -o remount,rw store; \"$0\" logs -o json --page-size 100";
    let inner = etl.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(inner.get_program()).current_dir(etl.path(""));
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (lines, log) = said.split_at(said.find('{').unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))));
    let mut failed = 0;
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["freed", code] => assert_eq!(code, "0", "{lines}"),
            ["read-only", code, told] => assert_eq!((code, told), ("1", "1"), "{lines}"),
            [_, "0", _] => {}
            [_, code, told] => {
                assert_eq!((code, told), ("1", "1"), "one clear error: {lines}");
                failed += 1;
            }
            _ => panic!("{said}"),
        }
    }
    assert!(failed > 1, "the disk was never full: {lines}");
    let log: serde_json::Value = serde_json::from_str(log).expect("the log");
    let open = log["logs"].as_array().expect("runs").iter().filter(|run| run["status"] == "running" || run["status"] == "started").count();
    assert_eq!(open, 0, "{log:#}");
    crate::etl::report(&format!("13 disks of the state store, {failed} full: {}", lines.replace('\n', ", ")));
}

#[test]
fn a_letter_that_the_store_refuses_leaves_the_run_closed_and_is_told_of() {
    let etl = Etl::new().file("jobs/sales.yaml", "notification_emails: [ann@example.com]\ndata_sources:\n  - path: jobs/data/gone.csv\n");
    etl.run(&["run", "sales", "--no-notify"]).exits(1);
    etl.state().execute("CREATE TRIGGER refusing BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no more of these'); END");
    let why = "nobody is told how this run ended, because the state store refuses what was to be sent: no more of these";
    etl.run(&["run", "sales"]).exits(1).mentions(why);
    etl.run(&["logs", "--run", "last"]).exits(0).mentions(why);
    assert_eq!(etl.state().rows("SELECT status, exit_code FROM runs WHERE completed_at IS NOT NULL"), ["failed|1", "failed|1"]);
    etl.state().execute("DROP TRIGGER refusing");
    etl.run(&["run", "sales"]).exits(1);
    assert_eq!(etl.state().rows("SELECT kind FROM outbox"), ["failure"], "what was not told is told the next time");
}
