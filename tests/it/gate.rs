//! `run --scheduled` and `run --due`: each slot is started once, whatever calls them, whenever, however often. Slots go by `ETLSCHED_NOW`.

use std::process::{Child, Stdio};

use crate::etl::{Ended, Etl};

/// A workspace with one job that loads one row; `keys` say when.
fn scheduled(keys: &str) -> Etl {
    Etl::new().file("jobs/sales.yaml", job(keys)).file("jobs/data/sales.csv", "a\n1\n")
}

fn job(keys: &str) -> String {
    format!("{keys}data_sources:\n  - path: jobs/data/sales.csv\n")
}

const DAILY_IN_BERLIN: &str = "schedule_type: daily\nhour: 2\nminute: 30\ntimezone: Europe/Berlin\n";
const HOURLY: &str = "schedule_type: hourly\nminute: 0\n";

/// Calls the program at an instant.
fn at(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("the program starts");
    Ended::new(etl, arguments, output)
}

/// What a scheduler does at an instant: nothing may be said, and the code is 0.
#[track_caller]
fn fire(etl: &Etl, now: &str) {
    at(etl, now, &["run", "sales", "--scheduled"]).exits(0).prints("").says("");
}

/// Slot, trigger and status of each run, oldest first.
fn runs(etl: &Etl) -> Vec<String> {
    etl.state().rows("SELECT coalesce(slot, '-'), triggered_by, status FROM runs ORDER BY started_at, id")
}

/// Slot and status of each, oldest first.
fn slots(etl: &Etl) -> Vec<String> {
    etl.state().rows("SELECT slot, status FROM slots ORDER BY due_at, slot")
}

#[test]
fn a_slot_is_run_once_and_everything_else_is_silence() {
    let etl = scheduled(DAILY_IN_BERLIN);
    for now in ["2026-11-24T01:20:00Z", "2026-11-24T01:30:02Z", "2026-11-24T01:30:02Z", "2026-11-24T01:45:00Z", "2026-11-25T01:29:00Z"] {
        fire(&etl, now);
    }
    assert_eq!(runs(&etl), ["2026-11-24T02:30|schedule|success"]);
    assert_eq!(slots(&etl), ["2026-11-24T02:30|done"]);
    let log = etl.run(&["logs", "-o", "json"]).exits(0).json()["logs"][0].clone();
    assert_eq!((log["slot"].as_str(), log["triggered_by"].as_str()), (Some("2026-11-24T02:30"), Some("schedule")), "{log:#}");
    assert_eq!(etl.warehouse().value("SELECT slot FROM _etlsched_loads"), "2026-11-24T02:30");
}

#[test]
fn a_table_of_runs_has_one_zone_the_users_and_its_headers_name_it() {
    let etl = scheduled(DAILY_IN_BERLIN).file("etlsched.yaml", "timezone: Asia/Tokyo\n");
    fire(&etl, "2026-11-24T01:30:00Z");
    for command in [&["logs"][..], &["show", "sales"]] {
        let output = etl.command(command).output().expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("Trigger   Slot (JST)\n") && text.contains("schedule  2026-11-24 10:30\n"), "{text}");
        assert!(text.contains("Started (JST)"), "{text}");
    }
    // A slot that is no longer written down keeps its key.
    etl.state().execute("DELETE FROM slots");
    etl.run(&["logs"]).exits(0).mentions("Trigger   Slot\n").mentions("schedule  2026-11-24T02:30\n");
}

#[test]
fn a_run_whose_job_is_broken_meanwhile_is_the_success_that_it_is() {
    let lines: String = (0..1_200_000).map(|number| format!("{number}\n")).collect();
    for catch_up in ["", "catch_up: all\n"] {
        let keys = format!("{DAILY_IN_BERLIN}{catch_up}");
        let etl = scheduled(&keys).file("jobs/data/sales.csv", format!("a\n{lines}"));
        fire(&etl, "2026-11-24T01:20:00Z");
        let mut command = etl.command(&["run", "sales", "--scheduled", "-v"]);
        command.env("ETLSCHED_NOW", "2026-11-24T01:30:02Z");
        let run = etl.start_command(command, "sales");
        etl.write("jobs/sales.yaml", "data_sources: [");
        let (code, said) = run.end();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(runs(&etl), ["2026-11-24T02:30|schedule|success"]);
        at(&etl, "2026-11-24T01:31:00Z", &["run", "sales", "--scheduled"]).exits(4).mentions("jobs/sales.yaml:");
    }
}

