//! `logs` as scripts read it and as it is followed; `--log-file`; what a scheduler's mail says of a failure.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};

use serde_json::{Value, json};

use crate::etl::{Ended, Etl};

#[test]
fn runs_are_chosen_by_when_they_began() {
    let etl = Etl::new().csv_job("sales", "", "a\n1\n");
    etl.run(&["run", "sales"]).exits(0);
    let total =
        |arguments: &[&str]| etl.run(&[&["logs", "-o", "json"], arguments].concat()).exits(0).json()["pagination"]["total_logs"].as_u64();
    assert_eq!(total(&["--until", "0s"]), Some(1));
    assert_eq!(total(&["--until", "1d"]), Some(0));
    assert_eq!(total(&["--since", "1d", "--until", "0s", "--status", "success"]), Some(1));
    etl.run(&["logs", "--until", "tomorrow"]).exits(2).mentions("--until \"tomorrow\" is not a time");
    etl.run(&["logs", "--follow", "--page", "2"]).exits(2);
}

/// A process that follows the log, and what it prints.
struct Following(Child, BufReader<ChildStdout>);

fn follow(etl: &Etl, arguments: &[&str]) -> Following {
    let mut child = etl.command(&[&["logs", "--follow"], arguments].concat()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    Following(child, stdout)
}

impl Following {
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.1.read_line(&mut line).expect("text") > 0, "it ended");
        line.trim_end().to_owned()
    }

    /// Asks it to end; returns its exit code and what else it printed.
    #[cfg(unix)]
    fn interrupt(mut self) -> (Option<i32>, String) {
        let id = rustix::process::Pid::from_raw(self.0.id().cast_signed()).expect("a process");
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it is there");
        let mut rest = String::new();
        self.1.read_to_string(&mut rest).expect("text");
        (self.0.wait().expect("it ends").code(), rest)
    }
}

#[cfg(unix)]
#[test]
fn who_follows_the_log_gets_one_object_a_line_for_each_run_that_ends() {
    let etl = Etl::new().csv_job("sales", "", "a\n1\n").csv_job("stock", "", "a\n1\n2\n");
    etl.run(&["run", "sales"]).exits(0);
    let mut all = follow(&etl, &["-o", "json"]);
    let mut failed = follow(&etl, &["-o", "json", "--status", "failed"]);
    let object = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let first = object(&all.line());
    assert_eq!((&first["job"], &first["status"]), (&json!("sales"), &json!("success")));
    etl.run(&["run", "stock"]).exits(0);
    let second = object(&all.line());
    assert_eq!((&second["job"], &second["total_records_processed"]), (&json!("stock"), &json!(2)));
    std::fs::remove_file(etl.path("jobs/data/stock.csv")).expect("the file goes");
    etl.run(&["run", "stock"]).exits(1);
    assert_eq!(object(&all.line())["status"], "failed");
    assert_eq!(object(&failed.line())["job"], "stock");
    assert_eq!(all.interrupt(), (Some(0), String::new()));
    assert_eq!(failed.interrupt(), (Some(0), String::new()));
}

#[cfg(unix)]
#[test]
fn who_follows_one_job_gets_its_execution_log_too_and_one_run_ends_by_itself() {
    let etl = Etl::new().csv_job("sales", "primary_key: [a]\ncolumns: {types: {a: integer}}", "a\n1\nx\n");
    let mut following = follow(&etl, &[]);
    assert!(following.line().starts_with("Run            Job    Status       Started (UTC)"));
    drop(following.1);
    assert_eq!(following.0.wait().expect("it ends where nobody reads").code(), Some(0));
    let mut job = follow(&etl, &["sales"]);
    assert!(job.line().starts_with("Run            Status       Started (UTC)"));
    etl.run(&["run", "sales"]).exits(0);
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| line.contains("  success      ")) {
        seen.push(job.line());
    }
    assert!(seen.len() > 1 && seen.iter().any(|line| line.contains("sales: ")), "{seen:#?}");
    assert_eq!(job.interrupt(), (Some(0), String::new()));
    let ended = etl.run(&["logs", "--run", "last", "--follow", "-o", "json"]).exits(0);
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert_eq!(lines.len(), seen.len(), "{}", ended.stdout);
    assert_eq!((&lines[0]["job"], &lines[lines.len() - 1]["status"]), (&json!("sales"), &json!("success")));
}

/// The event of a log line of the one form that there is.
fn event(line: &str) -> Option<&str> {
    let (at, rest) = line.strip_prefix("at=")?.split_once(" level=")?;
    chrono::DateTime::parse_from_rfc3339(at).ok().filter(|_| at.ends_with('Z'))?;
    rest.split_once(" event=")?.1.split(' ').next()
}

