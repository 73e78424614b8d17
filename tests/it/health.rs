//! `check`, `metrics` and `status --watch` of the real program. Slots go by `ETLSCHED_NOW`, in January 2020.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use crate::etl::{Ended, Etl};

const DAILY: &str = "schedule_type: daily\nhour: 2\n";

fn job(keys: &str) -> String {
    format!("{keys}data_sources:\n  - path: jobs/data/rows.csv\n")
}

/// A workspace with the daily job `sales`, with more keys, that loads one row.
fn daily(keys: &str) -> Etl {
    Etl::new().file("jobs/sales.yaml", job(&format!("{DAILY}{keys}"))).file("jobs/data/rows.csv", "a\n1\n")
}

/// Calls the program on a day of January 2020: `15T02:00`.
fn at(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let now = format!("2020-01-{now}:00Z");
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("the program starts");
    Ended::new(etl, arguments, output)
}

/// What a scheduler does: starts the slot that is due.
#[track_caller]
fn fire(etl: &Etl, now: &str, job: &str, code: i32) {
    at(etl, now, &["run", job, "--scheduled"]).exits(code);
}

/// The findings of a job by `check`: kind and severity of each.
fn found(etl: &Etl, now: &str, code: i32) -> Vec<String> {
    let checked = at(etl, now, &["check", "-o", "json"]).exits(code).json();
    assert_eq!(checked["well"], code == 0, "{checked:#}");
    let jobs = checked["jobs"].as_array().expect("a list").clone();
    let words = |job: &serde_json::Value, finding: &serde_json::Value| {
        [&job["id"], &finding["kind"], &finding["severity"]].map(|word| word.as_str().unwrap_or_default().to_owned()).join(" ")
    };
    jobs.iter()
        .flat_map(|job| job["findings"].as_array().expect("a list").iter().map(|finding| words(job, finding)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_job_is_late_from_the_end_of_its_grace_until_its_slot_is_started() {
    let etl = daily("");
    let new = "new  sales  not noticed yet: no scheduler has asked for it\n            etlsched schedule install\n\n1 job: 1 well\n";
    at(&etl, "13T12:00", &["check"]).exits(0).prints(new).says("");
    assert!(!etl.path(".etlsched/state.db").exists(), "check makes no store");
    fire(&etl, "14T02:00", "sales", 0);
    at(&etl, "14T12:00", &["check"]).exits(0).prints("1 job: 1 well\n").says("");
    assert_eq!(found(&etl, "15T02:09", 0), Vec::<String>::new());
    let late = "late  sales  the slot of ####-##-## ##:## UTC was not started, 11m 00s ago\n             \
                etlsched run sales --scheduled; see: etlsched schedule status\n";
    at(&etl, "15T02:11", &["check"]).exits(10).prints(&format!("{late}\n1 job: 1 late\n")).says("");
    at(&etl, "15T02:11", &["check", "--quiet"]).exits(10).prints(late).says("");
    fire(&etl, "15T02:30", "sales", 0);
    at(&etl, "15T02:31", &["check", "-q"]).exits(0).prints("").says("");
    assert_eq!(found(&etl, "16T09:00", 10), ["sales late warning"]);
    assert_eq!(found(&etl, "17T09:00", 10), ["sales late critical"]);
    at(&etl, "17T09:00", &["check"]).exits(10).mentions("; 1 slot before it neither; late since ####-##-## ##:## UTC, 1d 07h ago");
    let lateness = |now: &str| at(&etl, now, &["check", "-o", "json"]).exits(10).json()["jobs"][0]["lateness_seconds"].clone();
    assert_eq!(lateness("17T09:00"), 31 * 3600, "from the first slot that was not started");
    assert_eq!(lateness("27T09:00"), (24 * 10 + 31) * 3600, "it never falls while nothing runs");
    at(&etl, "27T09:00", &["check"]).exits(10).mentions("was not started; those before it neither; late since ");
}

#[test]
fn a_job_whose_slots_are_all_written_off_grows_later_all_the_same() {
    let keys = "schedule_type: hourly\nminute: 0\ncatch_up: none\n";
    let etl = Etl::new().file("jobs/sales.yaml", job(keys)).file("jobs/data/rows.csv", "a\n1\n");
    fire(&etl, "14T02:00", "sales", 0);
    let lateness = |now: &str| at(&etl, now, &["check", "-o", "json"]).exits(10).json()["jobs"][0]["lateness_seconds"].clone();
    for (now, hours) in [("14T03:30", 0), ("14T04:30", 1), ("14T05:30", 2)] {
        fire(&etl, now, "sales", 0);
        assert_eq!(lateness(now), hours * 3600 + 1800, "at {now}");
    }
}

#[test]
fn the_zone_of_the_job_says_when_and_that_of_the_user_how_it_is_shown() {
    let etl = daily("timezone: America/New_York\n").file("etlsched.yaml", "timezone: Europe/Paris\n");
    fire(&etl, "14T07:00", "sales", 0);
    assert_eq!(found(&etl, "15T07:10", 0), Vec::<String>::new());
    at(&etl, "15T07:11", &["check"]).exits(10).mentions("the slot of ####-##-## ##:## CET was not started");
}

#[test]
fn inactive_and_paused_jobs_are_left_out() {
    let etl = daily("").file("jobs/off.yaml", job(&format!("{DAILY}is_active: false\n")));
    fire(&etl, "14T02:00", "sales", 0);
    at(&etl, "14T03:00", &["pause", "sales"]).exits(0);
    at(&etl, "20T09:00", &["check"]).exits(0).prints("0 jobs; 2 left out (inactive or paused)\n");
    at(&etl, "20T09:00", &["resume", "sales"]).exits(0);
    // Its slots count from its return on.
    assert_eq!(found(&etl, "20T09:00", 0), Vec::<String>::new());
    assert_eq!(found(&etl, "21T02:11", 10), ["sales late warning"]);
}

#[test]
fn a_job_that_fails_is_noted_and_one_in_error_is_wrong() {
    let etl = daily("failure_threshold: 2\n");
    std::fs::remove_file(etl.path("jobs/data/rows.csv")).expect("the file goes");
    fire(&etl, "14T02:00", "sales", 1);
    assert_eq!(found(&etl, "14T12:00", 0), ["sales failing note"]);
    at(&etl, "14T12:00", &["check"]).exits(0).mentions("\n1 job: 1 failing\n");
    fire(&etl, "15T02:00", "sales", 1);
    let expected = "error  sales  2 runs in a row refreshed nothing: its schedule does not start it any more\n              \
                    etlsched logs sales --run last; then: etlsched enable sales\n\n1 job: 1 in error\n";
    at(&etl, "15T12:00", &["check"]).exits(10).prints(expected);
    at(&etl, "15T12:00", &["status"]).exits(0).prints(
        "Nothing runs.\n\nIn error\nerror  sales  2 runs in a row refreshed nothing: its schedule does not start it any more\n              \
         etlsched logs sales --run last; then: etlsched enable sales\n",
    );
    // What isn't started is not late too.
    assert_eq!(found(&etl, "18T12:00", 10), ["sales error critical"]);
    at(&etl, "18T12:00", &["enable", "sales"]).exits(0);
    assert_eq!(found(&etl, "18T12:01", 0), ["sales failing note"], "its last run is as it was");
}

#[test]
fn a_deadline_passes_without_a_success_since_the_slot_before_it() {
    let etl = daily("deadline: \"07:30\"\n");
    fire(&etl, "14T02:00", "sales", 0);
    assert_eq!(found(&etl, "14T09:00", 0), Vec::<String>::new());
    std::fs::remove_file(etl.path("jobs/data/rows.csv")).expect("the file goes");
    fire(&etl, "15T02:00", "sales", 1);
    assert_eq!(found(&etl, "15T07:29", 0), ["sales failing note"]);
    assert_eq!(found(&etl, "15T07:30", 10), ["sales deadline critical", "sales failing note"]);
    at(&etl, "15T09:00", &["check"]).exits(10).mentions(
        "deadline  sales  not refreshed by ####-##-## ##:## UTC, since the slot of ####-##-## ##:## UTC\n                 \
         etlsched logs sales; then: etlsched run sales\n",
    );
}

#[test]
fn a_file_with_errors_is_wrong_and_the_others_are_looked_at_all_the_same() {
    let etl = daily("").file("jobs/other.yaml", "schedule_type: never\n");
    fire(&etl, "14T02:00", "sales", 0);
    assert_eq!(found(&etl, "15T09:00", 10), ["other broken critical", "sales late warning"]);
    at(&etl, "14T09:00", &["check", "sales"]).exits(0).prints("1 job: 1 well\n");
    at(&etl, "14T09:00", &["check", "other"]).exits(10).mentions("the first at jobs/other.yaml:1: the job does not run");
    at(&etl, "14T09:00", &["check", "salse"]).exits(2).mentions("did you mean sales?");
    let csv = "job,status,finding,severity,since,reason,remedy\nother,,broken,critical,,";
    at(&etl, "14T09:00", &["check", "-o", "csv"]).exits(10).mentions(csv).mentions("\nsales,active,,,,,\n");
}

/// A web server whose answers never end; a run that reads from it goes on until it is killed.
fn endless(keys: &str) -> (Etl, Child) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/x.csv", server.local_addr().expect("an address"));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = server.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na,b\n1,2\n");
            open.push(stream);
            let _ = tell.send(());
        }
    });
    let etl = Etl::new().file("jobs/sales.yaml", format!("{DAILY}{keys}data_sources:\n  - {{name: slow, path: \"{url}\"}}\n"));
    let mut command = etl.command(&["run", "sales", "--scheduled"]);
    let child = command.env("ETLSCHED_NOW", "2020-01-14T02:00:00Z").stderr(Stdio::null()).spawn().expect("it starts");
    told.recv().expect("the source is read");
    (etl, child)
}

