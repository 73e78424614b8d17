//! Whole outputs of `stats`, at 80 and 200 columns.

use super::super::stats_data::{self as data, Ends};
use super::*;
use crate::run::{RunStatus, SourceStatus};
use crate::state::{RunTally, SourceTally, Timing};

fn at(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant") + TimeDelta::days(day)
}

fn tally(job: &str, status: RunStatus, runs: u64) -> RunTally {
    RunTally {
        job: job.to_owned(),
        status,
        is_interrupted: false,
        runs,
        partly: 0,
        rows: runs * 1000,
        rejected: 0,
        retries: 0,
        bytes_read: runs * 4096,
        peak_memory_mb: Some(84.4),
        last_started_at: at(0),
    }
}

fn timings(of: &str, seconds: &[f64]) -> Vec<Timing> {
    let timing =
        |(index, seconds): (usize, &f64)| Timing { of: of.to_owned(), run_id: format!("0190a000-{index:04}-7000"), seconds: *seconds };
    seconds.iter().enumerate().map(timing).collect()
}

/// Four jobs: one is well, one fails now, one became slower, one is stopped again and again.
fn jobs() -> Vec<JobStats> {
    let interrupted = RunTally { is_interrupted: true, ..tally("failing", RunStatus::Failed, 1) };
    let partly = RunTally { partly: 1, ..tally("failing", RunStatus::Failed, 2) };
    let now = [
        tally("slow", RunStatus::Success, 8),
        tally("well", RunStatus::Success, 6),
        tally("failing", RunStatus::Success, 5),
        partly,
        interrupted,
        tally("stopped", RunStatus::Cancelled, 3),
        tally("stopped", RunStatus::Running, 1),
    ];
    let took = |jobs: &[(&str, &[f64])]| jobs.iter().map(|(job, seconds)| ((*job).to_owned(), seconds.to_vec())).collect();
    let now_took = took(&[("slow", &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]), ("well", &[2.0; 6]), ("failing", &[1.0, 3.0])]);
    let before = [tally("slow", RunStatus::Success, 8), tally("well", RunStatus::Success, 6)];
    data::jobs((&now, now_took), (&before, took(&[("slow", &[10.0; 8]), ("well", &[2.5; 6])])), &|job| if job == "failing" { 2 } else { 0 })
}

#[test]
fn what_needs_attention_comes_first_and_a_narrow_terminal_has_the_columns_that_matter() {
    assert_eq!(
        table(&jobs(), Blocks::Unicode).text_within(Some(200)),
        "\
Job      Runs   Good  Failed  Stopped    p50     p95     Max   Trend   Rows  Memory  Durations  Attention
failing     8   62 %       3        0  1.0 s   3.0 s   3.0 s       -  8,000   84 MB  ▁█         failing: 2 in a row, 1 interrupted
slow        8  100 %       0        0   40 s  1m 20s  1m 20s  +300 %  8,000   84 MB  ▁▂▃▄▅▆▇█   slower: 4.0 times
stopped     4      -       0        3      -       -       -       -  4,000   84 MB
well        6  100 %       0        0  2.0 s   2.0 s   2.0 s   -20 %  6,000   84 MB  ▄▄▄▄▄▄"
    );
    assert_eq!(
        table(&jobs(), Blocks::Ascii).text_within(Some(80)),
        "\
Job      Runs   Good  Failed    p50  Attention
failing     8   62 %       3  1.0 s  failing: 2 in a row, 1 interrupted
slow        8  100 %       0   40 s  slower: 4.0 times
stopped     4      -       0      -
well        6  100 %       0  2.0 s"
    );
}

#[test]
fn one_job_is_told_with_its_sources_and_errors() {
    let job = jobs().into_iter().find(|job| job.id == "failing").expect("it is there");
    let source = |status, runs| SourceTally {
        source: "orders".to_owned(),
        status,
        runs,
        rows: 500,
        rejected: 2,
        retries: 3,
        peak_memory_mb: Some(70.0),
    };
    let sources = data::sources(&[source(SourceStatus::Success, 5), source(SourceStatus::Failed, 3)], &timings("orders", &[1.0, 3.0, 2.0]));
    let errors = [ErrorTally { source: "orders".to_owned(), code: "unreachable".to_owned(), runs: 2, last_started_at: at(0) }];
    let period = Period { since: at(-30), until: at(0) };
    assert_eq!(
        text(&job, &sources, &errors, period, Zone::UTC, Blocks::Unicode),
        "\
Job         failing
Runs begun  since 2026-10-19 11:06:40 UTC, compared with the 30 days before
Runs        8: 5 success, 2 failed (1 in part), 1 interrupted
Success     62.5 % of 8 runs
Took        p50 1.0 s, p95 3.0 s, at most 3.0 s
Durations   ▁█
            of the last 2 successes, the oldest first
Rows        8,000, 1,000 a run
Memory      84 MiB at most
Attention   failing: 2 in a row, 1 interrupted

Source  Runs  Good  Failed  Retries    p50    p95    Max  Slowest run     Rows  Rejected  Memory
orders     8  62 %       3        6  2.0 s  3.0 s  3.0 s  0190a000-0001  1,000         4   70 MB

Source  Error        Runs  Last (UTC)
orders  unreachable     2  2026-11-18 11:06:40"
    );
    assert_eq!(sources[0].slowest_run.as_deref(), Some("0190a000-0001-7000"));
    let object = data::source_object(&sources[0], &errors);
    assert_eq!((&object["failed"], &object["errors"][0]["code"]), (&3.into(), &"unreachable".into()));
}

#[test]
fn runs_that_somebody_stopped_or_that_go_on_count_for_no_rate() {
    let ends = Ends { success: 3, failed: 1, cancelled: 5, open: 2, ..Ends::default() };
    let job = JobStats { ends, ..JobStats::default() };
    assert_eq!((job.runs(), job.success_rate()), (11, Some(75.0)));
    assert_eq!(JobStats::default().success_rate(), None);
}

#[test]
fn a_change_is_told_only_where_there_is_enough_to_compare() {
    let with = |runs: u64, now: f64, before: f64| {
        let seconds = |one: f64| data::Durations::from([("a".to_owned(), vec![one; 9])]);
        data::jobs((&[tally("a", RunStatus::Success, runs)], seconds(now)), (&[tally("a", RunStatus::Success, 5)], seconds(before)), &|_| 0)
            [0]
        .attention()
    };
    assert_eq!(with(5, 30.0, 10.0), ["slower: 3.0 times"]);
    assert_eq!(with(4, 30.0, 10.0), Vec::<String>::new());
    assert_eq!(with(5, 0.9, 0.1), Vec::<String>::new(), "less than a second");
    assert_eq!(with(5, 14.0, 10.0), Vec::<String>::new());
}