#[test]
fn twenty_processes_on_one_slot_start_one_run() {
    let etl = scheduled(DAILY_IN_BERLIN);
    let start = || etl.command(&["run", "sales", "--scheduled"]).env("ETLSCHED_NOW", "2026-11-24T01:30:01Z").spawn().expect("it starts");
    let children: Vec<Child> = (0..20).map(|_| start()).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), vec![], ""));
    }
    assert_eq!(runs(&etl), ["2026-11-24T02:30|schedule|success"]);
}

#[test]
fn the_days_of_the_clocks_changes_have_one_slot_each() {
    let etl = scheduled(DAILY_IN_BERLIN);
    // 2026-03-29 02:00 becomes 03:00 at 01:00 UTC; 2026-10-25 03:00 becomes 02:00 at 01:00 UTC.
    for quarter in 0..12 {
        fire(&etl, &format!("2026-03-29T{:02}:{:02}:00Z", quarter / 4, quarter % 4 * 15));
    }
    assert_eq!(etl.state().rows("SELECT slot, due_at FROM slots"), ["2026-03-29T02:30|2026-03-29 01:00:00"]);
    for quarter in 0..12 {
        fire(&etl, &format!("2026-10-25T{:02}:{:02}:00Z", quarter / 4, quarter % 4 * 15));
    }
    let newest = "SELECT slot, due_at, status, updated_at >= due_at FROM slots ORDER BY due_at DESC LIMIT 1";
    assert_eq!(etl.state().rows(newest), ["2026-10-25T02:30|2026-10-25 00:30:00|done|1"]);
    // Before the slot of the 25th the one of the 24th was due, which nobody had started.
    let started: Vec<String> = runs(&etl).iter().map(|run| run.split('|').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(started, ["2026-03-29T02:30", "2026-10-24T02:30", "2026-10-25T02:30"]);
}

#[test]
fn an_interval_runs_in_both_passes_of_an_hour() {
    let etl = scheduled("schedule_type: hourly\nminute: 30\ntimezone: Europe/Berlin\n");
    for hour in 0..3 {
        fire(&etl, &format!("2026-10-25T0{hour}:30:01Z"));
    }
    assert_eq!(slots(&etl), ["2026-10-25T00:30:00Z|done", "2026-10-25T01:30:00Z|done", "2026-10-25T02:30:00Z|done"]);
}

#[test]
fn catch_up_last_runs_the_latest_lost_slot_and_records_the_others() {
    let etl = scheduled(HOURLY);
    fire(&etl, "2026-11-24T01:00:01Z");
    fire(&etl, "2026-11-24T05:20:00Z");
    fire(&etl, "2026-11-24T05:21:00Z");
    assert_eq!(runs(&etl), ["2026-11-24T01:00:00Z|schedule|success", "2026-11-24T05:00:00Z|catch_up|success"]);
    let missed = [2, 3, 4].map(|hour| format!("2026-11-24T0{hour}:00:00Z|missed"));
    assert_eq!(slots(&etl)[1..4], missed);
}

#[test]
fn catch_up_none_runs_no_late_slot_and_all_runs_every_one_in_order() {
    let none = scheduled(&format!("{HOURLY}catch_up: none\n"));
    fire(&none, "2026-11-24T01:00:01Z");
    fire(&none, "2026-11-24T04:20:00Z");
    fire(&none, "2026-11-24T05:09:00Z");
    assert_eq!(runs(&none), ["2026-11-24T01:00:00Z|schedule|success", "2026-11-24T05:00:00Z|schedule|success"]);
    assert_eq!(slots(&none)[1..4], [2, 3, 4].map(|hour| format!("2026-11-24T0{hour}:00:00Z|missed")));
    let all = scheduled(&format!("{HOURLY}catch_up: all\ncatch_up_window_minutes: 150\n"));
    fire(&all, "2026-11-24T01:00:01Z");
    fire(&all, "2026-11-24T05:20:00Z");
    let expected = ["01:00:00Z|schedule", "03:00:00Z|catch_up", "04:00:00Z|catch_up", "05:00:00Z|catch_up"];
    assert_eq!(runs(&all), expected.map(|run| format!("2026-11-24T{run}|success")));
    assert_eq!(slots(&all)[1], "2026-11-24T02:00:00Z|missed");
}

#[test]
fn more_than_a_hundred_lost_slots_end_in_one_entry() {
    let etl = scheduled("schedule_type: 15min\n");
    fire(&etl, "2026-11-01T00:00:01Z");
    fire(&etl, "2026-11-11T00:00:01Z");
    let entries = "SELECT status, count(*), sum(slot_count) FROM slots GROUP BY status ORDER BY status";
    assert_eq!(etl.state().rows(entries), ["done|2|2", "missed|101|959"]);
}

#[test]
fn a_job_is_due_from_the_moment_at_which_it_was_noticed() {
    let etl = scheduled(DAILY_IN_BERLIN);
    // A run by hand asks for no slots.
    at(&etl, "2026-11-20T12:00:00Z", &["run", "sales"]).exits(0);
    fire(&etl, "2026-11-24T12:00:00Z");
    assert_eq!(slots(&etl), Vec::<String>::new());
    fire(&etl, "2026-11-25T01:30:00Z");
    assert_eq!(slots(&etl), ["2026-11-25T02:30|done"]);
    // Another schedule counts anew: its slot of 06:00 is over, and the one of 02:30 isn't missed tomorrow.
    etl.write("jobs/sales.yaml", job("schedule_type: daily\nhour: 6\ntimezone: Europe/Berlin\n"));
    fire(&etl, "2026-11-25T12:00:00Z");
    fire(&etl, "2026-11-26T05:00:00Z");
    assert_eq!(slots(&etl)[1..], ["2026-11-26T06:00|done"]);
    // The same local time in another zone is another slot.
    etl.write("jobs/sales.yaml", job("schedule_type: daily\nhour: 6\ntimezone: America/New_York\n"));
    fire(&etl, "2026-11-26T05:01:00Z");
    fire(&etl, "2026-11-26T11:00:00Z");
    assert_eq!(runs(&etl).last().map(String::as_str), Some("2026-11-26T06:00|schedule|success"));
    assert_eq!(etl.state().value("SELECT count(*) FROM slots WHERE due_at LIKE '2026-11-26%' AND status = 'done'"), "2");
    // The same instant by another schedule is the same slot.
    etl.write("jobs/sales.yaml", job("schedule_type: hourly\nminute: 0\ntimezone: America/New_York\n"));
    fire(&etl, "2026-11-26T11:04:00Z");
    assert_eq!(runs(&etl).len(), 4);
}

#[test]
fn slots_of_a_time_when_the_job_was_not_active_are_neither_run_nor_missed() {
    let etl = scheduled(HOURLY);
    fire(&etl, "2026-11-24T01:00:00Z");
    at(&etl, "2026-11-24T01:30:00Z", &["pause", "sales", "--until", "2026-11-24T03:30:00Z"]).exits(0);
    fire(&etl, "2026-11-24T02:00:00Z");
    fire(&etl, "2026-11-24T03:00:00Z");
    fire(&etl, "2026-11-24T03:40:00Z");
    assert_eq!(slots(&etl), ["2026-11-24T01:00:00Z|done"]);
    fire(&etl, "2026-11-24T04:00:00Z");
    at(&etl, "2026-11-24T04:30:00Z", &["disable", "sales"]).exits(0);
    fire(&etl, "2026-11-24T05:00:00Z");
    at(&etl, "2026-11-24T06:30:00Z", &["enable", "sales"]).exits(0);
    fire(&etl, "2026-11-24T06:40:00Z");
    fire(&etl, "2026-11-24T07:00:00Z");
    etl.write("jobs/sales.yaml", job(&format!("{HOURLY}is_active: false\n")));
    fire(&etl, "2026-11-24T08:00:00Z");
    etl.write("jobs/sales.yaml", job(HOURLY));
    fire(&etl, "2026-11-24T09:40:00Z");
    fire(&etl, "2026-11-24T10:00:00Z");
    let done = ["01", "04", "07", "10"].map(|hour| format!("2026-11-24T{hour}:00:00Z|done"));
    assert_eq!(slots(&etl), done);
}

#[test]
fn a_job_in_error_is_left_alone_and_counts_from_the_run_that_clears_it() {
    let etl = scheduled(&format!("{HOURLY}failure_threshold: 1\n"));
    std::fs::remove_file(etl.path("jobs/data/sales.csv")).expect("the data go");
    let failed = at(&etl, "2026-11-24T01:00:00Z", &["run", "sales", "--scheduled"]).exits(1).prints("");
    assert!(failed.stderr.starts_with("error: job sales failed\n  source sales: ") && failed.stderr.contains("\nsee: etlsched -C "));
    assert!(failed.stderr.contains("the job is now in error"), "{}", failed.stderr);
    fire(&etl, "2026-11-24T02:00:00Z");
    etl.write("jobs/data/sales.csv", "a\n1\n");
    at(&etl, "2026-11-24T03:30:00Z", &["run", "sales"]).exits(0);
    fire(&etl, "2026-11-24T03:31:00Z");
    fire(&etl, "2026-11-24T04:00:00Z");
    assert_eq!(slots(&etl), ["2026-11-24T01:00:00Z|failed", "2026-11-24T04:00:00Z|done"]);
}

#[test]
fn a_clock_that_is_set_never_runs_a_slot_again_and_never_silences_the_job() {
    let etl = scheduled(HOURLY);
    let hours = |from: &str, hours: std::ops::Range<u32>| hours.for_each(|hour| fire(&etl, &format!("{from}T{hour:02}:00:00Z")));
    hours("2026-11-24", 8..12);
    // Back by two hours, and on; then a day ahead, and back.
    hours("2026-11-24", 9..13);
    hours("2026-11-25", 12..14);
    hours("2026-11-24", 13..15);
    // Far ahead by mistake, once.
    fire(&etl, "2030-06-01T00:00:00Z");
    hours("2026-11-24", 15..18);
    hours("2026-11-25", 12..15);
    let started: Vec<String> = runs(&etl).iter().filter_map(|run| Some(run.split_once("T")?.1.split_once(':')?.0.to_owned())).collect();
    assert_eq!(started, ["08", "09", "10", "11", "12", "12", "13", "13", "14", "00", "15", "16", "17", "14"]);
    let twice = "SELECT slot FROM runs GROUP BY slot HAVING count(*) > 1";
    assert_eq!(etl.state().rows(twice), Vec::<String>::new());
}

#[test]
fn a_job_that_was_noticed_by_a_clock_ahead_of_time_is_not_silenced() {
    let etl = scheduled(HOURLY);
    fire(&etl, "2030-01-01T00:30:00Z");
    fire(&etl, "2026-11-24T08:00:00Z");
    fire(&etl, "2026-11-24T09:00:00Z");
    assert_eq!(slots(&etl), ["2026-11-24T08:00:00Z|done", "2026-11-24T09:00:00Z|done"]);
}

#[test]
fn only_the_jobs_own_file_matters() {
    let etl = scheduled(HOURLY).file("jobs/broken.yaml", "schedule_type: never\n").file("jobs/no job", "");
    fire(&etl, "2026-11-24T01:00:00Z");
    assert_eq!(slots(&etl), ["2026-11-24T01:00:00Z|done"]);
    at(&etl, "2026-11-24T02:00:00Z", &["run", "broken", "--scheduled"]).exits(4).mentions("jobs/broken.yaml:1");
    at(&etl, "2026-11-24T02:00:00Z", &["run", "sale", "--scheduled"]).exits(2).mentions_words("did you mean sales? If its file is gone");
    at(&etl, "tomorrow", &["run", "sales", "--scheduled"]).exits(2).mentions("premature end of input");
    at(&etl, "2026-11-24T02:00:00Z", &["run", "sales", "--scheduled", "--force"]).exits(2);
}

#[test]
fn a_store_that_can_t_be_used_is_a_loud_failure() {
    let etl = scheduled(HOURLY);
    etl.write("etlsched.yaml", "state: sqlite:nowhere/state.db\n");
    let call = ["run", "sales", "--scheduled"];
    at(&etl, "2026-11-24T01:00:00Z", &call)
        .exits(1)
        .prints("")
        .mentions_words("error: job sales: state store")
        .mentions_words("hint: check `state:`");
    etl.write("etlsched.yaml", "timezone: UTC\n");
    fire(&etl, "2026-11-24T01:00:00Z");
    etl.state().execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')");
    at(&etl, "2026-11-24T01:01:00Z", &call).exits(1).prints("").mentions_words("made by a newer etlsched");
    etl.write(".etlsched/state.db", "no store at all, but long enough to be looked at as one: ".repeat(200));
    at(&etl, "2026-11-24T01:01:00Z", &call).exits(1).prints("").mentions_words("is not a SQLite database");
}

/// Lets a run on another host hold the job's lease, from now on for a minute.
fn hold_lease(etl: &Etl) {
    etl.state().execute(
        "INSERT INTO leases (job, run_id, host, pid, process_start, boot_id, renewed_boot_micros, renewed_at, progress)
         VALUES ('sales', (SELECT id FROM runs LIMIT 1), 'elsewhere', 7, '1', 'b', 0, strftime('%Y-%m-%d %H:%M:%f', 'now'), '{}')",
    );
}

#[test]
fn a_slot_that_meets_another_run_is_skipped_or_fails_as_the_job_says() {
    let etl = scheduled(HOURLY);
    fire(&etl, "2026-11-24T01:00:00Z");
    hold_lease(&etl);
    fire(&etl, "2026-11-24T01:30:00Z");
    fire(&etl, "2026-11-24T02:00:00Z");
    etl.write("jobs/sales.yaml", job(&format!("{HOURLY}on_overlap: fail\nfailure_threshold: 1\n")));
    let refused = at(&etl, "2026-11-24T03:00:00Z", &["run", "sales", "--scheduled"]).exits(5).prints("");
    let said = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.starts_with("error: job sales: run ") && said.contains("on elsewhere"), "{}", refused.stderr);
    fire(&etl, "2026-11-24T03:01:00Z");
    etl.state().execute("DELETE FROM leases");
    fire(&etl, "2026-11-24T03:02:00Z");
    fire(&etl, "2026-11-24T04:00:00Z");
    let fates = ["01:00:00Z|done", "02:00:00Z|skipped", "03:00:00Z|failed", "04:00:00Z|done"];
    assert_eq!(slots(&etl), fates.map(|fate| format!("2026-11-24T{fate}")));
    assert_eq!(runs(&etl)[1], "2026-11-24T03:00:00Z|schedule|failed");
}