#[test]
fn a_run_whose_process_was_killed_is_stuck_until_another_settles_it() {
    let (etl, mut child) = endless("");
    assert_eq!(found(&etl, "14T09:00", 0), Vec::<String>::new(), "a slot whose run goes on is not late");
    at(&etl, "14T09:00", &["status"]).exits(0).mentions("sales: schedule of slot 2020-01-14T02:00\n");
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert_eq!(found(&etl, "14T09:00", 10), ["sales stuck critical"]);
    at(&etl, "14T09:00", &["check"]).exits(10).mentions("is gone; the next run settles it\n              etlsched run sales\n");
    at(&etl, "14T09:00", &["status"]).exits(0).mentions("Stuck\nstuck  sales  the process of run ");
    etl.write("jobs/sales.yaml", job(DAILY));
    etl.write("jobs/data/rows.csv", "a\n1\n");
    fire(&etl, "14T09:00", "sales", 0);
    assert_eq!(found(&etl, "14T09:30", 0), Vec::<String>::new());
}

#[test]
fn a_run_past_its_limit_is_stuck() {
    let (etl, mut child) = endless("etl_config: {timeout_minutes: 5}\n");
    // As if it had begun an hour ago.
    etl.state().execute("UPDATE runs SET started_at = datetime(started_at, '-1 hour')");
    assert_eq!(found(&etl, "14T09:00", 10), ["sales stuck critical"]);
    at(&etl, "14T09:00", &["check"]).exits(10).mentions("goes on past its limit of 5m 00s\n              etlsched cancel sales\n");
    child.kill().expect("it lives");
    child.wait().expect("it ends");
}

