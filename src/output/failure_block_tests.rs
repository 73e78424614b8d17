//! Whole blocks, of plain failures and of hostile ones.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::engine::SourceReport;
use crate::exit_code;
use crate::run::{Counts, Trigger};
use crate::text::is_steering;

const RUN: &str = "0190a000-0000-7000-8000-000000000001";

fn place(root: &str) -> Whereabouts<'_> {
    Whereabouts { root: Path::new(root), host: "etl1", zone: Zone::parse("Europe/Paris").expect("a zone"), log_file: None }
}

fn failed(name: &str, message: &str, hint: Option<&str>) -> SourceReport {
    SourceReport::ended(name, SourceStatus::Failed, 0.1, Err(WorkerError::new("not_found", message, hint)))
}

fn good(name: &str) -> SourceReport {
    SourceReport::ended(name, SourceStatus::Success, 0.5, Ok(Counts { added: 7, ..Counts::default() }))
}

fn report(status: RunStatus, sources: Vec<SourceReport>) -> RunReport {
    let began = DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant");
    RunReport {
        run_id: Some(RUN.to_owned()),
        job: "sales".to_owned(),
        slot: Some("2026-11-18T11:06:00Z".to_owned()),
        trigger: Trigger::Schedule,
        status,
        exit_code: exit_code::FAILED,
        is_dry_run: false,
        started_at: began,
        completed_at: began + TimeDelta::seconds(2),
        duration_seconds: 1.25,
        sources,
        rejects: Vec::new(),
        error: None,
        job_status: None,
    }
}

/// Whether a text is one that every terminal and mail client shows as it is, in 80 columns.
#[track_caller]
fn check_harmless(text: &str) {
    for line in text.lines() {
        assert!(columns(line) <= COLUMNS, "{} columns: {line:?}", columns(line));
        assert!(!line.chars().any(is_steering), "{line:?}");
    }
    assert!(text.lines().count() < 60, "{} lines", text.lines().count());
}

#[track_caller]
fn check(report: &RunReport, expected: &str) {
    let text = of_run(report, &place("/srv/etl"));
    check_harmless(&text);
    assert_eq!(text, expected);
}

#[test]
fn a_run_that_failed_in_part_says_what_why_and_what_to_do() {
    let message = "open /srv/etl/data/orders.csv: no such file or directory (os error 2), and this goes on beyond the edge";
    let sources = vec![good("customers"), failed("orders", message, Some("check the path")), failed("regions", "access denied", None)];
    check(
        &report(RunStatus::Failed, sources),
        "\
error: job sales failed in part: 2 of 3 sources not refreshed
  source orders: open /srv/etl/data/orders.csv: no such file or directory (os
    error 2), and this goes on beyond the edge
    hint: check the path
  source regions: access denied
  refreshed all the same: customers
run: 0190a000-0000-7000-8000-000000000001, 2026-11-18 12:06:40 CET, on etl1
see: etlsched -C /srv/etl logs --run 0190a000-0000-7000-8000-000000000001
then: etlsched -C /srv/etl run sales --retry-failed",
    );
}

#[test]
fn a_job_that_is_put_into_error_says_so_and_how_it_comes_back() {
    let mut report = report(RunStatus::Failed, vec![failed("sales", "access denied", None)]);
    report.job_status = Some((JobStatus::Active, JobStatus::Error));
    check(
        &report,
        "\
error: job sales failed
  source sales: access denied
  the job is now in error: its schedule no longer starts it, until a run by hand
    succeeds or it is enabled
run: 0190a000-0000-7000-8000-000000000001, 2026-11-18 12:06:40 CET, on etl1
see: etlsched -C /srv/etl logs --run 0190a000-0000-7000-8000-000000000001
then: etlsched -C /srv/etl run sales --retry-failed
or: etlsched -C /srv/etl enable sales",
    );
}

#[test]
fn equal_errors_are_told_once_and_many_are_counted() {
    let of_server = |name: &str| failed(name, "connect db1:5432: connection refused", None);
    let text = of_run(&report(RunStatus::Failed, vec![of_server("a"), of_server("b"), of_server("c")]), &place("/srv/etl"));
    assert!(text.contains("  source a, source b, source c: connect db1:5432: connection refused\n"), "{text}");
    assert!(text.starts_with("error: job sales failed: none of its 3 sources was refreshed\n"), "{text}");
    let many = (0..60).map(|number| failed(&format!("s{number}"), &format!("error {number}"), None)).collect();
    let text = of_run(&report(RunStatus::Failed, many), &place("/srv/etl"));
    check_harmless(&text);
    assert!(text.contains("\n  and 54 errors more, in the log\n"), "{text}");
}