#[test]
fn a_job_that_waits_claims_its_slot_when_the_other_run_is_over_or_leaves_it_to_the_next() {
    let etl = scheduled(&format!("{HOURLY}on_overlap: wait\n"));
    fire(&etl, "2026-11-24T01:00:00Z");
    hold_lease(&etl);
    // A second before the next slot: it is not waited for any longer.
    fire(&etl, "2026-11-24T02:59:59Z");
    assert_eq!(slots(&etl), ["2026-11-24T01:00:00Z|done", "2026-11-24T02:00:00Z|skipped"]);
    let mut command = etl.command(&["run", "sales", "--scheduled", "--log-format", "text"]);
    let mut child = command.env("ETLSCHED_NOW", "2026-11-24T03:00:00Z").spawn().expect("it starts");
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("a line");
    assert!(line.contains("event=waiting_for_lease"), "{line}");
    etl.state().execute("DELETE FROM leases");
    // Whoever waits for the end of the output waits for the run.
    std::io::Read::read_to_string(&mut lines, &mut line).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{line}");
    assert_eq!(runs(&etl)[1..], ["2026-11-24T03:00:00Z|schedule|success"]);
}

#[test]
fn due_runs_every_job_that_is_due_and_a_bad_file_stops_only_its_own() {
    let etl = scheduled(HOURLY).file("jobs/other.yaml", job(&HOURLY.replace('0', "30")));
    let etl = etl.file("jobs/third.yaml", job(HOURLY).replace("sales.csv", "third.csv")).file("jobs/data/third.csv", "a\n1\n");
    let due = |now: &str| at(&etl, now, &["run", "--due", "--scheduled"]);
    due("2026-11-24T01:00:00Z").exits(0).prints("").says("");
    due("2026-11-24T01:05:00Z").exits(0).prints("").says("");
    let started = || etl.state().rows("SELECT job, slot FROM runs ORDER BY job, slot");
    assert_eq!(started(), ["sales|2026-11-24T01:00:00Z", "third|2026-11-24T01:00:00Z"]);
    etl.write("jobs/other.yaml", "schedule_type: never\n");
    due("2026-11-24T02:00:00Z").exits(3).prints("").mentions("jobs/other.yaml:1");
    assert_eq!(started().len(), 4);
    std::fs::remove_file(etl.path("jobs/other.yaml")).expect("the file goes");
    at(&etl, "2026-11-24T02:05:00Z", &["run", "--due"]).exits(0).prints("").says("no job is due\n");
    at(&etl, "2026-11-24T03:00:00Z", &["run", "--due"]).exits(0).mentions("third: success");
    at(&etl, "2026-11-24T03:00:00Z", &["run", "--due", "sales"]).exits(2);
}