#[test]
fn nagios_gets_one_line_and_its_own_exit_codes() {
    let rest = "stuck=0;;0;0 deadline=0;;0;0 late";
    let ok = format!("jobs=1;;;0 broken=0;;0;0 error=0;;0;0 {rest}=0;0;;0 source=0;0;;0 failing=0;;;0 lateness=0s;;;0\n");
    let etl = daily("");
    let nagios = |now: &str| at(&etl, now, &["check", "--nagios"]).says("");
    nagios("13T12:00").exits(0).prints(&format!("ETLSCHED OK - 1 job is well | {ok}"));
    fire(&etl, "14T02:00", "sales", 0);
    nagios("14T12:00").exits(0).prints(&format!("ETLSCHED OK - 1 job is well | {ok}"));
    let late =
        |seconds: u32| format!("jobs=1;;;0 broken=0;;0;0 error=0;;0;0 {rest}=1;0;;0 source=0;0;;0 failing=0;;;0 lateness={seconds}s;;;0\n");
    nagios("15T02:11").exits(1).prints(&format!("ETLSCHED WARNING - of 1 job: 1 late (sales) | {}", late(660)));
    nagios("16T02:11").exits(2).prints(&format!("ETLSCHED CRITICAL - of 1 job: 1 late (sales) | {}", late(86_400 + 660)));
}