/// The events of a file of log lines.
fn events(text: &str) -> Vec<&str> {
    text.lines().map(|line| event(line).unwrap_or_else(|| panic!("no log line: {line}"))).collect()
}

#[test]
fn the_log_file_has_a_runs_story_and_hides_its_secrets() {
    let job = "data_sources:\n  - path: jobs/data/sales.csv\n  - {name: gone, path: \"jobs/${TOKEN}.csv\"}\n";
    let etl = Etl::new().env("TOKEN", "hunter22").file("jobs/sales.yaml", job).file("jobs/data/sales.csv", "a\n1\n");
    etl.run(&["run", "sales", "--log-file", "etl.log"]).exits(3);
    let text = std::fs::read_to_string(etl.path("etl.log")).expect("the file");
    let mut found = events(&text);
    found.sort_unstable();
    let expected = [
        "run_finished",
        "run_started",
        "source_finished",
        "source_finished",
        "source_started",
        "source_started",
        "stream_failed",
        "stream_published",
    ];
    assert_eq!(found, expected, "{text}");
    assert!(text.contains(" job=sales run=") && text.contains("jobs/***.csv") && !text.contains("hunter22"), "{text}");
    assert!(text.contains("event=run_finished") && text.contains(" status=failed exit_code=3 "), "{text}");
    // As JSON by variables, beside the lines that are there.
    let etl = etl.env("ETLSCHED_LOG_FILE", "etl.log").env("ETLSCHED_LOG_FORMAT", "json");
    etl.run(&["run", "nobody"]).exits(2);
    etl.run(&["logs", "nobody"]).exits(2);
    etl.run(&["list"]).exits(0);
    let text = std::fs::read_to_string(etl.path("etl.log")).expect("the file").split_off(text.len());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let told = |index: usize| json!([lines[index]["level"], lines[index]["event"], lines[index]["job"], lines[index]["code"]]);
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        (told(0), told(1)),
        (json!(["error", "run_refused", "nobody", "unknown_job"]), json!(["error", "command_failed", null, "unknown_job"]))
    );
}

#[cfg(unix)]
#[test]
fn a_log_file_that_can_t_be_one_is_refused_before_anything_runs_and_a_full_disk_fails_no_run() {
    use std::os::unix::fs::PermissionsExt;
    let etl = Etl::new().csv_job("sales", "", "a\n1\n");
    std::os::unix::fs::symlink("elsewhere", etl.path("link.log")).expect("a link");
    etl.run(&["run", "sales", "--log-file", "link.log"]).exits(4).mentions("--log-file link.log: it is a symbolic link");
    etl.run(&["run", "sales", "--log-file", "jobs"]).exits(4).mentions("it is a folder");
    etl.run(&["run", "sales", "--log-file", "no/etl.log"]).exits(4).mentions("its folder doesn't exist").mentions("mkdir -p no");
    assert!(!etl.path(".etlsched").exists() && !etl.path("elsewhere").exists());
    etl.run(&["run", "sales", "--log-file", "etl.log"]).exits(0);
    let mode = std::fs::metadata(etl.path("etl.log")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // 1 MB is the file, and more than that the limit lets nobody write: a log that is parted goes on, one that isn't fails softly.
    let line = format!("at=2026-11-18T11:06:40.000Z level=info event=old text={}\n", "x".repeat(941));
    let full = line.repeat(4000);
    etl.write("etl.log", &full);
    let limited = |arguments: &str| {
        let command = format!("ulimit -f 7000; exec {} {arguments}", env!("CARGO_BIN_EXE_etlsched"));
        let output = std::process::Command::new("sh").args(["-c", &command]).current_dir(etl.path("")).output().expect("sh starts");
        Ended::new(&etl, &[arguments], output)
    };
    let ended = limited("run sales --log-file etl.log").exits(0);
    assert_eq!(ended.stderr.matches("warning: --log-file etl.log: ").count(), 1, "{}", ended.stderr);
    assert!(std::fs::read_to_string(etl.path("etl.log")).expect("the file") == full, "no torn line");
    limited("run sales --log-file etl.log --log-file-max-mb 1").exits(0);
    assert!(std::fs::read_to_string(etl.path("etl.log.1")).expect("put aside") == full);
    assert!(events(&std::fs::read_to_string(etl.path("etl.log")).expect("a new one")).contains(&"run_finished"));
}

#[test]
fn processes_that_share_a_log_file_lose_and_tear_no_line() {
    let jobs: Vec<String> = (0..6).map(|number| format!("job{number}")).collect();
    let etl = jobs.iter().fold(Etl::new(), |etl, job| etl.csv_job(job, "", "a\n1\n"));
    etl.write("etl.log", format!("at=2026-11-18T11:06:40.000Z level=info event=old text={}\n", "x".repeat(999_000)));
    let arguments = |job: &'_ str| ["run".to_owned(), job.to_owned(), "--log-file=etl.log".to_owned(), "--log-file-max-mb=1".to_owned()];
    let started: Vec<Child> = jobs
        .iter()
        .map(|job| {
            let arguments = arguments(job);
            etl.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).spawn().expect("it starts")
        })
        .collect();
    for child in started {
        assert!(child.wait_with_output().expect("it ends").status.success());
    }
    let texts = ["etl.log.1", "etl.log"].map(|name| std::fs::read_to_string(etl.path(name)).expect("both"));
    let found: Vec<&str> = texts.iter().flat_map(|text| events(text)).collect();
    for event in ["run_started", "run_finished", "source_started", "source_finished", "stream_published"] {
        assert_eq!(found.iter().filter(|found| **found == event).count(), jobs.len(), "{event}: {found:?}");
    }
}