#[test]
fn a_folder_of_jobs_that_was_moved_away_is_told_with_exit_4_and_a_new_workspace_is_not() {
    let etl = Etl::new().file("etlsched.yaml", "timezone: UTC\n");
    let due = |now: &str| at(&etl, now, &["run", "--due", "--scheduled"]);
    due("2026-11-24T02:00:00Z").exits(0).prints("").says("");
    assert!(!etl.path(".etlsched").join("state.db").exists(), "nothing is made");
    etl.write("jobs/sales.yaml", job(HOURLY));
    etl.write("jobs/data/sales.csv", "a\n1\n");
    due("2026-11-24T03:00:00Z").exits(0).prints("").says("");
    std::fs::rename(etl.path("jobs"), etl.path("moved")).expect("the folder moves");
    let hint = "hint: bring the files back; a job that is over is taken away with: etlsched\n  delete sales\n";
    let gone = "error: jobs is gone, and the state store knows 1 active job (sales): nothing\n  runs\n";
    due("2026-11-24T04:00:00Z").exits(4).prints("").says(&format!("{gone}{hint}"));
    std::fs::create_dir(etl.path("jobs")).expect("a folder");
    let empty = "error: no job file is in jobs, and the state store knows 1 active job (sales):\n  nothing runs\n";
    due("2026-11-24T04:00:00Z").exits(4).prints("").says(&format!("{empty}{hint}"));
    let answer = at(&etl, "2026-11-24T04:00:00Z", &["run", "--due", "-o", "json"]).exits(4).json();
    assert_eq!(answer["error"]["code"], "no_job_files", "{answer:#}");
    at(&etl, "2026-11-24T04:00:00Z", &["delete", "sales", "--yes"]).exits(0);
    due("2026-11-24T04:00:00Z").exits(0).prints("").says("");
}