#[test]
fn a_job_that_fails_below_its_threshold_is_ok_for_nagios_and_never_said_to_be_well() {
    let sources = "data_sources:\n  - path: jobs/data/rows.csv\n    target: good\n  - {name: bad, path: jobs/data/none.csv}\n";
    let etl = daily("").file("jobs/partly.yaml", format!("{DAILY}{sources}")).file("jobs/data/none.csv", "a\n1\n");
    let nagios = |now: &str, code: i32| {
        let line = at(&etl, now, &["check", "--nagios"]).exits(code).says("").stdout;
        line.split(" | ").next().expect("a text").to_owned()
    };
    for job in ["sales", "partly"] {
        fire(&etl, "14T02:00", job, 0);
    }
    assert_eq!(nagios("14T03:00", 0), "ETLSCHED OK - 2 jobs are well");
    std::fs::remove_file(etl.path("jobs/data/none.csv")).expect("the file goes");
    fire(&etl, "15T02:00", "sales", 0);
    fire(&etl, "15T02:00", "partly", 3);
    assert_eq!(nagios("15T03:00", 0), "ETLSCHED OK - 2 jobs on time, 1 failing (partly)");
    assert_eq!(found(&etl, "15T03:00", 0), ["partly failing note"]);
    at(&etl, "15T03:00", &["check"])
        .exits(0)
        .mentions("the source bad was not refreshed when it was last tried")
        .mentions("2 jobs: 1 well, 1 failing");
    std::fs::remove_file(etl.path("jobs/data/rows.csv")).expect("the file goes");
    fire(&etl, "16T02:00", "sales", 1);
    assert_eq!(nagios("16T02:11", 1), "ETLSCHED WARNING - of 2 jobs: 1 late (partly), 2 failing (partly, sales)");
    assert!(at(&etl, "16T02:11", &["check", "--nagios"]).stdout.contains(" late=1;0;;0 source=0;0;;0 failing=2;;;0 "));
}

/// The daily job `sales` of two sources, of which `bad` has no file yet.
fn half_bad(keys: &str) -> Etl {
    let sources = "data_sources:\n  - {name: good, path: jobs/data/rows.csv}\n  - {name: bad, path: jobs/data/none.csv}\n";
    Etl::new().file("jobs/sales.yaml", format!("{DAILY}{keys}{sources}")).file("jobs/data/rows.csv", "a\n1\n")
}