/// Fires a job's schedule at an instant, as cron does: no terminal, hardly a variable.
fn fire(etl: &Etl, now: &str, arguments: &[&str]) -> Ended {
    let output = etl.command(arguments).env("ETLSCHED_NOW", now).output().expect("it starts");
    let mut ended = Ended::new(etl, arguments, output);
    ended.stderr = ended.stderr.replace(&etlsched::process::host_name(), "HOST");
    ended
}

#[test]
fn cron_s_mail_of_a_failure_is_one_block_that_says_what_why_and_what_to_do() {
    let job = "schedule_type: hourly\nminute: 0\ndata_sources:\n  - path: jobs/data/sales.csv\n  - path: jobs/data/gone.csv\n";
    let etl = Etl::new().file("jobs/sales.yaml", job).file("jobs/data/sales.csv", "a\n1\n").env("ETLSCHED_LOG_FILE", "etl.log");
    let call = ["run", "sales", "--scheduled"];
    fire(&etl, "2026-11-24T00:30:00Z", &call).exits(0).prints("").says("");
    let failed = fire(&etl, "2026-11-24T01:00:00Z", &call).exits(3).prints("");
    let root = etl.redact(&etl.path("").display().to_string());
    let root = root.trim_end_matches('/');
    for line in failed.stderr.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let (head, rest) = failed.stderr.split_once("    hint: ").expect("a hint");
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>().join(" "),
        format!("error: job sales failed in part: 1 of 2 sources not refreshed source gone: open {root}/jobs/data/gone.csv: no such file")
    );
    let tail = rest.split_once("  refreshed all the same: ").expect("what was refreshed").1.replace("\\\n  ", "");
    assert_eq!(
        tail,
        format!(
            "sales\nrun: ########-####-7###-####-############, ####-##-## ##:##:## UTC, on HOST\nsee: etlsched -C {root} logs --run \
             ########-####-7###-####-############\nthen: etlsched -C {root} run sales --retry-failed\nlog file: etl.log\n"
        )
    );
    etl.write("jobs/data/gone.csv", "a\n1\n");
    fire(&etl, "2026-11-24T02:00:00Z", &call).exits(0).prints("").says("");
    let text = std::fs::read_to_string(etl.path("etl.log")).expect("the file");
    assert_eq!(events(&text).iter().filter(|event| **event == "run_finished").count(), 2, "{text}");
    assert!(text.contains("trigger=schedule slot=2026-11-24T02:00:00Z"), "{text}");
    etl.write("jobs/sales.yaml", format!("{job}nonsense: {}\n", "x".repeat(300)));
    let refused = fire(&etl, "2026-11-24T03:00:00Z", &call).exits(4).prints("");
    assert!(refused.stderr.lines().all(|line| line.chars().count() <= 80), "{}", refused.stderr);
    refused.mentions("jobs/sales.yaml:6:1: error: ").mentions("nothing was started on HOST").mentions("validate sales\n");
    let away = Etl::new();
    std::fs::remove_dir(away.path("jobs")).expect("no workspace");
    let away = fire(&away, "2026-11-24T03:00:00Z", &call).exits(4).prints("").mentions("error: no workspace: ");
    assert!(away.stderr.lines().all(|line| line.chars().count() <= 80), "{}", away.stderr);
}

#[test]
fn a_run_says_once_what_a_source_said() {
    let etl =
        Etl::new().file("jobs/sales.yaml", "schedule_type: manual\nmax_retries: 0\ndata_sources:\n  - {name: orders, path: none.csv}\n");
    etl.run(&["run", "sales"]).exits(1);
    let ended = etl.run(&["logs", "--run", "last"]).exits(0);
    let above_the_log = ended.stdout.split("\nExecution log").next().unwrap_or_default();
    assert_eq!(above_the_log.matches("none.csv: no such file").count(), 1, "{}", ended.stdout);
    ended.mentions("\nerror: orders: open ").mentions("\nhint: check the path");
}