/// A workspace whose job loads a file and then a table that never ends; the receiver hears of each read of the second.
#[cfg(target_os = "linux")]
fn stuck() -> (Etl, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/x.csv", server.local_addr().expect("an address"));
    let (tell, told) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 4096]);
            if may_go_on.try_recv().is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\na\n1\n");
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na,b\n1,2\n");
            open.push(stream);
            let _ = tell.send(());
        }
    });
    let text = format!(
        "{HOURLY}etl_config: {{parallel_processing: false}}\ndata_sources:\n  - {{name: quick, path: jobs/data/sales.csv}}\n  \
         - {{name: slow, path: \"{url}\"}}\n"
    );
    (scheduled(HOURLY).file("jobs/sales.yaml", text), told, go_on)
}

#[test]
#[cfg(target_os = "linux")]
fn a_slot_whose_run_was_killed_is_due_again_for_what_was_not_published() {
    let (etl, told, go_on) = stuck();
    let kill_one = |now: &str| {
        let mut command = etl.command(&["run", "sales", "--scheduled"]);
        let mut child = command.env("ETLSCHED_NOW", now).stderr(Stdio::null()).spawn().expect("it starts");
        told.recv().expect("the second source is read");
        child.kill().expect("it lives");
        child.wait().expect("it ends");
    };
    let slot = "2026-11-24T01:00:00Z";
    let mut command = etl.command(&["run", "sales", "--scheduled"]);
    let mut child = command.env("ETLSCHED_NOW", slot).stderr(Stdio::null()).spawn().expect("it starts");
    told.recv().expect("the second source is read");
    etl.run(&["status"]).exits(0).mentions("\nsales: schedule of slot ####-##-##T##:##:##Z\n");
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    kill_one("2026-11-24T01:01:00Z");
    assert_eq!(etl.state().rows("SELECT slot, status, claim_count FROM slots"), ["2026-11-24T01:00:00Z|running|2"]);
    go_on.send(()).expect("the server waits");
    fire(&etl, "2026-11-24T01:20:00Z");
    assert_eq!(etl.state().rows("SELECT slot, status, claim_count FROM slots"), ["2026-11-24T01:00:00Z|done|3"]);
    let log = "SELECT triggered_by, status, is_interrupted, data_sources_processed, data_sources_skipped FROM runs ORDER BY started_at";
    let expected = ["schedule|failed|1|[\"quick\"]|[]", "schedule|failed|1|[]|[\"quick\"]", "catch_up|success|0|[\"slow\"]|[\"quick\"]"];
    assert_eq!(etl.state().rows(log), expected);
    assert_eq!(etl.warehouse().value("SELECT version FROM _etlsched_loads WHERE source = 'quick'"), "1");
    assert_eq!(etl.state().value("SELECT consecutive_failures FROM jobs"), "0");
}