#[test]
fn a_source_that_fails_in_each_run_is_a_warning_from_the_threshold_on() {
    let etl = half_bad("failure_threshold: 3\n");
    for day in ["14", "15"] {
        fire(&etl, &format!("{day}T02:00"), "sales", 3);
    }
    assert_eq!(found(&etl, "15T02:05", 0), ["sales failing note"]);
    at(&etl, "15T02:05", &["check"]).mentions("the source bad was not refreshed, 2 runs in a row\n");
    fire(&etl, "16T02:00", "sales", 3);
    assert_eq!(found(&etl, "16T02:05", 10), ["sales source warning"]);
    at(&etl, "16T02:05", &["check"]).exits(10).prints(
        "source  sales  the source bad was not refreshed, 3 runs in a row\n               etlsched logs sales --run last\n\n\
         1 job: 1 with a source that fails\n",
    );
    let line = at(&etl, "16T02:05", &["check", "--nagios"]).exits(1).stdout;
    assert!(line.starts_with("ETLSCHED WARNING - of 1 job: 1 with a source that fails (sales) | "), "{line}");
    let sample = "etlsched_source_consecutive_failures{job=\"sales\",source=\"bad\"} 3\n";
    assert!(at(&etl, "16T02:05", &["metrics"]).exits(0).stdout.contains(sample));
    etl.write("jobs/data/none.csv", "a\n1\n");
    fire(&etl, "17T02:00", "sales", 0);
    assert_eq!(found(&etl, "17T02:05", 0), Vec::<String>::new());
    assert!(!at(&etl, "17T02:05", &["metrics"]).exits(0).stdout.contains("source_consecutive"));
}

#[test]
fn a_run_of_some_sources_by_hand_neither_breaks_nor_mends_the_others() {
    let etl = half_bad("failure_threshold: 2\n");
    fire(&etl, "14T02:00", "sales", 3);
    for _ in 0..3 {
        at(&etl, "14T03:00", &["run", "sales", "--source", "bad"]).exits(1);
    }
    let status = |etl: &Etl| etl.state().value("SELECT status || ' ' || consecutive_failures || ' ' || sources_failing FROM jobs");
    assert_eq!(status(&etl), "active 0 {\"bad\":4}", "runs by hand of the one that fails put no job into error");
    let done = || at(&etl, "14T03:00", &["run", "sales", "--source", "good"]).exits(0);
    done();
    assert_eq!(found(&etl, "14T03:00", 10), ["sales source warning"], "the other one fails as before");
    at(&etl, "14T03:00", &["check"]).mentions("etlsched run sales --retry-failed\n");
    std::fs::remove_file(etl.path("jobs/data/rows.csv")).expect("the file goes");
    for day in ["15", "16"] {
        fire(&etl, &format!("{day}T02:00"), "sales", 1);
    }
    assert_eq!(status(&etl), "error 2 {\"bad\":6,\"good\":2}");
    etl.write("jobs/data/rows.csv", "a\n1\n");
    done();
    assert_eq!(status(&etl), "error 0 {\"bad\":6}", "what is not whole stays in error");
    at(&etl, "16T03:00", &["check"]).exits(10).prints(
        "error  sales  the source bad was not refreshed, 6 runs in a row: its schedule does not start it any more\n              \
         etlsched run sales --retry-failed\n\n1 job: 1 in error\n",
    );
    etl.write("jobs/data/none.csv", "a\n1\n");
    at(&etl, "16T03:00", &["run", "sales", "--retry-failed"]).exits(0);
    assert_eq!(status(&etl), "active 0 {}");
    assert_eq!(found(&etl, "16T03:00", 0), Vec::<String>::new());
}

#[test]
fn what_can_t_be_checked_is_unknown_on_standard_output() {
    let etl = daily("");
    let usage = "ETLSCHED UNKNOWN - wrong usage: unexpected argument '--bogus' found\n";
    etl.run(&["check", "--nagios", "--bogus"]).exits(3).prints(usage).says("");
    etl.run(&["check", "--nagios", "nobody"]).exits(3).prints("ETLSCHED UNKNOWN - unknown job nobody\n").says("");
    etl.run(&["-C", "jobs/data", "check", "--nagios"]).exits(3).mentions("ETLSCHED UNKNOWN - no workspace: ");
    etl.write(".etlsched/state.db", "no database at all, and long enough to be looked at");
    let away = etl.run(&["check", "--nagios"]).exits(3).says("");
    assert!(away.stdout.starts_with("ETLSCHED UNKNOWN - ") && away.stdout.lines().count() == 1, "{}", away.stdout);
    etl.run(&["check"]).exits(1);
    etl.write("etlsched.yaml", "nonsense: 1\n");
    etl.run(&["check", "--nagios"]).exits(3).mentions("ETLSCHED UNKNOWN - etlsched.yaml:1: ");
    std::fs::remove_file(etl.path("etlsched.yaml")).expect("the file goes");
    std::fs::remove_file(etl.path(".etlsched/state.db")).expect("the file goes");
    std::fs::remove_file(etl.path("jobs/sales.yaml")).expect("the file goes");
    etl.run(&["check", "--nagios"]).exits(3).prints("ETLSCHED UNKNOWN - there are no jobs\n");
    etl.run(&["check", "--nagios", "--help"]).exits(0).mentions("Usage: etlsched check");
}