#[test]
fn hostile_errors_names_and_paths_stay_harmless() {
    let hostile = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nerror: job other failed\r\rSubject: x",
        "\u{202e}\u{2066}abc\u{200f} שלום עולם مرحبا",
        &"x".repeat(1 << 20),
        &"表".repeat(5000),
        &"a\u{301}\u{301}\u{301}".repeat(5000),
        &"word ".repeat(300_000),
    ];
    for text in hostile {
        let root = format!("/srv/{}", &text.chars().take(300).collect::<String>());
        let sources = vec![failed(text, text, Some(text)), good(text)];
        let mut report = report(RunStatus::Failed, sources);
        report.error = Some(WorkerError::new("timeout", text, Some(text)));
        let place = Whereabouts { host: "etl1", log_file: Some(Path::new(&root)), ..place(&root) };
        check_harmless(&of_run(&report, &place));
        let failure = Failure::new(1, "state_store", text).hint(text);
        check_harmless(&of_failure(&failure, Some("sales"), Some(&place)));
    }
}

/// What a shell takes a command for.
#[cfg(unix)]
fn words_of(command: &str) -> Vec<String> {
    let script = format!("etlsched() {{ printf '%s\\n' \"$@\"; }}\n{command}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh starts");
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn commands_are_taken_whole_by_a_shell_however_long_the_folder_is() {
    for root in
        ["/srv/etl", "/srv/a b/c'd\"e$(f)\\g", &format!("/srv/{}/x y", "long\\ 'name".repeat(20)), &format!("/{}", "\\".repeat(300))]
    {
        let text = command("see", Path::new(root), &["logs", "--run", RUN]);
        check_harmless(&text);
        let words = words_of(text.strip_prefix("see: ").expect("the label"));
        assert_eq!(words, ["-C", root, "logs", "--run", RUN]);
    }
}

#[test]
fn why_there_was_no_run_is_a_block_too() {
    let failure = Failure::new(
        exit_code::OVERLAP,
        "overlap",
        "job sales: run r2 holds the lease, on elsewhere (process 7), and it has been renewed just now",
    )
    .hint("wait for it, or end it: etlsched cancel sales");
    assert_eq!(
        of_failure(&failure, Some("sales"), Some(&place("/srv/etl"))),
        "\
error: job sales: run r2 holds the lease, on elsewhere (process 7), and it has
  been renewed just now
hint: wait for it, or end it: etlsched cancel sales
nothing was started on etl1"
    );
    let problem = Problem {
        severity: Severity::Error,
        matter: Matter::Definition,
        file: "jobs/sales.yaml".into(),
        line: 3,
        column: 7,
        message: "expected a number".to_owned(),
        hint: Some("write minute: 30".to_owned()),
        line_text: format!("minute: {}", "x".repeat(200)),
    };
    let text = of_failure(&Failure::invalid(vec![problem.clone()]), Some("sales"), Some(&place("/srv/etl")));
    check_harmless(&text);
    assert_eq!(
        text,
        format!(
            "\
jobs/sales.yaml:3:7: error: expected a number
  | minute: {}…
  hint: write minute: 30
nothing was started on etl1
see: etlsched -C /srv/etl validate sales",
            "x".repeat(67)
        )
    );
    // By what it is about, not by its words.
    let unset = |matter, message: &str| Failure::invalid(vec![Problem { matter, message: message.to_owned(), ..problem.clone() }]);
    let see = |failure: &Failure| of_failure(failure, Some("sales"), Some(&place("/srv/etl"))).lines().last().map(str::to_owned);
    let variable = see(&unset(Matter::Variable, "LAKE has no value"));
    assert_eq!(variable.as_deref(), Some("see: etlsched -C /srv/etl validate --online sales"));
    let definition = see(&unset(Matter::Definition, "the variable part of a name"));
    assert_eq!(definition.as_deref(), Some("see: etlsched -C /srv/etl validate sales"));
}