#[test]
#[cfg(target_os = "linux")]
fn a_slot_is_given_up_after_its_third_interruption() {
    let (etl, told, _go_on) = stuck();
    for minute in 0..3 {
        let mut command = etl.command(&["run", "sales", "--scheduled"]);
        let mut child =
            command.env("ETLSCHED_NOW", format!("2026-11-24T01:0{minute}:00Z")).stderr(Stdio::null()).spawn().expect("it starts");
        told.recv().expect("the second source is read");
        child.kill().expect("it lives");
        child.wait().expect("it ends");
    }
    fire(&etl, "2026-11-24T01:05:00Z");
    assert_eq!(etl.state().rows("SELECT status, claim_count FROM slots"), ["interrupted|3"]);
    assert_eq!(runs(&etl).len(), 3);
}

#[test]
fn next_shows_slots_in_three_zones_and_names_the_database() {
    let etl = scheduled(DAILY_IN_BERLIN).file("etlsched.yaml", "timezone: Asia/Tokyo\n");
    let call = |arguments: &[&str]| at(&etl, "2026-10-23T12:00:00Z", arguments).exits(0);
    let shown = call(&["next", "-n", "2"]).mentions("Asia/Tokyo (JST)").mentions("02:30 comes twice: the first").mentions("tzdata 20");
    assert_eq!(shown.stdout.lines().count(), 4, "{}", shown.stdout);
    let json = call(&["next", "sales", "-n", "2", "-o", "json"]).json();
    let expected = serde_json::json!([
        {"at": "2026-10-24T00:30:00Z", "local": "2026-10-24T02:30:00+02:00", "key": "2026-10-24T02:30"},
        {"at": "2026-10-25T00:30:00Z", "local": "2026-10-25T02:30:00+02:00", "key": "2026-10-25T02:30", "note": "02:30 comes twice: the first"},
    ]);
    assert_eq!((&json["success"], &json["jobs"][0]["slots"]), (&serde_json::json!(true), &expected));
    assert_eq!((&json["jobs"][0]["id"], &json["jobs"][0]["timezone"]), (&"sales".into(), &"Europe/Berlin".into()));
    call(&["next", "--from", "2026-03-28", "--until", "2026-03-31", "-o", "csv"]).prints(&etl.redact(
        "job,timezone,at,local,key,note\n\
         sales,Europe/Berlin,2026-03-28T01:30:00Z,2026-03-28T02:30:00+01:00,2026-03-28T02:30,\n\
         sales,Europe/Berlin,2026-03-29T01:00:00Z,2026-03-29T03:00:00+02:00,2026-03-29T02:30,the clocks skip 02:30: the first instant after\n\
         sales,Europe/Berlin,2026-03-30T00:30:00Z,2026-03-30T02:30:00+02:00,2026-03-30T02:30,\n",
    ));
    at(&etl, "2026-10-23T12:00:00Z", &["next", "nobody"]).exits(2);
    at(&etl, "2026-10-23T12:00:00Z", &["next", "--from", "soon"]).exits(2).mentions("is not a time");
    etl.write("jobs/sales.yaml", job("schedule_type: manual\n"));
    let empty = call(&["next"]).stdout;
    assert!(empty.starts_with("no slots\ntzdata 20"), "{empty}");
}