/// Metrics with the values that the wall clock made in a fixed form.
fn timeless(metrics: &str) -> String {
    let is_of_wall = |name: &str| {
        ["_last_success_timestamp_seconds", "_last_run_timestamp_seconds", "_duration_seconds"].iter().any(|end| name.ends_with(end))
    };
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((sample, value)) if !line.starts_with('#') && is_of_wall(sample.split('{').next().unwrap_or_default()) => {
            assert!(value.parse::<f64>().is_ok_and(|value| value > 0.0), "{line}");
            format!("{sample} #\n")
        }
        _ => format!("{}\n", line.replace(env!("CARGO_PKG_VERSION"), "VERSION")),
    };
    metrics.lines().map(line).collect()
}

#[test]
fn metrics_are_whole_and_in_prometheus_s_format() {
    let etl = daily("").file("jobs/other.yaml", "schedule_type: never\n");
    fire(&etl, "14T02:00", "sales", 0);
    let printed = at(&etl, "15T02:11", &["metrics"]).exits(0).says("");
    assert_eq!(timeless(&printed.stdout), include_str!("../data/metrics.txt"));
}

#[test]
fn a_file_of_metrics_is_replaced_whole_and_everyone_can_read_it() {
    let etl = daily("");
    fire(&etl, "14T02:00", "sales", 0);
    std::fs::create_dir(etl.path("out")).expect("a folder");
    etl.write("out/etlsched.prom", "old\n");
    let mut command = std::process::Command::new("sh");
    let whole = command.args(["-c", "umask 077; exec \"$0\" metrics --out out/etlsched.prom", env!("CARGO_BIN_EXE_etlsched")]);
    let output = whole.current_dir(etl.path("")).env_clear().output().expect("sh starts");
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0), "{output:?}");
    let text = std::fs::read_to_string(etl.path("out/etlsched.prom")).expect("the file");
    assert!(text.starts_with("# HELP etlsched_build_info ") && text.ends_with('\n'), "{text}");
    assert_eq!(std::fs::metadata(etl.path("out/etlsched.prom")).expect("the file").permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(etl.path("out")).expect("the folder").count(), 1, "nothing lies beside it");
    etl.run(&["metrics", "--out", "nowhere/x.prom"]).exits(1).mentions("its folder is not there");
    etl.run(&["metrics", "--out", "out"]).exits(1).mentions("it is there, and no file");
}