#[test]
fn list_and_show_tell_the_next_slots_of_what_will_be_started() {
    let etl = scheduled(HOURLY);
    let call = |now: &str, arguments: &[&str]| at(&etl, now, arguments).exits(0);
    let next_run = |now: &str| {
        let listed = call(now, &["list", "-o", "json"]).json()["jobs"][0]["next_run"].clone();
        let shown = call(now, &["show", "sales", "-o", "json"]).json()["job"].clone();
        assert_eq!(listed, shown["next_run"]);
        assert_eq!(shown["next_slots"].as_array().map(Vec::len), Some(if listed.is_null() { 0 } else { 5 }));
        listed.as_str().map(str::to_owned)
    };
    assert_eq!(next_run("2026-11-24T01:00:00Z").as_deref(), Some("2026-11-24T02:00:00Z"));
    call("2026-11-24T01:00:00Z", &["show", "sales"]).mentions("Next       Tue ####-##-## ##:## UTC\n           Tue ");
    call("2026-11-24T01:00:00Z", &["pause", "sales", "--until", "2026-11-24T04:00:00Z"]);
    assert_eq!(next_run("2026-11-24T01:30:00Z").as_deref(), Some("2026-11-24T04:00:00Z"));
    call("2026-11-24T01:31:00Z", &["next", "-n", "1"]).mentions("sales: paused, its slot is not started");
    call("2026-11-24T01:31:00Z", &["pause", "sales"]);
    assert_eq!(next_run("2026-11-24T05:30:00Z"), None);
    call("2026-11-24T05:30:00Z", &["list"]).mentions("paused");
    etl.write("jobs/sales.yaml", job(&format!("{HOURLY}is_active: false\n")));
    assert_eq!(next_run("2026-11-24T05:31:00Z"), None);
}

#[test]
fn slots_are_shown_with_runs_and_with_the_state() {
    let etl = scheduled(HOURLY);
    fire(&etl, "2026-11-24T01:00:00Z");
    fire(&etl, "2026-11-24T03:00:00Z");
    let state = etl.run(&["state", "show", "sales", "-o", "json"]).exits(0).json();
    let shown: Vec<(&str, &str)> = state["slots"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|slot| (slot["slot"].as_str().expect("a key"), slot["status"].as_str().expect("a word")))
        .collect();
    let expected = [("2026-11-24T03:00:00Z", "done"), ("2026-11-24T02:00:00Z", "missed"), ("2026-11-24T01:00:00Z", "done")];
    assert_eq!(shown, expected);
    etl.run(&["state", "show"]).exits(0).mentions("\nSlots\nJob    Slot ").mentions("missed");
    etl.run(&["logs"]).exits(0).mentions("Trigger   Slot (UTC)\n").mentions("schedule  ####-##-## ##:##\n");
    etl.run(&["logs", "--run", "last"]).exits(0).mentions("schedule for slot ####-##-##T##:##:##Z, by ");
}