#[test]
fn a_full_disk_leaves_the_metrics_as_they_were() {
    let etl = daily("");
    fire(&etl, "14T02:00", "sales", 0);
    std::fs::create_dir(etl.path("out")).expect("a folder");
    // One page for the old file, none for the new one.
    let script = "mount -t tmpfs -o size=4k none out && echo old >out/m.prom && \"$0\" metrics --out out/m.prom; echo \"$?\"; ls -A out; cat out/m.prom";
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_etlsched")]);
    let output =
        command.current_dir(etl.path("")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().expect("unshare starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout), "1\nm.prom\nold\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("writing out/m.prom: "), "{}", text(&output.stderr));
}

fn watching(etl: &Etl, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = etl.command(&[&["status", "--watch", "--interval", "1"], arguments].concat());
    let mut child = command.spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    (child, stdout)
}

fn signal(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill starts");
    assert!(status.success());
}

#[test]
fn a_watch_away_from_a_terminal_prints_again_and_again_until_it_is_ended_or_unread() {
    let etl = daily("");
    let (mut child, mut lines) = watching(&etl, &["-o", "json"]);
    for _ in 0..2 {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let object: serde_json::Value = serde_json::from_str(&line).expect("an object a line");
        assert_eq!((&object["success"], &object["running"]), (&true.into(), &serde_json::json!([])));
    }
    signal(&child, "-INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "Ctrl-C is how it is ended");
    let (mut child, mut lines) = watching(&etl, &[]);
    lines.read_line(&mut String::new()).expect("a line");
    signal(&child, "-TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    let (mut child, mut lines) = watching(&etl, &[]);
    lines.read_line(&mut String::new()).expect("a line");
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "nobody reads it any more");
    etl.run(&["status", "--watch", "-o", "csv"]).exits(2).mentions("--watch has no CSV");
    etl.run(&["status", "--interval", "5"]).exits(2).mentions("--watch");
}

#[test]
fn a_watch_at_a_terminal_draws_in_place_and_gives_the_screen_back() {
    let etl = daily("");
    let call = format!("exec '{}' status --watch --interval 1", env!("CARGO_BIN_EXE_etlsched"));
    let mut command = std::process::Command::new("script");
    command.args(["-qefc", &call, "/dev/null"]).current_dir(etl.path("")).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("SHELL", "/bin/sh");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of Debian's bsdutils, starts");
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut drawn = String::new();
    while drawn.matches("Ctrl-C ends").count() < 2 {
        let mut bytes = [0; 4096];
        let read = stdout.read(&mut bytes).expect("bytes");
        assert!(read > 0, "it ended: {drawn:?}");
        drawn.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    child.stdin.take().expect("it is piped").write_all(b"\x03").expect("Ctrl-C");
    stdout.read_to_string(&mut drawn).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(drawn.starts_with("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[H\u{1b}[K"), "{drawn:?}");
    assert!(drawn.trim_end().ends_with("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"), "{drawn:?}");
    assert!(drawn.contains("\r\n\u{1b}[KNothing runs. Next: sales at "), "{drawn:?}");
}

#[test]
fn a_setting_that_breaks_every_job_is_told_of_each_and_printed_once() {
    let setting = "timezone: UTC\ndestination: nowhere\n";
    let etl = daily("").file("jobs/other.yaml", job(DAILY)).file("jobs/third.yaml", job(DAILY));
    fire(&etl, "14T02:00", "sales", 0);
    etl.write("etlsched.yaml", setting);
    assert_eq!(found(&etl, "14T03:00", 10), ["other broken critical", "sales broken critical", "third broken critical"]);
    let told = "with its settings it has 1 error, the first at etlsched.yaml:2: the job does not run";
    at(&etl, "14T03:00", &["check"]).exits(10).mentions(told).mentions("3 jobs: 3 ");
    at(&etl, "14T03:00", &["check", "sales"]).exits(10).mentions(told).mentions("1 job: 1 ");
    at(&etl, "14T03:00", &["check", "--nagios"]).exits(2).mentions("(other, sales, third)");
    let metrics = at(&etl, "14T03:00", &["metrics"]).exits(0);
    for job in ["other", "sales", "third"] {
        let metric = |name: &str| format!("\netlsched_job_{name}{{job=\"{job}\"}} 0\n");
        assert!([metric("file_valid"), metric("well")].iter().all(|line| metrics.stdout.contains(line)), "{}", metrics.stdout);
    }
    assert!(!metrics.stdout.contains("job=\"etlsched\""), "{}", metrics.stdout);
    let report = at(&etl, "14T03:00", &["report"]).exits(0);
    assert!(!report.stdout.contains("no file") && report.stdout.starts_with("3 of 3 jobs need attention\n"), "{}", report.stdout);
    report.mentions("sales has 1 error at etlsched.yaml:2: the job does not run");
    at(&etl, "14T03:00", &["status"]).exits(0).mentions(told);
    let listed = at(&etl, "14T03:00", &["list"]).exits(4);
    assert_eq!(listed.stderr.matches("nowhere").count(), 2, "the message and the line that it is about: {}", listed.stderr);
}
